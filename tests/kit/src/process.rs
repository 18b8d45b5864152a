//! Running a program and reading what it prints, without ever blocking on a pipe.

mod captured;

use std::ffi::OsStr;
use std::fmt;
use std::io::ErrorKind;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use captured::Captured;

/// How long [`Running::stop`] waits between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(10);

/// A process that is killed when this value is dropped. Its output is read in the background.
pub struct Running {
    name: String,
    child: Child,
    output: Arc<Captured>,
}

impl Running {
    /// Starts a program with these arguments, and these variables added to the environment.
    pub fn start<A: AsRef<OsStr>>(
        program: &Path,
        arguments: &[A],
        environment: &[(&str, &str)],
    ) -> Result<Self> {
        let mut command = Command::new(program);
        command.args(arguments).envs(environment.iter().copied());
        Self::spawn(command)
    }

    /// Starts a command that was prepared by the caller; its standard streams are set here.
    pub fn spawn(mut command: Command) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = spawned(&mut command).with_context(|| format!("start {name}"))?;
        let output = Captured::read(child.stdout.take(), child.stderr.take());
        Ok(Self { name, child, output })
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line on standard output that starts with `prefix`, and returns the rest of it.
    /// Lines printed before the call count, too.
    pub fn wait_for(&self, prefix: &str, timeout: Duration) -> Result<String> {
        self.output
            .wait(timeout, |lines| lines.stdout.iter().find_map(|line| line.strip_prefix(prefix)))
            .with_context(|| self.missed(&format!("the line \"{prefix}...\""), timeout))
    }

    /// Waits for a line on standard error that contains `text`, and returns that line.
    pub fn wait_for_error(&self, text: &str, timeout: Duration) -> Result<String> {
        self.output
            .wait(timeout, |lines| {
                lines.stderr.iter().map(String::as_str).find(|line| line.contains(text))
            })
            .with_context(|| self.missed(&format!("\"{text}\" on standard error"), timeout))
    }

    fn missed(&self, what: &str, timeout: Duration) -> String {
        let name = &self.name;
        if self.output.ended() {
            format!("{name} ended without printing {what}; it printed:\n{}", self.output)
        } else {
            format!("{name} did not print {what} in {timeout:?}; it printed:\n{}", self.output)
        }
    }

    /// The lines of standard output so far.
    pub fn stdout(&self) -> Vec<String> {
        self.output.lines().stdout.clone()
    }

    /// How many lines standard output has so far.
    pub fn printed(&self) -> usize {
        self.output.lines().stdout.len()
    }

    /// Whether one of the lines of standard output contains this; the newest are looked at first.
    pub fn has_printed(&self, text: &str) -> bool {
        self.output.lines().stdout.iter().rev().any(|line| line.contains(text))
    }

    /// The lines of standard error so far.
    pub fn stderr(&self) -> Vec<String> {
        self.output.lines().stderr.clone()
    }

    /// Waits until the process has ended by itself; all its output is read then.
    pub fn wait(&mut self, timeout: Duration) -> Result<ExitStatus> {
        match self.ended_within(timeout)? {
            Some(status) => Ok(status),
            None => bail!("{} still runs after {timeout:?}", self.name),
        }
    }

    /// Sends SIGTERM, after ten seconds SIGKILL, and returns how the process ended.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        self.signal(libc::SIGTERM)?;
        if let Some(status) = self.ended_within(GRACE)? {
            return Ok(status);
        }
        self.child.kill().with_context(|| format!("kill {}", self.name))?;
        self.child.wait().with_context(|| format!("wait for {}", self.name))
    }

    /// Sends a signal, unless the process was seen to end already.
    pub fn signal(&mut self, signal: i32) -> Result<()> {
        if self.child.try_wait().with_context(|| format!("wait for {}", self.name))?.is_some() {
            return Ok(());
        }
        // SAFETY: kill has no memory effects; the child is not reaped, so the id is still its own.
        let result = unsafe { libc::kill(self.child.id().cast_signed(), signal) };
        if result != 0 {
            let error = std::io::Error::last_os_error();
            return Err(error).with_context(|| format!("send signal {signal} to {}", self.name));
        }
        Ok(())
    }

    fn ended_within(&mut self, timeout: Duration) -> Result<Option<ExitStatus>> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(status) =
                self.child.try_wait().with_context(|| format!("wait for {}", self.name))?
            {
                self.output.wait_closed(GRACE);
                return Ok(Some(status));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A program that was just written may still be open for writing in a child that another thread has forked and that has
/// not come to its own program.
fn spawned(command: &mut Command) -> std::io::Result<Child> {
    heed_signals(command);
    let until = Instant::now() + Duration::from_secs(5);
    loop {
        match command.spawn() {
            Err(e) if e.kind() == ErrorKind::ExecutableFileBusy && Instant::now() < until => {
                thread::sleep(Duration::from_millis(10));
            }
            other => return other,
        }
    }
}

/// Lets a program end at the signals by which tests end it, also where the tests run in the background of a shell, or by
/// `nohup`: what they ignore then, it would ignore, too.
pub fn heed_signals(command: &mut Command) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let set = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let set = set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).unwrap_or_default();
    for signal in [libc::SIGINT, libc::SIGHUP] {
        if set & (1 << (signal - 1)) != 0 {
            let heed = move || {
                // SAFETY: a call that may be made after fork; no code is set to run.
                unsafe { libc::signal(signal, libc::SIG_DFL) };
                Ok(())
            };
            // SAFETY: it makes that call alone.
            unsafe { command.pre_exec(heed) };
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only for a process that has ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (pid {})", self.name, self.pid())
    }
}

/// Whether a process ended by this signal.
pub fn ended_by(status: ExitStatus, signal: i32) -> bool {
    status.signal() == Some(signal)
}
