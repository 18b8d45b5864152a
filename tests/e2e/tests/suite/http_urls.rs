//! URLs: query strings, which are told only when they are asked for; what is sent in place of a path;
//! and requests that the transport refuses.

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Gotap, Observed, Span, can_trace};
use gotap_testkit::go::Version;

use crate::parents::with_each;

/// The span of the request and that of its only call.
fn pair(gotap: Gotap) -> Result<(Span, Span)> {
    gotap.wait_for_spans(2)?;
    let ended = gotap.stop()?;
    ensure!(ended.summary.dropped.is_empty(), "{:?}", ended.summary.dropped);
    ensure!(ended.spans.len() == 2, "{}", Span::list(&ended.spans));
    let [client, server] = <[Span; 2]>::try_from(ended.spans).ok().context("two spans")?;
    ensure!(client.is_child_of(&server), "{client:#?}");
    Ok((server, client))
}

#[test]
fn query_strings_are_told_only_when_they_are_asked_for() -> Result<()> {
    const PATH: &str = "/call/query?q=go&sig=secret";
    if !can_trace("query_strings_are_told_only_when_they_are_asked_for") {
        return Ok(());
    }
    with_each(|program| {
        let (app, backend) = App::start_pair(program)?;
        let pid = app.pid().to_string();
        let base = format!("http://127.0.0.1:{}/", backend.port()?);
        let gotap = Gotap::trace(&["--pid", &pid])?;
        app.get(PATH, &[])?;
        let (server, client) = pair(gotap)?;
        ensure!(server.text("url.query").is_none(), "{server:#?}");
        ensure!(client.text("url.full") == Some(base.as_str()), "{client:#?}");
        let gotap = Gotap::trace(&["--pid", &pid, "--query-strings"])?;
        app.get(PATH, &[])?;
        let (server, client) = pair(gotap)?;
        ensure!(server.text("url.query") == Some("q=go&sig=REDACTED"), "{server:#?}");
        ensure!(server.text("url.path") == Some("/call/query"), "{server:#?}");
        let full = format!("{base}?page=2&X-Goog-Signature=REDACTED");
        ensure!(client.text("url.full") == Some(full.as_str()), "{client:#?}");
        Ok(())
    })
}

#[test]
fn an_opaque_url_is_told_as_it_is_sent() -> Result<()> {
    if !can_trace("an_opaque_url_is_told_as_it_is_sent") {
        return Ok(());
    }
    with_each(|program| {
        let (app, backend) = App::start_pair(program)?;
        let gotap = Gotap::trace_pid(app.pid())?;
        app.get("/call/opaque", &[])?;
        let (_, client) = pair(gotap)?;
        let full = format!("http://127.0.0.1:{}/other%2fplace", backend.port()?);
        ensure!(client.text("url.full") == Some(full.as_str()), "{client:#?}");
        Ok(())
    })
}

/// What the transport refuses itself is an error with a span.
#[test]
fn requests_that_cannot_be_sent_have_an_error() -> Result<()> {
    if !can_trace("requests_that_cannot_be_sent_have_an_error") {
        return Ok(());
    }
    for version in [Version::NEWEST, Version::of(24), Version::of(21), Version::OLDEST] {
        let program = App::build(version, gotap_testkit::go::Mode::Plain)?;
        let refused = |observed: &Observed| {
            ["refused-header", "refused-scheme", "refused-host", "refused-method"]
                .into_iter()
                .try_for_each(|case| is_refused(observed, case).context(case))
        };
        Observed::with(&program, refused).with_context(|| format!("Go {version}"))?;
    }
    Ok(())
}

fn is_refused(observed: &Observed, case: &str) -> Result<()> {
    let spans = observed.spans_of(2, |app| {
        let answer = app.get(&format!("/call/{case}"), &[])?;
        ensure!(answer.text().contains("error="), "{}", answer.text());
        Ok(())
    })?;
    let [client, server] = <[Span; 2]>::try_from(spans).ok().context("two spans")?;
    ensure!(client.is_child_of(&server), "{client:#?}");
    ensure!(client.text("error.type") == Some("request refused"), "{client:#?}");
    ensure!(client.parent == "context", "{client:#?}");
    ensure!(client.text("url.full").is_some() == (case != "refused-scheme"), "{client:#?}");
    Ok(())
}
