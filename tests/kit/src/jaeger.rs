//! A real Jaeger that keeps its traces in memory, or where it is told to.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use tempfile::TempDir;

use crate::daemon::free_port;
use crate::process::Running;
use crate::{http, setup};

/// How long Jaeger may take to start.
const STARTING: Duration = Duration::from_secs(60);

/// What it listens to and where it keeps what it gets.
const CONFIG: &str = "
service:
  extensions: [jaeger_storage, jaeger_query]
  pipelines:
    traces: {receivers: [otlp], exporters: [jaeger_storage_exporter]}
  telemetry: {metrics: {level: none}}
extensions:
  jaeger_storage: {backends: {kept: BACKEND}}
  jaeger_query:
    storage: {traces: kept}
    http: {endpoint: '127.0.0.1:HTTP'}
    grpc: {endpoint: '127.0.0.1:GRPC'}
receivers:
  otlp: {protocols: {grpc: {endpoint: '127.0.0.1:OTLP'}}}
exporters:
  jaeger_storage_exporter: {trace_storage: kept}
";

/// A running Jaeger; dropping it ends the process and removes its files.
#[derive(Debug)]
pub struct Jaeger {
    // The order matters: the process ends before its folder is removed.
    process: Running,
    _folder: TempDir,
    otlp: u16,
    query: String,
}

impl Jaeger {
    /// Starts one. It is built first, which takes minutes.
    pub fn start() -> Result<Self> {
        Self::start_with("{memory: {max_traces: 10000}}")
    }

    /// The same, which keeps traces in what this says, as its configuration has it below the name of a storage.
    pub fn start_with(backend: &str) -> Result<Self> {
        let program: PathBuf = setup(&["jaeger"])?;
        let folder = TempDir::with_prefix("gotap-jaeger-").context("create a folder")?;
        let config = folder.path().join("jaeger.yaml");
        let (otlp, http, grpc) = (free_port()?, free_port()?, free_port()?);
        let text = CONFIG
            .replace("BACKEND", backend)
            .replace("HTTP", &http.to_string())
            .replace("GRPC", &grpc.to_string())
            .replace("OTLP", &otlp.to_string());
        std::fs::write(&config, text).with_context(|| format!("write {}", config.display()))?;
        let arguments = ["--config", &config.to_string_lossy()];
        let process = Running::start(&program, &arguments, &[])?;
        process.wait_for_error("Everything is ready", STARTING)?;
        Ok(Self { process, _folder: folder, otlp, query: format!("127.0.0.1:{http}") })
    }

    /// Ends it in order, so that it writes what it has.
    pub fn stop(mut self) -> Result<()> {
        self.process.stop().map(drop)
    }

    /// Where it takes traces by OTLP over gRPC.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.otlp)
    }

    /// The traces with a span of a service, as its query API gives them: objects with `spans` and `processes`.
    pub fn traces(&self, service: &str) -> Result<Vec<Value>> {
        let path = format!("/api/traces?service={service}&limit=1000&lookback=1h");
        let response = http::get(&self.query, &path, &[])?;
        let answer: Value = serde_json::from_str(&response.text()).context("Jaeger's answer")?;
        Ok(answer["data"].as_array().cloned().unwrap_or_default())
    }
}
