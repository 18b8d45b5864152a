//! The command line of what looks at the whole host.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::Format;

/// Each program that any process of the host runs, and each process that ends. Values of arguments whose
/// names say that they are secret are masked.
#[derive(Debug, Clone, Args)]
pub(crate) struct ExecArgs {
    /// How long to trace; until stopped when it is not given
    #[arg(short, long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(crate) duration: Option<Duration>,
    /// How to print: text, or JSON with one event a line and the summary last
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
    /// Only this process and its descendants; may be repeated
    #[arg(long = "pid", value_name = "PID")]
    pub(crate) pids: Vec<u32>,
    /// Only programs with this file name or path, or processes with this name, with * and ?; may be
    /// repeated
    #[arg(long = "name", value_name = "GLOB")]
    pub(crate) names: Vec<String>,
    /// Only processes of this user, by number; may be repeated
    #[arg(long = "uid", value_name = "UID")]
    pub(crate) uids: Vec<u32>,
    /// Mask values of options and variables whose names contain this, too; may be repeated
    #[arg(long = "mask", value_name = "NAME")]
    pub(crate) masks: Vec<String>,
    /// Mask what this regular expression matches, too; may be repeated
    #[arg(long = "mask-regex", value_name = "REGEX")]
    pub(crate) mask_patterns: Vec<String>,
    /// Size of the buffer between kernel and gotap: what does not fit is lost, and counted
    #[arg(long, value_name = "SIZE", default_value = "16MiB", value_parser = buffer)]
    pub(crate) buffer: u32,
    /// Mask nothing: secrets are printed
    #[arg(long, conflicts_with_all = ["masks", "mask_patterns"])]
    pub(crate) no_mask: bool,
}

/// Connections that any process of the host makes, accepts and closes, and those that fail. To know at
/// once which process accepts, the end of each system call of the host is looked at, which costs each a little.
#[derive(Debug, Clone, Args)]
pub(crate) struct TcpArgs {
    /// How long to trace; until stopped when it is not given
    #[arg(short, long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(crate) duration: Option<Duration>,
    /// How to print: text, or JSON with one event a line and the summary last
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
    /// Only connections of this process; may be repeated
    #[arg(long = "pid", value_name = "PID")]
    pub(crate) pids: Vec<u32>,
    /// Only connections of processes or services with this name, with * and ?; may be repeated
    #[arg(long = "name", alias = "service", value_name = "GLOB")]
    pub(crate) names: Vec<String>,
    /// Only connections with this port at either end; may be repeated
    #[arg(long = "port", value_name = "PORT")]
    pub(crate) ports: Vec<u16>,
    /// Print each segment that is sent again, too
    #[arg(long)]
    pub(crate) retransmits: bool,
    /// Leave system calls alone: who accepted a connection is known when it is closed, and not why a
    /// connection failed before anything was sent
    #[arg(long)]
    pub(crate) no_syscalls: bool,
    /// How many open connections to remember: of others the beginning and the process are not known
    #[arg(long, value_name = "N", default_value_t = 65_536, value_parser = clap::value_parser!(u32).range(1..=4_194_304))]
    pub(crate) connections: u32,
    /// Size of the buffer between kernel and gotap: what does not fit is lost, and counted
    #[arg(long, value_name = "SIZE", default_value = "8MiB", value_parser = buffer)]
    pub(crate) buffer: u32,
}

/// Packets are counted where they pass, and go on as they are. Nothing of gotap's stays at the interfaces,
/// also when it is killed.
#[derive(Debug, Clone, Args)]
pub(crate) struct FlowsArgs {
    /// Interface to look at, such as eth0; may be repeated; all that are up when it is not given
    #[arg(short, long = "interface", value_name = "IF")]
    pub(crate) interfaces: Vec<String>,
    /// How long to count; until stopped when it is not given
    #[arg(short, long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(crate) duration: Option<Duration>,
    /// How to print: text, or JSON with one flow a line and the summary last
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
    /// How many flows to show as text
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) top: usize,
    /// How many flows to keep: of others only the sum is known
    #[arg(long, value_name = "N", default_value_t = 65_536, value_parser = clap::value_parser!(u32).range(1..=4_194_304))]
    pub(crate) flows: u32,
    /// Count frames that come in by XDP, too: by protocol and size; in the driver, or behind it
    #[arg(long, value_name = "MODE", value_enum, num_args = 0..=1, default_missing_value = "auto", requires = "interfaces")]
    pub(crate) xdp: Option<XdpChoice>,
    /// Look at packets by a socket's filter, as on kernels before 6.6, which have no tcx
    #[arg(long)]
    pub(crate) no_tcx: bool,
}

/// Where XDP runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum XdpChoice {
    /// In the driver if it can, else behind it
    Auto,
    /// In the driver
    Native,
    /// Behind the driver, which all interfaces can
    Generic,
}

/// The size of a ring buffer: a power of two and a multiple of the page size.
fn buffer(text: &str) -> Result<u32, String> {
    let size = super::runtime::bytes(text)?;
    let fits = size.is_power_of_two() && (64 << 10..=1 << 30).contains(&size);
    let size = u32::try_from(size).ok().filter(|_| fits);
    size.ok_or_else(|| "a buffer's size is a power of two from 64KiB to 1GiB".to_owned())
}
