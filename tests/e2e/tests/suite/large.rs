//! Programs that are large files.

use std::fs;

use anyhow::{Result, ensure};
use gotap_e2e::{App, Gotap, can_trace, memory};
use gotap_testkit::prometheus::Prometheus;

/// What is read of a file leaves memory again while the rest is read: the peak stays far below its size.
#[test]
fn a_large_file_is_read_in_little_memory() -> Result<()> {
    if !can_trace("a_large_file_is_read_in_little_memory") {
        return Ok(());
    }
    let small = App::start(&App::newest()?)?;
    let large = Prometheus::start("127.0.0.1:9")?;
    let size = fs::metadata(format!("/proc/{}/exe", large.pid()))?.len() / 1024;
    let (small, large) = (peak(small.pid())?, peak(large.pid())?);
    ensure!(
        large < small + size / 2,
        "{large} KiB for a file of {size} KiB, and {small} KiB for a small one"
    );
    Ok(())
}

/// The most memory that gotap has had, in KiB, when it is attached to this process.
fn peak(pid: u32) -> Result<u64> {
    let gotap = Gotap::trace_pid(pid)?;
    let peak = memory(gotap.process.pid(), "VmHWM")?;
    gotap.stop()?;
    Ok(peak)
}
