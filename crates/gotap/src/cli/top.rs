//! Arguments of `gotap top`.

use std::time::Duration;

use clap::Args;

use super::{Format, ProbeArgs, SdkArgs, SelectArgs, UrlArgs};

/// A table on the terminal; keys are shown with ?. Where standard output is no terminal, it is printed once.
#[derive(Debug, Clone, Args)]
pub(crate) struct TopArgs {
    /// Print the table once and end
    #[arg(long)]
    pub(crate) once: bool,
    /// Over how long rates and latencies are taken
    #[arg(short, long, value_name = "DURATION", default_value = "5s", value_parser = humantime::parse_duration)]
    pub(crate) duration: Duration,
    /// How to print it once: aligned text, or one JSON object
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    #[command(flatten)]
    pub(crate) urls: UrlArgs,
    #[command(flatten)]
    pub(crate) sdk: SdkArgs,
    #[command(flatten)]
    pub(crate) probes: ProbeArgs,
}
