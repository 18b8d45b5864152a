//! Running the command under test.

use std::process::ExitStatus;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use gotap_testkit::process::Running;

use crate::recorded::Recording;
use crate::{SOON, Span, Summary, binary};

/// How long gotap may take to end. It promises about a second; a busy machine gets more.
const PATIENCE: Duration = SOON;

/// How long the kernel may take to verify the programs: seconds, but for emulated busy machines.
pub const LOADING: Duration = Duration::from_secs(180);

/// Between a client's getting the response and the printing of the last span.
const SETTLE: Duration = Duration::from_millis(150);

/// A running gotap, which is killed when this value is dropped.
#[derive(Debug)]
pub struct Gotap {
    /// The process.
    pub process: Running,
    /// What it records, if it does.
    recording: Option<Recording>,
}

/// A gotap that has ended.
#[derive(Debug)]
pub struct Ended {
    /// All spans that it printed.
    pub spans: Vec<Span>,
    /// Its counts.
    pub summary: Summary,
    /// How it ended.
    pub status: ExitStatus,
    /// How long that took from the signal on.
    pub took: Duration,
    /// All that it said.
    pub stderr: Vec<String>,
}

impl Gotap {
    /// Starts the command with these arguments and variables, and waits for nothing.
    pub fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Self> {
        Ok(Self::of(Running::start(binary(), arguments, environment)?))
    }

    /// One that was started in another way.
    pub fn of(process: Running) -> Self {
        Self { process, recording: None }
    }

    /// Traces HTTP as JSON, with this selection; is back when it is attached to what runs.
    pub fn trace(selection: &[&str]) -> Result<Self> {
        Self::trace_what("http", selection)
    }

    /// The same for another sort of operation, or `all`.
    pub fn trace_what(what: &str, selection: &[&str]) -> Result<Self> {
        let mut arguments = vec!["trace", what, "--format", "json"];
        arguments.extend(selection);
        let recording = Recording::wanted()?;
        let option = recording.as_ref().map(Recording::option);
        arguments.extend(option.as_deref());
        let gotap = Self { recording, ..Self::start(&arguments, &[])? };
        gotap.wait_ready()?;
        Ok(gotap)
    }

    /// Traces one process.
    pub fn trace_pid(pid: u32) -> Result<Self> {
        Self::trace(&["--pid", &pid.to_string()])
    }

    /// Waits until it is attached to what runs.
    pub fn wait_ready(&self) -> Result<()> {
        self.process.wait_for_error("gotap: ready", LOADING).map(drop)
    }

    /// The spans printed so far.
    pub fn spans(&self) -> Result<Vec<Span>> {
        self.process.stdout().iter().map(|line| Span::parse(line)).collect()
    }

    /// Waits until at least `n` spans are printed, and a moment longer for what should not come.
    pub fn wait_for_spans(&self, n: usize) -> Result<Vec<Span>> {
        self.wait_for_lines(n)?;
        std::thread::sleep(SETTLE);
        self.spans()
    }

    /// Waits until at least `n` spans are printed.
    pub fn wait_for_lines(&self, n: usize) -> Result<()> {
        let deadline = Instant::now() + SOON;
        loop {
            let printed = self.process.printed();
            if printed >= n {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let spans = Span::list(&self.spans()?);
                let said = self.process.stderr().join("\n");
                bail!("only {printed} spans of {n} after {SOON:?}:\n{spans}\n{said}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits for `n` spans, stops gotap and gives exactly those, in the order of their traces: more
    /// is an error, and so is anything that was dropped or could not be read.
    pub fn finish(self, n: usize) -> Result<Vec<Span>> {
        self.wait_for_spans(n)?;
        let ended = self.stop()?;
        let mut spans = ended.spans;
        Span::sort_by_trace(&mut spans);
        let list = Span::list(&spans);
        ensure!(spans.len() == n, "{} spans instead of {n}:\n{list}", spans.len());
        ensure!(ended.summary.spans == n as u64, "{:?}", ended.summary);
        ensure!(ended.summary.dropped.is_empty(), "dropped: {:?}", ended.summary.dropped);
        ensure!(ended.status.success(), "it ended with {}", ended.status);
        Ok(spans)
    }

    /// The spans that are new after `request`. There must be this number.
    pub fn spans_of(&self, n: usize, request: impl FnOnce() -> Result<()>) -> Result<Vec<Span>> {
        let before = self.process.printed();
        request()?;
        let spans = self.wait_for_spans(before + n)?.split_off(before);
        ensure!(spans.len() == n, "{} spans instead of {n}:\n{}", spans.len(), Span::list(&spans));
        Ok(spans)
    }

    /// Stops it, after a test that has waited for all spans: no more may come, and nothing may be lost.
    pub fn end(self) -> Result<()> {
        let waited_for = self.process.printed();
        self.finish(waited_for).map(drop)
    }

    /// Sends SIGINT and waits for the end.
    pub fn stop(mut self) -> Result<Ended> {
        let asked = Instant::now();
        self.process.signal(libc::SIGINT)?;
        let status = self.process.wait(PATIENCE)?;
        let took = asked.elapsed();
        self.ended(status, took)
    }

    /// Waits until it ends by itself.
    pub fn wait(mut self) -> Result<Ended> {
        let asked = Instant::now();
        let status = self.process.wait(SOON)?;
        let took = asked.elapsed();
        self.ended(status, took)
    }

    fn ended(&self, status: ExitStatus, took: Duration) -> Result<Ended> {
        if let Some(recording) = &self.recording {
            recording.keep(&self.process.stdout())?;
        }
        let stderr = self.process.stderr();
        let summary = Summary::find(&stderr)?;
        let spans = self.spans()?;
        Ok(Ended { spans, summary, status, took, stderr })
    }
}
