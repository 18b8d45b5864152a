//! What a probe can't read: it is missing from the span and named there, and neither a success nor a zero.

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Gotap, Span, can_trace};
use gotap_testkit::go::{self, Mode, Version};

/// What is asked for, whose span it is about, what that names as unread, and what must be missing from it.
type Case = (&'static str, &'static str, &'static str, &'static [&'static str]);

const CASES: [Case; 2] = [
    ("/sql", "other_sql", "status,statement", &["db.query.text", "db.response.status_code"]),
    ("/grpc", "grpc.health.v1.Health/Check", "status", &["rpc.response.status_code"]),
];

#[test]
fn what_a_probe_cannot_read_is_named() -> Result<()> {
    if !can_trace("what_a_probe_cannot_read_is_named") {
        return Ok(());
    }
    for minor in [26, 27] {
        let program = go::build("unreadapp", Version::of(minor), Mode::Plain)?;
        let app = App::start(&program)?;
        let gotap = Gotap::trace_what("all", &["--pid", &app.pid().to_string()])?;
        for case in CASES {
            check(&app, &gotap, case).with_context(|| format!("Go 1.{minor}, {}", case.0))?;
        }
        let lost = gotap.stop()?.summary.incomplete;
        let lost: Vec<_> = lost.iter().map(|(name, count)| (name.as_str(), *count)).collect();
        let expected = [("unread_statement", 1), ("unread_status", 2)];
        ensure!(lost == expected, "{lost:?}");
    }
    Ok(())
}

fn check(app: &App, gotap: &Gotap, (path, name, unread, missing): Case) -> Result<()> {
    let before = gotap.spans()?.len();
    app.get(path, &[])?;
    gotap.wait_for_lines(before + 2)?;
    let spans = gotap.wait_for_spans(before + 2)?.split_off(before);
    let marked = |span: &&Span| span.text("gotap.unread").is_some();
    let span = spans.iter().find(marked).with_context(|| format!("none is marked: {spans:#?}"))?;
    ensure!(span.name == name && span.text("gotap.unread") == Some(unread), "{span:#?}");
    for key in missing {
        ensure!(!span.attributes.contains_key(*key), "{key} of {span:#?}");
    }
    Ok(())
}
