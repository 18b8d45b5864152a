//! What is no recording, or is damaged.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use gotap_e2e::binary;
use serde_json::Value;

use crate::stream::Stream;

/// What is no recording, or is damaged, gets one sentence; what is left of a recording is printed.
#[test]
fn damaged_recordings_are_named() -> Result<()> {
    let folder = tempfile::TempDir::with_prefix("gotap-replay-")?;
    let stream = Stream::all()?.swap_remove(0);
    let text = fs::read_to_string(&stream.path)?;
    let lines: Vec<&str> = text.lines().collect();
    let run = |content: &str| -> Result<(Option<i32>, String, usize)> {
        let path = folder.path().join("some.rec");
        fs::write(&path, content)?;
        let output = Command::new(binary()).arg("replay").arg(&path).output()?;
        let said = String::from_utf8(output.stderr)?;
        Ok((output.status.code(), said, String::from_utf8(output.stdout)?.lines().count()))
    };
    let start: Value = serde_json::from_str(lines[0])?;
    let layout = start["start"]["records"]["struct gt_span"].as_u64().context("a layout")?;
    let bad = [
        (String::new(), "is not a recording"),
        ("{}\n{}\n".into(), "line 1 is not one of a recording"),
        (text.replacen(&layout.to_string(), "7", 1), "records differ"),
        (text.replacen("\"format\":1", "\"format\":2", 1), "format 2"),
        ([lines[0], "{", lines[1]].join("\n"), "line 2 is not one of a recording"),
    ];
    for (content, sentence) in bad {
        let (code, said, printed) = run(&content)?;
        ensure!((code, printed) == (Some(1), 0) && said.contains(sentence), "{code:?}: {said}");
        ensure!(said.lines().count() == 1 && said.starts_with("gotap: "), "{said}");
    }
    // Its gotap was killed.
    let (code, said, printed) = run(&lines[..lines.len() - 1].join("\n"))?;
    ensure!(code == Some(0) && printed == stream.spans.len(), "{printed} spans: {said}");
    ensure!(said.contains("has no end"), "{said}");
    let missing = Command::new(binary()).args(["replay", "/nonexistent/some.rec"]).output()?;
    let said = String::from_utf8(missing.stderr)?;
    ensure!(missing.status.code() == Some(1) && said.lines().count() == 1, "{said}");
    Ok(())
}
