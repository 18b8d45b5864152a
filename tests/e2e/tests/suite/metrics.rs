//! What gotap measures of itself, read by a real Prometheus and a real Collector; and that an output
//! that takes nothing holds up nothing.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use gotap_e2e::goroutines::RuntimeApp;
use gotap_e2e::{App, Gotap, Load, SOON, Summary, binary, can_trace, eventually};
use gotap_testkit::collector::Collector;
use gotap_testkit::go::{self, Mode, Version};
use gotap_testkit::process::{Running, heed_signals};
use gotap_testkit::prometheus::{self, Prometheus};
use gotap_testkit::{http, repo_root};
use serde_json::Value;
use tempfile::TempDir;

/// httpapp at a path of its own, so that those of other tests are not observed.
pub(crate) fn own_program() -> Result<(TempDir, PathBuf)> {
    let original = App::newest()?;
    let beside = original.parent().context("a folder of programs")?;
    let folder = TempDir::with_prefix_in("gotap-e2e-", beside).context("create a folder")?;
    let program = folder.path().join("httpapp");
    // A copy could not be started while another test forks: that has it open for writing.
    fs::hard_link(&original, &program).context("link httpapp")?;
    Ok((folder, program))
}

/// Starts `gotap run` for one program; gives it and where its metrics are.
pub(crate) fn run(program: &Path, collector: &Collector) -> Result<(Gotap, String)> {
    let program = program.to_str().context("a path in UTF-8")?;
    run_with(&["--executable", program], collector)
}

/// The same with another selection.
pub(crate) fn run_with(selection: &[&str], collector: &Collector) -> Result<(Gotap, String)> {
    run_in(selection, &[], collector)
}

/// The same with these variables.
pub(crate) fn run_in(
    selection: &[&str],
    environment: &[(&str, &str)],
    collector: &Collector,
) -> Result<(Gotap, String)> {
    let endpoint = collector.grpc_endpoint();
    let common = [
        "run",
        "--otlp-endpoint",
        &endpoint,
        "--prometheus-listen",
        "127.0.0.1:0",
        "--metrics-interval",
        "200ms",
    ];
    let gotap = Gotap::start(&[&common, selection].concat(), environment)?;
    gotap.wait_ready()?;
    let said = gotap.process.wait_for_error("gotap: metrics at ", SOON)?;
    let address = said.strip_prefix("gotap: metrics at http://").context("where metrics are")?;
    let address = address.strip_suffix("/metrics").context("the path of metrics")?;
    Ok((gotap, address.to_owned()))
}

/// Every metric stands in the document about them.
pub(crate) fn are_documented(text: &str) -> Result<()> {
    let document = fs::read_to_string(repo_root().join("docs/metrics.md"))?;
    let names = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    for name in names {
        ensure!(document.contains(&format!("`{name}`")), "docs/metrics.md lacks {name}");
    }
    Ok(())
}

