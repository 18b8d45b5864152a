//! How and where to send. Filled by the command line, the environment and the configuration file.

use std::path::PathBuf;
use std::time::Duration;

/// Wire protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// OTLP over gRPC, usually port 4317.
    #[default]
    Grpc,
    /// OTLP over HTTP with protobuf bodies, usually port 4318.
    Http,
}

/// Compression of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// None.
    #[default]
    None,
    /// gzip.
    Gzip,
}

/// Where metrics go. All else is as for spans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsEndpoint {
    /// Base URL; for HTTP the full URL of the metrics path when [`MetricsEndpoint::exact_url`] is set.
    pub endpoint: String,
    /// Whether `endpoint` is used as it is instead of getting `/v1/metrics` appended (HTTP).
    pub exact_url: bool,
    /// Since when sums and histograms count.
    pub temporality: Temporality,
    /// Whether histograms are sent in exponential buckets, those that have such.
    pub exponential: bool,
}

/// Since when sums and histograms count that are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Temporality {
    /// Since the start.
    #[default]
    Cumulative,
    /// Since what the back end took last.
    Delta,
    /// Histograms since what it took last, sums since the start.
    LowMemory,
}

/// Where log records go. All else is as for spans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogsEndpoint {
    /// Base URL; for HTTP the full URL of the logs path when [`LogsEndpoint::exact_url`] is set.
    pub endpoint: String,
    /// Whether `endpoint` is used as it is instead of getting `/v1/logs` appended (HTTP).
    pub exact_url: bool,
}

/// Where spans go and within which bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Base URL; for HTTP the full URL of the traces path when [`Config::exact_url`] is set.
    pub endpoint: String,
    /// Whether `endpoint` is used as it is instead of getting `/v1/traces` appended (HTTP).
    pub exact_url: bool,
    /// Where metrics go; `None` where none are sent.
    pub metrics: Option<MetricsEndpoint>,
    /// Where log records go; `None` where none are sent.
    pub logs: Option<LogsEndpoint>,
    /// Wire protocol.
    pub protocol: Protocol,
    /// Headers (HTTP) or metadata (gRPC) of each request.
    pub headers: Vec<(String, String)>,
    /// Time for one request.
    pub timeout: Duration,
    /// Compression.
    pub compression: Compression,
    /// PEM file with the certificate authority to trust instead of the usual ones.
    pub ca_certificate: Option<PathBuf>,
    /// PEM file with the certificates that the back end knows this client by.
    pub client_certificate: Option<PathBuf>,
    /// PEM file with the key of the first of them.
    pub client_key: Option<PathBuf>,
    /// Bytes of encoded telemetry that are kept while the back end does not take it. Each signal that is sent has
    /// a share of them.
    pub queue_bytes: usize,
    /// Longest time that a span waits for a batch to fill.
    pub flush_interval: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            endpoint: "http://localhost:4317".into(),
            exact_url: false,
            metrics: None,
            logs: None,
            protocol: Protocol::Grpc,
            headers: Vec::new(),
            timeout: Duration::from_secs(10),
            compression: Compression::None,
            ca_certificate: None,
            client_certificate: None,
            client_key: None,
            queue_bytes: 8 << 20,
            flush_interval: Duration::from_millis(500),
        }
    }
}
