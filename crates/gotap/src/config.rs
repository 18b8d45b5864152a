//! The configuration: one structure that the file, the environment and the flags fill in layers,
//! and from which the JSON schema is made.

mod file;
mod host;
mod kubernetes;
mod layers;
mod logs;
mod measures;
mod memory;
mod otlp;
mod profiles;
#[cfg(test)]
mod reference_tests;
mod sampling;
mod unknown;
mod validate;
mod variables;
mod xray;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cli::RunArgs;
use crate::governor::Budget;
use crate::output::line;

pub(crate) use host::Host;
pub(crate) use kubernetes::{Kubernetes, PodChoice, Use};
pub(crate) use layers::load;
pub(crate) use logs::Logs;
pub(crate) use measures::{Histograms, Metrics, Temporality};
pub(crate) use memory::Bounds;
pub(crate) use otlp::Otlp;
pub(crate) use profiles::{Profiles, Serve};
pub(crate) use sampling::Sampling;
pub(crate) use validate::check;
use validate::validate;
pub(crate) use xray::Xray;

/// Longer times can't be added to a clock.
const MAX_TIME: Duration = Duration::from_hours(366 * 24);
/// How often metrics may be sent.
const METRICS_INTERVALS: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_hours(24);

/// The user wrote something that can't be used.
#[derive(Debug)]
pub(crate) struct Invalid(pub(crate) String);

impl std::fmt::Display for Invalid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Invalid {}

/// Configuration of `gotap run`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// service.name of everything observed, instead of each program's own
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) service_name: Option<String>,
    /// Which processes to observe; all Go processes when empty
    pub(crate) select: Select,
    /// What Kubernetes says of the processes
    pub(crate) kubernetes: Kubernetes,
    /// Where and how traces are sent
    pub(crate) otlp: Otlp,
    /// What spans say of errors
    pub(crate) errors: Errors,
    /// What spans of HTTP say
    pub(crate) http: Http,
    /// Formats in which requests may bring a trace context along
    pub(crate) propagators: Vec<Propagator>,
    /// Which traces are sent
    pub(crate) sampling: Sampling,
    /// Whether programs that have OpenTelemetry's SDK are traced beside it
    pub(crate) sdk_programs: SdkPrograms,
    /// How probes are attached
    pub(crate) probes: Probes,
    /// Address on which Prometheus finds gotap's metrics at /metrics, such as 127.0.0.1:9464, and
    /// orchestrators /healthz and /readyz; none if not given
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) prometheus_listen: Option<SocketAddr>,
    /// How often metrics are sent by OTLP, such as 10s, from 100ms to 24h
    pub(crate) metrics_interval: String,
    /// What is measured of operations
    pub(crate) metrics: Metrics,
    /// What programs write to their logs while they serve requests
    pub(crate) logs: Logs,
    /// What is measured of all programs of the host
    pub(crate) host: Host,
    /// Profiles of what is observed
    pub(crate) profiles: Profiles,
    /// What spans of slow requests say of where their time went
    pub(crate) xray: Xray,
    /// How much of each process's processor time tracing may take, such as 2%: of one in which it takes more, a
    /// part of the time is traced. With unlimited the cost is measured alone
    pub(crate) overhead_budget: String,
    /// Memory that gotap may take, such as 128MiB, at least 64MiB: queues and caches get smaller, and what finds
    /// no room in them is counted by each
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<file::TextOrNumber>")]
    pub(crate) memory_limit: Option<String>,
}

/// A format of trace contexts, by OpenTelemetry's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Propagator {
    /// traceparent and tracestate, which are always read and win
    TraceContext,
    /// b3 and X-B3-…
    B3,
    /// The same
    B3Multi,
    /// Nothing that gotap needs
    Baggage,
}

/// What is done with programs that have OpenTelemetry's SDK.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SdkPrograms {
    /// Trace them as others: their spans stand beside the SDK's, in the same traces
    #[default]
    Trace,
    /// Leave their traces to the SDK; with metrics on, gotap still measures what they do
    Off,
}

/// Which processes to observe: those that match one of the choices.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Select {
    /// Process ids
    pub(crate) pids: Vec<u32>,
    /// Paths of executables, with * and ?
    pub(crate) executables: Vec<String>,
    /// TCP ports that the process listens on
    pub(crate) ports: Vec<u16>,
    /// Names of processes or services, with * and ?
    pub(crate) names: Vec<String>,
    /// Pods by namespace, pod, container and labels, with * and ?. A pod must match all that is given
    pub(crate) kubernetes: Vec<PodChoice>,
}

/// What spans say of errors.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Errors {
    /// Send the texts of all errors, which may quote data; otherwise their types and codes, and texts
    /// that are constants, such as "connection refused"
    pub(crate) messages: bool,
}

