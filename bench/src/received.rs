//! The back end in a process of its own, as a round asks it what it got. Not here: that process (`sink`).

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// The back end in a process of its own.
pub(crate) struct Sink {
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
    pub(crate) endpoint: String,
}

impl Sink {
    pub(crate) fn start(bench: &PathBuf) -> Result<Self> {
        let mut child =
            Command::new(bench).arg("sink").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let ask = child.stdin.take().context("sink")?;
        let mut answers = BufReader::new(child.stdout.take().context("sink")?);
        let mut line = String::new();
        answers.read_line(&mut line)?;
        let endpoint = line.trim().strip_prefix("endpoint ").context("sink")?.to_owned();
        Ok(Self { child, ask, answers, endpoint })
    }

    fn count(&mut self) -> Result<u64> {
        writeln!(self.ask)?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        Ok(line.trim().strip_prefix("count ").context("sink")?.parse()?)
    }

    /// The count once `expected` arrived, or after two seconds.
    pub(crate) fn settled(&mut self, expected: u64) -> Result<u64> {
        let end = Instant::now() + Duration::from_secs(2);
        loop {
            let count = self.count()?;
            if count >= expected || Instant::now() > end {
                return Ok(count);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        // It may have ended with its input already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
