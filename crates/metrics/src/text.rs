//! Prometheus's text formats: the classic one (0.0.4) and OpenMetrics 1.0. Not here: HTTP, and which
//! of them a scraper wants.

use std::fmt::Write;

use crate::model::{Data, HistogramPoint, Metric, Number, Point};
use crate::names::{family, label, suffix};

/// A text format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus's classic format.
    Classic,
    /// OpenMetrics.
    OpenMetrics,
}

impl Format {
    /// Its `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Classic => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// The richest one that an `Accept` header takes.
    pub fn accepted(accept: &str) -> Self {
        let takes = |range: &str| {
            let mut parts = range.split(';').map(str::trim);
            let is_it = parts.next() == Some("application/openmetrics-text");
            is_it && !parts.any(|part| part == "q=0")
        };
        if accept.split(',').any(takes) { Format::OpenMetrics } else { Format::Classic }
    }
}

/// All metrics as text. `resource` are the attributes of `target_info`, which describes the agent.
pub fn render(metrics: &[Metric], resource: &[(String, String)], format: Format) -> String {
    let mut out = String::new();
    let mut text = Text { out: &mut out, format };
    text.target_info(resource);
    for metric in metrics.iter().filter(|metric| metric.points() > 0) {
        text.metric(metric);
    }
    if format == Format::OpenMetrics {
        out.push_str("# EOF\n");
    }
    out
}

struct Text<'a> {
    out: &'a mut String,
    format: Format,
}

impl Text<'_> {
    fn target_info(&mut self, resource: &[(String, String)]) {
        let labels: Vec<_> = resource.iter().map(|(k, v)| (label(k), v.as_str())).collect();
        let (name, kind) = match self.format {
            Format::Classic => ("target_info", "gauge"),
            Format::OpenMetrics => ("target", "info"),
        };
        self.head(name, kind, "", "The agent itself");
        self.sample("target_info", &labels, Number::Int(1));
    }

    fn metric(&mut self, metric: &Metric) {
        let mut name = family(metric.name, metric.unit);
        // In Prometheus only parts of histograms and summaries end in it.
        if !matches!(metric.data, Data::Histogram(_)) {
            name.truncate(name.trim_end_matches("_count").len());
        }
        // Classic families of counters have the name of their samples, those of OpenMetrics have not.
        let total = format!("{}_total", name.trim_end_matches("_total"));
        match &metric.data {
            Data::Counter(points) => {
                let family = if self.format == Format::Classic { &total } else { &name };
                self.head(family, "counter", metric.unit, metric.description);
                points.iter().for_each(|point| self.point(&total, point));
            }
            Data::Gauge(points) => {
                self.head(&name, "gauge", metric.unit, metric.description);
                points.iter().for_each(|point| self.point(&name, point));
            }
            Data::Histogram(points) => {
                self.head(&name, "histogram", metric.unit, metric.description);
                points.iter().for_each(|point| self.histogram(&name, point));
            }
        }
    }

    fn head(&mut self, name: &str, kind: &str, unit: &str, description: &str) {
        let unit = suffix(unit);
        // Writing to a text does not fail.
        let _ = writeln!(self.out, "# HELP {name} {}", escaped(description, false));
        let _ = writeln!(self.out, "# TYPE {name} {kind}");
        // Only where the name ends in it, as OpenMetrics demands.
        if self.format == Format::OpenMetrics
            && !unit.is_empty()
            && name.ends_with(&format!("_{unit}"))
        {
            let _ = writeln!(self.out, "# UNIT {name} {unit}");
        }
    }

    fn point(&mut self, name: &str, point: &Point) {
        let labels: Vec<_> = point.attributes.iter().map(|(k, v)| (label(k), v.as_str())).collect();
        self.sample(name, &labels, point.value);
    }

    fn histogram(&mut self, name: &str, point: &HistogramPoint) {
        let labels: Vec<_> = point.attributes.iter().map(|(k, v)| (label(k), v.as_str())).collect();
        let histogram = &point.histogram;
        let mut below = 0;
        for (i, n) in histogram.counts().iter().enumerate() {
            below += n;
            let bound = histogram.bounds().get(i).map_or("+Inf".to_owned(), |b| decimal(*b));
            let mut labels = labels.clone();
            labels.push(("le".into(), &bound));
            self.sample(&format!("{name}_bucket"), &labels, Number::Int(below));
        }
        if let Some(sum) = histogram.sum() {
            self.sample(&format!("{name}_sum"), &labels, Number::Float(sum));
        }
        self.sample(&format!("{name}_count"), &labels, Number::Int(histogram.count()));
    }

    fn sample(&mut self, name: &str, labels: &[(String, &str)], value: Number) {
        self.out.push_str(name);
        for (i, (key, value)) in labels.iter().enumerate() {
            self.out.push(if i == 0 { '{' } else { ',' });
            let _ = write!(self.out, "{key}=\"{}\"", escaped(value, true));
        }
        if !labels.is_empty() {
            self.out.push('}');
        }
        let _ = match value {
            Number::Int(n) => writeln!(self.out, " {n}"),
            Number::Float(n) => writeln!(self.out, " {}", decimal(n)),
        };
    }
}

