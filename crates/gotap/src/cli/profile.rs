//! The arguments of `gotap profile`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::Format;
use crate::profile::OutputFile;

/// What is profiled.
#[derive(Debug, Subcommand)]
pub(crate) enum ProfileCommand {
    /// Where the process uses its processors, sampled by a clock
    Cpu(CpuArgs),
}

impl ProfileCommand {
    /// What all kinds have in common.
    pub(crate) fn args(&self) -> &ProfileArgs {
        match self {
            Self::Cpu(args) => &args.profile,
        }
    }
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ProfileArgs {
    /// Process id
    #[arg(value_name = "PID")]
    pub(crate) pid: u32,
    /// For how long; SIGINT ends it early
    #[arg(short, long, value_name = "DURATION", default_value = "10s", value_parser = humantime::parse_duration)]
    pub(crate) duration: Duration,
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

/// Each sample is the stack of a thread that runs, in the kernel, in C code and in Go. The program needs
/// neither net/http/pprof nor symbols; it is not stopped, and nothing is written into its memory.
#[derive(Debug, Clone, Args)]
pub(crate) struct CpuArgs {
    #[command(flatten)]
    pub(crate) profile: ProfileArgs,
    /// Samples in each second of a processor
    #[arg(short = 'F', long, value_name = "HZ", default_value_t = 99, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub(crate) frequency: u64,
}
