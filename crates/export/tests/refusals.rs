//! What becomes of spans when the back end refuses, stalls or takes only a part: each is delivered
//! or counted by reason. The back ends here are fakes, as no real one does such things on request;
//! what a real collector does is tested end to end.

#![expect(clippy::unwrap_used, reason = "in a test, also in its helpers")]

mod fake;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use export::{Config, Exporter, LiveStats, Protocol};
use trace::{Http, Span, synthetic};

use fake::{Answer, Backend};

/// Long enough for what takes about a second on a quiet machine.
const PATIENCE: Duration = Duration::from_secs(60);

const BOTH: [Protocol; 2] = [Protocol::Grpc, Protocol::Http];

fn span(path: &str) -> Span {
    let http = synthetic::http(Http { path: Some(path.into()), ..Http::default() });
    Span { operation: http, ..synthetic::span(1, 2, None) }
}

/// An exporter, and what it said.
struct Sender {
    exporter: Exporter,
    said: Arc<Mutex<Vec<String>>>,
}

impl Sender {
    fn new(backend: &Backend, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config {
            endpoint: backend.endpoint.clone(),
            protocol: backend.protocol,
            flush_interval: Duration::ZERO,
            // What is sent again as an answer is late arrives twice.
            timeout: 2 * PATIENCE,
            ..Config::default()
        };
        change(&mut config);
        let said: Arc<Mutex<Vec<String>>> = Arc::default();
        let listener = said.clone();
        let notice = move |sentence| listener.lock().unwrap().push(sentence);
        Self { exporter: Exporter::start(&config, notice).unwrap(), said }
    }

    /// Hands over a batch of `n` spans.
    fn send(&mut self, n: usize) {
        for _ in 0..n {
            self.exporter.push(&span("/"));
        }
        self.exporter.tick();
    }

    /// Waits until so many spans have found their end.
    fn settle(&self, n: u64) {
        let start = Instant::now();
        let stats = self.exporter.stats();
        while stats.exported() + stats.lost().iter().map(|l| l.1).sum::<u64>() < n {
            assert!(start.elapsed() < PATIENCE, "{stats:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn stop(self) -> (LiveStats, Vec<String>) {
        let stats = self.exporter.shutdown(Duration::from_millis(700));
        let said = self.said.lock().unwrap().clone();
        (stats, said)
    }
}

/// Spans of three batches: exported and rejected.
fn fate(protocol: Protocol, answers: Vec<Answer>) -> (u64, u64, u64, Vec<String>) {
    let backend = Backend::start(protocol, answers);
    let mut sender = Sender::new(&backend, |_| ());
    for batch in 1..=3 {
        sender.send(10);
        sender.settle(10 * batch);
    }
    let (stats, said) = sender.stop();
    let [_, (_, rejected), ..] = stats.lost();
    assert_eq!(stats.exported() + rejected, 30, "{protocol:?}: {said:?}");
    assert_eq!(stats.exported(), backend.taken(), "{protocol:?}");
    let retries = stats.retries.load(std::sync::atomic::Ordering::Relaxed);
    (stats.exported(), rejected, retries, said)
}

#[test]
fn what_is_refused_for_good_is_not_sent_again() {
    for protocol in BOTH {
        let (exported, rejected, retries, said) =
            fate(protocol, vec![Answer::BadRequest, Answer::BadRequest]);
        assert_eq!((exported, rejected, retries), (10, 20, 0), "{protocol:?}");
        // Once, not for each batch.
        assert_eq!(said.iter().filter(|s| s.contains("refused")).count(), 1, "{said:?}");
    }
}

#[test]
fn what_may_work_later_is_sent_again() {
    for protocol in BOTH {
        let (exported, rejected, retries, said) =
            fate(protocol, vec![Answer::Unavailable, Answer::Unavailable]);
        assert_eq!((exported, rejected, retries), (30, 0, 2), "{protocol:?}");
        let sentences = ["cannot deliver", "again"].map(|s| said.iter().any(|x| x.contains(s)));
        assert_eq!(sentences, [true, true], "{said:?}");
        assert_eq!(said.len(), 2, "{said:?}");
    }
}

#[test]
fn a_pause_that_is_asked_for_is_kept() {
    for protocol in BOTH {
        let backend = Backend::start(protocol, vec![Answer::TooMany(Some(2))]);
        let mut sender = Sender::new(&backend, |_| ());
        let start = Instant::now();
        sender.send(10);
        sender.settle(10);
        assert!(start.elapsed() >= Duration::from_secs(2), "{protocol:?}: {:?}", start.elapsed());
        assert_eq!(sender.stop().0.exported(), 10, "{protocol:?}");
    }
}

#[test]
fn too_many_requests_without_a_pause() {
    // Over HTTP that is worth a retry; over gRPC it means that there is no room for it, ever.
    let (exported, rejected, retries, _) = fate(Protocol::Http, vec![Answer::TooMany(None)]);
    assert_eq!((exported, rejected, retries), (30, 0, 1));
    let (exported, rejected, retries, _) = fate(Protocol::Grpc, vec![Answer::TooMany(None)]);
    assert_eq!((exported, rejected, retries), (20, 10, 0));
}

#[test]
fn a_part_that_is_refused_is_counted() {
    for protocol in BOTH {
        let answers = vec![Answer::Partial(3), Answer::Partial(0), Answer::Partial(1000)];
        let (exported, rejected, retries, said) = fate(protocol, answers);
        assert_eq!((exported, rejected, retries), (17, 13, 0), "{protocol:?}");
        assert!(said.iter().any(|s| s.contains("3 of 10: a part")), "{said:?}");
    }
}

#[test]
fn a_back_end_that_stalls_holds_up_neither_spans_nor_the_end() {
    for protocol in BOTH {
        let backend = Backend::start(protocol, vec![Answer::Stall]);
        let mut sender = Sender::new(&backend, |config| config.queue_bytes = 20_000);
        let start = Instant::now();
        for _ in 0..100 {
            sender.send(10);
        }
        assert!(start.elapsed() < PATIENCE / 3, "{protocol:?}: pushing blocks");
        backend.wait_for_requests(1);
        let start = Instant::now();
        let (stats, _) = sender.stop();
        assert!(start.elapsed() < PATIENCE / 2, "{protocol:?}: {:?}", start.elapsed());
        let [(_, full), (_, rejected), (_, shutdown), _] = stats.lost();
        assert!(full > 0 && shutdown > 0, "{stats:?}", stats = *stats);
        assert_eq!(stats.exported() + full + rejected + shutdown, 1000, "{protocol:?}");
    }
}

#[test]
fn a_request_that_is_not_answered_is_sent_again() {
    for protocol in BOTH {
        let backend = Backend::start(protocol, vec![Answer::Stall]);
        let mut sender =
            Sender::new(&backend, |config| config.timeout = Duration::from_millis(500));
        sender.send(10);
        sender.settle(10);
        assert_eq!(sender.stop().0.exported(), 10, "{protocol:?}");
        // On a busy machine the next answer may be late, too: then the same arrives once more.
        let taken = backend.taken();
        assert!(taken >= 10 && taken.is_multiple_of(10), "{protocol:?}: {taken}");
    }
}
