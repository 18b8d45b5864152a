//! Arguments of the commands that look into Go's runtime and may attach something.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::MemoryArgs;
use crate::governor::Budget;

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

/// What is allocated by function comes from the samples that Go's own profiler takes in programs which
/// import net/http/pprof or runtime/pprof; by size, from counters that every program has. They are read from
/// the process's memory: nothing is attached, and it is not stopped. In other programs traps take samples for
/// the duration, one for each span of memory and each large object.
#[derive(Debug, Clone, Args)]
pub(crate) struct AllocArgs {
    #[command(flatten)]
    pub(crate) memory: MemoryArgs,
    /// Over how long to count; without it, since the program started
    #[arg(short, long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(crate) duration: Option<Duration>,
    /// See each allocation for the duration, or for as much of it as the overhead budget allows
    #[arg(long, requires = "duration", conflicts_with = "sampled")]
    pub(crate) exact: bool,
    /// Take samples by traps, also where Go's own profiler has some
    #[arg(long, requires = "duration")]
    pub(crate) sampled: bool,
    /// Show what is allocated for the requests of each route, too: traps take samples, or see each allocation with
    /// --exact. The process is traced meanwhile
    #[arg(long, requires = "duration")]
    pub(crate) by_route: bool,
    /// How many functions and routes to show
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) top: usize,
    /// Show who allocates objects of this size and more, such as 32KiB or 1MiB
    #[arg(long, value_name = "SIZE", default_value = "32KiB", value_parser = bytes)]
    pub(crate) large: u64,
    /// How much of the process's processor time traps may take: a share such as 2%, or unlimited. What exceeds
    /// it is taken away for a while
    #[arg(long, value_name = "SHARE", default_value = Budget::DEFAULT)]
    pub(crate) overhead_budget: Budget,
    /// Attach each probe by itself instead of through uprobe_multi
    #[arg(long, hide = true)]
    pub(crate) no_uprobe_multi: bool,
}

/// A number of bytes, as `512`, `32KiB`, `1MiB` or `1GiB`.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("B", 1), ("", 1)];
    let found = units.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)));
    let number = found.and_then(|(number, factor)| {
        number.trim().parse::<u64>().ok().and_then(|number| number.checked_mul(*factor))
    });
    number.ok_or_else(|| "a size is a number of bytes, such as 512, 32KiB or 1MiB".to_owned())
}

/// Who waits is read from the process's memory: nothing is attached, and it is not stopped. With a duration all
/// waits are looked at again and again for so long.
#[derive(Debug, Clone, Args)]
pub(crate) struct ChanArgs {
    #[command(flatten)]
    pub(crate) memory: MemoryArgs,
    /// Show for how long goroutines wait, by line, over so long, such as 10s
    #[arg(short, long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(crate) duration: Option<Duration>,
    /// Count what is sent and received a second, by channel and line, and how often locks are waited for: a trap
    /// for each, under the overhead budget
    #[arg(long, requires = "duration")]
    pub(crate) rates: bool,
    /// How much of the process's processor time traps may take: a share such as 2%, or unlimited. What exceeds
    /// it is taken away for a while
    #[arg(long, value_name = "SHARE", default_value = Budget::DEFAULT)]
    pub(crate) overhead_budget: Budget,
    /// Attach each probe by itself instead of through uprobe_multi
    #[arg(long, hide = true)]
    pub(crate) no_uprobe_multi: bool,
}

/// What gotap may change in a process's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TargetWrite {
    /// The byte by which Go's runtime searches for leaked goroutines in the next collection
    GoroutineLeakSearch,
}
