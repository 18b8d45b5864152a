//! What the database servers have in common: a folder, a port, and a user other than root.

use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::process::Running;

/// Another process can take a port between our choice and the server's start.
const ATTEMPTS: usize = 3;

/// How long a server may take to start.
const STARTING: Duration = Duration::from_secs(60);

/// How long a server may take to end before its process group is killed. PostgreSQL leaves a little
/// shared memory behind when it is killed.
const GRACE: Duration = Duration::from_secs(20);

/// The user and the group `nobody`. Most database servers refuse to run as root.
const NOBODY: u32 = 65534;

/// A temporary folder that the server owns.
#[derive(Debug)]
pub(crate) struct Home {
    folder: TempDir,
    root: bool,
}

impl Home {
    pub(crate) fn create(prefix: &str) -> Result<Self> {
        let folder = TempDir::with_prefix(prefix).context("create a folder")?;
        // SAFETY: geteuid has no memory effects and cannot fail.
        let root = unsafe { libc::geteuid() } == 0;
        if root {
            chown(folder.path(), Some(NOBODY), Some(NOBODY))
                .with_context(|| format!("give {} to nobody", folder.path().display()))?;
        }
        Ok(Self { folder, root })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A command in the folder: with a process group of its own, as nobody if we are root, and with
    /// nothing of the caller's environment, which can name another server.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.path()).process_group(0);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C");
        if self.root {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, command: &mut Command) -> Result<()> {
        let name = command.get_program().to_string_lossy().into_owned();
        let output = command.stdin(Stdio::null()).output();
        let output = output.with_context(|| format!("start {name}"))?;
        ensure!(
            output.status.success(),
            "{name} failed ({}): {}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr).trim_end()
        );
        Ok(())
    }
}

/// A running server, which is ended and whose folder is removed when this value is dropped.
#[derive(Debug)]
pub(crate) struct Daemon {
    // The order matters: the server ends before its folder is removed.
    _server: Server,
    _home: Home,
    port: u16,
}

impl Daemon {
    /// Starts what `command` makes for a port, and waits for the line on standard error that says
    /// that it is `ready`. The signal `quit` ends it at once, and it ends all that it started.
    pub(crate) fn start(
        home: Home,
        ready: &str,
        quit: i32,
        command: impl Fn(&Home, u16) -> Command,
    ) -> Result<Self> {
        let mut attempt = 1;
        loop {
            let port = free_port()?;
            let server = Server { process: Running::spawn(command(&home, port))?, quit };
            match server.process.wait_for_error(ready, STARTING) {
                Ok(_) => return Ok(Self { _server: server, _home: home, port }),
                Err(_) if attempt < ATTEMPTS => attempt += 1,
                Err(error) => return Err(error),
            }
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

/// The process, and how it is ended.
#[derive(Debug)]
struct Server {
    process: Running,
    quit: i32,
}

impl Drop for Server {
    fn drop(&mut self) {
        // This fails only for a process that has ended already.
        self.process.signal(self.quit).ok();
        if self.process.wait(GRACE).is_err() {
            let group = self.process.pid().cast_signed();
            // SAFETY: kill has no memory effects; its leader is not reaped, so the group is ours.
            unsafe { libc::kill(-group, libc::SIGKILL) };
        }
    }
}

/// A port that is free at this moment.
pub(crate) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("find a free port")?;
    Ok(listener.local_addr().context("find a free port")?.port())
}
