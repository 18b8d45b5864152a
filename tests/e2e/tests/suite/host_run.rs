//! Connections and programs of the whole host in `gotap run`: as metrics, and connections as spans.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, SOON, can_trace, eventually, memory, reset_when_closed};
use gotap_testkit::collector::{Collector, FlatSpan, Kind};
use gotap_testkit::{http, prometheus};
use serde_json::Value;

use crate::logs::records;
use crate::metrics::{are_documented, own_program, run_in};

const ALL: [(&str, &str); 4] = [
    ("GOTAP_HOST_TCP", "true"),
    ("GOTAP_HOST_TCP_SPANS", "true"),
    ("GOTAP_HOST_PROGRAMS", "true"),
    ("GOTAP_HOST_PROGRAM_LOGS", "true"),
];

#[test]
fn connections_and_programs_are_measured() -> Result<()> {
    if !can_trace("connections_and_programs_are_measured") {
        return Ok(());
    }
    // Other tests make connections and run programs, too: these have names of their own.
    let (folder, program) = own_program()?;
    let name = format!("app{}", std::process::id());
    let (app, collector) =
        (App::start_with(&program, &[], &[("OTEL_SERVICE_NAME", &name)])?, Collector::start()?);
    // A bash, which can connect, and is gone before anybody can look at more than its name.
    let shell = folder.path().join(format!("sh{}", std::process::id()));
    std::fs::copy("/bin/bash", &shell).context("copy a shell")?;
    let path = program.to_str().context("a path in UTF-8")?;
    let (gotap, address) = run_in(&["--executable", path], &ALL, &collector)?;
    for _ in 0..3 {
        let mut connection = app.connect()?;
        connection.get("/hello", &[])?;
        connection.get("/hello", &[])?;
    }
    // A port that nobody listens on any more.
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let dial = format!("exec 3<>/dev/tcp/127.0.0.1/{closed}");
    for script in ["exit 0", "exit 3", &dial] {
        Command::new(&shell).args(["-c", script]).output()?;
    }
    told(&collector, &shell)?;
    let shell = shell.file_name().and_then(|name| name.to_str()).context("a name")?;
    for line in expected(&name, shell) {
        let mut text = String::new();
        let is_there = eventually(SOON, || {
            text = http::get(&address, "/metrics", &[]).map(|page| page.text()).unwrap_or_default();
            text.lines().any(|found| found == line)
        });
        let of_them = text.lines().filter(|l| l.contains(&name) || l.contains(shell));
        ensure!(is_there, "{line} is not in\n{}", of_them.collect::<Vec<_>>().join("\n"));
        prometheus::check(&text)?;
        are_documented(&text)?;
    }
    let port = app.port()?;
    let spans = collector.wait_until(SOON, |spans| connections(spans, port).len() >= 3)?;
    let found = connections(&spans, port);
    ensure!(found.len() == 3, "{found:#?}");
    for span in found {
        ensure!(span.kind == Kind::Server, "{span:#?}");
        ensure!(span.service() == Some(&name), "{span:#?}");
        ensure!(span.int("gotap.tcp.sent") > Some(100), "{span:#?}");
        ensure!(span.int("gotap.tcp.requests") == Some(2), "{span:#?}");
        let linked = links(&collector, &span.span_id)?;
        ensure!(linked.len() == 2, "{linked:?}");
        let is_request = |(trace, id): &(String, String)| {
            let found = spans.iter().find(|of| of.span_id == *id && of.trace_id == *trace);
            found.is_some_and(|of| of.text("url.path") == Some("/hello"))
        };
        ensure!(linked.iter().all(is_request), "{linked:?} among {spans:#?}");
    }
    gotap.stop().map(drop)
}

/// Lines of the metrics of a program that serves, and of a shell.
fn expected(name: &str, shell: &str) -> [String; 9] {
    let served = format!("{{service=\"{name}\",role=\"server\"");
    [
        format!("gotap_tcp_connections_total{served}}} 3"),
        format!("gotap_tcp_connection_duration_seconds_count{served}}} 3"),
        format!("gotap_tcp_rtt_seconds_count{served}}} 3"),
        format!(
            "gotap_tcp_failures_total{{service=\"{shell}\",role=\"client\",error_type=\"ECONNREFUSED\"}} 1"
        ),
        format!("gotap_program_starts_total{{executable=\"{shell}\"}} 4"),
        format!("gotap_program_ends_total{{executable=\"{shell}\",outcome=\"success\"}} 1"),
        format!("gotap_program_ends_total{{executable=\"{shell}\",outcome=\"failure\"}} 3"),
        format!("gotap_program_lifetime_seconds_count{{executable=\"{shell}\"}} 4"),
        "gotap_tcp_lost_total{reason=\"ring_full\"} 0".to_owned(),
    ]
}

