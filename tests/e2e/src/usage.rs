//! What a process uses, as `/proc` says it.

use std::fs;

use anyhow::{Context, Result};

/// A field of `/proc/PID/status` that is memory, such as `VmRSS`, or `VmHWM` for the peak; in KiB.
pub fn memory(pid: u32, field: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("read its status")?;
    let value = |line: &str| Some(line.strip_prefix(field)?.strip_prefix(':')?.to_owned());
    let value = status.lines().find_map(value).with_context(|| field.to_owned())?;
    value.trim().trim_end_matches(" kB").parse().with_context(|| field.to_owned())
}

/// Resident memory in KiB, and open files.
pub fn usage(pid: u32) -> Result<(u64, usize)> {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).context("list its files")?.count();
    Ok((memory(pid, "VmRSS")?, files))
}
