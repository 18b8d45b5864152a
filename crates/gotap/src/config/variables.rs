//! The variables of the environment that are settings: gotap's own and OpenTelemetry's. Not here:
//! which layer wins, and variables that are none (`unknown`).

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

/// How a variable's text becomes a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum As {
    Text,
    /// One of several words, in upper or lower case.
    LowerCase,
    /// The same; parts of it may be secrets.
    Url,
    /// The same as OpenTelemetry says: without a scheme, it depends on another variable.
    StandardUrl,
    Number,
    /// From 0 to 1.
    Ratio,
    /// The name of one of OpenTelemetry's samplers, whose ratio another variable has.
    Sampler,
    Bool,
    /// Whether there is an exporter: `otlp` or `none`.
    Exporter,
    /// Comma-separated.
    Texts,
    Numbers,
    /// `k=v,k=v`, values percent-encoded as OpenTelemetry says.
    Headers,
    Milliseconds,
    /// Lists and maps, as the file has them.
    Json,
}

/// `(variable, path in the configuration, type)`; later ones win. Every setting has a `GOTAP_`
/// variable of its path, and OpenTelemetry's own are known too.
pub(super) const VARIABLES: &[(&str, &str, As)] = &[
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "otlp.endpoint", As::StandardUrl),
    ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "otlp.traces_endpoint", As::StandardUrl),
    ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "otlp.metrics_endpoint", As::StandardUrl),
    ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "otlp.logs_endpoint", As::StandardUrl),
    (
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
        "otlp.metrics_temporality",
        As::LowerCase,
    ),
    (
        "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
        "otlp.metrics_histograms",
        As::LowerCase,
    ),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", "otlp.protocol", As::Text),
    ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "otlp.protocol", As::Text),
    ("OTEL_EXPORTER_OTLP_HEADERS", "otlp.headers", As::Headers),
    ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "otlp.headers", As::Headers),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", "otlp.timeout", As::Milliseconds),
    ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "otlp.timeout", As::Milliseconds),
    ("OTEL_EXPORTER_OTLP_COMPRESSION", "otlp.compression", As::Text),
    ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "otlp.compression", As::Text),
    ("OTEL_EXPORTER_OTLP_CERTIFICATE", "otlp.ca_certificate", As::Text),
    ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "otlp.ca_certificate", As::Text),
    ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "otlp.client_certificate", As::Text),
    ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", "otlp.client_certificate", As::Text),
    ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "otlp.client_key", As::Text),
    ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "otlp.client_key", As::Text),
    ("OTEL_PROPAGATORS", "propagators", As::Texts),
    ("GOTAP_PROPAGATORS", "propagators", As::Texts),
    ("OTEL_TRACES_SAMPLER", "sampling.ratio", As::Sampler),
    ("GOTAP_SERVICE_NAME", "service_name", As::Text),
    ("GOTAP_SELECT_PIDS", "select.pids", As::Numbers),
    ("GOTAP_SELECT_EXECUTABLES", "select.executables", As::Texts),
    ("GOTAP_SELECT_PORTS", "select.ports", As::Numbers),
    ("GOTAP_SELECT_NAMES", "select.names", As::Texts),
    ("GOTAP_SELECT_KUBERNETES", "select.kubernetes", As::Json),
    ("GOTAP_KUBERNETES_ENABLED", "kubernetes.enabled", As::LowerCase),
    ("NODE_NAME", "kubernetes.node", As::Text),
    ("GOTAP_KUBERNETES_NODE", "kubernetes.node", As::Text),
    ("GOTAP_KUBERNETES_KUBECONFIG", "kubernetes.kubeconfig", As::Text),
    ("GOTAP_KUBERNETES_SERVICE_LABELS", "kubernetes.service_labels", As::Bool),
    ("GOTAP_OTLP_ENDPOINT", "otlp.endpoint", As::Url),
    ("GOTAP_OTLP_TRACES_ENDPOINT", "otlp.traces_endpoint", As::Url),
    ("GOTAP_OTLP_LOGS_ENDPOINT", "otlp.logs_endpoint", As::Url),
    ("OTEL_METRICS_EXPORTER", "otlp.metrics", As::Exporter),
    ("GOTAP_OTLP_METRICS", "otlp.metrics", As::Bool),
    ("GOTAP_OTLP_METRICS_ENDPOINT", "otlp.metrics_endpoint", As::Url),
    ("GOTAP_OTLP_METRICS_TEMPORALITY", "otlp.metrics_temporality", As::LowerCase),
    ("GOTAP_OTLP_METRICS_HISTOGRAMS", "otlp.metrics_histograms", As::LowerCase),
    ("GOTAP_OTLP_PROTOCOL", "otlp.protocol", As::Text),
    ("GOTAP_OTLP_HEADERS", "otlp.headers", As::Headers),
    ("GOTAP_OTLP_TIMEOUT", "otlp.timeout", As::Text),
    ("GOTAP_OTLP_COMPRESSION", "otlp.compression", As::Text),
    ("GOTAP_OTLP_CA_CERTIFICATE", "otlp.ca_certificate", As::Text),
    ("GOTAP_OTLP_CLIENT_CERTIFICATE", "otlp.client_certificate", As::Text),
    ("GOTAP_OTLP_CLIENT_KEY", "otlp.client_key", As::Text),
    ("GOTAP_OTLP_QUEUE_BYTES", "otlp.queue_bytes", As::Number),
    ("GOTAP_ERRORS_MESSAGES", "errors.messages", As::Bool),
    ("GOTAP_HTTP_CLUSTER_PATHS", "http.cluster_paths", As::Bool),
    ("GOTAP_HTTP_QUERY_STRINGS", "http.query_strings", As::Bool),
    ("OTEL_INSTRUMENTATION_HTTP_SERVER_CAPTURE_REQUEST_HEADERS", "http.request_headers", As::Texts),
    ("GOTAP_HTTP_REQUEST_HEADERS", "http.request_headers", As::Texts),
    ("GOTAP_SDK_PROGRAMS", "sdk_programs", As::Text),
    ("GOTAP_PROBES_EXACT_LINEAGE", "probes.exact_lineage", As::Bool),
    ("GOTAP_SAMPLING_RATIO", "sampling.ratio", As::Ratio),
    ("GOTAP_SAMPLING_TRACES_PER_SECOND", "sampling.traces_per_second", As::Number),
    ("GOTAP_SAMPLING_ERRORS", "sampling.errors", As::Bool),
    ("GOTAP_SAMPLING_SLOWER_THAN", "sampling.slower_than", As::Text),
    ("GOTAP_SAMPLING_TAIL_ENABLED", "sampling.tail.enabled", As::Bool),
    ("GOTAP_SAMPLING_TAIL_ERRORS", "sampling.tail.errors", As::Bool),
    ("GOTAP_SAMPLING_TAIL_SLOWER_THAN", "sampling.tail.slower_than", As::Text),
    ("GOTAP_SAMPLING_TAIL_SLOWER_THAN_P99", "sampling.tail.slower_than_p99", As::Bool),
    ("GOTAP_SAMPLING_TAIL_WAIT", "sampling.tail.wait", As::Text),
    ("GOTAP_SAMPLING_TAIL_BUFFER_BYTES", "sampling.tail.buffer_bytes", As::Number),
    ("GOTAP_PROBES_CONNECTION_JOIN", "probes.connection_join", As::Bool),
    ("GOTAP_PROBES_UPROBE_MULTI", "probes.uprobe_multi", As::Bool),
    ("GOTAP_PROMETHEUS_LISTEN", "prometheus_listen", As::Text),
    ("OTEL_METRIC_EXPORT_INTERVAL", "metrics_interval", As::Milliseconds),
    ("GOTAP_METRICS_INTERVAL", "metrics_interval", As::Text),
    ("GOTAP_HOST_TCP", "host.tcp", As::Bool),
    ("GOTAP_HOST_TCP_SPANS", "host.tcp_spans", As::Bool),
    ("GOTAP_HOST_TCP_SYSTEM_CALLS", "host.tcp_system_calls", As::Bool),
    ("GOTAP_HOST_PROGRAMS", "host.programs", As::Bool),
    ("GOTAP_HOST_PROGRAM_LOGS", "host.program_logs", As::Bool),
    ("GOTAP_LOGS_STREAMS", "logs.streams", As::Texts),
    ("GOTAP_LOGS_TEXT", "logs.text", As::Bool),
    ("GOTAP_MEMORY_LIMIT", "memory_limit", As::Text),
    ("GOTAP_METRICS_HTTP", "metrics.http", As::Bool),
    ("GOTAP_METRICS_BODY_SIZES", "metrics.body_sizes", As::Bool),
    ("GOTAP_METRICS_RPC", "metrics.rpc", As::Bool),
    ("GOTAP_METRICS_DATABASE", "metrics.database", As::Bool),
    ("GOTAP_METRICS_SERVICE_GRAPH", "metrics.service_graph", As::Bool),
    ("GOTAP_METRICS_NATIVE_HISTOGRAMS", "metrics.native_histograms", As::Bool),
    ("GOTAP_PROFILES_SERVE", "profiles.serve", As::LowerCase),
    ("GOTAP_PROFILES_KINDS", "profiles.kinds", As::Texts),
    ("GOTAP_PROFILES_INTERVAL", "profiles.interval", As::Text),
    ("GOTAP_PROFILES_FREQUENCY", "profiles.frequency", As::Number),
    ("GOTAP_PROFILES_OTLP", "profiles.otlp", As::Bool),
    ("GOTAP_PROFILES_PARCA_ENDPOINT", "profiles.parca.endpoint", As::Url),
    ("GOTAP_PROFILES_PARCA_HEADERS", "profiles.parca.headers", As::Headers),
    ("GOTAP_PROFILES_PARCA_CA_CERTIFICATE", "profiles.parca.ca_certificate", As::Text),
    ("GOTAP_PROFILES_PARCA_CLIENT_CERTIFICATE", "profiles.parca.client_certificate", As::Text),
    ("GOTAP_PROFILES_PARCA_CLIENT_KEY", "profiles.parca.client_key", As::Text),
    ("GOTAP_PROFILES_PYROSCOPE_ENDPOINT", "profiles.pyroscope.endpoint", As::Url),
    ("GOTAP_PROFILES_PYROSCOPE_HEADERS", "profiles.pyroscope.headers", As::Headers),
    ("GOTAP_PROFILES_PYROSCOPE_CA_CERTIFICATE", "profiles.pyroscope.ca_certificate", As::Text),
    (
        "GOTAP_PROFILES_PYROSCOPE_CLIENT_CERTIFICATE",
        "profiles.pyroscope.client_certificate",
        As::Text,
    ),
    ("GOTAP_PROFILES_PYROSCOPE_CLIENT_KEY", "profiles.pyroscope.client_key", As::Text),
    ("GOTAP_XRAY_SLOWER_THAN", "xray.slower_than", As::Text),
    ("GOTAP_OVERHEAD_BUDGET", "overhead_budget", As::Text),
    ("GOTAP_XRAY_BUDGET", "xray.budget", As::Text),
    ("GOTAP_METRICS_CARDINALITY_LIMIT", "metrics.cardinality_limit", As::Number),
];

