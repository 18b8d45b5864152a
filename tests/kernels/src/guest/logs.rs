//! What a program writes to its log while it serves a request.

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Gotap};
use gotap_kernel_tests::program;
use gotap_testkit::go::Version;
use serde_json::Value;

/// Lines that a request writes to standard output and standard error.
const LINES: usize = 4;

pub(crate) fn lines() -> Result<()> {
    let app = App::start(&program("logapp", Version::NEWEST))?;
    let pid = app.pid().to_string();
    let gotap = Gotap::start(&["trace", "http", "--logs", "--format", "json", "--pid", &pid], &[])?;
    gotap.wait_ready()?;
    app.get("/n/7", &[])?;
    gotap.wait_for_lines(LINES + 1)?;
    let lines = gotap.process.stdout();
    let lines: Vec<Value> =
        lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let (records, spans): (Vec<_>, Vec<_>) =
        lines.into_iter().partition(|line| line.get("body").is_some());
    let span = spans.first().context("a span")?;
    ensure!(records.len() == LINES, "{records:#?}");
    for record in &records {
        ensure!(record["spanId"] == span["spanId"], "{record} of {span}");
        ensure!(record["body"].as_str().is_some_and(|body| body.contains('7')), "{record}");
    }
    Ok(())
}
