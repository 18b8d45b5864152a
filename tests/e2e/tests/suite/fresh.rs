//! Memory that a program never wrote: Go's objects may end in pages that the kernel has not given yet,
//! of which nothing can be read.

use anyhow::{Result, ensure};
use gotap_e2e::{App, Gotap, Span, can_trace};
use gotap_testkit::go::{Mode, Version};

const REQUESTS: usize = 4000;
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";
const STATE: &str = "vendor=a,other=b";

/// Without garbage collection, every object is made in fresh memory. The kinds of maps that Go has had
/// lay headers out in ways of their own.
#[test]
fn objects_that_end_in_untouched_memory_are_read() -> Result<()> {
    if !can_trace("objects_that_end_in_untouched_memory_are_read") {
        return Ok(());
    }
    for version in [Version::NEWEST, Version::of(24), Version::of(21)] {
        let program = App::build(version, Mode::Plain)?;
        let (app, _backend) = App::start_pair_with(&program, &[("GOGC", "off")])?;
        let gotap = Gotap::trace_pid(app.pid())?;
        send(&app, &gotap)?;
        gotap.wait_for_spans(2 * REQUESTS)?;
        let ended = gotap.stop()?;
        ensure!(ended.summary.drops("read_fault") == 0, "Go {version}: {:?}", ended.summary);
        check(&ended.spans).map_err(|error| error.context(format!("Go {version}")))?;
    }
    Ok(())
}

/// Requests whose trace stands at each of the first eight places of the map. gotap, built for tests,
/// prints more slowly than they come, so they wait for it now and then.
fn send(app: &App, gotap: &Gotap) -> Result<()> {
    let traceparent = format!("00-{TRACE}-{CALLER}-01");
    let others = ["A", "B", "C", "D", "E", "F", "G", "H"].map(|name| (name, "1"));
    let mut connection = app.connect()?;
    for i in 0..REQUESTS {
        let mut headers = others[..i % (others.len() + 1)].to_vec();
        headers.extend([("traceparent", traceparent.as_str()), ("tracestate", STATE)]);
        headers.push(("user-agent", "fresh/1"));
        connection.get("/call/same", &headers)?;
        if i % 500 == 499 {
            gotap.wait_for_lines(2 * i)?;
        }
    }
    Ok(())
}

fn check(spans: &[Span]) -> Result<()> {
    ensure!(spans.len() == 2 * REQUESTS, "{} spans", spans.len());
    let wrong: Vec<_> = spans.iter().filter(|span| !is_complete(span)).collect();
    ensure!(wrong.is_empty(), "{} of {}, such as {:#?}", wrong.len(), spans.len(), wrong[0]);
    Ok(())
}

fn is_complete(span: &Span) -> bool {
    if span.is_client() {
        return span.parent == "context" && span.trace_id == TRACE && !span.target().is_empty();
    }
    let agent = span.text("user_agent.original") == Some("fresh/1");
    let parent = span.trace_id == TRACE && span.parent_span_id == CALLER;
    agent && parent && span.trace_state == STATE && span.text("url.path") == Some("/call/same")
}
