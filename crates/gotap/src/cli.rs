//! The command line. Help texts are written for somebody who sees gotap for the first time. Here are the commands, and
//! the flags of `gotap run`; other flags are in a module for each subject.

mod goroutines;
mod host;
mod kubernetes;
mod profile;
mod runtime;
mod shared;
mod sorts;
mod top;
mod trace;
mod xray;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use goroutines::{FlightArgs, GoroutinesArgs, MemoryArgs, SchedArgs, TrackArgs};
pub(crate) use host::{ExecArgs, FlowsArgs, TcpArgs, XdpChoice};
pub(crate) use kubernetes::KubernetesArgs;
pub(crate) use profile::{CpuArgs, ProfileArgs, ProfileCommand, WallArgs};
pub(crate) use runtime::{AllocArgs, ChanArgs, GcArgs, TargetWrite};
pub(crate) use shared::{
    ErrorArgs, HttpArgs, MetricsArgs, ProbeArgs, RouteArgs, SdkArgs, SelectArgs, UrlArgs,
};
pub(crate) use sorts::Sort;
pub(crate) use top::TopArgs;
pub(crate) use trace::{PrintArgs, ReplayArgs, TraceArgs};
pub(crate) use xray::XrayArgs;

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

#[derive(Debug, Clone, Args)]
pub(crate) struct DoctorArgs {
    /// How to print: text, or one JSON object a line for each check
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
