//! What `/healthz` and `/readyz` tell an orchestrator: while gotap attaches, while nobody reads events, and after.

use std::fs;

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Gotap, Held, LOADING, Paused, SOON, can_trace, eventually, skip};
use gotap_testkit::http;
use tempfile::TempDir;

/// Starts `gotap run` for a process, which sends to nobody; gives it and where its pages are.
fn run(app: &App) -> Result<(Gotap, String)> {
    let pid = app.pid().to_string();
    let arguments = ["run", "--pid", &pid, "--otlp-endpoint", "http://127.0.0.1:9"];
    let listen = ["--prometheus-listen", "127.0.0.1:0"];
    let gotap = Gotap::start(&[&arguments[..], &listen].concat(), &[])?;
    let said = gotap.process.wait_for_error("gotap: metrics at ", LOADING)?;
    let address = said.strip_prefix("gotap: metrics at http://").context("where metrics are")?;
    let address = address.strip_suffix("/metrics").context("the path of metrics")?;
    Ok((gotap, address.to_owned()))
}

/// What a page answers.
fn page(address: &str, path: &str) -> Result<(u16, String)> {
    let answer = http::get(address, path, &[])?;
    Ok((answer.status, answer.text()))
}

fn says(address: &str, path: &str, status: u16, part: &str) -> Result<()> {
    let (found, text) = page(address, path)?;
    ensure!(found == status && text.contains(part), "{path}: {found}: {text}");
    Ok(())
}

#[test]
fn gotap_is_not_ready_before_it_has_attached() -> Result<()> {
    const TEST: &str = "gotap_is_not_ready_before_it_has_attached";
    if !can_trace(TEST) {
        return Ok(());
    }
    // A copy, as other tests look at the original.
    let folder = TempDir::new().context("create a folder")?;
    let program = folder.path().join("httpapp");
    fs::copy(App::newest()?, &program).context("copy the program")?;
    let app = App::start(&program)?;
    let mut held = match Held::new(&program) {
        Ok(held) => held,
        Err(error) => {
            skip(TEST, &format!("{error:#}"));
            return Ok(());
        }
    };
    let (gotap, address) = run(&app)?;
    held.wait_for(gotap.process.pid(), SOON)?;
    says(&address, "/readyz", 503, "still being attached to")?;
    says(&address, "/healthz", 200, "ok")?;
    drop(held);
    gotap.wait_ready()?;
    says(&address, "/readyz", 200, "ok")?;
    app.get("/hello", &[])?;
    let ended = gotap.stop()?;
    ensure!(ended.summary.spans == 1, "{:?}", ended.summary);
    Ok(())
}

#[test]
fn gotap_is_neither_healthy_nor_ready_while_nobody_reads_events() -> Result<()> {
    if !can_trace("gotap_is_neither_healthy_nor_ready_while_nobody_reads_events") {
        return Ok(());
    }
    let app = App::start(&App::newest()?)?;
    let (gotap, address) = run(&app)?;
    gotap.wait_ready()?;
    for path in ["/healthz", "/readyz"] {
        says(&address, path, 200, "ok")?;
    }
    let paused = Paused::thread(gotap.process.pid(), "gotap-reader")?;
    for _ in 0..3 {
        app.get("/hello", &[])?;
    }
    for path in ["/healthz", "/readyz"] {
        let is_so = || page(&address, path).is_ok_and(|(status, _)| status == 503);
        ensure!(eventually(SOON, is_so), "{path} says that all is well");
        says(&address, path, 503, "the thread that reads events is stuck")?;
    }
    drop(paused);
    for path in ["/healthz", "/readyz"] {
        let is_so = || page(&address, path).is_ok_and(|(status, _)| status == 200);
        ensure!(eventually(SOON, is_so), "{path}: {:?}", page(&address, path)?);
    }
    // What happened meanwhile was not lost.
    let ended = gotap.stop()?;
    ensure!(ended.summary.spans == 3 && ended.summary.dropped.is_empty(), "{:?}", ended.summary);
    Ok(())
}
