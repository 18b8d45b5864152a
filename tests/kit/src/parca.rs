//! A real Parca that keeps its profiles in memory.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::daemon::free_port;
use crate::go::{self, Mode, Version};
use crate::process::Running;
use crate::setup;

/// How long Parca may take to start.
const STARTING: Duration = Duration::from_secs(60);

/// A running Parca; dropping it ends the process and removes its files.
#[derive(Debug)]
pub struct Parca {
    // The order matters: the process ends before its folder is removed.
    _process: Running,
    _folder: TempDir,
    address: String,
}

impl Parca {
    /// Starts one. It is built first, which takes minutes.
    pub fn start() -> Result<Self> {
        let program: PathBuf = setup(&["parca"])?;
        let folder = TempDir::with_prefix("gotap-parca-").context("create a folder")?;
        let (config, data) = (folder.path().join("parca.yaml"), folder.path().join("data"));
        let text = format!(
            "object_storage: {{bucket: {{type: FILESYSTEM, config: {{directory: \"{}\"}}}}}}\n",
            data.display()
        );
        std::fs::write(&config, text).with_context(|| format!("write {}", config.display()))?;
        let address = format!("127.0.0.1:{}", free_port()?);
        let arguments = [
            format!("--config-path={}", config.display()),
            format!("--http-address={address}"),
            format!("--storage-path={}", data.display()),
        ];
        let process = Running::start(&program, &arguments, &[])?;
        process.wait_for_error("starting server", STARTING)?;
        Ok(Self { _process: process, _folder: folder, address })
    }

    /// Where it takes profiles by gRPC.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What its query API says of a selector: an object with `types`, `labels` and `functions`.
    pub fn query(&self, selector: &str) -> Result<Value> {
        let program = go::build("profilesink/cmd/parcaquery", Version::NEWEST, Mode::Plain)?;
        let output = Command::new(program).args([&self.address, selector]).output();
        let output = output.context("ask Parca")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "Parca says: {said}");
        serde_json::from_slice(&output.stdout).context("what parcaquery prints")
    }
}
