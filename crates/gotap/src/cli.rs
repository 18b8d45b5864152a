//! The command line. Help texts are written for somebody who sees gotap for the first time.

mod host;
mod kubernetes;
mod sorts;
mod top;
mod trace;
mod xray;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::{SdkPrograms, Temporality};
use crate::governor::Budget;

pub(crate) use host::{ExecArgs, FlowsArgs, TcpArgs, XdpChoice};
pub(crate) use kubernetes::KubernetesArgs;
pub(crate) use sorts::Sort;
pub(crate) use top::TopArgs;
pub(crate) use trace::{PrintArgs, ReplayArgs, TraceArgs};
pub(crate) use xray::XrayArgs;

mod profile;

mod runtime;

pub(crate) use runtime::{AllocArgs, ChanArgs, GcArgs, TargetWrite};

pub(crate) use profile::{CpuArgs, ProfileArgs, ProfileCommand, WallArgs};

/// See inside running Go programs, without touching them.
///
/// gotap attaches to Go programs with eBPF: no code change, no rebuild, no restart. It needs root
/// (or the capabilities that `gotap doctor` names) and Linux 5.10 or newer.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, arg_required_else_help = true)]
#[command(
    after_help = "Start with:\n  gotap ps           which Go programs run here, and what can be seen in them\n  gotap trace all    their requests and calls, live\n  gotap run          send traces to an OpenTelemetry collector\n\nExit codes: 0 done, 1 failure, 2 wrong usage, 77 missing privilege."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Observe Go programs and send their traces by OTLP, until stopped
    Run(Box<RunArgs>),
    /// List the Go processes of this machine and what gotap can see in them
    Ps(PsArgs),
    /// Print live events, one a line
    Trace {
        #[command(subcommand)]
        what: TraceCommand,
    },
    /// Show services and their operations live: rates, errors, latencies, and their Go runtimes
    Top(TopArgs),
    /// Show what all goroutines of a Go process do, without stopping it
    Goroutines(GoroutinesArgs),
    /// Show which channels and locks the goroutines of a Go process wait for
    Chan(ChanArgs),
    /// Show what a Go process's garbage collector and heap have counted, or each collection as it happens
    Gc(GcArgs),
    /// Show the processors and run queues of a Go process, and how long goroutines wait to run
    Sched(SchedArgs),
    /// Show what a Go process allocates, by function and by size
    Alloc(AllocArgs),
    /// Show in which functions a Go process spends its time, for people, pprof, flame graphs and PGO
    Profile {
        #[command(subcommand)]
        what: ProfileCommand,
    },
    /// Show where the time of slow requests goes: running, waiting for locks, channels, IO, and where
    Xray(XrayArgs),
    /// Copy the window of a flight recorder that a Go process runs itself (Go 1.25 and newer)
    Flight(FlightArgs),
    /// Show what goes through the interfaces of the host: packets and bytes by flow, with the processes
    Flows(FlowsArgs),
    /// Print the spans of a recording that `gotap trace --record` made, without root and without the programs
    Replay(ReplayArgs),
    /// Say what works on this machine, what does not, and what to do about it
    Doctor(DoctorArgs),
    /// Check, explain or print the configuration
    Config {
        #[command(subcommand)]
        what: ConfigCommand,
    },
    /// Print completions for a shell, such as into /usr/share/bash-completion/completions/gotap
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write manual pages into a folder
    #[command(hide = true)]
    Man {
        /// The folder
        folder: std::path::PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum TraceCommand {
    /// Operations of one sort
    #[command(flatten)]
    Sort(Sort),
    /// Goroutines of one process that are created and end, and how long they lived
    Goroutines(TrackArgs),
    /// Programs of the whole host that start and end, with arguments, container and exit code
    Exec(ExecArgs),
    /// TCP connections of the whole host: made, accepted, closed, failed, with bytes and round trip time
    Tcp(TcpArgs),
    /// All requests, calls and operations that can be traced
    All(TraceArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check a configuration file
    Check(ConfigArgs),
    /// Print the JSON schema of the configuration file
    Schema,
    /// Print the configuration in effect: defaults, file, environment and flags together
    Print(Box<RunArgs>),
}

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
    /// Guess http.route from the path where the program's router does not tell it
    #[arg(long)]
    pub(crate) cluster_paths: bool,
    /// Add query strings to spans, with some secrets redacted: AWSAccessKeyId, Signature, sig and
    /// X-Goog-Signature
    #[arg(long)]
    pub(crate) query_strings: bool,
    /// Show these headers of served requests, such as x-request-id; their values may be secrets
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) request_headers: Vec<String>,
}