#[test]
fn prometheus_reads_what_gotap_measures() -> Result<()> {
    if !can_trace("prometheus_reads_what_gotap_measures") {
        return Ok(());
    }
    let (_folder, program) = own_program()?;
    let (app, collector) = (App::start(&program)?, Collector::start()?);
    let (gotap, address) = run(&program, &collector)?;
    let prometheus = Prometheus::start(&address)?;
    let mut connection = app.connect()?;
    for _ in 0..30 {
        connection.get("/hello", &[])?;
    }
    drop(connection);
    collector.wait_for(30, SOON)?;
    let expected: [(&str, f64); 9] = [
        ("gotap_spans_total", 30.0),
        ("gotap_export_spans_total", 30.0),
        ("sum(gotap_drops_total)", 0.0),
        ("sum(gotap_sink_drops_total)", 0.0),
        ("gotap_targets", 1.0),
        ("gotap_attach_duration_seconds_count", 1.0),
        ("sum(http_server_request_duration_seconds_count)", 30.0),
        (r#"gotap_traps_total{probe="http_server_start"}"#, 30.0),
        (r#"count(up == 1) * count(target_info{service_name="gotap"})"#, 1.0),
    ];
    for (query, value) in expected {
        let mut last = None;
        let is_so = eventually(SOON, || {
            last = prometheus.value(query).unwrap_or_default();
            last == Some(value)
        });
        ensure!(is_so, "{query} is {last:?} instead of {value}");
    }
    let pid = app.pid().to_string();
    let of_program = prometheus.query(&format!("gotap_traps_total{{pid=\"{pid}\"}}"))?;
    ensure!(of_program.len() >= 2, "{of_program:?}");
    ensure!(of_program.iter().all(|sample| sample["metric"]["service"] == "httpapp"));
    for query in ["sum(process_cpu_time_seconds_total) > 0.01", "process_memory_usage_bytes > 1e6"]
    {
        ensure!(prometheus.value(query)?.is_some(), "{query} is not so");
    }
    let text = http::get(&address, "/metrics", &[])?.text();
    prometheus::check(&text)?;
    are_documented(&text)?;
    for path in ["/healthz", "/readyz"] {
        ensure!(http::get(&address, path, &[])?.status == 200, "{path}");
    }
    // Of a program that has ended nothing is left, and what was counted stays counted.
    drop(app);
    ensure!(eventually(SOON, || prometheus.value("gotap_targets").ok() == Some(Some(0.0))));
    ensure!(eventually(SOON, || prometheus.query("gotap_traps_total").is_ok_and(|s| s.is_empty())));
    let ended = gotap.stop()?;
    ensure!(ended.summary.traps["http_server_start"] == 30, "{:?}", ended.summary);
    Ok(())
}

/// What Go's runtime counts in an observed program is what the program itself says of it.
#[test]
fn metrics_of_go_runtimes_are_as_the_programs_say() -> Result<()> {
    if !can_trace("metrics_of_go_runtimes_are_as_the_programs_say") {
        return Ok(());
    }
    let collector = Collector::start()?;
    for (minor, mode) in [(19, Mode::Stripped), (27, Mode::Pie), (27, Mode::Cgo)] {
        let program = go::build("runtimeapp", Version::of(minor), mode)?;
        let mut app = RuntimeApp::start(&program, &["-goroutines", "700"], &[])?;
        let (gotap, address) = run_with(&["--pid", &app.process.pid().to_string()], &collector)?;
        let report = app.report()?;
        let text = http::get(&address, "/metrics", &[])?.text();
        prometheus::check(&text)?;
        are_documented(&text)?;
        let of = |name: &str| -> Option<f64> {
            let pid = format!("pid=\"{}\"", app.process.pid());
            let mut lines = text.lines().filter(|line| line.starts_with(&format!("{name}{{")));
            lines.find(|line| line.contains(&pid))?.rsplit(' ').next()?.parse().ok()
        };
        let numbers = &report["numbers"];
        let expected = [
            ("go_goroutine", &report["goroutines"]),
            ("gotap_go_gc_cycles_total", &report["memory"]["NumGC"]),
            ("go_processor_limit", &numbers["/sched/gomaxprocs:threads"]),
        ];
        for (name, truth) in expected {
            let (ours, truth) = (of(name), truth.as_f64());
            ensure!(ours.is_some(), "{program:?} has no {name}: {text}");
            ensure!(truth.is_none() || ours == truth, "{name}: {ours:?} instead of {truth:?}");
        }
        ensure!(of("go_memory_allocated_bytes_total") > Some(1e5), "{text}");
        ensure!(of("go_schedule_duration_seconds_count") > Some(0.0), "{text}");
        ensure!(of("go_memory_allocations_total") > Some(1000.0), "{text}");
        ensure!(of("gotap_go_gc_pause_duration_seconds_count") >= Some(2.0), "{text}");
        let labelled = |name: &str, label: &str| -> f64 {
            let lines = text
                .lines()
                .filter(|line| line.starts_with(&format!("{name}{{")) && line.contains(label));
            lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
        };
        let crowd =
            labelled("gotap_go_goroutines_by_origin", "code_function_name=\"main.startCrowd\"");
        ensure!((crowd - 700.0).abs() < 1.0, "{crowd} started by main.startCrowd: {text}");
        let waiting = labelled("gotap_go_goroutines_waiting", "reason=\"chan receive\"");
        ensure!(waiting > 100.0, "{waiting} wait to receive: {text}");
        ensure!(of("go_memory_limit_bytes").is_none(), "there is none");
        // They wait all the while, some hundred at once.
        let name = "gotap_go_goroutines_wait_time_seconds_total";
        let waited = || -> Option<f64> {
            let text = http::get(&address, "/metrics", &[]).ok()?.text();
            let is_it = |line: &&str| line.starts_with(name) && line.contains("\"chan receive\"");
            text.lines().find(is_it)?.rsplit(' ').next()?.parse().ok()
        };
        ensure!(eventually(SOON, || waited() > Some(100.0)), "{:?} s: {text}", waited());
        let pid = app.process.pid().to_string();
        let arrives = eventually(SOON, || of_process(&collector, &pid, "go.goroutine.count"));
        ensure!(arrives, "the collector gets none of the runtime");
        gotap.stop()?;
    }
    Ok(())
}

/// So is it in a program in which nothing can be traced.
#[test]
fn runtimes_of_programs_with_nothing_to_trace_are_read() -> Result<()> {
    if !can_trace("runtimes_of_programs_with_nothing_to_trace_are_read") {
        return Ok(());
    }
    let program = go::build("poolapp", Version::NEWEST, Mode::Plain)?;
    let pool = Running::start(&program, &["-old", "7"], &[] as &[(&str, &str)])?;
    pool.wait_for("ready", SOON)?;
    let collector = Collector::start()?;
    let (gotap, address) = run_with(&["--name", "poolapp"], &collector)?;
    let wanted = format!("pid=\"{}\"", pool.pid());
    let count = || -> Option<f64> {
        let text = http::get(&address, "/metrics", &[]).ok()?.text();
        let mut lines = text.lines().filter(|line| line.starts_with("go_goroutine{"));
        lines.find(|line| line.contains(&wanted))?.rsplit(' ').next()?.parse().ok()
    };
    // The veterans, main, and the one that hands out signals.
    ensure!(
        eventually(SOON, || count().is_some_and(|n| (8.0..12.0).contains(&n))),
        "{:?}",
        count()
    );
    drop(pool);
    ensure!(eventually(SOON, || count().is_none()), "it has ended");
    gotap.stop()?;
    Ok(())
}

/// Whether a metric of a process arrived under the attributes of its own.
fn of_process(collector: &Collector, pid: &str, name: &str) -> bool {
    let exports = collector.exports().unwrap_or_default();
    let resources = exports.iter().filter_map(|export| export["resourceMetrics"].as_array());
    resources.flatten().any(|resource| {
        let attributes = resource["resource"]["attributes"].as_array();
        let is_it = attributes.is_some_and(|list| {
            list.iter().any(|a| a["key"] == "process.pid" && a["value"]["intValue"] == pid)
        });
        let metrics = resource["scopeMetrics"][0]["metrics"].as_array();
        is_it && metrics.is_some_and(|list| list.iter().any(|metric| metric["name"] == name))
    })
}

/// The sums of the newest export by name; histograms count.
fn sums(exports: &[Value]) -> BTreeMap<String, u64> {
    let mut out = BTreeMap::new();
    let newest = exports.iter().rev().find(|export| export.get("resourceMetrics").is_some());
    let resources = newest.and_then(|export| export["resourceMetrics"].as_array());
    for metric in resources.into_iter().flatten().flat_map(|resource| {
        resource["scopeMetrics"][0]["metrics"].as_array().cloned().unwrap_or_default()
    }) {
        let points = [&metric["sum"], &metric["gauge"], &metric["histogram"]];
        let points = points.into_iter().filter_map(|data| data["dataPoints"].as_array()).flatten();
        let number = |value: &Value| value.as_str().and_then(|text| text.parse::<u64>().ok());
        let sum = points.filter_map(|p| number(&p["asInt"]).or_else(|| number(&p["count"]))).sum();
        out.insert(metric["name"].as_str().unwrap_or_default().to_owned(), sum);
    }
    out
}

#[test]
fn a_collector_gets_what_gotap_measures() -> Result<()> {
    if !can_trace("a_collector_gets_what_gotap_measures") {
        return Ok(());
    }
    let (_folder, program) = own_program()?;
    let (app, collector) = (App::start(&program)?, Collector::start()?);
    let (gotap, _) = run(&program, &collector)?;
    Load::send(&app.address, "/hello", 2, 50)?;
    let mut last = BTreeMap::new();
    let arrives = eventually(SOON, || {
        last = sums(&collector.exports().unwrap_or_default());
        last.get("gotap.spans") == Some(&50) && last.get("gotap.export.spans") == Some(&50)
    });
    ensure!(arrives, "{last:?}");
    ensure!(last["gotap.targets"] == 1 && last["gotap.attach.duration"] == 1, "{last:?}");
    ensure!(last["gotap.traps"] >= 100, "{last:?}");
    let summary = gotap.stop()?.summary;
    ensure!(summary.delivered == Some(50) && summary.dropped.is_empty(), "{summary:?}");
    Ok(())
}

/// What gotap says, line by line, while nobody reads what it prints.
fn said(lines: &Receiver<String>, text: &str) -> Result<String> {
    let deadline = Instant::now() + SOON;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match lines.recv_timeout(left) {
            Ok(line) if line.contains(text) => return Ok(line),
            Ok(_) => {}
            Err(_) => bail!("gotap did not say {text:?}"),
        }
    }
}

#[test]
fn an_output_that_nobody_reads_holds_up_nothing() -> Result<()> {
    if !can_trace("an_output_that_nobody_reads_holds_up_nothing") {
        return Ok(());
    }
    let (_folder, program) = own_program()?;
    let app = App::start(&program)?;
    let mut gotap = Command::new(binary());
    gotap.args(["trace", "http", "--format", "json", "--executable"]).arg(&program);
    gotap.stdout(Stdio::piped()).stderr(Stdio::piped());
    heed_signals(&mut gotap);
    let mut gotap = gotap.spawn().context("start gotap")?;
    // Held open, and never read.
    let _stdout = gotap.stdout.take();
    let errors = BufReader::new(gotap.stderr.take().context("standard error")?);
    let (sender, lines) = channel();
    let all = std::thread::spawn(move || {
        let mut all = Vec::new();
        for line in errors.lines().map_while(Result::ok) {
            all.push(line.clone());
            // The test may have given up.
            let _ = sender.send(line);
        }
        all
    });
    said(&lines, "gotap: ready")?;
    // More than a pipe and a queue hold together.
    let mut answered = 0;
    for _ in 0..5 {
        answered += Load::send(&app.address, "/hello", 4, 8_000)?.answered;
        std::thread::sleep(Duration::from_millis(300));
    }
    // Processes are still followed.
    let mut second = App::start(&program)?;
    let pid = format!("[{}]", second.pid());
    said(&lines, &format!("attached to httpapp{pid}"))?;
    second.process.stop()?;
    said(&lines, &format!("httpapp{pid} ended"))?;
    let started = Instant::now();
    let pid = i32::try_from(gotap.id()).context("a process id")?;
    // SAFETY: kill has no memory effects, and the child has not been waited for.
    ensure!(unsafe { libc::kill(pid, libc::SIGINT) } == 0, "stop gotap");
    let status = gotap.wait().context("wait for gotap")?;
    ensure!(status.success() && started.elapsed() < SOON, "{status} {:?}", started.elapsed());
    let lines = all.join().ok().context("standard error")?;
    let summary = Summary::find(&lines)?;
    ensure!(summary.no_span.get("output_full").is_some_and(|n| *n > 0), "{summary:?}");
    let dropped: u64 = summary.dropped.values().sum();
    ensure!(summary.spans + dropped == answered, "{answered} answered: {summary:?}");
    Ok(())
}
