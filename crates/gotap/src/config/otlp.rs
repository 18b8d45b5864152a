//! Settings of the export by OTLP, and what the exporter makes of them. Not here: log records, whose settings are
//! in `logs`, and profiles.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::file::TextOrNumber;
use super::{Histograms, Invalid, Temporality, time};

/// Within which a request must be answered. Without a limit, one that never is would hold up the rest.
const TIMEOUTS: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_hours(1);
/// Room for a batch of each signal with the largest items.
const LEAST_QUEUE: usize = 64 << 10;

/// OTLP export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Otlp {
    /// Base URL of the collector; http://localhost:4317, or 4318 for http/protobuf, if not given.
    /// Without a scheme it is http://
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) endpoint: Option<String>,
    /// URL for traces, used as it is instead of the base URL
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) traces_endpoint: Option<String>,
    /// Whether gotap's metrics are sent beside the traces. The protocol and all else is as for traces
    pub(crate) metrics: bool,
    /// URL for metrics, used as it is instead of the base URL
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) metrics_endpoint: Option<String>,
    /// URL for log records, used as it is instead of the base URL
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) logs_endpoint: Option<String>,
    /// Since when sums and histograms count that are sent: since the start (cumulative), since the last time
    /// (delta), or the latter for histograms alone (lowmemory)
    pub(crate) metrics_temporality: Temporality,
    /// The buckets of histograms of operations that are sent
    pub(crate) metrics_histograms: Histograms,
    /// Wire protocol
    pub(crate) protocol: Protocol,
    /// Headers of each request
    #[schemars(with = "BTreeMap<String, TextOrNumber>")]
    pub(crate) headers: BTreeMap<String, String>,
    /// Time for one request, such as 10s, from 1ms to 1h
    pub(crate) timeout: String,
    /// Compression of requests
    pub(crate) compression: Compression,
    /// PEM file of the certificate authority to trust instead of the public ones
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ca_certificate: Option<PathBuf>,
    /// PEM file of the certificate by which the collector knows gotap, with those that it needs
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_certificate: Option<PathBuf>,
    /// PEM file of that certificate's key
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_key: Option<PathBuf>,
    /// Bytes that are kept while the collector does not take them, at least 65536, with what is collected for the next request; of the
    /// rest an eighth is for metrics only and a quarter for log records, where they are sent
    pub(crate) queue_bytes: usize,
}

/// OTLP wire protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) enum Protocol {
    /// Usually port 4317
    #[serde(rename = "grpc")]
    Grpc,
    /// Usually port 4318
    #[serde(rename = "http/protobuf")]
    Http,
}

impl Protocol {
    /// Where a collector listens that was installed as it comes.
    pub(super) fn default_endpoint(self) -> &'static str {
        match self {
            Protocol::Grpc => "http://localhost:4317",
            Protocol::Http => "http://localhost:4318",
        }
    }
}

/// Compression of OTLP requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Compression {
    /// Uncompressed
    None,
    /// gzip
    Gzip,
}

impl Default for Otlp {
    fn default() -> Self {
        let export = export::Config::default();
        Self {
            endpoint: None,
            traces_endpoint: None,
            metrics: true,
            metrics_endpoint: None,
            logs_endpoint: None,
            metrics_temporality: Temporality::Cumulative,
            metrics_histograms: Histograms::Explicit,
            protocol: Protocol::Grpc,
            headers: BTreeMap::new(),
            timeout: humantime::format_duration(export.timeout).to_string(),
            compression: Compression::None,
            ca_certificate: None,
            client_certificate: None,
            client_key: None,
            queue_bytes: export.queue_bytes,
        }
    }
}

impl Otlp {
    /// As the exporter wants it, with so much room for what waits.
    ///
    /// # Errors
    /// [`Invalid`] for a time that can't be read.
    pub(crate) fn to_export(&self, queue_bytes: usize) -> Result<export::Config> {
        let exact_url = self.traces_endpoint.is_some();
        let endpoint = self.traces_endpoint.as_deref().or(self.endpoint.as_deref());
        let endpoint = endpoint.unwrap_or_else(|| self.protocol.default_endpoint());
        Ok(export::Config {
            endpoint: with_scheme(endpoint),
            exact_url,
            metrics: self.metrics_to(),
            protocol: match self.protocol {
                Protocol::Grpc => export::Protocol::Grpc,
                Protocol::Http => export::Protocol::Http,
            },
            headers: self.headers.clone().into_iter().collect(),
            timeout: self.timeout()?,
            compression: match self.compression {
                Compression::None => export::Compression::None,
                Compression::Gzip => export::Compression::Gzip,
            },
            ca_certificate: self.ca_certificate.clone(),
            client_certificate: self.client_certificate.clone(),
            client_key: self.client_key.clone(),
            queue_bytes,
            ..export::Config::default()
        })
    }

    /// The time for one request.
    ///
    /// # Errors
    /// [`Invalid`] for a time that can't be read, or is too short or too long.
    pub(super) fn timeout(&self) -> Result<Duration> {
        let timeout = time("otlp.timeout", &self.timeout)?;
        if !TIMEOUTS.contains(&timeout) {
            let why = format!("otlp.timeout: want 1ms to 1h, not {}", self.timeout);
            return Err(Invalid(why).into());
        }
        Ok(timeout)
    }

    /// Finds what the types can't.
    pub(super) fn validate(&self) -> Result<()> {
        self.timeout()?;
        if self.queue_bytes < LEAST_QUEUE {
            let why =
                format!("otlp.queue_bytes: want at least {LEAST_QUEUE}, not {}", self.queue_bytes);
            return Err(Invalid(why).into());
        }
        Ok(())
    }

    /// Where metrics go. Who says only where traces go wants no metrics somewhere else.
    pub(super) fn metrics_to(&self) -> Option<export::MetricsEndpoint> {
        let (exact, base) = (self.metrics_endpoint.as_deref(), self.endpoint.as_deref());
        let to = match (exact.or(base), &self.traces_endpoint) {
            (Some(given), _) => given,
            (None, Some(_)) => return None,
            (None, None) => self.protocol.default_endpoint(),
        };
        let (endpoint, exact_url) = (with_scheme(to), exact.is_some());
        let temporality = self.metrics_temporality.into();
        let exponential = self.metrics_histograms == Histograms::Exponential;
        let to = export::MetricsEndpoint { endpoint, exact_url, temporality, exponential };
        self.metrics.then_some(to)
    }
}

/// Collectors are often given as host:port.
pub(super) fn with_scheme(endpoint: &str) -> String {
    if endpoint.contains("://") { endpoint.into() } else { format!("http://{endpoint}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_by_which_nothing_would_arrive_are_refused() {
        let valid = |change: fn(&mut Otlp)| {
            let mut otlp = Otlp::default();
            change(&mut otlp);
            otlp.validate().is_ok()
        };
        assert!(valid(|_| ()));
        assert!(valid(|otlp| otlp.queue_bytes = 64 << 10));
        for change in [
            (|otlp| otlp.timeout = "0s".into()) as fn(&mut Otlp),
            |otlp| otlp.timeout = "0ms".into(),
            |otlp| otlp.timeout = "99999999h".into(),
            |otlp| otlp.queue_bytes = 0,
            |otlp| otlp.queue_bytes = (64 << 10) - 1,
        ] {
            assert!(!valid(change));
        }
    }
}