/// Whether a server without TLS is meant where an endpoint has no scheme. The first one that is set
/// counts; the last one is an old name.
pub(super) const INSECURE: [&str; 3] = [
    "OTEL_EXPORTER_OTLP_TRACES_INSECURE",
    "OTEL_EXPORTER_OTLP_INSECURE",
    "OTEL_EXPORTER_OTLP_SPAN_INSECURE",
];

impl As {
    /// The value; `None` for what is none.
    pub(super) fn read(self, text: &str) -> Option<Value> {
        let list = || text.split(',').map(str::trim).filter(|t| !t.is_empty());
        Some(match self {
            As::Text | As::Url => json!(text),
            As::LowerCase => json!(text.to_lowercase()),
            As::StandardUrl => json!(with_scheme(text, secure()?)),
            As::Ratio => json!(text.parse::<f64>().ok()?),
            As::Sampler => json!(ratio_of(text)?),
            As::Number => json!(text.parse::<u64>().ok()?),
            As::Bool => json!(text.parse::<bool>().ok()?),
            As::Exporter => json!(match text {
                "otlp" => true,
                "none" => false,
                _ => return None,
            }),
            As::Texts => json!(list().collect::<Vec<_>>()),
            As::Numbers => json!(list().map(|t| t.parse().ok()).collect::<Option<Vec<u32>>>()?),
            As::Json => serde_json::from_str(text).ok()?,
            As::Milliseconds => json!(format!("{}ms", text.parse::<u64>().ok()?)),
            As::Headers => {
                let pairs = list().map(|pair| {
                    let (name, value) = pair.split_once('=')?;
                    let value = percent_decoded(value.trim())?;
                    Some((name.trim().to_owned(), json!(value)))
                });
                Value::Object(pairs.collect::<Option<Map<_, _>>>()?)
            }
        })
    }

