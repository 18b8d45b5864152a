//! Prometheus's text formats: the classic one (0.0.4) and OpenMetrics 1.0. Not here: HTTP, and which
//! of them a scraper wants.

use std::fmt::Write;

use crate::model::{Attributes, Data, Exemplar, HistogramPoint, Metric, Number, Point};
use crate::names::{label, prometheus, suffix};
use crate::target::Labels;

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

/// All metrics as text. `targets` are the labels of each sample of `target_info`.
pub fn render(metrics: &[Metric], targets: &[Labels], format: Format) -> String {
    let mut out = String::new();
    let mut text = Text { out: &mut out, format };
    text.target_info(targets);
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
    fn target_info(&mut self, targets: &[Labels]) {
        let (name, kind) = match self.format {
            Format::Classic => ("target_info", "gauge"),
            Format::OpenMetrics => ("target", "info"),
        };
        self.head(name, kind, "", "Attributes of gotap and of the processes that it observes");
        for labels in targets {
            let labels = labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
            self.sample("target_info", &braced(labels), Number::Int(1));
        }
    }

    fn metric(&mut self, metric: &Metric) {
        let name = prometheus(metric);
        match &metric.data {
            Data::Counter(points) => {
                // Classic families of counters have the name of their samples, those of OpenMetrics have not.
                let family = match self.format {
                    Format::Classic => &name,
                    Format::OpenMetrics => name.trim_end_matches("_total"),
                };
                self.head(family, "counter", metric.unit, metric.description);
                points.iter().for_each(|point| self.point(&name, point));
            }
            // Prometheus has no other word for it.
            Data::UpDownCounter(points) | Data::Gauge(points) => {
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
        self.sample(name, &of(&point.attributes), point.value);
    }

    fn histogram(&mut self, name: &str, point: &HistogramPoint) {
        let labels = of(&point.attributes);
        let before = match labels.strip_suffix('}') {
            Some(labels) => format!("{name}_bucket{labels},"),
            None => format!("{name}_bucket{{"),
        };
        let histogram = &point.histogram;
        let bucket = |value: f64| histogram.bounds().partition_point(|bound| *bound < value);
        let mut below = 0;
        for (i, n) in histogram.counts().iter().enumerate() {
            below += n;
            let bound = histogram.bounds().get(i).map_or("+Inf".to_owned(), |b| decimal(*b));
            let _ = write!(self.out, "{before}le=\"{bound}\"}} {below}");
            let exemplar = point.exemplars.iter().find(|exemplar| bucket(exemplar.value) == i);
            if let Some(exemplar) = exemplar.filter(|_| self.format == Format::OpenMetrics) {
                self.exemplar(exemplar);
            }
            self.out.push('\n');
        }
        if let Some(sum) = histogram.sum() {
            self.sample(&format!("{name}_sum"), &labels, Number::Float(sum));
        }
        self.sample(&format!("{name}_count"), &labels, Number::Int(histogram.count()));
    }

    fn exemplar(&mut self, exemplar: &Exemplar) {
        let (trace, span) = (hex(&exemplar.trace_id), hex(&exemplar.span_id));
        let (value, time) = (decimal(exemplar.value), exemplar.time_unix_nano);
        let (seconds, millis) = (time / 1_000_000_000, time / 1_000_000 % 1000);
        let _ = write!(
            self.out,
            " # {{trace_id=\"{trace}\",span_id=\"{span}\"}} {value} {seconds}.{millis:03}"
        );
    }

    fn sample(&mut self, name: &str, labels: &str, value: Number) {
        let _ = match value {
            Number::Int(n) => writeln!(self.out, "{name}{labels} {n}"),
            Number::Float(n) => writeln!(self.out, "{name}{labels} {}", decimal(n)),
        };
    }
}

/// Attributes as labels in braces; nothing without any.
fn of(attributes: &Attributes) -> String {
    let labels: Vec<_> = attributes.iter().map(|(k, v)| (label(k), v.to_text())).collect();
    braced(labels.iter().map(|(key, value)| (key.as_str(), value.as_str())))
}

fn braced<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut out = String::new();
    for (key, value) in labels {
        out.push(if out.is_empty() { '{' } else { ',' });
        let _ = write!(out, "{key}=\"{}\"", escaped(value, true));
    }
    if !out.is_empty() {
        out.push('}');
    }
    out
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
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
#[path = "text_tests.rs"]
mod tests;
