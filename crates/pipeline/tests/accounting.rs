//! Every record that comes is accounted for: its span was exported, or a count by name says why not, whatever
//! the collector does.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use export::{Config, Exporter, LiveStats, Protocol};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use pipeline::{Counts, MAX_QUEUED, Pipeline, Place, Sampling, Sink, Stages, TailSettings};
use prost::Message;
use trace::{Assembler, ProcessInfo, Resource, Span, Value};
use wire::synthetic::{Request, http};

/// Records that are replayed, as fast as they are taken: far more than the queues hold.
const RECORDS: u64 = 40_000;
/// Spans a second of a heavy load, and for how many seconds.
const RATE: u64 = 100_000;
const SECONDS: u64 = 2;
/// Left out by sampling, or by the caller.
const LEFT_OUT: u8 = 0x20;

/// What a collector does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Collector {
    Takes,
    /// All but three spans of each request.
    TakesSome,
    Refuses,
    /// Answers late.
    Slow,
    /// Takes requests and never answers.
    Hangs,
    /// Nobody listens.
    Dead,
}

impl Collector {
    /// How long an answer is waited for, and what waits at the end: where one comes at all, as long as a busy machine
    /// takes, since what is sent again would arrive twice.
    fn patience(self) -> Duration {
        match self {
            Self::Takes | Self::TakesSome | Self::Refuses => Duration::from_secs(30),
            Self::Slow | Self::Hangs | Self::Dead => Duration::from_millis(500),
        }
    }
}

/// A collector on this host; gives its URL. `got` counts the spans that came.
fn collector(kind: Collector, got: &Arc<AtomicU64>, over: &Arc<AtomicBool>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    if kind == Collector::Dead {
        return url;
    }
    let (got, over) = (got.clone(), over.clone());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (got, over) = (got.clone(), over.clone());
            std::thread::spawn(move || serve(stream, kind, &got, &over));
        }
    });
    url
}

fn serve(stream: TcpStream, kind: Collector, got: &AtomicU64, over: &AtomicBool) {
    let mut reader = BufReader::new(stream);
    while let Some(body) = request(&mut reader) {
        let spans = ExportTraceServiceRequest::decode(&body[..]).unwrap();
        let scopes = spans.resource_spans.iter().flat_map(|r| &r.scope_spans);
        got.fetch_add(scopes.map(|scope| scope.spans.len() as u64).sum(), Ordering::Relaxed);
        // A partial success that rejects three spans.
        let some: &[u8] = &[0x0a, 0x02, 0x08, 0x03];
        let (status, body) = match kind {
            Collector::TakesSome => ("200 OK", some),
            Collector::Refuses => ("400 Bad Request", &[][..]),
            _ => ("200 OK", &[][..]),
        };
        while kind == Collector::Hangs && !over.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(20));
        }
        if kind == Collector::Slow {
            std::thread::sleep(Duration::from_millis(300));
        }
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/x-protobuf\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let answer = [head.as_bytes(), body].concat();
        if reader.get_mut().write_all(&answer).is_err() {
            return;
        }
    }
}

/// The body of the next request.
fn request(reader: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(body)
}

/// Sends what it gets.
struct Sent(Exporter);

impl Sink for Sent {
    fn name(&self) -> &'static str {
        "otlp"
    }

    fn span(&mut self, span: &Span) -> anyhow::Result<()> {
        self.0.push(span);
        Ok(())
    }

    fn tick(&mut self) -> anyhow::Result<()> {
        self.0.tick();
        Ok(())
    }

    fn finish(self: Box<Self>, patience: Duration) -> anyhow::Result<()> {
        self.0.shutdown(patience);
        Ok(())
    }
}

/// What became of the records.
struct Outcome {
    records: u64,
    counts: Counts,
    /// Spans that found the sink's queue full.
    dropped: u64,
    stats: LiveStats,
}

