//! The arguments of `gotap profile`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::Format;
use crate::profile::OutputFile;

/// What `-d` means for what Go's own profiler counts.
const OVER_WHICH_TIME: &str = "For how long, 10s if it is not given, 0s for all since the program started; SIGINT ends it early";
/// The same for what is in use.
const SINCE_WHEN: &str = "Show what changes in so long, such as 10s, instead of what is in use now; SIGINT ends it \
                          early";

/// What is profiled.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum ProfileCommand {
    /// Where the process uses its processors, sampled by a clock
    Cpu(CpuArgs),
    /// What goroutines do and wait for, seen in the process's memory again and again
    Wall(WallArgs),
    /// Where threads leave their processors, and for how long, by the kernel's scheduler
    Offcpu(ProfileArgs),
    /// What is allocated, by the samples of Go's own profiler; -d 0s: since the program started
    #[command(mut_arg("duration", |arg| arg.help(OVER_WHICH_TIME)))]
    Alloc(ProfileArgs),
    /// What is in use of the heap, by the same; with -d: what has changed
    #[command(mut_arg("duration", |arg| arg.help(SINCE_WHEN)))]
    Heap(ProfileArgs),
    /// Who holds the locks that others wait for, where the program samples it; -d 0s: since it started
    #[command(mut_arg("duration", |arg| arg.help(OVER_WHICH_TIME)))]
    Mutex(ProfileArgs),
    /// Where goroutines wait for each other, where the program samples it; -d 0s: since it started
    #[command(mut_arg("duration", |arg| arg.help(OVER_WHICH_TIME)))]
    Block(ProfileArgs),
}

impl ProfileCommand {
    /// What all kinds have in common.
    pub(crate) fn args(&self) -> &ProfileArgs {
        match self {
            Self::Cpu(args) => &args.profile,
            Self::Wall(args) => &args.profile,
            Self::Offcpu(args)
            | Self::Alloc(args)
            | Self::Heap(args)
            | Self::Mutex(args)
            | Self::Block(args) => args,
        }
    }

    /// The route whose requests are meant.
    pub(crate) fn route(&self) -> Option<&str> {
        match self {
            Self::Cpu(args) => args.route.as_deref(),
            Self::Wall(args) => args.route.as_deref(),
            _ => None,
        }
    }
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ProfileArgs {
    /// Process id
    #[arg(value_name = "PID")]
    pub(crate) pid: u32,
    /// For how long, 10s if it is not given; SIGINT ends it early
    #[arg(short, long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(crate) duration: Option<Duration>,
    /// Write a file instead of a table: .pb.gz for go tool pprof and go build -pgo, .svg for a flame graph,
    /// .folded for folded stacks, .json for speedscope
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<OutputFile>,
    /// Colour the flame graph by what has changed since this profile: red has grown, blue is less
    #[arg(long, value_name = "BEFORE.pb.gz", requires = "output")]
    pub(crate) diff: Option<PathBuf>,
    /// How many functions the table has
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) top: usize,
    /// How to print the table: text, or one JSON object
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

impl ProfileArgs {
    /// For how long.
    pub(crate) fn duration(&self) -> Duration {
        self.duration.unwrap_or(Duration::from_secs(10))
    }
}

/// All goroutines are read from the process's memory each time; each counts for the time since the time before,
/// by what it does. Nothing is attached, and the program is not stopped. What runs has no stack then: see
/// `gotap profile cpu`.
#[derive(Debug, Clone, Args)]
pub(crate) struct WallArgs {
    #[command(flatten)]
    pub(crate) profile: ProfileArgs,
    /// How often to look; less often if there are so many goroutines that it takes more than a 20th of the time
    #[arg(long, value_name = "DURATION", default_value = "20ms", value_parser = humantime::parse_duration)]
    pub(crate) interval: Duration,
    /// Show goroutines of Go's runtime, too
    #[arg(long, conflicts_with = "route")]
    pub(crate) system: bool,
    /// Only what serves requests of this route, as /orders/{id} or "GET /orders/{id}"; all requests with *. The
    /// process is traced meanwhile
    #[arg(long, value_name = "ROUTE")]
    pub(crate) route: Option<String>,
}

/// Each sample is the stack of a thread that runs, in the kernel, in C code and in Go. The program needs
/// neither net/http/pprof nor symbols; it is not stopped, and nothing is written into its memory.
#[derive(Debug, Clone, Args)]
pub(crate) struct CpuArgs {
    #[command(flatten)]
    pub(crate) profile: ProfileArgs,
    /// Samples in each second of a processor
    #[arg(short = 'F', long, value_name = "HZ", default_value_t = 99, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub(crate) frequency: u64,
    /// Keep samples of different goroutines apart: a file for pprof has their numbers as label goroutine
    #[arg(long)]
    pub(crate) goroutines: bool,
    /// Only samples of requests of this route, as /orders/{id} or "GET /orders/{id}"; all requests with *. A file
    /// for pprof has the labels route and span_id then. The process is traced meanwhile
    #[arg(long, value_name = "ROUTE")]
    pub(crate) route: Option<String>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn help_says_what_a_missing_duration_means() {
        let mut command = crate::cli::Cli::command();
        command.build();
        let kinds = command.find_subcommand("profile").unwrap();
        let help = |kind: &str| {
            let kind = kinds.find_subcommand(kind).unwrap();
            let duration = kind.get_arguments().find(|arg| arg.get_id() == "duration").unwrap();
            duration.get_help().unwrap().to_string()
        };
        for kind in ["cpu", "wall", "offcpu", "alloc", "mutex", "block"] {
            assert!(help(kind).contains("10s if it is not given"), "{kind}: {}", help(kind));
            let kept = ["alloc", "mutex", "block"].contains(&kind);
            assert_eq!(help(kind).contains("0s for all"), kept, "{kind}: {}", help(kind));
        }
        assert!(help("heap").contains("instead of what is in use now"), "{}", help("heap"));
        assert!(!help("heap").contains("not given"), "{}", help("heap"));
    }
}
