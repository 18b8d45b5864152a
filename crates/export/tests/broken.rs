//! Connections that break in the middle: nobody waits for a timeout where the end of a connection can be seen, and
//! none that died without a sign is used again. Not here: what a back end answers (`refusals`).

#![expect(clippy::unwrap_used, reason = "in a test, also in its helpers")]

mod fake;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use export::{Collected, Config, Exporter, MetricsEndpoint, Protocol, Temporality};
use fake::Backend;
use fake::breaker::{Breaker, Fault};
use metrics::{Metric, Point};
use trace::synthetic;

/// For what takes about a second on a quiet machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// For an answer: who waits for it waits longer than any test does.
const TIMEOUT: Duration = Duration::from_secs(600);

const BOTH: [Protocol; 2] = [Protocol::Grpc, Protocol::Http];

fn eventually(what: &str, mut is: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is() {
        assert!(start.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn config(endpoint: &str, protocol: Protocol) -> Config {
    Config {
        endpoint: endpoint.to_owned(),
        protocol,
        timeout: TIMEOUT,
        flush_interval: Duration::ZERO,
        ..Config::default()
    }
}

/// An exporter, and what it says.
fn start(config: &Config) -> (Exporter, Arc<Mutex<Vec<String>>>) {
    let said = Arc::<Mutex<Vec<String>>>::default();
    let heard = said.clone();
    let notice = move |sentence| heard.lock().unwrap().push(sentence);
    (Exporter::start(config, notice).unwrap(), said)
}

/// Hands over a batch of ten spans.
fn send(exporter: &mut Exporter) {
    for _ in 0..10 {
        exporter.push(&synthetic::span(1, 2, None));
    }
    exporter.tick();
}

/// Sends a batch after the other, and waits for what becomes of each.
fn send_batches(exporter: &mut Exporter, batches: u64, what: &str) {
    let (stats, before) = (exporter.stats(), exporter.stats().exported());
    for batch in 1..=batches {
        send(exporter);
        eventually(what, || stats.exported() == before + 10 * batch);
    }
}

#[test]
fn a_connection_that_ends_is_not_waited_for() {
    let both = [Fault::Close, Fault::Reset(20), Fault::Reset(300), Fault::Cut(20), Fault::Idle];
    for protocol in BOTH {
        let more: &[Fault] = if protocol == Protocol::Grpc { &[Fault::GoAway] } else { &[] };
        for fault in both.iter().chain(more) {
            let what = format!("{protocol:?} {fault:?}");
            let backend = Backend::start(protocol, Vec::new());
            let breaker = Breaker::start(&backend.endpoint, &[*fault; 3]);
            let (mut exporter, _) = start(&config(&breaker.endpoint, protocol));
            send_batches(&mut exporter, 3, &what);
            let stats = exporter.shutdown(PATIENCE);
            assert_eq!(stats.lost().map(|(_, n)| n), [0; 4], "{what}");
        }
    }
}

/// A shutdown sees the end of a connection, too.
#[test]
fn a_connection_that_ends_while_all_is_sent_for_good_is_not_waited_for() {
    for protocol in BOTH {
        let backend = Backend::start(protocol, Vec::new());
        let breaker =
            Breaker::start(&backend.endpoint, &[Fault::Reset(300), Fault::Close, Fault::Cut(20)]);
        let (mut exporter, _) = start(&config(&breaker.endpoint, protocol));
        let began = Instant::now();
        send(&mut exporter);
        let stats = exporter.shutdown(TIMEOUT);
        assert!(began.elapsed() < PATIENCE, "{protocol:?}: {:?}", began.elapsed());
        assert_eq!(stats.exported(), 10, "{protocol:?}");
    }
}

/// One that nobody answers on any more, as where a node went away, is not used for another try.
#[test]
fn a_connection_that_died_without_a_sign_is_left() {
    for protocol in BOTH {
        let backend = Backend::start(protocol, Vec::new());
        let breaker = Breaker::start(&backend.endpoint, &[Fault::Swallow]);
        let mut config = config(&breaker.endpoint, protocol);
        config.timeout = Duration::from_secs(1);
        let (mut exporter, said) = start(&config);
        send(&mut exporter);
        let stats = exporter.stats();
        // Later connections may be slow, too, on a busy machine.
        eventually(&format!("{protocol:?}"), || stats.exported() == 10);
        assert!(said.lock().unwrap()[0].contains("cannot deliver spans to"), "{said:?}");
        exporter.shutdown(Duration::ZERO);
    }
}

/// Back ends close connections that are idle: neither is that news, nor does it cost the metrics that come next.
#[test]
fn a_connection_that_was_closed_while_idle_costs_nothing() {
    for protocol in BOTH {
        let backend = Backend::start(protocol, Vec::new());
        let breaker = Breaker::start(&backend.endpoint, &[Fault::Idle; 20]);
        let mut config = config(&breaker.endpoint, protocol);
        config.metrics = Some(MetricsEndpoint {
            endpoint: breaker.endpoint.clone(),
            exact_url: false,
            temporality: Temporality::Cumulative,
            exponential: false,
        });
        let (mut exporter, said) = start(&config);
        let stats = exporter.stats();
        for round in 1..=3 {
            send_batches(&mut exporter, 1, "spans");
            let count = Metric::counter("a.count", "1", "", [Point::int(round, Vec::new())]);
            exporter.push_metrics(&Collected {
                resource: &[],
                metrics: &[count],
                of_others: &[],
                start_unix_nano: 1,
                time_unix_nano: 2,
            });
            let settled = || stats.points.exported() + stats.points.unreachable.load(Relaxed);
            eventually("metrics", || settled() == round);
            eventually("they are closed", || breaker.closed() >= 2 * round);
        }
        assert_eq!(stats.points.exported(), 3, "{protocol:?}: {:?}", stats.points);
        assert_eq!(*said.lock().unwrap(), Vec::<String>::new(), "{protocol:?}");
        exporter.shutdown(Duration::ZERO);
    }
}

/// What was taken is not sent again where the rest of the answer does not come.
#[test]
fn half_an_answer_that_says_yes_is_enough() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 1 << 16];
            let mut got = 0;
            // The head and the body come one after the other.
            while got < 1000 {
                got += stream.read(&mut request[got..]).unwrap();
            }
            let half = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf";
            stream.write_all(half).unwrap();
        }
    });
    let (mut exporter, said) = start(&config(&endpoint, Protocol::Http));
    send_batches(&mut exporter, 3, "three batches");
    assert_eq!((exporter.stats().retried(), said.lock().unwrap().len()), (0, 0), "{said:?}");
}
