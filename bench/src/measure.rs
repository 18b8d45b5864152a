//! CPU time and memory of another process.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::time::ClockId;
use nix::unistd::Pid;

/// CPU seconds, user and system, of all threads so far, also of those that have ended.
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64> {
    let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(pid.try_into()?))?;
    let time = clock.now().context("the process ended")?;
    Ok(Duration::from(time).as_secs_f64())
}

/// Largest resident set so far, in megabytes.
pub(crate) fn peak_rss_mb(pid: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).context("VmHWM")?;
    let kib: f64 = line.split_ascii_whitespace().next().context("VmHWM")?.parse()?;
    Ok(kib / 1024.0)
}

/// Resident set now, in kilobytes.
pub(crate) fn rss_kb(pid: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).context("VmRSS")?;
    Ok(line.split_ascii_whitespace().next().context("VmRSS")?.parse()?)
}
