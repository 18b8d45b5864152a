//! The output of a process, read by two threads of its own.

use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// What a process printed so far.
#[derive(Default)]
pub struct Lines {
    pub stdout: Vec<String>,
    pub stderr: Vec<String>,
    /// How many of the two streams have ended.
    closed: usize,
}

impl Lines {
    fn ended(&self) -> bool {
        self.closed == 2
    }
}

/// [`Lines`] that can be waited for.
#[derive(Default)]
pub struct Captured {
    lines: Mutex<Lines>,
    changed: Condvar,
}

impl Captured {
    /// Starts reading both streams until they end.
    pub fn read(
        stdout: Option<impl Read + Send + 'static>,
        stderr: Option<impl Read + Send + 'static>,
    ) -> Arc<Self> {
        let captured = Arc::new(Self::default());
        captured.clone().read_stream(stdout, |lines| &mut lines.stdout);
        captured.clone().read_stream(stderr, |lines| &mut lines.stderr);
        captured
    }

    fn read_stream(
        self: Arc<Self>,
        stream: Option<impl Read + Send + 'static>,
        into: fn(&mut Lines) -> &mut Vec<String>,
    ) {
        thread::spawn(move || {
            let mut reader = stream.map(BufReader::new);
            while let Some(line) = reader.as_mut().and_then(next_line) {
                into(&mut self.lines()).push(line);
                self.changed.notify_all();
            }
            self.lines().closed += 1;
            self.changed.notify_all();
        });
    }

    /// The lines, which stay the same while the guard lives.
    pub fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether both streams have ended.
    pub fn ended(&self) -> bool {
        self.lines().ended()
    }

    /// Waits until `find` finds something; gives up at the timeout or when both streams have ended.
    pub fn wait(&self, timeout: Duration, find: impl Fn(&Lines) -> Option<&str>) -> Option<String> {
        let deadline = Instant::now() + timeout;
        let mut lines = self.lines();
        loop {
            if let Some(found) = find(&lines) {
                return Some(found.to_owned());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if lines.ended() || left.is_zero() {
                return None;
            }
            let waited = self.changed.wait_timeout(lines, left);
            lines = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until both streams have ended. A grandchild may hold them open: hence the timeout.
    pub fn wait_closed(&self, timeout: Duration) {
        self.wait(timeout, |_| None);
    }
}

/// The next line without its end; bytes that are not UTF-8 are replaced.
fn next_line(reader: &mut impl BufRead) -> Option<String> {
    let mut line = Vec::new();
    match reader.read_until(b'\n', &mut line) {
        Ok(0) | Err(_) => None,
        Ok(_) => Some(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned()),
    }
}

impl fmt::Display for Captured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.lines();
        for line in lines.stdout.iter().chain(&lines.stderr) {
            writeln!(f, "  {line}")?;
        }
        Ok(())
    }
}
