//! Programs that end while a command looks at them: what was seen until then is shown.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use gotap_e2e::{SOON, binary, can_trace};
use gotap_testkit::go::{self, Mode, Version};
use gotap_testkit::process::Running;
use serde_json::Value;

/// A command, and what is shown of a program that is busy.
type Case = (&'static [&'static str], fn(&Value) -> bool);

const CASES: [Case; 6] = [
    (&["chan"], |object| object["waits"]["looks"].as_u64() > Some(5)),
    (&["chan", "--rates"], |object| object["rates"].is_object() && object["channels"].is_null()),
    (&["alloc"], |object| object["totalBytes"].as_f64() > Some(1e6)),
    (&["alloc", "--exact"], |object| object["totalObjects"].as_f64() > Some(1000.0)),
    (&["alloc", "--sampled"], |object| object["functions"].as_array().is_some_and(|f| f.len() > 5)),
    (&["sched"], |object| object["samples"].as_u64() > Some(5)),
];

#[test]
fn what_was_seen_of_a_program_that_ends_is_shown() -> Result<()> {
    if !can_trace("what_was_seen_of_a_program_that_ends_is_shown") {
        return Ok(());
    }
    let program = go::build("runtimeapp", Version::NEWEST, Mode::Stripped)?;
    let arguments = ["-quiet", "-allocate", "20", "-grain", "2", "-channels"];
    for (command, is_shown) in CASES {
        let mut app = Running::start(&program, &arguments, &[])?;
        app.wait_for("ready", SOON)?;
        let pid = app.pid().to_string();
        let flags = [&pid, "-d", "60s", "--format", "json"];
        let mut gotap = Running::start(binary(), &[command, &flags].concat(), &[])?;
        std::thread::sleep(Duration::from_secs(4));
        app.signal(libc::SIGKILL)?;
        app.wait(SOON)?;
        let status = gotap.wait(SOON).with_context(|| format!("{command:?} goes on"))?;
        let (shown, said) = (gotap.stdout().concat(), gotap.stderr());
        ensure!(status.success(), "{command:?}: {said:?}");
        let object: Value = serde_json::from_str(&shown).with_context(|| shown.clone())?;
        ensure!(is_shown(&object), "{command:?}: {object}");
        let all = format!("{object} {said:?}");
        ensure!(all.contains("has ended"), "{command:?}: {all}");
    }
    Ok(())
}
