//! What programs write to their logs while they serve requests: log records with the request's trace.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Gotap, SOON, can_trace, eventually};
use gotap_testkit::collector::Collector;
use gotap_testkit::go::{self, Mode, Version};
use gotap_testkit::http;
use serde_json::Value;
use tempfile::TempDir;

use crate::metrics::{are_documented, run_in};

/// Lines of a request: stream, severity, and text but for the request's id.
const LINES: [(&str, &str, &str); 4] = [
    ("stdout", "INFO", "level=info msg=begin id="),
    ("stderr", "ERROR", "{\"level\":\"error\",\"id\":\""),
    ("stdout", "", "one id="),
    ("stdout", "", "two id="),
];
const REQUESTS: usize = 40;

/// Requests at a time on four connections.
fn ask(app: &App, path: &str) -> Result<()> {
    std::thread::scope(|scope| {
        let client = |first: usize| {
            let mut connection = app.connect()?;
            for number in (first..REQUESTS).step_by(4) {
                connection.get(&format!("{path}{number}"), &[])?;
            }
            Ok(())
        };
        let clients: Vec<_> = (0..4).map(|first| scope.spawn(move || client(first))).collect();
        clients.into_iter().try_for_each(|client| client.join().expect("a client"))
    })
}

/// Each line has the trace of its own request, also with many at a time, and what belongs to none has no record.
#[test]
fn lines_have_the_trace_of_their_request() {
    if !can_trace("lines_have_the_trace_of_their_request") {
        return;
    }
    let mut failures = Vec::new();
    for (minor, mode) in [(18, Mode::Plain), (21, Mode::Cgo), (24, Mode::Pie), (27, Mode::Stripped)]
    {
        let version = Version::of(minor);
        let result = go::build("logapp", version, mode)
            .and_then(|program| App::start(&program))
            .and_then(|app| traced(&app));
        if let Err(error) = result {
            failures.push(format!("Go {version}, {mode}: {error:#}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn traced(app: &App) -> Result<()> {
    let pid = app.pid().to_string();
    let gotap = Gotap::start(&["trace", "http", "--logs", "--format", "json", "--pid", &pid], &[])?;
    gotap.wait_ready()?;
    ask(app, "/n/")?;
    gotap.wait_for_lines(REQUESTS * (LINES.len() + 1))?;
    let lines: Vec<Value> = gotap
        .process
        .stdout()
        .iter()
        .map(|line| serde_json::from_str(line).context("gotap prints JSON"))
        .collect::<Result<_>>()?;
    let (records, spans): (Vec<_>, Vec<_>) =
        lines.into_iter().partition(|line| line.get("body").is_some());
    ensure!(spans.len() == REQUESTS, "{} spans", spans.len());
    ensure!(records.len() == REQUESTS * LINES.len(), "{} records", records.len());
    let mut seen = BTreeSet::new();
    for span in &spans {
        let path = span["attributes"]["url.path"].as_str().context("a path")?;
        let id = path.strip_prefix("/n/").context("a number")?;
        let own = |record: &&Value| record["spanId"] == span["spanId"];
        let own: Vec<_> = records.iter().filter(own).collect();
        ensure!(own.len() == LINES.len(), "{path}: {own:#?}");
        for (record, (stream, severity, text)) in own.iter().zip(LINES) {
            let body = record["body"].as_str().context("a text")?;
            let of = body.strip_prefix(text).with_context(|| format!("{body} for {text}"))?;
            ensure!(of.trim_end_matches("\"}") == id, "{body} belongs to {path}");
            ensure!(record["attributes"]["log.iostream"] == stream, "{record}");
            ensure!(record["severity"].as_str().unwrap_or_default() == severity, "{record}");
            ensure!(record["traceId"] == span["traceId"], "{record} of {span}");
            let time = |of: &Value, key: &str| of[key].as_str().and_then(|n| n.parse::<u64>().ok());
            let within = time(span, "startTimeUnixNano")..=time(span, "endTimeUnixNano");
            ensure!(within.contains(&time(record, "timeUnixNano")), "{record} of {span}");
        }
        let goroutine = |n: usize| own[n]["attributes"]["gotap.goroutine.id"].as_u64();
        ensure!(goroutine(0) == goroutine(2) && goroutine(0) != goroutine(1), "{own:#?}");
        seen.insert(id.to_owned());
    }
    ensure!(seen.len() == REQUESTS, "{seen:?}");
    Ok(())
}

/// Records arrive at a collector, without what they say unless that is asked for, and what a program appends to
/// files is among them.
#[test]
fn records_arrive_without_their_text() -> Result<()> {
    if !can_trace("records_arrive_without_their_text") {
        return Ok(());
    }
    let folder = TempDir::new()?;
    let log = folder.path().join("app.log");
    let program = go::build("logapp", Version::NEWEST, Mode::Plain)?;
    let log = log.to_str().context("a path")?;
    let app = App::start_with(&program, &["-file", log], &[])?;
    let collector = Collector::start()?;
    let path = program.to_str().context("a path in UTF-8")?;
    let wanted = [("GOTAP_LOGS_STREAMS", "stderr,files")];
    let (gotap, address) = run_in(&["--executable", path], &wanted, &collector)?;
    ask(&app, "/n/")?;
    let mut found = Vec::new();
    let all = eventually(SOON, || {
        found = records(&collector).unwrap_or_default();
        found.len() >= 2 * REQUESTS
    });
    ensure!(all && found.len() == 2 * REQUESTS, "{} records", found.len());
    let spans = collector.wait_until(SOON, |spans| spans.len() >= REQUESTS)?;
    let mut by_span: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
    for record in &found {
        // How the collector writes that there is none.
        ensure!(record["body"] == serde_json::json!({}), "{record}");
        let span = record["spanId"].as_str().context("a span")?.to_owned();
        by_span.entry(span).or_default().push(record);
    }
    for span in spans.iter().take(REQUESTS) {
        let own =
            by_span.remove(&span.span_id).with_context(|| format!("no records: {span:#?}"))?;
        let severities: Vec<_> =
            own.iter().map(|record| record["severityNumber"].as_u64()).collect();
        ensure!(severities == [Some(17), Some(13)], "{own:#?}");
        ensure!(own.iter().all(|record| record["traceId"] == *span.trace_id), "{own:#?}");
    }
    ensure!(by_span.is_empty(), "{by_span:#?}");
    let text = http::get(&address, "/metrics", &[])?.text();
    are_documented(&text)?;
    let number = |of: &str| -> Option<u64> {
        text.lines().find_map(|line| line.strip_prefix(of)?.trim().parse().ok())
    };
    // What the background writes is looked at, and belongs to nobody.
    ensure!(number("gotap_log_without_request_total ") > Some(10), "{text}");
    ensure!(number("gotap_log_lost_total{reason=\"ring_full\"} ") == Some(0), "{text}");
    ensure!(number("gotap_export_logs_total ") >= Some(2 * REQUESTS as u64), "{text}");
    gotap.stop().map(drop)
}

/// Of what is long the start is sent, and how much is missing.
#[test]
fn long_lines_are_cut_and_say_so() -> Result<()> {
    if !can_trace("long_lines_are_cut_and_say_so") {
        return Ok(());
    }
    let app = App::start(&go::build("logapp", Version::NEWEST, Mode::Plain)?)?;
    let pid = app.pid().to_string();
    let gotap = Gotap::start(&["trace", "http", "--logs", "--format", "json", "--pid", &pid], &[])?;
    gotap.wait_ready()?;
    app.get("/large/7", &[])?;
    gotap.wait_for_lines(2)?;
    let lines = gotap.process.stdout();
    let record = lines.iter().find(|line| line.contains("\"body\"")).context("a record")?;
    let record: Value = serde_json::from_str(record)?;
    let body = record["body"].as_str().context("a text")?;
    ensure!(body.starts_with("large id=7 [") || body.starts_with("large id=7 x"), "{body}");
    let left_out = record["attributes"]["gotap.log.bytes_left_out"].as_u64();
    ensure!(
        body.len() == 4096 && left_out == Some("large id=7 \n".len() as u64 + 6000 - 4096),
        "{} {left_out:?}",
        body.len()
    );
    Ok(())
}

/// Flat log records that a collector got.
pub(crate) fn records(collector: &Collector) -> Result<Vec<Value>> {
    let mut out = Vec::new();
    for export in collector.exports()? {
        let scopes = list(&export["resourceLogs"]).flat_map(|of| list(&of["scopeLogs"]));
        out.extend(scopes.flat_map(|scope| list(&scope["logRecords"])).cloned());
    }
    Ok(out)
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
