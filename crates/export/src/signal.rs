//! The kinds of telemetry that OTLP has a service and a path for.

/// A kind of telemetry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    Traces,
    Metrics,
    Logs,
}

impl Signal {
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

/// Where requests of one kind go, by either protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Paths {
    /// The method of the gRPC service.
    pub(crate) grpc: &'static str,
    /// What follows the base URL.
    pub(crate) http: &'static str,
    /// What the body is called in HTTP.
    pub(crate) content_type: &'static str,
}

impl From<Signal> for Paths {
    fn from(signal: Signal) -> Self {
        let content_type = "application/x-protobuf";
        Self { grpc: signal.grpc_path(), http: signal.http_path(), content_type }
    }
}
