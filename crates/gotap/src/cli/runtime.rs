//! Arguments of the commands that look into Go's runtime and may attach something.

use std::time::Duration;

use clap::Args;

use super::MemoryArgs;

/// Without a duration these are the counters since the program started, read from its memory: nothing is
/// attached. With one, or with --follow, each collection is shown as it ends, which costs two traps a
/// collection.
#[derive(Debug, Clone, Args)]
pub(crate) struct GcArgs {
    #[command(flatten)]
    pub(crate) memory: MemoryArgs,
    /// Show each collection for so long, such as 10s, and then what they add up to
    #[arg(short, long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(crate) duration: Option<Duration>,
    /// The same until stopped
    #[arg(short, long, conflicts_with = "duration")]
    pub(crate) follow: bool,
    /// Attach each probe by itself instead of through uprobe_multi
    #[arg(long, hide = true)]
    pub(crate) no_uprobe_multi: bool,
}
