//! What waits for outputs and for the collector, and what became of it: gotap's own metrics of that. Not here: who
//! collects them.

use export::{LiveStats, Stats};
use metrics::{Metric, Point};
use pipeline::{Counts, Outlet, Pipeline};
use probes::{Fill, RINGS};

/// Counts by reason.
fn by_reason(counts: impl IntoIterator<Item = (&'static str, u64)>) -> Vec<Point> {
    let point = |(reason, n): (&'static str, u64)| Point::int(n, vec![("reason", reason.into())]);
    counts.into_iter().map(point).collect()
}

fn one(n: u64) -> [Point; 1] {
    [Point::int(n, Vec::new())]
}

/// What lines of logs became.
pub(super) fn logs(counts: &Counts) -> [Metric; 2] {
    [
        Metric::counter(
            "gotap.log.records",
            "{record}",
            "Log records that were made of writes of observed programs",
            one(counts.logs),
        ),
        Metric::counter(
            "gotap.log.records.drops",
            "{write}",
            "Writes that became no log record",
            by_reason([
                ("unknown_process", counts.logs_unknown_process),
                ("telemetry", counts.logs_telemetry),
            ]),
        ),
    ]
}

/// What waits in ring buffers and for sinks, and what found no room there.
pub(super) fn queues(fill: &[Fill; 2], pipeline: &Pipeline) -> Vec<Metric> {
    let ring = |value: fn(&Fill) -> u64| {
        let points = RINGS.iter().zip(fill);
        points.map(move |(name, fill)| Point::int(value(fill), vec![("ring", (*name).into())]))
    };
    let sink = |value: fn(&Outlet) -> u64| {
        pipeline.outlets().map(move |o| Point::int(value(o), vec![("sink", o.name.into())]))
    };
    vec![
        Metric::gauge(
            "gotap.ring.used",
            "By",
            "What waited in the kernel's ring buffers when they were read last",
            ring(|fill| fill.used),
        ),
        Metric::gauge("gotap.ring.size", "By", "Size of the ring buffers", ring(|fill| fill.size)),
        Metric::gauge(
            "gotap.sink.queue.used",
            "{item}",
            "Spans that wait for a sink",
            sink(|outlet| outlet.queued() as u64),
        ),
        Metric::gauge(
            "gotap.sink.queue.limit",
            "{item}",
            "Spans that may wait for a sink",
            sink(|outlet| outlet.limit() as u64),
        ),
        Metric::counter(
            "gotap.sink.drops",
            "{span}",
            "Spans that a sink did not get as its queue was full",
            sink(Outlet::dropped),
        ),
        Metric::counter(
            "gotap.sink.logs.drops",
            "{record}",
            "Log records that a sink did not get as its queue was full",
            sink(Outlet::logs_dropped),
        ),
        Metric::counter(
            "gotap.sink.metrics.drops",
            "{collection}",
            "Collections of all metrics that a sink did not get as its queue was full",
            sink(Outlet::metrics_dropped),
        ),
    ]
}

/// What became of what was to be sent to the collector.
pub(super) fn delivery(stats: &LiveStats) -> Vec<Metric> {
    let mut out = delivered(stats);
    out.extend([
        Metric::gauge(
            "gotap.export.queue.used",
            "By",
            "What waits for the collector",
            one(stats.queued_bytes() as u64),
        ),
        Metric::gauge(
            "gotap.export.queue.limit",
            "By",
            "What may wait for the collector",
            one(stats.max_bytes() as u64),
        ),
    ]);
    out
}

fn delivered(stats: &Stats) -> Vec<Metric> {
    vec![
        Metric::counter(
            "gotap.export.spans",
            "{span}",
            "Spans that the collector took",
            one(stats.exported()),
        ),
        Metric::counter(
            "gotap.export.drops",
            "{span}",
            "Spans that the collector did not get",
            by_reason(stats.lost()),
        ),
        Metric::counter(
            "gotap.export.logs",
            "{record}",
            "Log records that the collector took",
            one(stats.logs.exported()),
        ),
        Metric::counter(
            "gotap.export.logs.drops",
            "{record}",
            "Log records that the collector did not get",
            by_reason(stats.logs.lost()),
        ),
        Metric::counter(
            "gotap.export.points",
            "{point}",
            "Points of metrics that the collector took",
            one(stats.points.exported()),
        ),
        Metric::counter(
            "gotap.export.points.drops",
            "{point}",
            "Points of metrics that the collector did not get",
            by_reason(stats.points.lost()),
        ),
        Metric::counter(
            "gotap.export.retries",
            "{request}",
            "Requests to the collector that were sent again",
            one(stats.retried()),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::super::super::losses::tests::counts;
    use super::*;

    #[test]
    fn each_loss_of_each_signal_is_a_metric() {
        let stats = Stats::default();
        let all = [&stats.spans, &stats.logs, &stats.points.delivered];
        for (n, of) in (10..).step_by(10).zip(all) {
            of.queue_full.store(n + 1, Ordering::Relaxed);
            of.rejected.store(n + 2, Ordering::Relaxed);
            of.shutdown.store(n + 3, Ordering::Relaxed);
            of.failed.store(n + 4, Ordering::Relaxed);
        }
        stats.points.unreachable.store(4, Ordering::Relaxed);
        stats.points.replaced.store(5, Ordering::Relaxed);
        stats.points.busy.store(6, Ordering::Relaxed);
        let metrics = delivered(&stats);
        let of = |name: &str| counts(&metrics, name);
        assert_eq!(of("gotap.export.drops"), [11, 12, 13, 14]);
        assert_eq!(of("gotap.export.logs.drops"), [21, 22, 23, 24]);
        assert_eq!(of("gotap.export.points.drops"), [31, 32, 33, 34, 4, 5, 6]);
        let read =
            Counts { logs: 5, logs_unknown_process: 2, logs_telemetry: 1, ..Counts::default() };
        assert_eq!(counts(&logs(&read), "gotap.log.records.drops"), [2, 1]);
    }
}
