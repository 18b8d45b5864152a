//! The storage for hot data that docs/backends.md gives for Jaeger: Jaeger takes it, and has its traces still when it is
//! started anew. Not here: that it deletes them after a week.

use std::fs;

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Gotap, SOON, can_trace, eventually};
use gotap_testkit::jaeger::Jaeger;
use gotap_testkit::repo_root;
use serde_json::Value;
use tempfile::TempDir;

/// The storage by the name `hot` in the document, below another folder than `/data`.
fn hot(folder: &TempDir) -> Result<String> {
    let document = fs::read_to_string(repo_root().join("docs/backends.md"))?;
    let blocks = document.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let block = blocks.filter(|block| block.contains("jaeger_storage")).collect::<Vec<_>>();
    ensure!(block.len() == 1, "{} blocks with Jaeger's storage", block.len());
    let settings: Value = serde_saphyr::from_str(block[0]).context("read the document's YAML")?;
    let hot = &settings["extensions"]["jaeger_storage"]["backends"]["hot"];
    ensure!(hot["badger"]["ttl"]["spans"] == "168h", "a week: {settings}");
    let text = hot.to_string();
    ensure!(text.contains("\"/data/"), "{text}");
    Ok(text.replace("/data/", &format!("{}/", folder.path().display())))
}

#[test]
fn jaeger_keeps_traces_as_the_guide_says() -> Result<()> {
    if !can_trace("jaeger_keeps_traces_as_the_guide_says") {
        return Ok(());
    }
    let folder = TempDir::new().context("create a folder")?;
    let storage = hot(&folder)?;
    let jaeger = Jaeger::start_with(&storage)?;
    let app = App::start(&App::newest()?)?;
    let (pid, endpoint) = (app.pid().to_string(), jaeger.endpoint());
    let arguments = ["run", "--pid", &pid, "--otlp-endpoint", &endpoint];
    let gotap = Gotap::start(&arguments, &[("GOTAP_OTLP_METRICS", "false")])?;
    gotap.wait_ready()?;
    app.get("/hello", &[])?;
    let has_it = |jaeger: &Jaeger| jaeger.traces("httpapp").is_ok_and(|traces| traces.len() == 1);
    ensure!(eventually(SOON, || has_it(&jaeger)), "Jaeger has no trace");
    let summary = gotap.stop()?.summary;
    ensure!(summary.delivered == Some(1), "{summary:?}");
    jaeger.stop()?;
    let jaeger = Jaeger::start_with(&storage)?;
    ensure!(eventually(SOON, || has_it(&jaeger)), "the trace is gone");
    Ok(())
}
