//! The gotap command as somebody without rights runs it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result};
use tempfile::TempDir;

use gotap_testkit::process::Running;

use crate::{Gotap, binary, skip};

/// Nobody, without any capability.
pub const NOBODY: [&str; 5] =
    ["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"];

/// A copy of gotap that everybody may run.
#[derive(Debug)]
pub struct Unprivileged {
    _folder: TempDir,
    program: PathBuf,
}

impl Unprivileged {
    /// Copies it; `None`, with a line that says so, where there is no setpriv.
    pub fn new(test: &str) -> Result<Option<Self>> {
        if Command::new("setpriv").arg("--version").output().is_err() {
            skip(test, "there is no setpriv");
            return Ok(None);
        }
        let folder = TempDir::new().context("create a folder")?;
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        let program = folder.path().join("gotap");
        fs::copy(binary(), &program).context("copy gotap")?;
        Ok(Some(Self { _folder: folder, program }))
    }

    /// Starts it with these flags of setpriv, and waits for nothing.
    pub fn start(&self, user: &[String], arguments: &[&str]) -> Result<Gotap> {
        let program = self.program.to_string_lossy();
        let mut all: Vec<&str> = user.iter().map(String::as_str).collect();
        all.push(&program);
        all.extend(arguments);
        Ok(Gotap::of(Running::start(Path::new("/usr/bin/setpriv"), &all, &[])?))
    }

    /// Runs it with these flags of setpriv, such as [`NOBODY`].
    pub fn run(&self, user: &[impl AsRef<OsStr>], arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new("setpriv");
        command.args(user).arg(&self.program).args(arguments).current_dir("/");
        command.stdin(Stdio::null()).output().context("run setpriv")
    }
}
