//! gRPC: calls that are served and made, and both ends of a connection.

use anyhow::{Result, ensure};
use gotap_e2e::{App, Gotap, SOON, Span};
use gotap_kernel_tests::program;
use gotap_testkit::go::Version;
use gotap_testkit::process::Running;

/// Each call makes another one, on a road of its own; the last one fails.
const CALLS: [(&str, &str); 4] =
    [("same", "context"), ("noctx", "goroutine"), ("go", "ancestor"), ("deep", "ancestor")];

pub(crate) fn grpc() -> Result<()> {
    let program = program("grpcapp", Version::NEWEST);
    let backend = App::start(&program)?;
    let app = App::start_with(&program, &["-backend", &backend.address], &[])?;
    let pids = [app.pid().to_string(), backend.pid().to_string()];
    let gotap = Gotap::trace_what("grpc", &["--pid", &pids[0], "--pid", &pids[1]])?;
    let mut arguments = vec!["-client", "-to", &app.address, "say:error:Internal"];
    let calls = CALLS.map(|(way, _)| format!("say:call:{way}"));
    arguments.extend(calls.iter().map(String::as_str));
    let mut client = Running::start(&program, &arguments, &[])?;
    ensure!(client.wait(SOON)?.success(), "{:?}", client.stderr());
    let spans = gotap.finish(3 * CALLS.len() + 1)?;
    // What the backend serves is joined with the call by the connection.
    let (joined, spans): (Vec<_>, Vec<_>) =
        spans.into_iter().partition(|span| span.parent == "connection");
    let is_called = |served: &Span| spans.iter().any(|s| s.is_client() && served.is_child_of(s));
    let called = joined.iter().filter(|span| is_called(span)).count();
    ensure!(called == CALLS.len(), "{}\n{}", Span::list(&joined), Span::list(&spans));
    let list = Span::list(&spans);
    let failed = spans.first().and_then(|span| span.text("rpc.response.status_code"));
    ensure!(failed == Some("INTERNAL"), "{list}");
    for (pair, (way, how)) in spans[1..].chunks(2).zip(CALLS) {
        let [client, server] = pair else { unreachable!("chunks of two") };
        ensure!(client.is_child_of(server) && client.parent == how, "{way}: {list}");
    }
    Ok(())
}
