//! Spans, metrics and log records go their own ways: none waits for what becomes of another, and none takes the
//! room of another. Not here: what becomes of one of them.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use export::{Collected, Config, Exporter, LogsEndpoint, MetricsEndpoint, Protocol, Temporality};
use metrics::{Metric, Point};
use trace::{LogRecord, Resource, Span, synthetic};

const PATIENCE: Duration = Duration::from_secs(60);

/// A back end that takes all but spans, for which it has no answer.
fn backend() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream));
        }
    });
    url
}

/// Answers requests until the connection ends, or one has spans.
fn answer(stream: TcpStream) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let (mut path, mut length) = (String::new(), 0);
        reader.read_line(&mut path).ok()?;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
            if line.trim().is_empty() {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
        }
        reader.read_exact(&mut vec![0; length]).ok()?;
        if path.contains("/v1/traces") {
            std::thread::sleep(2 * PATIENCE);
            return None;
        }
        reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").ok()?;
    }
}

fn exporter(queue_bytes: usize) -> Exporter {
    Exporter::start(&config(queue_bytes, backend()), |_| ()).unwrap()
}

fn config(queue_bytes: usize, endpoint: String) -> Config {
    let metrics = MetricsEndpoint {
        endpoint: endpoint.clone(),
        exact_url: false,
        temporality: Temporality::Cumulative,
        exponential: false,
    };
    Config {
        logs: Some(LogsEndpoint { endpoint: endpoint.clone(), exact_url: false }),
        metrics: Some(metrics),
        endpoint,
        protocol: Protocol::Http,
        queue_bytes,
        flush_interval: Duration::ZERO,
        ..Config::default()
    }
}

fn span(resource: &Arc<Resource>) -> Span {
    Span { resource: resource.clone(), ..synthetic::span(1, 2, None) }
}

fn record(resource: &Arc<Resource>) -> LogRecord {
    LogRecord { body: Some("a line".into()), resource: resource.clone(), ..synthetic::record() }
}

/// Sends metrics of this time.
fn send_metrics(exporter: &mut Exporter, time_unix_nano: u64) {
    let count = Metric::counter("a.count", "1", "Of something", [Point::int(3, Vec::new())]);
    exporter.push_metrics(&Collected {
        resource: &[],
        metrics: &[count],
        of_others: &[],
        start_unix_nano: 1,
        time_unix_nano,
    });
}

fn eventually(what: &str, mut is: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is() {
        assert!(start.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn metrics_and_logs_arrive_where_spans_do_not() {
    // Far less than the spans need.
    let mut exporter = exporter(100_000);
    let (stats, resource) = (exporter.stats(), Arc::new(Resource::default()));
    let span = span(&resource);
    for _ in 0..2_000 {
        exporter.push(&span);
        exporter.tick();
    }
    assert!(stats.lost().contains(&("export_shutdown", 0)), "{stats:?}");
    assert!(stats.lost()[0].1 > 0, "{stats:?}");
    for i in 1..=100 {
        exporter.push_log(&record(&resource));
        exporter.tick();
        send_metrics(&mut exporter, 100 * i);
        let points = || stats.points.exported() >= i;
        eventually("metrics wait for spans", points);
        eventually("log records wait for spans", || stats.logs.exported() == i);
    }
    assert_eq!(stats.exported(), 0);
    let stats = exporter.shutdown(Duration::from_millis(100));
    assert_eq!(stats.lost().iter().map(|(_, n)| n).sum::<u64>(), 2_000, "{stats:?}");
    assert_eq!(stats.logs.lost().iter().map(|(_, n)| n).sum::<u64>(), 0, "{stats:?}");
}

#[test]
fn a_back_end_that_nobody_is_at_is_named_once() {
    let said = Arc::<Mutex<Vec<String>>>::default();
    let heard = said.clone();
    let config = config(1 << 20, "http://127.0.0.1:1".into());
    let notice = move |sentence| heard.lock().unwrap().push(sentence);
    let mut exporter = Exporter::start(&config, notice).unwrap();
    let (stats, resource) = (exporter.stats(), Arc::new(Resource::default()));
    exporter.push(&span(&resource));
    exporter.push_log(&record(&resource));
    exporter.tick();
    send_metrics(&mut exporter, 100);
    let unreachable = || stats.points.unreachable.load(Relaxed);
    // Each signal is tried more than once.
    eventually("nothing is tried", || unreachable() == 1 && stats.retried() > 6);
    let stats = exporter.shutdown(Duration::from_millis(100));
    let said = said.lock().unwrap();
    assert_eq!(said.len(), 1, "{said:?}");
    for signal in ["spans", "metrics", "log records"] {
        assert!(said[0].contains(signal), "{said:?}");
    }
    let lost = [stats.lost(), stats.logs.lost()].map(|lost| lost[2]);
    assert_eq!(lost, [("export_shutdown", 1); 2]);
}

#[test]
fn what_a_thread_leaves_behind_that_fails_is_counted() {
    let config = config(1 << 20, "http://127.0.0.1:1".into());
    // The thread fails where it says that nobody is there.
    let mut exporter = Exporter::start(&config, |_| panic!("on purpose")).unwrap();
    let (stats, resource) = (exporter.stats(), Arc::new(Resource::default()));
    let failed = || stats.spans.failed.load(Relaxed);
    for _ in 0..10 {
        exporter.push(&span(&resource));
        exporter.tick();
    }
    eventually("the thread goes on", || failed() > 0);
    exporter.push(&span(&resource));
    exporter.push_log(&record(&resource));
    let stats = exporter.shutdown(Duration::from_millis(100));
    assert_eq!((stats.exported(), stats.queued_bytes()), (0, 0));
    assert_eq!(stats.lost()[3], ("export_failed", 11));
    assert_eq!(stats.lost().iter().map(|(_, n)| n).sum::<u64>(), 11, "{stats:?}");
    // Each signal has a thread of its own.
    assert_eq!(stats.logs.lost()[2], ("export_shutdown", 1));
}

/// Metrics whose request is larger than what may wait are counted, as are those that nobody takes.
#[test]
fn each_point_of_metrics_is_accounted_for() {
    let mut exporter = exporter(100);
    send_metrics(&mut exporter, 100);
    let stats = exporter.shutdown(Duration::from_millis(100));
    assert_eq!(stats.points.lost()[0], ("export_queue_full", 1));
    // Spans stall there, so no request of metrics is answered either.
    let mut config = config(1 << 20, backend());
    config.metrics.iter_mut().for_each(|to| {
        (to.exact_url, to.endpoint) = (true, format!("{}/v1/traces", config.endpoint));
    });
    let mut exporter = Exporter::start(&config, |_| ()).unwrap();
    let stats = exporter.stats();
    for time in 1..=20 {
        send_metrics(&mut exporter, 100 * time);
        std::thread::sleep(Duration::from_millis(2));
    }
    // One is on its way or waits, and one more may wait.
    let replaced = stats.points.replaced.load(Relaxed);
    assert!((18..=19).contains(&replaced), "{:?}", stats.points);
    let stats = exporter.shutdown(Duration::from_millis(100));
    let lost: u64 = stats.points.lost().iter().map(|(_, n)| n).sum();
    assert_eq!((stats.points.exported(), lost), (0, 20), "{:?}", stats.points);
    assert!(stats.points.delivered.shutdown.load(Relaxed) > 0, "{:?}", stats.points);
}
