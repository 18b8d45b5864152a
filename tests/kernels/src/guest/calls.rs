//! gRPC, and a database that needs no server.

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
    let gotap = Gotap::trace_what("grpc", &["--pid", &app.pid().to_string()])?;
    let mut arguments = vec!["-client", "-to", &app.address, "say:error:Internal"];
    let calls = CALLS.map(|(way, _)| format!("say:call:{way}"));
    arguments.extend(calls.iter().map(String::as_str));
    let mut client = Running::start(&program, &arguments, &[])?;
    ensure!(client.wait(SOON)?.success(), "{:?}", client.stderr());
    let spans = gotap.finish(2 * CALLS.len() + 1)?;
    let list = Span::list(&spans);
    let failed = spans.first().and_then(|span| span.text("rpc.response.status_code"));
    ensure!(failed == Some("INTERNAL"), "{list}");
    for (pair, (way, how)) in spans[1..].chunks(2).zip(CALLS) {
        let [client, server] = pair else { unreachable!("chunks of two") };
        ensure!(client.is_child_of(server) && client.parent == how, "{way}: {list}");
    }
    Ok(())
}

pub(crate) fn sql() -> Result<()> {
    let program = program("sqlapp", Version::NEWEST);
    let app = App::start_with(&program, &["-driver", "sqlite", "-dsn", "/tmp/test.db"], &[])?;
    let gotap = Gotap::trace_what("sql", &["--pid", &app.pid().to_string()])?;
    for path in ["/query", "/tx", "/duplicate"] {
        app.get(path, &[])?;
    }
    let spans = gotap.wait_for_spans(6)?;
    let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    let expected =
        ["SELECT things", "BEGIN", "INSERT things", "SELECT things", "COMMIT", "INSERT things"];
    ensure!(names == expected, "{names:?}");
    ensure!(spans.iter().all(|span| span.parent == "context"), "{}", Span::list(&spans));
    ensure!(spans[5].text("db.response.status_code") == Some("1555"), "{:#?}", spans[5]);
    let ended = gotap.stop()?;
    ensure!(ended.summary.dropped.is_empty(), "{:?}", ended.summary);
    Ok(())
}