impl HttpArgs {
    /// The same as settings.
    pub(crate) fn settings(&self) -> crate::config::Http {
        let Self { cluster_paths, query_strings, request_headers } = self.clone();
        crate::config::Http { cluster_paths, query_strings, request_headers }
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

#[derive(Debug, Clone, Default, Args)]
pub(crate) struct RunArgs {
    /// Configuration file (YAML); see `gotap config schema`; also GOTAP_CONFIG
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where to send traces, such as http://localhost:4317; also OTEL_EXPORTER_OTLP_ENDPOINT
    #[arg(long, value_name = "URL")]
    pub(crate) otlp_endpoint: Option<String>,
    /// OTLP over grpc or http/protobuf; also OTEL_EXPORTER_OTLP_PROTOCOL
    #[arg(long, value_name = "PROTOCOL")]
    pub(crate) otlp_protocol: Option<String>,
    /// Header of each request, as NAME=VALUE; may be repeated
    #[arg(long = "otlp-header", value_name = "NAME=VALUE")]
    pub(crate) otlp_headers: Vec<String>,
    /// service.name of everything observed, instead of each program's own
    #[arg(long, value_name = "NAME")]
    pub(crate) service_name: Option<String>,
    /// Send this share of the traces that begin here, from 0 to 1, and failed operations of the others; also
    /// OTEL_TRACES_SAMPLER_ARG where OTEL_TRACES_SAMPLER is traceidratio or parentbased_traceidratio
    #[arg(long, value_name = "RATIO")]
    pub(crate) sampling_ratio: Option<f64>,
    /// How much of each process's processor time tracing may take, such as 2%: of one in which it takes more, a
    /// part of the time is traced. With unlimited, as without it, the cost is measured alone
    #[arg(long, value_name = "SHARE")]
    pub(crate) overhead_budget: Option<String>,
    /// Name Go programs in which there is nothing to trace, too
    #[arg(short, long)]
    pub(crate) verbose: bool,
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    #[command(flatten)]
    pub(crate) http: HttpArgs,
    #[command(flatten)]
    pub(crate) texts: ErrorArgs,
    #[command(flatten)]
    pub(crate) sdk: SdkArgs,
    #[command(flatten)]
    pub(crate) kubernetes: KubernetesArgs,
    #[command(flatten)]
    pub(crate) metrics: MetricsArgs,
    #[command(flatten)]
    pub(crate) probes: ProbeArgs,
}

/// Each creation and each exit of a goroutine is trapped, which costs about 1 µs each. At the end: how
/// many there were, how many were lost, and how long goroutines lived.
#[derive(Debug, Clone, Args)]
pub(crate) struct TrackArgs {
    /// Process id
    #[arg(long, value_name = "PID")]
    pub(crate) pid: u32,
    /// How long to track; until stopped, or until the process ends, when it is not given
    #[arg(short, long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(crate) duration: Option<Duration>,
    /// How to print: text, or JSON with one event a line and the summary last
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
    /// Print the summary alone
    #[arg(long)]
    pub(crate) summary: bool,
    /// How much of the process's processor time traps may take: a share such as 2%, or unlimited. What exceeds
    /// it is taken away for a while
    #[arg(long, value_name = "SHARE", default_value = Budget::DEFAULT)]
    pub(crate) overhead_budget: Budget,
    /// Attach each probe by itself instead of through uprobe_multi
    #[arg(long)]
    pub(crate) no_uprobe_multi: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct PsArgs {
    /// How to print: aligned text, or JSON with one process a line
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
    /// Print all that is known: modules, builds, libraries, and why something is not seen
    #[arg(short, long)]
    pub(crate) verbose: bool,
    #[command(flatten)]
    pub(crate) select: SelectArgs,
}

/// What is read from a process's memory: nothing is attached, and it is not stopped.
#[derive(Debug, Clone, Args)]
pub(crate) struct MemoryArgs {
    /// Process id
    #[arg(value_name = "PID")]
    pub(crate) pid: u32,
    /// How to print: text, or one JSON object
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct SchedArgs {
    #[command(flatten)]
    pub(crate) memory: MemoryArgs,
    /// Over how long to count how long goroutines wait to run
    #[arg(short, long, value_name = "DURATION", default_value = "1s", value_parser = humantime::parse_duration)]
    pub(crate) duration: Duration,
    /// Write a timeline of processors, threads and goroutines into this file: trace.json for Perfetto
    /// (ui.perfetto.dev) and chrome://tracing, or timeline.svg
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// How often to look for the timeline: what is shorter, it can't show
    #[arg(long, value_name = "DURATION", default_value = "1ms", value_parser = humantime::parse_duration, requires = "output")]
    pub(crate) interval: Duration,
}

/// It is copied from the process's memory: nothing is attached, and it is not stopped. What the recorder has
/// of the last second or so is not in it.
#[derive(Debug, Clone, Args)]
pub(crate) struct FlightArgs {
    #[command(flatten)]
    pub(crate) memory: MemoryArgs,
    /// The file to write, for `go tool trace`
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
}

/// Goroutines that are alike are shown together, the most numerous first. They are read from the
/// process's memory: nothing is attached, and it is not stopped.
#[derive(Debug, Clone, Args)]
pub(crate) struct GoroutinesArgs {
    /// Process id
    #[arg(value_name = "PID")]
    pub(crate) pid: u32,
    /// How to print: text, or one JSON object
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
    /// Write a profile for `go tool pprof` into this file, such as goroutines.pb.gz, and print nothing
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// List each goroutine
    #[arg(long)]
    pub(crate) all: bool,
    /// Show those of Go's runtime, too
    #[arg(long)]
    pub(crate) system: bool,
    /// Show those that may never end, and why they are suspected
    #[arg(long)]
    pub(crate) leaks: bool,
    /// Look twice, so long apart, to see which grow in number
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, requires = "leaks")]
    pub(crate) watch: Option<Duration>,
    /// Let Go's own search for leaked goroutines decide, with the next collection (Go 1.26 and newer); needs
    /// --allow-target-writes goroutine-leak-search
    #[arg(long, requires = "leaks")]
    pub(crate) prove: bool,
    /// What gotap may change in the process's memory; it is put back, also after gotap was killed and runs again
    #[arg(long, value_name = "WHAT", value_enum)]
    pub(crate) allow_target_writes: Option<TargetWrite>,
    #[command(flatten)]
    pub(crate) filter: GoroutineFilter,
}

#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Which goroutines (default: all but those of Go's runtime)")]
pub(crate) struct GoroutineFilter {
    /// In this state, such as waiting or running; may be repeated
    #[arg(long = "state", value_name = "STATE", value_parser = GOROUTINE_STATES)]
    pub(crate) states: Vec<String>,
    /// Waiting for this reason, such as "chan receive", with * and ?; may be repeated
    #[arg(long = "reason", value_name = "GLOB")]
    pub(crate) reasons: Vec<String>,
    /// With this function in the stack, such as main.work, with * and ?; may be repeated
    #[arg(long = "function", value_name = "GLOB")]
    pub(crate) functions: Vec<String>,
    /// Waiting for so long at least, such as 5m, where Go has noted since when
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(crate) min_age: Option<Duration>,
}

/// States of goroutines, in the runtime's own words.
const GOROUTINE_STATES: [&str; 7] =
    ["runnable", "running", "syscall", "waiting", "copystack", "preempted", "leaked"];

#[derive(Debug, Clone, Args)]
pub(crate) struct DoctorArgs {
    /// How to print: text, or one JSON object
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ConfigArgs {
    /// The file to check
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// For programs
    Json,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
