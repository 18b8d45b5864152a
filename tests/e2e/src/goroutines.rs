//! What a Go program says of its own goroutines, and what gotap says of them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use gotap_testkit::process::Running;
use serde_json::Value;

use crate::{SOON, binary};

/// A frame: function, file and line.
pub type Frame = (String, String, u64);

/// One goroutine of a stack trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traced {
    /// State or wait reason.
    pub doing: String,
    /// Frames, innermost first.
    pub frames: Vec<Frame>,
    /// Where it was started.
    pub created_by: Option<Frame>,
}

/// A running runtimeapp.
#[derive(Debug)]
pub struct RuntimeApp {
    /// The process.
    pub process: Running,
    reports: usize,
}

impl RuntimeApp {
    /// Starts it, and waits until all its goroutines are where they wait.
    pub fn start(program: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Result<Self> {
        let process = Running::start(program, arguments, environment)?;
        process.wait_for("ready", SOON)?;
        Ok(Self { process, reports: 0 })
    }

    /// Another program, which gives no reports.
    pub fn of(process: Running) -> Self {
        Self { process, reports: 0 }
    }

    /// What its runtime says now.
    pub fn report(&mut self) -> Result<Value> {
        self.reports += 1;
        self.process.signal(libc::SIGUSR1)?;
        let text = self.process.wait_for(&format!("report-{} ", self.reports), SOON)?;
        serde_json::from_str(&text).context("the report is JSON")
    }

    /// Runs a gotap command on it with JSON as output.
    pub fn gotap(&self, verb: &str, arguments: &[&str]) -> Result<Value> {
        let pid = self.process.pid().to_string();
        let mut command = Command::new(binary());
        command.args([verb, &pid, "--format", "json"]).args(arguments).stdin(Stdio::null());
        let output = command.output().context("run gotap")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success() && said.is_empty(), "{}: {said}", output.status);
        let mut lines = output.stdout.split(|byte| *byte == b'\n').filter(|l| !l.is_empty());
        let first = lines.next().context("gotap prints an object")?;
        ensure!(lines.next().is_none(), "gotap prints more than one line");
        serde_json::from_slice(first).context("gotap prints JSON")
    }
}

/// The goroutines of what `runtime.Stack` says, by their numbers.
pub fn traced(text: &str) -> Result<BTreeMap<u64, Traced>> {
    let mut out = BTreeMap::new();
    for block in text.split("\n\n").filter(|block| !block.trim().is_empty()) {
        let mut lines = block.trim().lines();
        let heading = lines.next().context("a heading")?;
        let rest = heading.strip_prefix("goroutine ").with_context(|| heading.to_owned())?;
        let goid = rest.split(' ').next().unwrap_or_default().parse().context("a number")?;
        let inside = heading.split_once(" [").and_then(|(_, rest)| rest.strip_suffix("]:"));
        let inside = inside.with_context(|| heading.to_owned())?;
        let doing = inside.split(", ").next().unwrap_or_default().replace(" (scan)", "");
        let mut found = Traced { doing, frames: Vec::new(), created_by: None };
        while let Some(line) = lines.next() {
            let at = position(lines.next().with_context(|| block.to_owned())?)?;
            match line.strip_prefix("created by ") {
                Some(creator) => {
                    let name = creator.split(" in goroutine ").next().unwrap_or_default();
                    found.created_by = Some((name.to_owned(), at.0, at.1));
                }
                None => {
                    let name = line.rsplit_once('(').map_or(line, |(name, _)| name);
                    // So the runtime prints it.
                    let name = if name == "panic" { "runtime.gopanic" } else { name };
                    found.frames.push((name.to_owned(), at.0, at.1));
                }
            }
        }
        out.insert(goid, found);
    }
    Ok(out)
}

fn position(line: &str) -> Result<(String, u64)> {
    let text = line.trim().split(" +0x").next().unwrap_or_default();
    let (file, number) = text.rsplit_once(':').with_context(|| line.to_owned())?;
    Ok((file.to_owned(), number.parse().with_context(|| line.to_owned())?))
}

/// The goroutines that gotap lists, as a stack trace would have them.
pub fn listed(object: &Value) -> Result<BTreeMap<u64, (Traced, Value)>> {
    let mut out = BTreeMap::new();
    for goroutine in object["goroutines"].as_array().context("goroutines")? {
        let goid = goroutine["goid"].as_u64().context("goid")?;
        let reason = goroutine["waitReason"].as_str().or(goroutine["state"].as_str());
        let stack = goroutine["stack"].as_array().map(Vec::as_slice).unwrap_or_default();
        let created_by = &goroutine["createdBy"];
        let found = Traced {
            doing: reason.context("a state")?.to_owned(),
            frames: stack.iter().map(frame).collect::<Result<_>>()?,
            created_by: if created_by.is_null() { None } else { Some(frame(created_by)?) },
        };
        out.insert(goid, (found, goroutine.clone()));
    }
    Ok(out)
}

fn frame(value: &Value) -> Result<Frame> {
    let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
    ensure!(value["function"].is_string(), "{value}");
    Ok((text("function"), text("file"), value["line"].as_u64().unwrap_or(0)))
}