impl Outcome {
    fn lost(&self, reason: &str) -> u64 {
        self.stats.lost().iter().find(|(name, _)| *name == reason).unwrap().1
    }
}

/// How records come.
#[derive(Debug, Clone, Copy)]
struct Load {
    records: u64,
    /// How many of them between two looks at the ring buffer.
    round: u64,
    /// The time of each such round; they come as fast as they are taken without.
    pace: Option<Duration>,
    queue_bytes: usize,
}

const FAST: Load = Load { records: RECORDS, round: 2_000, pace: None, queue_bytes: 2 << 20 };
/// As a node sends them that is very busy, with the queue that gotap has by default.
const HEAVY: Load = Load {
    records: RATE * SECONDS,
    round: RATE / 10,
    pace: Some(Duration::from_millis(100)),
    queue_bytes: 8 << 20,
};

/// One of many: of a hundred one is of a process that nobody knows, and one is damaged.
fn record(number: u64) -> Vec<u8> {
    let id = (number + 1).to_le_bytes();
    let mut trace_id = [7; 16];
    trace_id[..8].copy_from_slice(&id);
    let mut record = http(&Request {
        instance: if number % 100 == 7 { 2 } else { 1 },
        client: false,
        trace_id,
        span_id: id,
        parent: None,
        trace_flags: match number % 10 {
            0..4 => 1,
            4..9 => LEFT_OUT,
            _ => 0,
        },
        start_ns: number * 10_000,
        end_ns: number * 10_000 + 1_000_000,
        status: if number % 50 == 5 { 500 } else { 200 },
        target: "/orders/4711",
        host: "shop.example.com",
        route: "GET /orders/{id}",
    });
    if number % 100 == 8 {
        record.truncate(20);
    }
    record
}

fn replay(url: &str, patience: Duration, sampling: Sampling, load: Load) -> Outcome {
    let config = Config {
        endpoint: url.to_owned(),
        protocol: Protocol::Http,
        queue_bytes: load.queue_bytes,
        timeout: patience,
        flush_interval: Duration::from_millis(50),
        ..Config::default()
    };
    let exporter = Exporter::start(&config, |_| {}).unwrap();
    let stats = exporter.stats();
    let sinks =
        Pipeline::start(vec![Box::new(Sent(exporter))], MAX_QUEUED, |e| panic!("{e}")).unwrap();
    let mut stages = Stages::new(Assembler::new(), None, sampling, sinks.clone());
    let attributes = vec![("service.name".to_owned(), Value::Text("shop".into()))];
    let resource = Arc::new(Resource::new(attributes));
    stages.add_process(
        1,
        ProcessInfo { resource, ..ProcessInfo::default() },
        false,
        Place::Known,
        0,
    );
    let began = Instant::now();
    for number in 0..load.records {
        stages.event(wire::decode(&record(number)), 0);
        if number % load.round == 0 {
            stages.round(number * 10_000, 0, false);
            let rounds = u32::try_from(number / load.round).unwrap();
            let due = load.pace.map(|pace| pace * rounds).unwrap_or_default();
            std::thread::sleep(due.saturating_sub(began.elapsed()));
        }
    }
    println!("{} records in {:?}", load.records, began.elapsed());
    stages.round(load.records * 10_000, 0, true);
    let began = Instant::now();
    sinks.finish(patience + Duration::from_millis(200));
    println!("finished in {:?}", began.elapsed());
    let dropped = sinks.outlets().map(pipeline::Outlet::dropped).sum();
    Outcome { records: load.records, counts: stages.counts(), dropped, stats }
}

