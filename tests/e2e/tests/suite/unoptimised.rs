//! Programs that are built without optimisation, as for a debugger: the same spans as of others.

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Gotap, Span, can_trace};
use gotap_testkit::go::{Mode, Version};

/// Ways to a call, and how its parent is found.
const CASES: [(&str, &str); 10] = [
    ("same", "context"),
    ("noctx", "goroutine"),
    ("go", "ancestor"),
    ("go-deep?n=5", "ancestor"),
    ("ctx-pool", "context"),
    ("timeout", "context"),
    ("refused", "context"),
    ("precanceled", "context"),
    ("refused-header", "context"),
    ("refused-scheme", "context"),
];

#[test]
fn builds_for_a_debugger_have_the_same_spans() -> Result<()> {
    if !can_trace("builds_for_a_debugger_have_the_same_spans") {
        return Ok(());
    }
    for version in [Version::NEWEST, Version::of(21)] {
        let program = App::build(version, Mode::Unoptimised)?;
        let (app, _backend) = App::start_pair(&program)?;
        let gotap = Gotap::trace_pid(app.pid())?;
        for (case, _) in CASES {
            app.get(&format!("/call/{case}"), &[])?;
        }
        gotap.wait_for_spans(2 * CASES.len())?;
        let ended = gotap.stop()?;
        check(&ended.spans).with_context(|| format!("Go {version}: {:?}", ended.stderr))?;
        ensure!(ended.summary.dropped.is_empty(), "Go {version}: {:?}", ended.summary.dropped);
    }
    Ok(())
}

fn check(spans: &[Span]) -> Result<()> {
    ensure!(spans.len() == 2 * CASES.len(), "{}", Span::list(spans));
    for ((case, how), pair) in CASES.iter().zip(spans.chunks(2)) {
        let [client, server] = pair else { unreachable!("chunks of two") };
        let path = format!("/call/{}", case.split('?').next().unwrap_or_default());
        ensure!(server.target() == path, "{case}: {server:#?}");
        ensure!(client.is_child_of(server) && client.parent == *how, "{case}: {client:#?}");
        let fails = ["timeout", "refused", "precanceled", "refused-header", "refused-scheme"];
        ensure!(client.text("error.type").is_some() == fails.contains(case), "{case}: {client:#?}");
    }
    Ok(())
}
