//! What the program `apps/oracle` says of itself when it runs.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use gobin::Binary;
use gotap_testkit::process::Running;
use serde_json::Value;

use crate::fixture::Fixture;

/// The program's output.
pub(crate) struct Truth(Value);

impl Truth {
    /// Runs the program.
    pub(crate) fn of(fixture: &Fixture) -> Result<Self> {
        let mut process = Running::start::<&str>(&fixture.path, &[], &[])?;
        let status = process.wait(Duration::from_secs(60))?;
        ensure!(status.success(), "the program failed: {status} {:?}", process.stderr());
        let output = process.stdout().join("\n");
        Ok(Self(serde_json::from_str(&output).context("parse the program's output")?))
    }

    /// Version of the Go runtime.
    pub(crate) fn go_version(&self) -> Result<&str> {
        text(&self.0, "goversion")
    }

    /// How far from its addresses in the file the program was loaded.
    pub(crate) fn slide(&self, binary: &Binary<'_>) -> Result<u64> {
        let anchor = &self.0["anchor"];
        let name = text(anchor, "func")?;
        let function = binary.function(name).with_context(|| format!("no function {name}"))?;
        let slide = number(anchor, "addr")?.wrapping_sub(function.entry);
        ensure!(slide & 0xfff == 0, "{name} is not at a whole number of pages from its place");
        Ok(slide)
    }

    /// The entries of one of the lists `frames`, `points` and `layouts`; at least `least`.
    pub(crate) fn list(&self, name: &str, least: usize) -> Result<&[Value]> {
        let list = elements(&self.0, name)?;
        ensure!(list.len() >= least, "only {} {name}", list.len());
        Ok(list)
    }
}

/// A text by its key.
pub(crate) fn text<'v>(value: &'v Value, key: &str) -> Result<&'v str> {
    value[key].as_str().with_context(|| format!("no text {key} in {value}"))
}

/// A number by its key.
pub(crate) fn number(value: &Value, key: &str) -> Result<u64> {
    value[key].as_u64().with_context(|| format!("no number {key} in {value}"))
}

/// A list by its key.
pub(crate) fn elements<'v>(value: &'v Value, key: &str) -> Result<&'v [Value]> {
    value[key].as_array().map(Vec::as_slice).with_context(|| format!("no list {key} in {value}"))
}