/// A log record for each program that was run, and for its end, with what looks like a secret masked.
fn told(collector: &Collector, shell: &Path) -> Result<()> {
    Command::new(shell).args(["-c", "exit 4", "--token=hidden"]).output()?;
    let path = shell.to_str().context("a path")?;
    let text = |record: &Value, key: &str| {
        let found =
            record["attributes"].as_array().into_iter().flatten().find(|of| of["key"] == key);
        found.map(|found| found["value"].to_string())
    };
    let mut of_shell = Vec::new();
    let are_there = eventually(SOON, || {
        of_shell = records(collector).unwrap_or_default();
        of_shell.retain(|record| {
            text(record, "process.executable.path").is_some_and(|found| found.contains(path))
        });
        of_shell.len() >= 8
    });
    ensure!(are_there && of_shell.len() == 8, "{of_shell:#?}");
    let named = |name| of_shell.iter().filter(move |record| record["eventName"] == name);
    ensure!(named("process.exec").count() == 4 && named("process.exit").count() == 4);
    let codes = named("process.exit").filter_map(|record| text(record, "process.exit.code"));
    let codes: Vec<_> = codes.filter(|code| code.contains(['3', '4'])).collect();
    ensure!(codes.len() == 2, "{codes:?}");
    let arguments: Vec<_> =
        named("process.exec").filter_map(|record| text(record, "process.command_args")).collect();
    ensure!(
        arguments.iter().any(|of| of.contains("exit 4") && of.contains("--token=")),
        "{arguments:?}"
    );
    ensure!(!arguments.iter().any(|of| of.contains("hidden")), "{arguments:?}");
    Ok(())
}

/// Short connections, as a scan or a client without a pool makes them: each is counted, or counted as lost.
#[test]
fn a_flood_of_connections_is_counted() -> Result<()> {
    const FLOOD: u64 = 100_000;
    if !can_trace("a_flood_of_connections_is_counted") {
        return Ok(());
    }
    let (_folder, program) = own_program()?;
    let name = format!("flooded{}", std::process::id());
    let (app, collector) =
        (App::start_with(&program, &[], &[("OTEL_SERVICE_NAME", &name)])?, Collector::start()?);
    let (gotap, address) = run_in(&["--executable", "/nothing"], &ALL[..1], &collector)?;
    let before = memory(gotap.process.pid(), "VmRSS")?;
    let to = SocketAddr::from((Ipv4Addr::LOCALHOST, app.port()?));
    for _ in 0..FLOOD {
        // Without the wait that keeps a port: there are fewer ports than connections.
        reset_when_closed(&TcpStream::connect(to)?)?;
    }
    let served = format!("gotap_tcp_connections_total{{service=\"{name}\",role=\"server\"}} ");
    let mut counts = (0, 0);
    let are_there = eventually(SOON, || {
        let text = http::get(&address, "/metrics", &[]).map(|page| page.text()).unwrap_or_default();
        let number = |of: &str| -> Option<u64> {
            text.lines().find_map(|line| line.strip_prefix(of)?.trim().parse().ok())
        };
        let lost = ["ring_full", "not_run"]
            .map(|why| format!("gotap_tcp_lost_total{{reason=\"{why}\"}} "));
        let lost = lost.iter().filter_map(|why| number(why)).sum();
        counts = (number(&served).unwrap_or(0), lost);
        counts.0 + counts.1 >= FLOOD
    });
    ensure!(are_there && counts.0 <= FLOOD, "{} counted, {} lost", counts.0, counts.1);
    let grown = memory(gotap.process.pid(), "VmRSS")?.saturating_sub(before);
    ensure!(grown < 32 << 10, "{grown} KiB more than before");
    gotap.stop().map(drop)
}

/// The traces and spans that a span links to.
fn links(collector: &Collector, span_id: &str) -> Result<Vec<(String, String)>> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    for export in collector.exports()? {
        let scopes =
            list(&export["resourceSpans"]).into_iter().flat_map(|of| list(&of["scopeSpans"]));
        let mut spans = scopes.flat_map(|scope| list(&scope["spans"]));
        if let Some(span) = spans.find(|span| span["spanId"] == span_id) {
            let text = |link: &Value, key: &str| link[key].as_str().unwrap_or_default().to_owned();
            let links = list(&span["links"]);
            return Ok(links.iter().map(|l| (text(l, "traceId"), text(l, "spanId"))).collect());
        }
    }
    Ok(Vec::new())
}

/// The spans of connections to this port.
fn connections(spans: &[FlatSpan], port: u16) -> Vec<&FlatSpan> {
    let is_one =
        |span: &&FlatSpan| span.name == "tcp" && span.int("server.port") == Some(port.into());
    spans.iter().filter(is_one).filter(|span| span.kind == Kind::Server).collect()
}
