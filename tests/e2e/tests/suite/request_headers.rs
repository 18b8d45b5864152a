//! Headers of served requests as attributes, which a setting turns on by name.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Chain, Gotap, Span, can_trace};
use gotap_testkit::go::{Mode, Version};
use gotap_testkit::http;
use serde_json::{Value, json};

use crate::fasthttp::program;
use crate::grpc::call;

/// In any case, and one that nobody sends.
const ASKED: &str = "X-Request-Id,x-tenant,x-never-sent";
const ID: &str = "7d3c1f60-0000-4000-8000-5a2b9e4c1d77";

/// Path, headers, and the values of those that are told.
type Case = (&'static str, Vec<(&'static str, String)>, BTreeMap<&'static str, Value>);

fn cases() -> Vec<Case> {
    let id = |text: &str| ("X-Request-ID", text.to_owned());
    let names = ["A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K", "L", "M", "N", "O", "P"];
    let mut crowded: Vec<_> = names.map(|name| (name, "x".repeat(9))).into();
    crowded.push(id(ID));
    let (long, cut) = ("y".repeat(300), format!("{}…", "y".repeat(256)));
    let secret = ("X-Request-Identity", "secret".to_owned());
    let tenant = |text: &str| ("x-tenant", text.to_owned());
    vec![
        ("/id/1", vec![id(ID)], BTreeMap::from([("x-request-id", json!([ID]))])),
        ("/id/2", vec![secret, ("X-Request-Ix", ID.to_owned())], BTreeMap::new()),
        ("/id/3", crowded, BTreeMap::from([("x-request-id", json!([ID]))])),
        ("/id/4", vec![id(&long)], BTreeMap::from([("x-request-id", json!([cut]))])),
        (
            "/id/5",
            vec![tenant("one"), id("2"), tenant("three")],
            BTreeMap::from([("x-request-id", json!(["2"])), ("x-tenant", json!(["one", "three"]))]),
        ),
    ]
}

/// What attributes with this prefix say.
fn told<'s>(span: &'s Span, prefix: &str) -> BTreeMap<&'s str, Value> {
    let found = span.attributes.iter();
    found.filter_map(|(key, value)| Some((key.strip_prefix(prefix)?, value.clone()))).collect()
}

fn check(spans: &[Span], on: bool) -> Result<()> {
    for (path, _, wanted) in cases() {
        let mut found = spans.iter().filter(|span| span.target() == path);
        let span = found.next().with_context(|| format!("{path}:\n{}", Span::list(spans)))?;
        ensure!(found.next().is_none(), "{path} twice");
        let wanted = if on { wanted } else { BTreeMap::new() };
        ensure!(told(span, "http.request.header.") == wanted, "{span:#?}");
        ensure!(span.text("gotap.unread").is_none(), "{span:#?}");
    }
    Ok(())
}

/// Sends all requests to this address, and checks the spans of this process.
fn observe(pid: u32, on: bool, address: &str, prefix: &str) -> Result<()> {
    let pid = pid.to_string();
    let asked: &[&str] = if on { &["--request-headers", ASKED] } else { &[] };
    let gotap = Gotap::trace(&[&["--pid", &pid][..], asked].concat())?;
    let cases = cases();
    for (path, headers, _) in &cases {
        let headers: Vec<_> = headers.iter().map(|(name, text)| (*name, text.as_str())).collect();
        http::get(address, &format!("{prefix}{path}"), &headers)?;
    }
    check(&gotap.finish(cases.len())?, on)
}

#[test]
fn headers_are_told_where_they_are_asked_for() -> Result<()> {
    if !can_trace("headers_are_told_where_they_are_asked_for") {
        return Ok(());
    }
    // Each kind of map that Go has had, and each kind of request.
    for minor in [18, 24, 27] {
        let app = App::start(&App::build(Version::of(minor), Mode::Plain)?)?;
        observe(app.pid(), true, &app.address, "").with_context(|| format!("Go 1.{minor}"))?;
    }
    for minor in [18, 27] {
        let chain = Chain::start(&App::build(Version::of(minor), Mode::Plain)?)?;
        observe(chain.app.pid(), true, &chain.proxy.address, &Chain::path(""))
            .with_context(|| format!("HTTP/2 of Go 1.{minor}"))?;
    }
    let app = App::start(&program("fastapp", None, Version::NEWEST, Mode::Plain)?)?;
    observe(app.pid(), true, &app.address, "").context("fasthttp")?;
    observe(app.pid(), false, &app.address, "").context("not asked for")
}

#[test]
fn metadata_of_grpc_is_told_where_it_is_asked_for() -> Result<()> {
    if !can_trace("metadata_of_grpc_is_told_where_it_is_asked_for") {
        return Ok(());
    }
    let program = App::build_grpc(None, Version::NEWEST)?;
    for (flags, prefix) in
        [(&[][..], "rpc.request.metadata."), (&["-serve-http"], "http.request.header.")]
    {
        let app = App::start_with(&program, flags, &[])?;
        let pid = app.pid().to_string();
        let gotap = Gotap::trace_what("grpc", &["--pid", &pid, "--request-headers", "TraceState"])?;
        call(&program, &app.address, &["say:hello"])?;
        let state = ["-tracestate", "vendor=a|other=b", "say:hello"];
        call(&program, &app.address, &state)?;
        let spans = gotap.finish(2)?;
        let wanted = BTreeMap::from([("tracestate", json!(["vendor=a", "other=b"]))]);
        let right = told(&spans[0], prefix).is_empty() && told(&spans[1], prefix) == wanted;
        ensure!(right, "{flags:?}: {spans:#?}");
    }
    Ok(())
}
