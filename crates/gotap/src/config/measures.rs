//! Settings of metrics: what is measured of operations, and how it is sent.

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::memory::Bounds;
use super::{Config, Invalid};

/// What is measured of operations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Metrics {
    /// Measure HTTP requests
    pub(crate) http: bool,
    /// Measure the sizes of their bodies
    pub(crate) body_sizes: bool,
    /// Measure remote procedure calls
    pub(crate) rpc: bool,
    /// Measure what is asked of databases
    pub(crate) database: bool,
    /// Measure calls between services, with the metrics that Grafana draws its service graph of
    pub(crate) service_graph: bool,
    /// Series that each metric of a process may have. What finds no room is counted in one series with
    /// otel.metric.overflow
    pub(crate) cardinality_limit: usize,
    /// Give Prometheus native histograms of operations if it takes them, as it does with
    /// --enable-feature=native-histograms
    pub(crate) native_histograms: bool,
}

/// Since when sums and histograms count that are sent.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lowercase")]
pub(crate) enum Temporality {
    /// Since the start
    Cumulative,
    /// Since the last time
    Delta,
    /// Histograms since the last time, sums since the start
    LowMemory,
}

/// Buckets of histograms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) enum Histograms {
    /// Those that the semantic conventions advise
    #[serde(rename = "explicit_bucket_histogram")]
    Explicit,
    /// Such as grow with the values
    #[serde(rename = "base2_exponential_bucket_histogram")]
    Exponential,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            http: true,
            body_sizes: true,
            rpc: true,
            database: true,
            service_graph: true,
            cardinality_limit: 2000,
            native_histograms: false,
        }
    }
}

impl Metrics {
    /// Finds what the types can't.
    pub(super) fn validate(&self) -> Result<()> {
        if self.cardinality_limit == 0 {
            return Err(Invalid("metrics.cardinality_limit: want at least 1".into()).into());
        }
        Ok(())
    }
}

impl From<Temporality> for export::Temporality {
    fn from(temporality: Temporality) -> Self {
        match temporality {
            Temporality::Cumulative => export::Temporality::Cumulative,
            Temporality::Delta => export::Temporality::Delta,
            Temporality::LowMemory => export::Temporality::LowMemory,
        }
    }
}

impl Config {
    /// What is to be measured of operations, within these bounds; `None` where nobody gets it, or nothing is
    /// wanted.
    pub(crate) fn meter(&self, bounds: &Bounds) -> Option<red::Settings> {
        let pushed = self.otlp.metrics_to().map(|_| red::Consumer::Push);
        let pulled = self.prometheus_listen.map(|_| red::Consumer::Pull);
        let consumers: Vec<_> = pushed.into_iter().chain(pulled).collect();
        let Metrics { http, body_sizes, rpc, database, service_graph, .. } = self.metrics;
        let Metrics { cardinality_limit, native_histograms, .. } = self.metrics;
        let groups = red::Groups { http, body_sizes, rpc, database };
        let wanted = !consumers.is_empty() && (http || rpc || database || service_graph);
        let exponential =
            native_histograms || self.otlp.metrics_histograms == Histograms::Exponential;
        wanted.then_some(red::Settings {
            groups,
            cardinality_limit,
            exponential,
            service_graph,
            each_once: false,
            max_series: bounds.series,
            max_graph_calls: bounds.graph_calls,
            consumers,
        })
    }
}
