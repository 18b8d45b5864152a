//! Spans, metrics, log records and profiles leave for the back ends that people already run: OTLP over gRPC and
//! HTTP; and for profiles what Parca and Pyroscope take.
//!
//! The only crate that knows OTLP. Spans are encoded as they come, kept in a bounded queue and sent
//! by a thread of its own that retries; whatever is not delivered is counted by reason. Of metrics only the
//! newest wait: what is sent as what came since the last time counts from what the back end took.

mod batch;
mod check;
mod config;
mod delta;
mod encode;
mod endpoint;
mod exporter;
mod metric;
mod profiles;
mod signal;
mod stats;
mod tls;
mod transport;

#[doc(hidden)]
pub use batch::Encoder;
pub use config::{Compression, Config, LogsEndpoint, MetricsEndpoint, Protocol, Temporality};
pub use endpoint::masked;
pub use exporter::{Exporter, LiveStats};
pub use metric::Collected;
pub use profiles::{
    ProfileBackend, ProfileExporter, ProfileStats, Sent, otlp_profiles, parca_profile,
    pyroscope_profile,
};
pub use stats::{Delivered, Points, Stats};

/// Why an exporter can't be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The endpoint is no URL that can be used.
    #[error("OTLP endpoint {:?} is not an http:// or https:// URL", masked(.0))]
    Endpoint(String),
    /// The endpoint's port is none.
    #[error("OTLP endpoint {:?}: want a port from 1 to 65535", masked(.0))]
    Port(String),
    /// A header can't be sent.
    #[error("OTLP header {0:?} is not a valid header name and value")]
    Header(String),
    /// A certificate file can't be read.
    #[error("certificate {path}: {source}")]
    Certificate {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A certificate file holds something else.
    #[error("certificate {path}: the file holds no certificate in PEM")]
    NoCertificate {
        /// The file.
        path: String,
    },
    /// Half of what a client identifies itself with.
    #[error("a client certificate and its key are needed together, and one of them is not given")]
    HalfIdentity,
    /// TLS can't be set up.
    #[error("TLS: {0}")]
    Tls(String),
    /// The thread can't be started.
    #[error("start the export thread: {0}")]
    Thread(#[from] std::io::Error),
}
