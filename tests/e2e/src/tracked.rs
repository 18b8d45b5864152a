//! A program whose goroutines come and go, and gotap that tracks them.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use gotap_testkit::process::Running;
use serde_json::Value;

use crate::{Gotap, SOON};

/// A poolapp, and gotap that tracks it.
#[derive(Debug)]
pub struct Tracked {
    /// The program.
    pub pool: Running,
    /// The command.
    pub gotap: Gotap,
}

impl Tracked {
    /// Starts both with these arguments; is back when gotap is attached.
    pub fn start(program: &Path, pool: &[&str], gotap: &[&str]) -> Result<Self> {
        let pool = Running::start(program, pool, &[] as &[(&str, &str)])?;
        pool.wait_for("ready", SOON)?;
        let pid = pool.pid().to_string();
        let mut arguments = vec!["trace", "goroutines", "--pid", &pid, "--format", "json"];
        arguments.extend(gotap);
        let gotap = Gotap::start(&arguments, &[])?;
        gotap.wait_ready()?;
        Ok(Self { pool, gotap })
    }

    /// Lets the workers come and go; gives the program's counts, and all lines of gotap.
    pub fn run(mut self) -> Result<(Value, Vec<Value>)> {
        self.pool.signal(libc::SIGUSR1)?;
        let counts = self.pool.wait_for("counts ", SOON)?;
        self.gotap.process.signal(libc::SIGINT)?;
        let status = self.gotap.process.wait(SOON)?;
        ensure!(status.success(), "{:?}", self.gotap.process.stderr());
        let lines = self.gotap.process.stdout();
        let lines = lines.iter().map(|line| serde_json::from_str(line).context("JSON"));
        Ok((serde_json::from_str(&counts)?, lines.collect::<Result<_>>()?))
    }
}