    /// A text as it may be printed.
    pub(super) fn shown(self, text: &str) -> String {
        match self {
            As::Headers => "what it is set to (not shown, as it may be a secret; want NAME=VALUE with % as %25)".to_owned(),
            As::Url | As::StandardUrl => format!("{:?}", export::masked(text)),
            _ => format!("{text:?}"),
        }
    }
}

/// The text that was percent-encoded; `None` where a `%` stands without two digits.
fn percent_decoded(text: &str) -> Option<String> {
    let is_code = |after: &str| after.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    let all_are = text.split('%').skip(1).all(is_code);
    let decoded = percent_decode_str(text).decode_utf8().ok()?;
    all_are.then(|| decoded.into_owned())
}

/// The share of traces that one of OpenTelemetry's samplers keeps; each obeys its parents here.
fn ratio_of(sampler: &str) -> Option<f64> {
    match sampler.strip_prefix("parentbased_").unwrap_or(sampler) {
        "always_on" => Some(1.0),
        "always_off" => Some(0.0),
        "traceidratio" => match std::env::var("OTEL_TRACES_SAMPLER_ARG") {
            Ok(ratio) if !ratio.is_empty() => ratio.parse().ok(),
            _ => Some(1.0),
        },
        _ => None,
    }
}

/// Whether endpoints without a scheme are `https`, which they are by the specification unless a
/// variable says otherwise. `None` if it says neither.
fn secure() -> Option<bool> {
    let set = INSECURE.iter().find_map(|name| std::env::var(name).ok().filter(|t| !t.is_empty()));
    Some(match set {
        Some(text) => !text.to_lowercase().parse::<bool>().ok()?,
        None => true,
    })
}