/// What spans of HTTP say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Http {
    /// Guess http.route from the path where the program's router does not tell it: numbers, UUIDs,
    /// hashes, dates and the like become {id}, {uuid} and so on
    pub(crate) cluster_paths: bool,
    /// Add query strings to spans, with the values of AWSAccessKeyId, Signature, sig and
    /// X-Goog-Signature redacted. They may hold other secrets
    pub(crate) query_strings: bool,
    /// Headers of served requests that spans have as http.request.header.NAME, of gRPC's calls as
    /// rpc.request.metadata.NAME, such as x-request-id: 8 at most. Their values may be secrets
    pub(crate) request_headers: Vec<String>,
}

impl Http {
    /// The headers as the kernel side is given them.
    ///
    /// # Errors
    /// [`Invalid`] for what is no name, and for too many.
    pub(crate) fn wanted_headers(&self) -> Result<wire::raw::Wanted> {
        wire::raw::Wanted::new(&self.request_headers)
            .map_err(|e| Invalid(format!("http.request_headers: {e}")).into())
    }
}

/// How probes are attached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Probes {
    /// Trap each goroutine's creation, so that no parent is missed (about 1 µs a goroutine)
    pub(crate) exact_lineage: bool,
    /// Join calls between observed processes of this host by their connection, without a header: the
    /// request goes on with the trace of the call (a trap more for each call that is made)
    pub(crate) connection_join: bool,
    /// Use uprobe_multi where the kernel has it
    pub(crate) uprobe_multi: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            propagators: vec![Propagator::TraceContext],
            sampling: Sampling::default(),
            service_name: None,
            select: Select::default(),
            kubernetes: Kubernetes::default(),
            otlp: Otlp::default(),
            errors: Errors::default(),
            http: Http::default(),
            sdk_programs: SdkPrograms::default(),
            probes: Probes::default(),
            prometheus_listen: None,
            metrics_interval: "10s".into(),
            metrics: Metrics::default(),
            logs: Logs::default(),
            host: Host::default(),
            profiles: Profiles::default(),
            xray: Xray::default(),
            overhead_budget: "unlimited".into(),
            memory_limit: None,
        }
    }
}

impl Config {
    /// Whether B3's trace contexts are looked for.
    pub(crate) fn reads_b3(&self) -> bool {
        self.propagators.iter().any(|name| matches!(name, Propagator::B3 | Propagator::B3Multi))
    }

    /// What tracing may cost.
    ///
    /// # Errors
    /// [`Invalid`] for a share that can't be read.
    pub(crate) fn overhead_budget(&self) -> Result<Budget> {
        let budget = self.overhead_budget.parse();
        budget.map_err(|why| Invalid(format!("overhead_budget: {why}")).into())
    }

    /// How often metrics are sent.
    ///
    /// # Errors
    /// [`Invalid`] for a time that can't be read, or is too short or too long.
    pub(crate) fn metrics_interval(&self) -> Result<Duration> {
        let interval = time("metrics_interval", &self.metrics_interval)?;
        if !METRICS_INTERVALS.contains(&interval) {
            return Err(Invalid("metrics_interval: want 100ms to 24h".into()).into());
        }
        Ok(interval)
    }
}

/// A setting that is a time.
fn time(setting: &str, text: &str) -> Result<Duration> {
    let time = humantime::parse_duration(text)
        .map_err(|e| Invalid(format!("{setting}: {text:?} is no time such as 10s: {e}")))?;
    if time > MAX_TIME {
        return Err(Invalid(format!("{setting}: want at most a year, not {text}")).into());
    }
    Ok(time)
}

impl Default for Probes {
    fn default() -> Self {
        Self { exact_lineage: false, connection_join: true, uprobe_multi: true }
    }
}

/// `gotap config schema`.
pub(crate) fn print_schema() -> Result<()> {
    let schema = schemars::schema_for!(Config);
    Ok(line(serde_json::to_string_pretty(&schema)?)?)
}

/// `gotap config print`. Values of headers and parts of URLs are secrets and are not shown.
pub(crate) fn print(args: &RunArgs) -> Result<()> {
    let mut config = load(args)?;
    let protocol = config.otlp.protocol;
    let endpoint = config.otlp.endpoint.get_or_insert_with(|| protocol.default_endpoint().into());
    *endpoint = export::masked(endpoint);
    let otlp = &mut config.otlp;
    for url in [&mut otlp.traces_endpoint, &mut otlp.metrics_endpoint, &mut otlp.logs_endpoint] {
        *url = url.as_deref().map(export::masked);
    }
    for value in config.otlp.headers.values_mut() {
        *value = "***".into();
    }
    config.profiles.mask();
    let text = serde_saphyr::to_string(&config).context("write the configuration as YAML")?;
    Ok(line(text.trim_end())?)
}
