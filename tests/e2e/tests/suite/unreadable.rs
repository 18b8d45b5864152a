//! Go programs that can't be read: whoever looks for Go programs names them, with the reason. Not here: what commands
//! say that are asked for one process (`obfuscated`).

use anyhow::{Context, Result, ensure};
use gotap_e2e::altered::{Altered, change_magic};
use gotap_e2e::{App, Gotap, SOON, can_trace};
use gotap_testkit::go::{self, Mode, Version};
use serde_json::Value;

use crate::cli::{expect, gotap};

#[test]
fn programs_that_cannot_be_read_are_named() -> Result<()> {
    if !can_trace("programs_that_cannot_be_read_are_named") || cfg!(not(target_arch = "x86_64")) {
        return Ok(());
    }
    let original = go::build("httpapp", Version::NEWEST, Mode::Stripped)?;
    for (magic, why) in [(0xc1, "unknown magic 0xffffffc1"), (0xfa, "by a Go before 1.18")] {
        let altered = Altered::new(&original, |data| change_magic(data, magic))?;
        let path = altered.program.to_str().context("a path")?;
        let selection = ["--executable", path];
        let waiting = Gotap::trace(&selection)?;
        let app = App::start(&altered.program)?;
        // Those of the same file are like it.
        let _other = App::start(&altered.program)?;
        let said = waiting.process.wait_for_error("gotap: nothing is seen in httpapp", SOON)?;
        ensure!(said.contains(&format!("[{}]: ", app.pid())) && said.contains(why), "{said}");
        named_once(waiting, why)?;
        named_once(Gotap::trace(&selection)?, why)?;

        listed(path, app.pid(), why)?;
    }
    Ok(())
}

/// A port is waited for, whoever listens there.
#[test]
fn one_that_listens_later_is_named_then() -> Result<()> {
    if !can_trace("one_that_listens_later_is_named_then") || cfg!(not(target_arch = "x86_64")) {
        return Ok(());
    }
    let original = go::build("httpapp", Version::NEWEST, Mode::Stripped)?;
    let altered = Altered::new(&original, |data| change_magic(data, 0xc1))?;
    // A port that was free a moment ago.
    let port = App::start(&original)?.port()?.to_string();
    let waiting = Gotap::trace(&["--port", &port])?;
    let _other = App::start(&altered.program)?;
    let _app = App::start_with(&altered.program, &["-addr", &format!("127.0.0.1:{port}")], &[])?;
    waiting.process.wait_for_error("gotap: nothing is seen in httpapp", SOON)?;
    named_once(waiting, "unknown magic 0xffffffc1")
}

fn named_once(gotap: Gotap, why: &str) -> Result<()> {
    let ended = gotap.stop()?;
    let named = ended.stderr.iter().filter(|line| line.contains("nothing is seen in")).count();
    ensure!(named == 1 && ended.stderr.iter().any(|l| l.contains(why)), "{:#?}", ended.stderr);
    let counted = "\"gotap.programs.unreadable\":1";
    ensure!(ended.stderr.iter().any(|line| line.contains(counted)), "{:#?}", ended.stderr);
    Ok(())
}

/// By `gotap ps`, whether it is asked for it or not.
fn listed(path: &str, pid: u32, why: &str) -> Result<()> {
    let pid_text = pid.to_string();
    for selection in [&["--executable", path][..], &[]] {
        let of_it = |table: &str| {
            let row = table.lines().find(|row| row.starts_with(&pid_text));
            row.map(str::to_owned).with_context(|| table.to_owned())
        };
        let (table, _) = expect(&gotap(&[&["ps"], selection].concat())?, 0)?;
        ensure!(of_it(&table)?.contains("  httpapp-"), "{table}");
        ensure!(table.lines().all(|row| row.chars().count() <= 100), "{table}");
        let (table, _) = expect(&gotap(&[&["ps", "-v"], selection].concat())?, 0)?;
        ensure!(of_it(&table)?.contains(why), "{table}");
        let (lines, _) = expect(&gotap(&[&["ps", "--format", "json"], selection].concat())?, 0)?;
        let lines: Vec<Value> =
            lines.lines().map(serde_json::from_str).collect::<serde_json::Result<_>>()?;
        let line = lines.iter().find(|line| line["pid"] == pid).context("a line")?;
        let missing = line["missing"][0].as_str().unwrap_or_default();
        ensure!(line["go"].is_null() && missing.contains(why), "{line:#}");
    }
    Ok(())
}
