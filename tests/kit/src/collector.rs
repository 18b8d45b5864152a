//! A real OpenTelemetry Collector, and the spans that reached it.
//!
//! The collector is built from `apps/collector` on first need. It listens on two free loopback
//! ports and writes each export it receives as a line of JSON into a temporary folder.

mod certificates;
mod span;

pub use certificates::Certificates;
pub use span::{FlatSpan, Kind, Status};

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tempfile::TempDir;

use crate::process::Running;
use crate::setup;

/// Another process can take a port between our choice and the collector's start.
const ATTEMPTS: usize = 3;

/// A running collector; dropping it ends the process and removes its files.
#[derive(Debug)]
pub struct Collector {
    // The order matters: the process ends before its folder is removed.
    process: Running,
    folder: TempDir,
    scheme: &'static str,
    grpc_port: u16,
    http_port: u16,
    received: Mutex<Received>,
}

/// Where a collector sends what it receives: a URL for OTLP.
#[derive(Debug, Clone, Copy)]
pub enum Forward<'a> {
    /// Over gRPC.
    Grpc(&'a str),
    /// Over HTTP.
    Http(&'a str),
}

/// What was read of the collector's file.
#[derive(Debug, Default)]
struct Received {
    offset: u64,
    exports: Vec<Value>,
}

impl Collector {
    /// Starts a collector and waits until it listens.
    pub fn start() -> Result<Self> {
        Self::start_with("")
    }

    /// The same, which talks TLS, and only to clients that the authority of `certificates` vouches
    /// for.
    pub fn start_mutual(certificates: &Certificates) -> Result<Self> {
        let mut collector = Self::start_with(&certificates.settings())?;
        collector.scheme = "https";
        Ok(collector)
    }

    fn start_with(settings: &str) -> Result<Self> {
        Self::start_program(&Self::program()?, settings, None)
    }

    /// The executable of a collector.
    pub fn program() -> Result<PathBuf> {
        setup(&["collector"])
    }

    /// Starts a collector from this executable, which is a copy of [`Self::program`]. It sends what it
    /// receives to the endpoint too, if one is given, by gRPC or by HTTP.
    pub fn start_copy(program: &Path, to: Option<Forward<'_>>) -> Result<Self> {
        Self::start_program(program, "", to)
    }

    fn start_program(program: &Path, settings: &str, to: Option<Forward<'_>>) -> Result<Self> {
        let mut attempt = 1;
        loop {
            match Self::start_once(program, settings, to) {
                Err(_) if attempt < ATTEMPTS => attempt += 1,
                result => return result,
            }
        }
    }

    fn start_once(program: &Path, settings: &str, to: Option<Forward<'_>>) -> Result<Self> {
        let folder = TempDir::with_prefix("gotap-collector-").context("create a folder")?;
        let [grpc_port, http_port] = free_ports()?;
        let config = folder.path().join("config.yaml");
        let text = configuration([grpc_port, http_port], settings, &export_file(&folder), to);
        fs::write(&config, text).with_context(|| format!("write {}", config.display()))?;
        // Profiles are in development.
        let gate = "--feature-gates=service.profilesSupport".to_owned();
        let arguments = [format!("--config=file:{}", config.display()), gate];
        let process = Running::start(program, &arguments, &[])?;
        process.wait_for_error("Everything is ready", Duration::from_secs(30))?;
        let (scheme, received) = ("http", Mutex::default());
        Ok(Self { process, folder, scheme, grpc_port, http_port, received })
    }

    /// The URL for OTLP over gRPC.
    pub fn grpc_endpoint(&self) -> String {
        format!("{}://127.0.0.1:{}", self.scheme, self.grpc_port)
    }

    /// The base URL for OTLP over HTTP, to which clients add `/v1/traces`.
    pub fn http_endpoint(&self) -> String {
        format!("{}://127.0.0.1:{}", self.scheme, self.http_port)
    }

    /// The process itself, for tests that stop or pause it.
    pub fn process(&mut self) -> &mut Running {
        &mut self.process
    }

    /// Every export received so far, as the collector wrote it: objects with `resourceSpans`,
    /// `resourceMetrics`, `resourceLogs` or `resourceProfiles`.
    pub fn exports(&self) -> Result<Vec<Value>> {
        let mut received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        received.read_on(&export_file(&self.folder))?;
        Ok(received.exports.clone())
    }

    /// Every span received so far, in the order of arrival.
    pub fn spans(&self) -> Result<Vec<FlatSpan>> {
        let mut spans = Vec::new();
        for export in self.exports()? {
            span::flatten(&export, &mut spans).context("read what the collector wrote")?;
        }
        Ok(spans)
    }

    /// Waits until at least `n` spans were received, and returns all.
    pub fn wait_for(&self, n: usize, timeout: Duration) -> Result<Vec<FlatSpan>> {
        self.wait_until(timeout, |spans| spans.len() >= n)
            .with_context(|| format!("waiting for {n} spans"))
    }

    /// Waits until the received spans satisfy `enough`, and returns all.
    pub fn wait_until(
        &self,
        timeout: Duration,
        enough: impl Fn(&[FlatSpan]) -> bool,
    ) -> Result<Vec<FlatSpan>> {
        let deadline = Instant::now() + timeout;
        loop {
            let spans = self.spans()?;
            if enough(&spans) {
                return Ok(spans);
            }
            if Instant::now() >= deadline {
                let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
                bail!("only {} spans after {timeout:?}: {names:?}", spans.len());
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Received {
    /// Reads the lines that were added to the file since the last time.
    fn read_on(&mut self, path: &Path) -> Result<()> {
        let mut file = File::open(path).with_context(|| format!("open {}", path.display()))?;
        let mut text = String::new();
        file.seek(SeekFrom::Start(self.offset))
            .and_then(|_| file.read_to_string(&mut text))
            .with_context(|| format!("read {}", path.display()))?;
        let complete = text.rfind('\n').map_or(0, |end| end + 1);
        for line in text[..complete].lines() {
            self.exports.push(serde_json::from_str(line).context("parse the collector's JSON")?);
        }
        self.offset += complete as u64;
        Ok(())
    }
}

fn export_file(folder: &TempDir) -> PathBuf {
    folder.path().join("exports.json")
}

/// Two ports that are free at this moment.
fn free_ports() -> Result<[u16; 2]> {
    let bind = || TcpListener::bind("127.0.0.1:0").context("find a free port");
    let listeners = [bind()?, bind()?];
    let [first, second] = listeners.each_ref().map(TcpListener::local_addr);
    Ok([first?.port(), second?.port()])
}

fn configuration(
    [grpc_port, http_port]: [u16; 2],
    settings: &str,
    file: &Path,
    to: Option<Forward<'_>>,
) -> String {
    let (forward, exporters) = match to {
        None => (String::new(), "file"),
        Some(Forward::Grpc(url)) => {
            let address = url.trim_start_matches("http://");
            let tls = "tls: {insecure: true}";
            (format!("  otlp_grpc: {{endpoint: \"{address}\", {tls}}}\n"), "file, otlp_grpc")
        }
        Some(Forward::Http(url)) => {
            (format!("  otlp_http: {{endpoint: \"{url}\"}}\n"), "file, otlp_http")
        }
    };
    let pipelines: String = ["traces", "metrics", "logs", "profiles"]
        .map(|signal| format!("    {signal}: {{receivers: [otlp], exporters: [{exporters}]}}\n"))
        .concat();
    format!(
        "receivers:\n  otlp:\n    protocols:\n      grpc: {{endpoint: \"127.0.0.1:{grpc_port}\"{settings}}}\n      \
         http: {{endpoint: \"127.0.0.1:{http_port}\"{settings}}}\n\
         exporters:\n  file: {{path: \"{}\", flush_interval: 20ms}}\n{forward}\
         service:\n  telemetry: {{metrics: {{level: none}}}}\n  pipelines:\n{pipelines}",
        file.display()
    )
}
