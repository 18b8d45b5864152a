//! Requests that are made: what goes wrong, and what is said of it.

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Gotap, Observed, Span, can_trace};

use crate::parents::{with_each, with_each_observed};

/// The client span of one call of the case.
fn call(observed: &Observed, case: &str) -> Result<Span> {
    let spans = observed.spans_of(2, |app| app.get(&format!("/call/{case}"), &[]).map(drop))?;
    spans.into_iter().find(Span::is_client).with_context(|| format!("a client span of {case}"))
}

/// Status, error type and message of a failed call; it has no response.
fn failure(span: &Span) -> Result<(&str, &str)> {
    ensure!(span.status == "error", "{span:#?}");
    ensure!(span.int("http.response.status_code").is_none(), "{span:#?}");
    ensure!(span.int("http.response.body.size").is_none(), "{span:#?}");
    Ok((span.text("error.type").context("error.type")?, span.message.as_str()))
}

#[test]
fn failed_calls_say_why() -> Result<()> {
    if !can_trace("failed_calls_say_why") {
        return Ok(());
    }
    with_each_observed(|observed| {
        let precanceled = call(observed, "precanceled")?;
        let (kind, _) = failure(&precanceled)?;
        ensure!(kind == "context done", "precanceled: {kind}");

        let canceled = call(observed, "canceled")?;
        let found = failure(&canceled)?;
        ensure!(found.0 == "context canceled", "canceled: {found:?}");
        let duration = canceled.end - canceled.start;
        ensure!((25_000_000..900_000_000).contains(&duration), "canceled after {duration} ns");

        let timeout = call(observed, "timeout")?;
        let found = failure(&timeout)?;
        ensure!(found.0 != "_OTHER" && !found.1.is_empty(), "timeout: {found:?}");
        let duration = timeout.end - timeout.start;
        ensure!((45_000_000..900_000_000).contains(&duration), "timed out after {duration} ns");
        Ok(())
    })
}

#[test]
fn a_refused_connection_is_named() -> Result<()> {
    if !can_trace("a_refused_connection_is_named") {
        return Ok(());
    }
    with_each_observed(|observed| {
        let refused = call(observed, "refused")?;
        let found = failure(&refused)?;
        ensure!(found == ("*net.OpError", "connection refused"), "{found:?}");
        Ok(())
    })
}

#[test]
fn calls_have_method_and_sizes() -> Result<()> {
    if !can_trace("calls_have_method_and_sizes") {
        return Ok(());
    }
    with_each_observed(|observed| {
        let post = call(observed, "post")?;
        ensure!(
            post.name == "POST" && post.text("http.request.method") == Some("POST"),
            "{post:#?}"
        );
        ensure!(post.int("http.request.body.size") == Some(20), "{post:#?}");
        ensure!(post.int("http.response.body.size") == Some(3), "{post:#?}");
        ensure!(post.target() == format!("http://{}/", observed.backend.address), "{post:#?}");
        ensure!(post.status == "unset", "{post:#?}");
        Ok(())
    })
}

/// `-client` has no server at all: calls from the main goroutine are roots.
#[test]
fn a_program_that_only_calls_is_traced() -> Result<()> {
    if !can_trace("a_program_that_only_calls_is_traced") {
        return Ok(());
    }
    with_each(|program| {
        let backend = App::start(program)?;
        let url = format!("http://{}/status/404", backend.address);
        let folder = tempfile::TempDir::with_prefix("gotap-e2e-")?;
        let go = folder.path().join("go");
        let arguments = ["-client", "3", "-until", &go.display().to_string(), &url];
        let client = gotap_testkit::process::Running::start(program, &arguments, &[])?;
        let gotap = Gotap::trace_pid(client.pid())?;
        std::fs::write(&go, "")?;
        let ended = gotap.wait()?;
        ensure!(ended.status.success(), "{:?}", ended.status);
        ensure!(
            ended.spans.len() == 3,
            "{} spans of 3:\n{}",
            ended.spans.len(),
            Span::list(&ended.spans)
        );
        for span in &ended.spans {
            ensure!(span.is_client() && span.parent == "none", "{span:#?}");
            // For a client, 4xx is an error, too.
            ensure!(span.status == "error" && span.text("error.type") == Some("404"), "{span:#?}");
        }
        Ok(())
    })
}
