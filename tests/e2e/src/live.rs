//! A command of gotap that prints events of the host, a JSON object a line, and a summary at the end.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{Gotap, SOON, eventually};

/// The command, which is killed when this value is dropped.
#[derive(Debug)]
pub struct Live {
    /// The command.
    pub gotap: Gotap,
}

impl Live {
    /// Starts it with these arguments and `--format json`; is back when it sees events.
    pub fn start(arguments: &[&str]) -> Result<Self> {
        let gotap = Gotap::start(&[arguments, &["--format", "json"]].concat(), &[])?;
        gotap.wait_ready()?;
        Ok(Self { gotap })
    }

    /// All lines so far.
    pub fn lines(&self) -> Result<Vec<Value>> {
        let lines = self.gotap.process.stdout();
        lines.iter().map(|line| serde_json::from_str(line).context("a line of JSON")).collect()
    }

    /// Waits until as many lines fulfil a condition.
    pub fn wait_for(&self, count: usize, wanted: impl Fn(&Value) -> bool) -> Result<()> {
        let there = || self.lines().is_ok_and(|l| l.iter().filter(|v| wanted(v)).count() >= count);
        ensure!(eventually(SOON, there), "{:#?}", self.gotap.process.stdout());
        Ok(())
    }

    /// Sends SIGINT; gives all events and the summary.
    pub fn finish(mut self) -> Result<(Vec<Value>, Value)> {
        self.gotap.process.signal(libc::SIGINT)?;
        let status = self.gotap.process.wait(SOON)?;
        ensure!(status.success(), "{:?}", self.gotap.process.stderr());
        let mut lines = self.lines()?;
        let mut last = lines.pop().context("a summary")?;
        ensure!(last["summary"].is_object(), "{last}");
        Ok((lines, last["summary"].take()))
    }
}

/// That a summary names no loss.
pub fn nothing_lost(summary: &Value) -> Result<()> {
    let lost = summary["lost"].as_object().context("what was lost")?;
    ensure!(!lost.is_empty() && lost.values().all(|n| n == 0), "{summary}");
    Ok(())
}
