//! Runs in the machine. As its first process it prepares the system ([`init`]), starts itself again
//! for the scenarios ([`scenarios`]), so that it outlives their failures, and switches the machine
//! off. What was wrong is said on the console, the result on the report's serial port.

mod calls;
mod clock;
mod collections;
mod databases;
mod goroutines;
mod host;
mod http1;
mod init;
mod logs;
mod profile;
mod scenarios;
mod tls;

use std::fs::OpenOptions;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use gotap_kernel_tests::{GOTAP, REPORT_PORT};

fn main() -> ExitCode {
    if std::process::id() != 1 {
        return scenarios::run_all();
    }
    if let Err(error) = prepare_and_test() {
        println!("init: {error:#}");
    }
    init::power_off()
}

fn prepare_and_test() -> Result<()> {
    init::mount_all()?;
    init::loopback_up()?;
    let port = OpenOptions::new().write(true).open(REPORT_PORT);
    let port = port.with_context(|| format!("open {REPORT_PORT}"))?;
    let status = Command::new("/proc/self/exe")
        .env("GOTAP_BINARY", GOTAP)
        .env("RUST_BACKTRACE", "0")
        .stdout(port.try_clone().context("share the report's port")?)
        .status()
        .context("start the scenarios")?;
    // What waits in the port's buffer would be lost with the machine.
    init::drain(&port);
    ensure!(status.success(), "the scenarios ended with {status}");
    Ok(())
}
