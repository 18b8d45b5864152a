//! CPU time and memory of another process, from `/proc`.

use std::fs;

use anyhow::{Context, Result};

/// CPU seconds, user and system, of all threads so far.
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("the process ended")?;
    let fields: Vec<&str> =
        stat.rsplit_once(')').context("stat")?.1.split_ascii_whitespace().collect();
    let ticks = |i: usize| -> Result<f64> { Ok(fields.get(i).context("stat")?.parse()?) };
    // USER_HZ is 100 on every supported architecture.
    Ok((ticks(11)? + ticks(12)?) / 100.0)
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
