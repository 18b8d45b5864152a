//! What this process itself uses, CPU time and memory, and the CPU time of others.

use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

/// What this process has used so far, all its threads together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// CPU time in user mode and in the kernel; `None` if it can't be read.
    pub cpu: Option<(Duration, Duration)>,
    /// Bytes of memory that are resident; `None` if that can't be read.
    pub resident_bytes: Option<u64>,
}

/// What this process has used so far.
pub fn own_usage() -> Usage {
    let cpu = getrusage(UsageWho::RUSAGE_SELF).ok();
    let cpu = cpu.map(|usage| (duration(usage.user_time()), duration(usage.system_time())));
    Usage { cpu, resident_bytes: resident() }
}

/// The CPU time that a process has used, all its threads together; `None` if it can't be read.
pub fn cpu_time(pid: u32) -> Option<Duration> {
    let clock = clock_getcpuclockid(Pid::from_raw(i32::try_from(pid).ok()?)).ok()?;
    Some(clock_gettime(clock).ok()?.into())
}

fn duration(time: TimeVal) -> Duration {
    let part = |n: i64| u64::try_from(n).unwrap_or(0);
    Duration::from_secs(part(time.tv_sec())) + Duration::from_micros(part(time.tv_usec()))
}

fn resident() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_something() {
        let usage = own_usage();
        assert!(usage.resident_bytes.is_some_and(|bytes| bytes > 100_000), "{usage:?}");
        let before = usage.cpu.map(|(user, system)| user + system);
        let clock = cpu_time(std::process::id());
        assert_eq!(cpu_time(u32::MAX), None);
        let start = std::time::Instant::now();
        while start.elapsed() < Duration::from_millis(30) {}
        let after = own_usage().cpu.map(|(user, system)| user + system);
        assert!(before.is_some() && after > before, "{before:?} {after:?}");
        assert!(clock.is_some() && cpu_time(std::process::id()) > clock, "{clock:?}");
    }
}
