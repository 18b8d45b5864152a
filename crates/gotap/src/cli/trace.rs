//! What `gotap trace` takes for requests, calls and operations, and `gotap replay` for a recording of them. Not here:
//! the sorts of operations (`sorts`).

use std::path::PathBuf;

use clap::Args;

use super::{ErrorArgs, Format, HttpArgs, ProbeArgs, SdkArgs, SelectArgs, UrlArgs};

#[derive(Debug, Clone, Args)]
pub(crate) struct TraceArgs {
    #[command(flatten)]
    pub(crate) print: PrintArgs,
    /// Print what programs write to standard output and standard error while they serve a request, too
    #[arg(long, conflicts_with = "tree")]
    pub(crate) logs: bool,
    /// Keep what the spans are made of in a file for `gotap replay`, such as for the report of a fault. It holds
    /// statements with their literals, whole paths and texts of errors
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    #[command(flatten)]
    pub(crate) http: HttpArgs,
    #[command(flatten)]
    pub(crate) texts: ErrorArgs,
    #[command(flatten)]
    pub(crate) sdk: SdkArgs,
    #[command(flatten)]
    pub(crate) probes: ProbeArgs,
}

/// Which spans are printed, and how.
#[derive(Debug, Clone, Args)]
pub(crate) struct PrintArgs {
    /// How to print: aligned text, or JSON with one span a line
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
    /// Print each trace as a tree when its root has ended; with a filter, traces with a span that passes
    #[arg(long)]
    pub(crate) tree: bool,
    /// Print only what ended in an error
    #[arg(long)]
    pub(crate) errors: bool,
    /// Print only what took longer than this, such as 200ms
    #[arg(long, value_name = "TIME")]
    pub(crate) slower_than: Option<humantime::Duration>,
    /// Print long statements, paths and errors whole, and name programs with nothing to trace
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

/// The same spans come out as when it was made, unless other ones are asked for.
#[derive(Debug, Clone, Args)]
pub(crate) struct ReplayArgs {
    /// The recording
    #[arg(value_name = "FILE")]
    pub(crate) recording: PathBuf,
    #[command(flatten)]
    pub(crate) print: PrintArgs,
    #[command(flatten)]
    pub(crate) urls: UrlArgs,
    #[command(flatten)]
    pub(crate) texts: ErrorArgs,
}
