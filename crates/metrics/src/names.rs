//! OpenTelemetry's names as Prometheus's, as the compatibility specification of OpenTelemetry says.

use crate::model::{Data, Metric};

/// The name without `_total`: dots become underscores, the unit is appended unless it stands there.
pub(crate) fn family(name: &str, unit: &str) -> String {
    let mut out = label(name);
    let suffix = suffix(unit);
    if !suffix.is_empty() && !out.ends_with(&format!("_{suffix}")) {
        out.push('_');
        out.push_str(suffix);
    }
    out
}

/// The name of a metric's samples.
pub(crate) fn prometheus(metric: &Metric) -> String {
    let name = family(metric.name, metric.unit);
    // In Prometheus only parts of histograms and summaries end in it.
    let shorter = || name.trim_end_matches("_count");
    match metric.data {
        Data::Histogram(_) => name,
        Data::UpDownCounter(_) | Data::Gauge(_) => shorter().to_owned(),
        Data::Counter(_) => format!("{}_total", shorter().trim_end_matches("_total")),
    }
}

/// The unit as a part of a name; empty for units that have none there.
pub(crate) fn suffix(unit: &str) -> &str {
    match unit {
        "s" => "seconds",
        "ms" => "milliseconds",
        "By" => "bytes",
        "1" => "ratio",
        "%" => "percent",
        annotation if annotation.starts_with('{') => "",
        other => other,
    }
}

/// A name in which only letters, digits and underscores are, and no digit in front.
pub(crate) fn label(name: &str) -> String {
    let valid = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' };
    let digit = name.starts_with(|c: char| c.is_ascii_digit());
    digit.then_some('_').into_iter().chain(name.chars().map(valid)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_their_unit_once() {
        assert_eq!(family("process.cpu.time", "s"), "process_cpu_time_seconds");
        assert_eq!(family("gotap.spans", "{span}"), "gotap_spans");
        assert_eq!(family("gotap.ring.bytes", "By"), "gotap_ring_bytes");
        assert_eq!(family("a.fill", "1"), "a_fill_ratio");
        assert_eq!(label("service.name"), "service_name");
    }
}
