//! Steps of the machine's clock change neither how long what ended is remembered, nor what is counted.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;

use pipeline::{MAX_QUEUED, Now, Pipeline, Place, Sampling, SharedMeter, Stages};
use red::{Consumer, Groups, Settings};
use trace::{Assembler, ProcessInfo, Resource};
use wire::synthetic::{Request, http};

const SECOND: u64 = 1_000_000_000;
const DAY: u64 = 86_400 * SECOND;
/// When the test begins, in nanoseconds since 1970 and since the machine started.
const TODAY: u64 = 20_000 * DAY;
const UP: u64 = 500 * SECOND;

/// A process that has served a request and ends when the clock says that it is `unix_nano`; how often its metrics
/// are still collected, once a second.
fn collected_after_its_end(unix_nano: u64) -> usize {
    let settings = Settings {
        groups: Groups::ALL,
        cardinality_limit: 100,
        exponential: false,
        service_graph: false,
        each_once: false,
        max_series: red::MAX_SERIES,
        max_graph_calls: red::MAX_GRAPH_CALLS,
        consumers: vec![Consumer::Pull],
    };
    let meter = Arc::new(SharedMeter::new(&settings, TODAY));
    let sinks = Pipeline::start(Vec::new(), MAX_QUEUED, |e| panic!("{e}")).unwrap();
    let mut stages = Stages::new(Assembler::new(), Some(meter.clone()), Sampling::default(), sinks);
    let resource = Arc::new(Resource::default());
    let info = ProcessInfo { resource, ..ProcessInfo::default() };
    stages.add_process(1, info, false, Place::Known, TODAY);
    let served = http(&Request {
        instance: 1,
        client: false,
        trace_id: [1; 16],
        span_id: [2; 8],
        parent: None,
        trace_flags: 1,
        start_ns: UP,
        end_ns: UP + 1_000_000,
        status: 200,
        target: "/",
        host: "shop",
        route: "",
    });
    stages.event(wire::decode(&served), 0);
    stages.round(UP + SECOND, TODAY, false);
    let ended = UP + 2 * SECOND;
    stages.remove_process(1, Now { monotonic_ns: ended, unix_nano });
    // Nobody else collects; each time it is seen once more.
    (1..10_000)
        .take_while(|s| !meter.lock().collect(Consumer::Pull, ended + s * SECOND).is_empty())
        .count()
}

#[test]
fn a_step_of_the_clock_does_not_age_a_process_that_ended() {
    let usual = collected_after_its_end(TODAY + 2 * SECOND);
    assert!((2..1000).contains(&usual), "{usual}");
    for stepped in [TODAY + DAY, TODAY - DAY, 0] {
        assert_eq!(collected_after_its_end(stepped), usual, "{stepped}");
    }
}