fn with_scheme(endpoint: &str, secure: bool) -> String {
    let scheme = if secure { "https" } else { "http" };
    if endpoint.contains("://") { endpoint.to_owned() } else { format!("{scheme}://{endpoint}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_values() {
        assert_eq!(As::Headers.read("a=b%20c, d=e"), Some(json!({"a": "b c", "d": "e"})));
        assert_eq!(As::Headers.read("a=100%25,,b=%41"), Some(json!({"a": "100%", "b": "A"})));
        for wrong in ["nonsense", "a=b,,c=%zz", "a=100%", "a=%4", "a=%ff"] {
            assert_eq!(As::Headers.read(wrong), None, "{wrong}");
        }
        assert_eq!(As::Exporter.read("none"), Some(json!(false)));
        assert_eq!(As::Exporter.read("otlp"), Some(json!(true)));
        assert_eq!(As::Exporter.read("prometheus"), None);
        assert_eq!(As::Numbers.read("1,2"), Some(json!([1, 2])));
        assert_eq!(As::Numbers.read("1,x"), None);
        assert_eq!(As::Json.read(r#"[{"pod": "x"}]"#), Some(json!([{"pod": "x"}])));
        assert_eq!(As::Json.read("pod"), None);
        assert_eq!(As::Milliseconds.read("250"), Some(json!("250ms")));
    }

    #[test]
    fn endpoints_without_a_scheme_get_one() {
        assert_eq!(with_scheme("collector:4317", true), "https://collector:4317");
        assert_eq!(with_scheme("collector:4317", false), "http://collector:4317");
        assert_eq!(with_scheme("http://collector:4317", true), "http://collector:4317");
    }

    #[test]
    fn secrets_are_not_shown() {
        assert!(!As::Headers.shown("Bearer xyz").contains("xyz"));
        assert!(!As::Url.shown("http://user:xyz@host").contains("xyz"));
    }
}
