//! A real Prometheus that scrapes one target, and promtool, which checks what it would scrape.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::daemon::free_port;
use crate::process::Running;
use crate::{http, setup};

/// How long Prometheus may take to start.
const STARTING: Duration = Duration::from_secs(60);
/// Another process can take a port between our choice and the server's start.
const ATTEMPTS: usize = 3;

/// A running Prometheus; dropping it ends the process and removes its files.
#[derive(Debug)]
pub struct Prometheus {
    // The order matters: the process ends before its folder is removed.
    process: Running,
    _folder: TempDir,
    address: String,
}

impl Prometheus {
    /// Starts one that scrapes `/metrics` of `target`, such as `127.0.0.1:9464`, twice a second.
    pub fn start(target: &str) -> Result<Self> {
        Self::start_with(target, &[])
    }

    /// The same, with more arguments.
    pub fn start_with(target: &str, more: &[&str]) -> Result<Self> {
        let text = format!(
            "global: {{scrape_interval: 500ms}}\n\
             scrape_configs:\n- job_name: gotap\n  static_configs: [{{targets: ['{target}']}}]\n"
        );
        Self::start_config(&text, &[], more)
    }

    /// Starts one with this configuration, files that stand beside it as names and texts, and more arguments.
    pub fn start_config(text: &str, files: &[(&str, String)], more: &[&str]) -> Result<Self> {
        let program = programs()?.join("prometheus");
        let folder = TempDir::with_prefix("gotap-prometheus-").context("create a folder")?;
        let config = folder.path().join("prometheus.yml");
        for (name, text) in files
            .iter()
            .map(|(name, text)| (*name, text.as_str()))
            .chain([("prometheus.yml", text)])
        {
            let path = folder.path().join(name);
            std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        }
        let mut attempt = 1;
        loop {
            let address = format!("127.0.0.1:{}", free_port()?);
            let mut arguments = vec![
                format!("--config.file={}", config.display()),
                format!("--storage.tsdb.path={}", folder.path().join("data").display()),
                format!("--web.listen-address={address}"),
            ];
            arguments.extend(more.iter().map(|one| (*one).to_owned()));
            let process = Running::start(&program, &arguments, &[])?;
            match process.wait_for_error("Server is ready to receive web requests", STARTING) {
                Ok(_) => return Ok(Self { process, _folder: folder, address }),
                Err(_) if attempt < ATTEMPTS => attempt += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The samples that an instant query gives: objects with `metric` and `value`.
    pub fn query(&self, expression: &str) -> Result<Vec<Value>> {
        let mut query = String::new();
        for byte in expression.bytes() {
            query.push_str(&format!("%{byte:02X}"));
        }
        let data = self.api(&format!("/api/v1/query?query={query}"));
        let answer = data.with_context(|| format!("query {expression}"))?;
        Ok(answer["result"].as_array().cloned().unwrap_or_default())
    }

    /// What an address of its API answers, such as `/api/v1/rules`.
    pub fn api(&self, path: &str) -> Result<Value> {
        let response = http::get(&self.address, path, &[])?;
        let answer: Value =
            serde_json::from_str(&response.text()).context("Prometheus's answer")?;
        ensure!(answer["status"] == "success", "{path}: {answer}");
        Ok(answer["data"].clone())
    }

    /// The value of a query that gives one sample; `None` if it gives none.
    pub fn value(&self, expression: &str) -> Result<Option<f64>> {
        let samples = self.query(expression)?;
        ensure!(samples.len() < 2, "{expression}: {samples:?}");
        let Some(sample) = samples.first() else { return Ok(None) };
        let value = sample["value"][1].as_str().context("a value")?;
        Ok(Some(value.parse().context("a number")?))
    }
}

/// Lets `promtool check metrics` look at metrics in the classic format: it must have nothing to say.
pub fn check(text: &str) -> Result<()> {
    let mut child = Command::new(programs()?.join("promtool"))
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("start promtool")?;
    let mut stdin = child.stdin.take().context("promtool's input")?;
    stdin.write_all(text.as_bytes()).context("write to promtool")?;
    drop(stdin);
    let output = child.wait_with_output().context("wait for promtool")?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    ensure!(output.status.success() && said.trim().is_empty(), "promtool: {said}");
    Ok(())
}

/// Runs promtool with these arguments; what it said. An error if it finds one.
pub fn promtool(arguments: &[&str]) -> Result<String> {
    let output =
        Command::new(programs()?.join("promtool")).args(arguments).stdin(Stdio::null()).output();
    let output = output.context("run promtool")?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    ensure!(output.status.success(), "promtool {}: {said}", arguments.join(" "));
    Ok(said)
}

fn programs() -> Result<PathBuf> {
    setup(&["prometheus"])
}
