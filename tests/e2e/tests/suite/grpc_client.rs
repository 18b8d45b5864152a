//! gRPC calls that are made: one span for each, whatever becomes of its attempts, and none wrong at
//! many calls at once.

use std::collections::HashMap;

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Gotap, SOON, Span, can_trace};
use gotap_testkit::process::Running;

use crate::grpc::{Pair, call, with_each};

/// What each case is called, the code that its client span has, and attempts before the last.
const CASES: [(&str, &str, &str, Option<i64>); 11] = [
    ("say:hello", "gotap.test.Echo/Say", "OK", None),
    ("say:error:NotFound", "gotap.test.Echo/Say", "NOT_FOUND", None),
    ("say:plain", "gotap.test.Echo/Say", "UNKNOWN", None),
    ("collect", "gotap.test.Echo/Collect", "OK", None),
    ("repeat", "gotap.test.Echo/Repeat", "OK", None),
    ("repeat:fail", "gotap.test.Echo/Repeat", "ABORTED", None),
    ("chat", "gotap.test.Echo/Chat", "OK", None),
    ("unknown", "gotap.test.Echo/None", "UNIMPLEMENTED", None),
    ("cancel", "gotap.test.Echo/Say", "CANCELLED", None),
    ("refused", "gotap.test.Echo/Say", "UNAVAILABLE", None),
    ("retry", "gotap.test.Echo/Say", "OK", Some(2)),
];

#[test]
fn each_call_has_one_span() -> Result<()> {
    if !can_trace("each_call_has_one_span") {
        return Ok(());
    }
    with_each(|program| {
        let server = App::start(program)?;
        let mut arguments = vec!["-client", "-hold", "-to", server.address.as_str()];
        arguments.extend(CASES.map(|(case, ..)| case));
        // Up to version 1.40 it retries only where it is asked for.
        let mut client = Running::start(program, &arguments, &[("GRPC_GO_RETRY", "on")])?;
        client.wait_for("holding", SOON)?;
        let pid = client.pid().to_string();
        let gotap = Gotap::trace_what("grpc", &["--error-messages", "--pid", &pid])?;
        client.signal(libc::SIGUSR1)?;
        ensure!(client.wait(SOON)?.success(), "{:?}", client.stderr());
        let spans = gotap.wait()?.spans;
        let list = Span::list(&spans);
        ensure!(spans.len() == CASES.len(), "{} spans:\n{list}", spans.len());
        for (span, case) in spans.iter().zip(CASES) {
            check(span, case, &server).with_context(|| format!("{span:#?}"))?;
        }
        Ok(())
    })
}

fn check(
    span: &Span,
    (case, name, code, attempts): (&str, &str, &str, Option<i64>),
    server: &App,
) -> Result<()> {
    ensure!(span.is_client() && span.name == name, "{case}: name");
    ensure!(span.text("rpc.method") == Some(name), "{case}: method");
    ensure!(span.text("rpc.response.status_code") == Some(code), "{case}: code");
    let failed = code != "OK";
    ensure!(span.status == if failed { "error" } else { "unset" }, "{case}: outcome");
    ensure!(span.text("error.type") == failed.then_some(code), "{case}: error type");
    ensure!(span.message.is_empty() || failed, "{case}: message");
    let refused = span.message.contains("connection refused");
    ensure!(refused == (case == "refused"), "{case}: message");
    ensure!(span.int("gotap.rpc.resend_count") == attempts, "{case}: attempts");
    ensure!(span.parent == "none", "{case}: parent");
    ensure!(span.text("server.address") == Some("127.0.0.1"), "{case}: address");
    let port = if case == "refused" { 1 } else { server.port()?.into() };
    ensure!(span.int("server.port") == Some(port), "{case}: port");
    let peer = (case != "refused").then_some(port);
    ensure!(span.int("network.peer.port") == peer, "{case}: peer");
    Ok(())
}

/// Each request makes one call, on a road of its own; all at the same time.
#[test]
fn no_grpc_call_has_a_wrong_parent_under_load() -> Result<()> {
    if !can_trace("no_grpc_call_has_a_wrong_parent_under_load") {
        return Ok(());
    }
    const WAYS: [&str; 5] =
        ["say:call:same", "say:call:noctx", "say:call:go", "say:call:deep", "say:call:ctx-pool"];
    const PARALLEL: usize = 64;
    const COUNT: usize = 4;
    let requests = PARALLEL * COUNT * WAYS.len();
    with_each(|program| {
        for flags in [&[][..], &["-workers", "8"]] {
            let pair = Pair::start(program, flags)?;
            let gotap = Gotap::trace_what("grpc", &["--pid", &pair.app.pid().to_string()])?;
            let (parallel, count) = (PARALLEL.to_string(), COUNT.to_string());
            let load = [&["-parallel", &parallel, "-count", &count], &WAYS[..]].concat();
            let said = call(program, &pair.app.address, &load)?;
            ensure!(said == [format!("OK {requests}")], "{said:?}");
            let spans = gotap.finish(2 * requests)?;
            let mut children: HashMap<&str, usize> = HashMap::new();
            for client in spans.iter().filter(|span| span.is_client()) {
                *children.entry(&client.parent_span_id).or_default() += 1;
            }
            for server in spans.iter().filter(|span| span.is_server()) {
                let calls = children.get(server.span_id.as_str()).copied().unwrap_or_default();
                ensure!(calls == 1, "{flags:?}: {calls} calls of {server:#?}");
            }
            ensure!(children.len() == requests, "{flags:?}: {} parents", children.len());
        }
        Ok(())
    })
}
