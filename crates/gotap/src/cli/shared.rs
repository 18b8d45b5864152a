//! Flags that several commands have in common.

use std::net::SocketAddr;

use clap::Args;

use crate::config::{Http, SdkPrograms, Temporality};

/// Which processes are meant. All Go processes when nothing is given; otherwise those that match
/// one of the choices.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Which processes (default: all Go processes)")]
pub(crate) struct SelectArgs {
    /// Process id; may be repeated
    #[arg(long = "pid", value_name = "PID")]
    pub(crate) pids: Vec<u32>,
    /// Path of the executable, with * and ?; may be repeated
    #[arg(long = "executable", value_name = "GLOB")]
    pub(crate) executables: Vec<String>,
    /// TCP port that the process listens on; may be repeated
    #[arg(long = "port", value_name = "PORT")]
    pub(crate) ports: Vec<u16>,
    /// Name of the process or of its service, with * and ?; may be repeated
    #[arg(long = "name", alias = "service", value_name = "GLOB")]
    pub(crate) names: Vec<String>,
}

#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Probes")]
pub(crate) struct ProbeArgs {
    /// Trap each goroutine's creation, so that no parent is missed (costs about 1 µs a goroutine)
    #[arg(long)]
    pub(crate) exact_lineage: bool,
    /// Do not join calls between observed processes by their connection (saves a trap a call)
    #[arg(long)]
    pub(crate) no_connection_join: bool,
    /// Attach each probe by itself instead of through uprobe_multi
    #[arg(long)]
    pub(crate) no_uprobe_multi: bool,
    /// Attach programs that do nothing, to measure what the traps alone cost
    #[arg(long, hide = true)]
    pub(crate) empty_probes: bool,
}

#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "HTTP")]
pub(crate) struct HttpArgs {
    #[command(flatten)]
    pub(crate) urls: UrlArgs,
    /// Show these headers of served requests, such as x-request-id; their values may be secrets
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) request_headers: Vec<String>,
}

/// What spans say of paths and queries, also those of a recording.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "HTTP")]
pub(crate) struct UrlArgs {
    #[command(flatten)]
    pub(crate) routes: RouteArgs,
    /// Add query strings to spans, with some secrets redacted: AWSAccessKeyId, Signature, sig and
    /// X-Goog-Signature
    #[arg(long)]
    pub(crate) query_strings: bool,
}

/// How routes are known, also to commands that show nothing else of paths.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "HTTP")]
pub(crate) struct RouteArgs {
    /// Guess http.route from the path where the program's router does not tell it
    #[arg(long)]
    pub(crate) cluster_paths: bool,
}

impl HttpArgs {
    /// The same as settings.
    pub(crate) fn settings(&self) -> Http {
        Http { request_headers: self.request_headers.clone(), ..self.urls.settings() }
    }
}

impl UrlArgs {
    /// The same as settings.
    pub(crate) fn settings(&self) -> Http {
        Http { query_strings: self.query_strings, ..self.routes.settings() }
    }
}

impl RouteArgs {
    /// The same as settings.
    pub(crate) fn settings(&self) -> Http {
        Http { cluster_paths: self.cluster_paths, ..Http::default() }
    }
}

#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Errors")]
pub(crate) struct ErrorArgs {
    /// Show the texts of all errors, which may quote data; otherwise only those that can't
    #[arg(long)]
    pub(crate) error_messages: bool,
}

#[derive(Debug, Clone, Default, Args)]
pub(crate) struct SdkArgs {
    /// Whether programs that have OpenTelemetry's SDK are traced beside it
    #[arg(long, value_name = "WHAT", value_enum)]
    pub(crate) sdk_programs: Option<SdkPrograms>,
}

#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Metrics")]
pub(crate) struct MetricsArgs {
    /// Where Prometheus finds metrics at /metrics, such as 127.0.0.1:9464; also /healthz and /readyz
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) prometheus_listen: Option<SocketAddr>,
    /// How often metrics are sent by OTLP
    #[arg(long, value_name = "TIME")]
    pub(crate) metrics_interval: Option<String>,
    /// Since when sums and histograms count that are sent by OTLP: since the start, since the last time, or
    /// the latter for histograms alone
    #[arg(long, value_name = "WHICH", value_enum)]
    pub(crate) metrics_temporality: Option<Temporality>,
}