/// A number with a fraction, as OpenMetrics wants bounds to be.
fn decimal(n: f64) -> String {
    format!("{n:?}")
}

fn escaped(text: &str, quotes: bool) -> String {
    let text = text.replace('\\', "\\\\").replace('\n', "\\n");
    if quotes { text.replace('"', "\\\"") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Histogram;

    fn metrics() -> Vec<Metric> {
        let mut histogram = Histogram::new(&[0.1, 1.0]);
        histogram.record(0.5);
        let attributes = vec![("gotap.reason", "a \"b\"\\\n".to_owned())];
        let data = Data::Histogram(vec![HistogramPoint { attributes: Vec::new(), histogram }]);
        vec![
            Metric::counter("gotap.spans", "{span}", "Spans", [Point::int(7, attributes)]),
            Metric::gauge("gotap.ring", "By", "Bytes", [Point::int(1, Vec::new())]),
            Metric::gauge("gotap.nothing", "By", "Nothing", []),
            Metric::gauge("go.goroutine.count", "{goroutine}", "Some", [Point::int(2, Vec::new())]),
            Metric { name: "gotap.attach", description: "Time", unit: "s", data },
        ]
    }

    #[test]
    fn the_classic_format_is_as_it_should_be() {
        let text = render(&metrics(), &[("service.name".into(), "gotap".into())], Format::Classic);
        let expected = "\
# HELP target_info The agent itself
# TYPE target_info gauge
target_info{service_name=\"gotap\"} 1
# HELP gotap_spans_total Spans
# TYPE gotap_spans_total counter
gotap_spans_total{gotap_reason=\"a \\\"b\\\"\\\\\\n\"} 7
# HELP gotap_ring_bytes Bytes
# TYPE gotap_ring_bytes gauge
gotap_ring_bytes 1
# HELP go_goroutine Some
# TYPE go_goroutine gauge
go_goroutine 2
# HELP gotap_attach_seconds Time
# TYPE gotap_attach_seconds histogram
gotap_attach_seconds_bucket{le=\"0.1\"} 0
gotap_attach_seconds_bucket{le=\"1.0\"} 1
gotap_attach_seconds_bucket{le=\"+Inf\"} 1
gotap_attach_seconds_sum 0.5
gotap_attach_seconds_count 1
";
        assert_eq!(text, expected);
    }

    #[test]
    fn openmetrics_has_units_and_an_end() {
        let text = render(&metrics(), &[], Format::OpenMetrics);
        assert!(text.contains("# TYPE gotap_spans counter\ngotap_spans_total{"), "{text}");
        assert!(text.contains("# UNIT gotap_ring_bytes bytes\n"), "{text}");
        assert!(text.starts_with("# HELP target The agent itself\n# TYPE target info\n"), "{text}");
        assert!(text.ends_with("# EOF\n"), "{text}");
    }

    #[test]
    fn a_scraper_gets_what_it_takes() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.2";
        assert_eq!(Format::accepted(prometheus), Format::OpenMetrics);
        assert_eq!(Format::accepted("text/plain"), Format::Classic);
        assert_eq!(Format::accepted(""), Format::Classic);
        assert_eq!(Format::accepted("application/openmetrics-text; q=0"), Format::Classic);
    }
}
