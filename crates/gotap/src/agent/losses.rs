//! What was lost beside operations and their spans, as it is said at the end: by the metrics that count it, so that
//! both say the same. Not here: counting.

use metrics::{Data, Metric, Number, Point};
use serde_json::{Map, Value, json};

/// Metrics that count losses, which nobody else names at the end.
const NAMED_HERE: [&str; 19] = [
    "gotap.attach.failures",
    "gotap.export.logs.drops",
    "gotap.export.points.drops",
    "gotap.kubernetes.left_out",
    "gotap.log.lost",
    "gotap.log.records.drops",
    "gotap.metrics.drops",
    "gotap.metrics.overflow",
    "gotap.metrics.uncollected",
    "gotap.processes.left_out",
    "gotap.profiles.left_out",
    "gotap.program.lost",
    "gotap.programs.unreadable",
    "gotap.sink.drops",
    "gotap.sink.logs.drops",
    "gotap.sink.metrics.drops",
    "gotap.tcp.lost",
    "gotap.xray.drops",
    "traces_service_graph_dropped_spans_total",
];

/// Sinks whose spans the summary counts among what is lost and what is not delivered.
const NAMED_SINKS: [&str; 2] = ["output", "otlp"];

/// What a metric counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Loss {
    metric: &'static str,
    /// What it counts, as a clause.
    what: String,
    /// By what its attributes say; without a name where it has none.
    counts: Vec<(String, u64)>,
}

/// The losses among these metrics that are more than none.
pub(super) fn of(metrics: &[Metric]) -> Vec<Loss> {
    let losses = metrics.iter().filter(|metric| NAMED_HERE.contains(&metric.name));
    let losses = losses.filter_map(|metric| {
        let Data::Counter(points) = &metric.data else { return None };
        let counts: Vec<_> = points.iter().filter_map(|point| count(metric.name, point)).collect();
        let mut what = metric.description.to_owned();
        if let Some(first) = what.get_mut(..1) {
            first.make_ascii_lowercase();
        }
        (!counts.is_empty()).then_some(Loss { metric: metric.name, what, counts })
    });
    losses.collect()
}

fn count(metric: &str, point: &Point) -> Option<(String, u64)> {
    let Number::Int(n) = point.value else { return None };
    let values: Vec<_> = point.attributes.iter().map(|(_, value)| value.to_text()).collect();
    let name = values.join(" ");
    let is_named = metric == "gotap.sink.drops" && NAMED_SINKS.contains(&name.as_str());
    (n > 0 && !is_named).then_some((name, n))
}

impl Loss {
    /// `log records that the collector did not get: export_rejected 3`.
    pub(super) fn line(&self) -> String {
        let count = |(name, n): &(String, u64)| match name.as_str() {
            "" => n.to_string(),
            name => format!("{name} {n}"),
        };
        let counts: Vec<_> = self.counts.iter().map(count).collect();
        format!("{}: {}", self.what, counts.join(", "))
    }
}

/// All of them by the names of their metrics: a number, or an object of numbers.
pub(super) fn json(losses: &[Loss]) -> Value {
    let value = |loss: &Loss| match loss.counts.as_slice() {
        [(name, n)] if name.is_empty() => json!(n),
        counts => {
            let counts = counts.iter().map(|(name, n)| (name.clone(), json!(n)));
            Value::Object(counts.collect::<Map<_, _>>())
        }
    };
    let all = losses.iter().map(|loss| (loss.metric.to_owned(), value(loss)));
    Value::Object(all.collect::<Map<_, _>>())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Metrics that count losses which others name at the end: the summary, and the sentence about profiles.
    const NAMED_ELSEWHERE: [&str; 8] = [
        "gotap.drops",
        "gotap.export.drops",
        "gotap.processes.late",
        "gotap.profiles.drops",
        "gotap.profiles.samples.lost",
        "gotap.profiles.skipped",
        "gotap.spans.incomplete",
        "gotap.spans.not_recorded",
    ];

    /// What the points of a counter say.
    pub(in crate::agent) fn counts(metrics: &[Metric], name: &str) -> Vec<u64> {
        let metric = metrics.iter().find(|metric| metric.name == name).unwrap();
        let Data::Counter(points) = &metric.data else { panic!("{metric:?}") };
        let count = |point: &Point| match point.value {
            Number::Int(n) => n,
            Number::Float(n) => panic!("{n}"),
        };
        points.iter().map(count).collect()
    }

    /// A metric that counts losses is documented, and known here or elsewhere.
    #[test]
    fn no_loss_is_kept_from_the_end() {
        let document = include_str!("../../../../docs/metrics.md");
        let rows = document.lines().filter(|line| line.starts_with("| `"));
        let names = rows.filter_map(|row| row.split('`').nth(1));
        let words =
            ["drop", "lost", "overflow", "left_out", "skipped", "not_recorded", "uncollected"];
        let losses = names.filter(|name| words.iter().any(|word| name.contains(word)));
        let mut losses: Vec<_> = losses.collect();
        losses.extend(["gotap.attach.failures", "gotap.processes.late"]);
        losses.extend(["gotap.programs.unreadable", "gotap.spans.incomplete"]);
        losses.sort_unstable();
        let mut known = [&NAMED_HERE[..], &NAMED_ELSEWHERE].concat();
        known.sort_unstable();
        assert_eq!(losses, known);
    }

    #[test]
    fn what_is_more_than_none_is_said() {
        let by = |key, value: &'static str, n| Point::int(n, vec![(key, value.into())]);
        let sinks = [by("sink", "output", 5), by("sink", "otlp", 6), by("sink", "profiles", 7)];
        let logs = [by("reason", "export_rejected", 3), by("reason", "export_shutdown", 0)];
        let metrics = [
            Metric::counter("gotap.sink.drops", "1", "Spans that a sink did not get", sinks),
            Metric::counter("gotap.export.logs.drops", "1", "Log records that are gone", logs),
            Metric::counter("gotap.attach.failures", "1", "Processes", [Point::int(2, Vec::new())]),
            Metric::counter("gotap.metrics.drops", "1", "Nothing", [Point::int(0, Vec::new())]),
            Metric::counter("gotap.spans", "1", "Spans", [Point::int(9, Vec::new())]),
        ];
        let losses = of(&metrics);
        let lines: Vec<_> = losses.iter().map(Loss::line).collect();
        assert_eq!(
            lines,
            [
                "spans that a sink did not get: profiles 7",
                "log records that are gone: export_rejected 3",
                "processes: 2",
            ]
        );
        let expected = json!({
            "gotap.sink.drops": {"profiles": 7},
            "gotap.export.logs.drops": {"export_rejected": 3},
            "gotap.attach.failures": 2,
        });
        assert_eq!(json(&losses), expected);
    }
}
