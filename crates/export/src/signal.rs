//! The kinds of telemetry that OTLP has a service and a path for.

use crate::Config;

/// A kind of telemetry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    Traces,
    Metrics,
    Logs,
}

impl Signal {
    /// All of them, in their order.
    pub(crate) const ALL: [Self; 3] = [Self::Traces, Self::Metrics, Self::Logs];

    /// Whether an exporter sends it.
    pub(crate) fn is_sent(self, config: &Config) -> bool {
        match self {
            Signal::Traces => true,
            Signal::Metrics => config.metrics.is_some(),
            Signal::Logs => config.logs.is_some(),
        }
    }

    /// What its thread is called after.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Signal::Traces => "traces",
            Signal::Metrics => "metrics",
            Signal::Logs => "logs",
        }
    }

    /// What it consists of.
    pub(crate) fn items(self) -> &'static str {
        match self {
            Signal::Traces => "spans",
            Signal::Metrics => "metrics",
            Signal::Logs => "log records",
        }
    }

    /// Where it goes, and whether that URL is used as it is.
    pub(crate) fn endpoint(self, config: &Config) -> (&str, bool) {
        let traces = (config.endpoint.as_str(), config.exact_url);
        let other = match self {
            Signal::Traces => None,
            Signal::Metrics => config.metrics.as_ref().map(|to| (&*to.endpoint, to.exact_url)),
            Signal::Logs => config.logs.as_ref().map(|to| (&*to.endpoint, to.exact_url)),
        };
        other.unwrap_or(traces)
    }

    /// The method of its gRPC service.
    pub(crate) fn grpc_path(self) -> &'static str {
        match self {
            Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
            Signal::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        }
    }

    /// What follows the base URL.
    pub(crate) fn http_path(self) -> &'static str {
        match self {
            Signal::Traces => "/v1/traces",
            Signal::Metrics => "/v1/metrics",
            Signal::Logs => "/v1/logs",
        }
    }
}

/// What takes requests by OTLP.
pub(crate) const OTLP_SERVER: &str = "an OTLP endpoint";

/// Where requests of one kind go, by either protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Paths {
    /// The method of the gRPC service.
    pub(crate) grpc: &'static str,
    /// What follows the base URL.
    pub(crate) http: &'static str,
    /// What the body is called in HTTP.
    pub(crate) content_type: &'static str,
    /// What takes them, as a noun.
    pub(crate) server: &'static str,
}

impl From<Signal> for Paths {
    fn from(signal: Signal) -> Self {
        let content_type = "application/x-protobuf";
        Self {
            grpc: signal.grpc_path(),
            http: signal.http_path(),
            content_type,
            server: OTLP_SERVER,
        }
    }
}