/// Nothing goes missing without a name, neither before the queues nor behind them.
fn check(outcome: &Outcome) {
    let Counts { spans, undecodable, unknown_process, unsampled, sampled_out, .. } = outcome.counts;
    let before = undecodable + unknown_process + unsampled + sampled_out;
    let records = outcome.records;
    assert_eq!(before + outcome.counts.tail_evicted + spans, records, "{:?}", outcome.counts);
    assert_eq!((undecodable, unknown_process), (records / 100, records / 100));
    let lost: u64 = outcome.stats.lost().iter().map(|(_, n)| n).sum();
    let exported = outcome.stats.exported();
    assert_eq!(exported + lost + outcome.dropped, spans, "{:?}", outcome.stats);
}

fn run(kind: Collector, sampling: Sampling) -> (Outcome, u64) {
    run_at(FAST, kind, sampling)
}

fn run_at(load: Load, kind: Collector, sampling: Sampling) -> (Outcome, u64) {
    let (got, over) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
    let outcome = replay(&collector(kind, &got, &over), kind.patience(), sampling, load);
    over.store(true, Ordering::Relaxed);
    check(&outcome);
    (outcome, got.load(Ordering::Relaxed))
}

#[test]
fn a_collector_that_takes_spans_gets_those_that_are_counted() {
    let (outcome, got) = run(Collector::Takes, Sampling::default());
    assert_eq!(outcome.stats.exported(), got);
    assert!(got > 0 && outcome.counts.sampled_out > RECORDS / 3, "{:?}", outcome.counts);
    let (outcome, got) = run(Collector::TakesSome, Sampling::default());
    let rejected = outcome.lost("export_rejected");
    // The last request may have fewer than three.
    assert!(rejected >= 3, "{rejected}");
    assert_eq!(outcome.stats.exported() + rejected, got);
}

#[test]
fn what_a_collector_does_not_take_is_counted() {
    let (outcome, got) = run(Collector::Refuses, Sampling::default());
    assert_eq!((outcome.stats.exported(), outcome.lost("export_rejected")), (0, got));
    for kind in [Collector::Slow, Collector::Hangs, Collector::Dead] {
        let (outcome, _) = run(kind, Sampling::default());
        let lost = outcome.lost("export_queue_full") + outcome.lost("export_shutdown");
        assert!(lost > 0, "{kind:?}: {:?}", outcome.stats);
        assert!(kind == Collector::Slow || outcome.stats.exported() == 0, "{:?}", outcome.stats);
    }
}

/// A hundred thousand spans a second, whether the collector keeps up or is away.
#[test]
fn under_heavy_load_all_is_accounted_for() {
    let (outcome, got) = run_at(HEAVY, Collector::Takes, Sampling::default());
    println!("{got} arrived, {} found a queue full: {:?}", outcome.dropped, outcome.stats);
    assert_eq!(outcome.stats.exported(), got);
    assert!(got > 0, "{:?}", outcome.stats);
    let (outcome, _) = run_at(HEAVY, Collector::Dead, Sampling::default());
    println!("nobody there: {:?}", outcome.stats);
    assert!(outcome.lost("export_queue_full") > 0, "{:?}", outcome.stats);
    assert_eq!(outcome.stats.exported(), 0);
}

/// Whole traces are kept of those that failed; what finds no room to wait is counted, too.
#[test]
fn tail_sampling_loses_nothing_without_a_name() {
    let tail = |bytes| TailSettings {
        errors: true,
        slower_than: None,
        slower_than_p99: false,
        wait: Duration::from_secs(30),
        bytes,
    };
    let sampling = |bytes| Sampling { tail: Some(tail(bytes)), ..Sampling::default() };
    let (roomy, _) = run(Collector::Takes, sampling(64 << 20));
    let (cramped, _) = run(Collector::Takes, sampling(1 << 20));
    assert_eq!(roomy.counts.tail_evicted, 0, "{:?}", roomy.counts);
    assert!(cramped.counts.tail_evicted > 0, "{:?}", cramped.counts);
    assert_eq!(roomy.counts.spans, cramped.counts.spans, "all that failed");
    let (plain, _) = run(Collector::Takes, Sampling::default());
    assert!(roomy.counts.spans > plain.counts.spans);
}
