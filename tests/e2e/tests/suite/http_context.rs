//! Inbound trace context: valid, broken, and among many other headers.

use anyhow::{Result, ensure};
use gotap_e2e::{App, Gotap, can_trace};
use gotap_testkit::go::{Mode, Version};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

#[test]
fn a_broken_traceparent_is_ignored_and_counted() -> Result<()> {
    if !can_trace("a_broken_traceparent_is_ignored_and_counted") {
        return Ok(());
    }
    let broken = [
        "garbage".to_owned(),
        "x".repeat(55),
        format!("00-{TRACE}-{CALLER}"),
        format!("00-{TRACE}-{CALLER}-01-extra"),
        format!("ff-{TRACE}-{CALLER}-01"),
        format!("00-{}-{CALLER}-01", "0".repeat(32)),
        format!("00-{TRACE}-{}-01", "0".repeat(16)),
        format!("00-{}-{CALLER}-01", TRACE.to_uppercase()),
        format!("00-{}-{CALLER}-01", TRACE.replace('4', "g")),
        format!("00_{TRACE}_{CALLER}_01"),
        format!("00-{TRACE}-{CALLER}-0x"),
        format!("0x-{TRACE}-{CALLER}-01"),
    ];
    let app = App::start(&App::newest()?)?;
    let gotap = Gotap::trace_pid(app.pid())?;
    let mut connection = app.connect()?;
    for text in &broken {
        connection.get("/hello", &[("traceparent", text), ("tracestate", "a=b")])?;
    }
    gotap.wait_for_spans(broken.len())?;
    let ended = gotap.stop()?;
    ensure!(ended.spans.len() == broken.len(), "{} spans", ended.spans.len());
    for (span, text) in ended.spans.iter().zip(&broken) {
        ensure!(span.parent == "none" && span.trace_id != TRACE, "{text}: {span:#?}");
        ensure!(span.trace_state.is_empty(), "{text}: {span:#?}");
    }
    let counted = ended.summary.drops("traceparent_invalid");
    ensure!(counted == broken.len() as u64, "{:?}", ended.summary);
    Ok(())
}

#[test]
fn a_valid_traceparent_is_adopted_in_every_form() -> Result<()> {
    if !can_trace("a_valid_traceparent_is_adopted_in_every_form") {
        return Ok(());
    }
    let app = App::start(&App::newest()?)?;
    let gotap = Gotap::trace_pid(app.pid())?;
    let mut connection = app.connect()?;
    // Sampled, with a random trace id, and a version of the future that says more.
    for text in ["00-T-C-01", "00-T-C-03", "cc-T-C-03-what-comes-later"] {
        let text = text.replace('T', TRACE).replace('C', CALLER);
        connection.get("/hello", &[("TraceParent", &text)])?;
    }
    for (span, flags) in gotap.finish(3)?.iter().zip([1, 3, 1]) {
        ensure!(span.flags == flags, "{span:#?}");
        ensure!(span.trace_id == TRACE && span.parent_span_id == CALLER, "{span:#?}");
        ensure!(span.parent == "remote" && span.trace_state.is_empty(), "{span:#?}");
    }
    Ok(())
}

#[test]
fn a_long_tracestate_loses_whole_members_only() -> Result<()> {
    if !can_trace("a_long_tracestate_loses_whole_members_only") {
        return Ok(());
    }
    let app = App::start(&App::newest()?)?;
    let gotap = Gotap::trace_pid(app.pid())?;
    let members: Vec<_> = (0..32).map(|i| format!("vendor{i:02}={}", "v".repeat(20))).collect();
    let state = members.join(",");
    let parent = format!("00-{TRACE}-{CALLER}-01");
    app.get("/hello", &[("traceparent", &parent), ("tracestate", &state)])?;
    let spans = gotap.finish(1)?;
    let kept: Vec<_> = spans[0].trace_state.split(',').collect();
    ensure!(kept.len() >= 10 && kept.len() < 32, "{kept:?}");
    ensure!(kept == members[..kept.len()], "{kept:?}");
    Ok(())
}

/// A map of headers is searched up to 256 of them, in both layouts that Go's maps had.
#[test]
fn the_traceparent_is_found_among_200_headers() -> Result<()> {
    if !can_trace("the_traceparent_is_found_among_200_headers") {
        return Ok(());
    }
    const REQUESTS: usize = 30;
    for version in [Version::NEWEST, Version::of(21)] {
        let app = App::start(&App::build(version, Mode::Plain)?)?;
        let gotap = Gotap::trace_pid(app.pid())?;
        let names: Vec<_> = (0..198).map(|i| format!("X-Header-{i}")).collect();
        let parent = format!("00-{TRACE}-{CALLER}-01");
        let mut connection = app.connect()?;
        for i in 0..REQUESTS {
            let mut headers: Vec<_> = names.iter().map(|name| (name.as_str(), "value")).collect();
            headers.insert(i * 6, ("traceparent", &parent));
            headers.push(("User-Agent", "many/1"));
            connection.get("/hello", &headers)?;
        }
        let spans = gotap.finish(REQUESTS)?;
        let found = spans.iter().filter(|span| span.trace_id == TRACE).count();
        ensure!(found == REQUESTS, "Go {version}: only {found} of {REQUESTS} found");
        let agents = spans.iter().filter(|s| s.text("user_agent.original") == Some("many/1"));
        ensure!(agents.count() == REQUESTS, "Go {version}: user agents");
    }
    Ok(())
}
