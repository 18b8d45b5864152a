//! Sinks that hang, fail and fall behind.

use std::sync::Condvar;

use super::*;

/// A sink that waits at its first span until it is let go.
struct Gated {
    gate: Arc<(Mutex<bool>, Condvar)>,
    seen: Arc<AtomicU64>,
}

impl Sink for Gated {
    fn name(&self) -> &'static str {
        "gated"
    }

    fn span(&mut self, _span: &Span) -> anyhow::Result<()> {
        let (open, changed) = &*self.gate;
        drop(changed.wait_while(open.lock().unwrap(), |open| !*open).unwrap());
        self.seen.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn takes_logs(&self) -> bool {
        true
    }

    fn takes_metrics(&self) -> bool {
        true
    }

    fn tick(&mut self) -> anyhow::Result<()> {
        Ok(())
    }

    fn finish(self: Box<Self>, _patience: Duration) -> anyhow::Result<()> {
        Ok(())
    }
}

/// A sink that counts, and fails at the span after so many.
struct Counting {
    seen: Arc<AtomicU64>,
    fails_after: u64,
}

impl Sink for Counting {
    fn name(&self) -> &'static str {
        "counting"
    }

    fn span(&mut self, _span: &Span) -> anyhow::Result<()> {
        let before = self.seen.fetch_add(1, Ordering::Relaxed);
        anyhow::ensure!(before < self.fails_after, "the output is gone");
        Ok(())
    }

    fn tick(&mut self) -> anyhow::Result<()> {
        Ok(())
    }

    fn finish(self: Box<Self>, _patience: Duration) -> anyhow::Result<()> {
        Ok(())
    }
}

fn spans(n: usize) -> Vec<Span> {
    vec![trace::synthetic::span(1, 1, None); n]
}

fn outlet<'a>(pipeline: &'a Pipeline, name: &str) -> &'a Outlet {
    pipeline.outlets().find(|outlet| outlet.name == name).unwrap()
}

/// A sink that hangs holds up no other one; what found its queue full is counted, and only there.
#[test]
fn a_sink_that_hangs_costs_only_itself() {
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let (slow, fast) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let sinks: Vec<Box<dyn Sink>> = vec![
        Box::new(Gated { gate: gate.clone(), seen: slow.clone() }),
        Box::new(Counting { seen: fast.clone(), fails_after: u64::MAX }),
    ];
    let pipeline = Pipeline::start(sinks, MAX_QUEUED, |_| {}).unwrap();
    let batches = MAX_QUEUED / 256 + 3;
    for _ in 0..batches {
        pipeline.spans(spans(256));
        let sent = fast.load(Ordering::Relaxed);
        while fast.load(Ordering::Relaxed) == sent && outlet(&pipeline, "counting").queued() > 0 {
            std::thread::yield_now();
        }
    }
    assert_eq!(outlet(&pipeline, "counting").dropped(), 0);
    assert_eq!(outlet(&pipeline, "gated").dropped(), 3 * 256);
    *gate.0.lock().unwrap() = true;
    gate.1.notify_all();
    pipeline.finish(Duration::from_secs(20));
    assert_eq!(slow.load(Ordering::Relaxed), MAX_QUEUED as u64, "the rest arrives");
    assert_eq!(fast.load(Ordering::Relaxed), (batches * 256) as u64);
    assert_eq!(outlet(&pipeline, "gated").dropped(), 3 * 256);
}

/// What a sink holds that never finishes is counted.
#[test]
fn a_sink_that_never_ends_is_left_behind() {
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let seen = Arc::new(AtomicU64::new(0));
    let pipeline =
        Pipeline::start(vec![Box::new(Gated { gate, seen })], MAX_QUEUED, |_| {}).unwrap();
    pipeline.spans(spans(7));
    pipeline.finish(Duration::ZERO);
    assert_eq!(outlet(&pipeline, "gated").dropped(), 7);
}

/// Neither log records nor metrics take the room of spans, nor spans theirs; each is counted as what it is.
#[test]
fn spans_logs_and_metrics_have_room_of_their_own() {
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let seen = Arc::new(AtomicU64::new(0));
    let other = Counting { seen: Arc::default(), fails_after: u64::MAX };
    let sinks: Vec<Box<dyn Sink>> = vec![Box::new(Gated { gate, seen }), Box::new(other)];
    let pipeline = Pipeline::start(sinks, 100, |_| {}).unwrap();
    // The sink hangs at this one.
    pipeline.spans(spans(1));
    for _ in 0..1000 {
        pipeline.logs(vec![trace::synthetic::record()]);
        pipeline.metrics(Measured { metrics: vec![], processes: vec![], time_unix_nano: 1 });
    }
    let gated = outlet(&pipeline, "gated");
    assert_eq!((gated.waiting(), gated.queued(), gated.limit()), (1 + 25 + 4, 1, 100));
    assert_eq!((gated.dropped(), gated.logs_dropped(), gated.metrics_dropped()), (0, 975, 996));
    for _ in 0..200 {
        pipeline.spans(spans(1));
    }
    assert_eq!((gated.queued(), gated.dropped()), (100, 101));
    pipeline.finish(Duration::ZERO);
    let dropped = (gated.dropped(), gated.logs_dropped(), gated.metrics_dropped());
    assert_eq!(dropped, (201, 1000, 1000), "all that waited");
    // The other one takes neither, and misses none.
    let other = outlet(&pipeline, "counting");
    assert_eq!((other.logs_dropped(), other.metrics_dropped()), (0, 0));
}

#[test]
fn a_sink_whose_output_is_gone_says_so() {
    let (failed, failure) = channel();
    let seen = Arc::new(AtomicU64::new(0));
    let sinks: Vec<Box<dyn Sink>> = vec![Box::new(Counting { seen: seen.clone(), fails_after: 2 })];
    let failed = move |error: anyhow::Error| failed.send(error.to_string()).unwrap();
    let pipeline = Pipeline::start(sinks, MAX_QUEUED, failed).unwrap();
    pipeline.spans(spans(3));
    let said = failure.recv_timeout(Duration::from_secs(20)).unwrap();
    assert_eq!((said.as_str(), seen.load(Ordering::Relaxed)), ("the output is gone", 3));
    // What comes later finds nobody, and is counted once.
    let outlet = outlet(&pipeline, "counting");
    while outlet.dropped() == 0 {
        pipeline.spans(spans(10));
    }
    let before = (outlet.dropped(), outlet.queued() as u64);
    pipeline.spans(spans(10));
    assert_eq!((outlet.dropped(), outlet.queued() as u64), (before.0 + 10, before.1));
    pipeline.finish(Duration::ZERO);
    assert_eq!((outlet.dropped(), outlet.queued()), (before.0 + before.1 + 10, 0));
}
