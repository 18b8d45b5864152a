//! Commands that look at goroutines: tracking, `gotap goroutines`, `gotap sched`, `gotap flight`. What is read from a
//! process's memory alone has its flags here, too. Not here: channels, collections and allocations (`runtime`).

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{Format, TargetWrite};
use crate::governor::Budget;

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
    /// Over how long to look at what processors do, and to count how long goroutines wait to run
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
    /// Write a profile for `go tool pprof` into this file, such as goroutines.pb.gz, and print nothing; with --leaks,
    /// of those alone
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// List each goroutine; with --leaks, each of those that may never end. JSON lists all that are chosen
    #[arg(long)]
    pub(crate) all: bool,
    /// Show those of Go's runtime, too
    #[arg(long)]
    pub(crate) system: bool,
    /// Show those that may never end, and why they are suspected: the groups that have a chosen goroutine
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
