//! Continuous profiles of `gotap run`, as a server of the interfaces that Parca and Pyroscope have published sees
//! them, and a real Collector by OTLP.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use gotap_e2e::profiles::ProfileApp;
use gotap_e2e::{Gotap, SOON, can_trace, eventually};
use gotap_testkit::collector::Collector;
use gotap_testkit::go::{self, Mode, Version};
use gotap_testkit::process::Running;
use serde_json::Value;

/// A server that prints each profile that it gets as a line of JSON.
struct Sink {
    process: Running,
    url: String,
}

impl Sink {
    fn start() -> Result<Self> {
        let program = go::build("profilesink", Version::NEWEST, Mode::Plain)?;
        let process = Running::start(&program, &["127.0.0.1:0"], &[])?;
        let address = process.wait_for("ready ", SOON)?;
        let url = format!("http://{}", address.trim_start_matches("ready ").trim());
        Ok(Self { process, url })
    }

    /// The profiles of a process that came by an interface.
    fn profiles(&self, api: &str, pid: u32) -> Result<Vec<Value>> {
        let lines = self.process.stdout();
        let lines = lines.iter().filter(|line| line.starts_with('{'));
        let all: Vec<Value> =
            lines.map(|line| Ok(serde_json::from_str(line)?)).collect::<Result<_>>()?;
        let pid = pid.to_string();
        Ok(all.into_iter().filter(|p| p["api"] == api && p["labels"]["pid"] == *pid).collect())
    }
}

/// Programs with busy routes.
fn busy() -> Result<Running> {
    let program = go::build("xrayapp", Version::NEWEST, Mode::Stripped)?;
    let mut app = Running::start(&program, &["-clients", "2"], &[])?;
    app.wait_for("ready", SOON)?;
    app.signal(libc::SIGUSR1)?;
    Ok(app)
}

fn texts<'v>(value: &'v Value, path: &str) -> impl Iterator<Item = &'v str> {
    value.pointer(path).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

/// Of a profile by OTLP: service, pid, functions, and links as pairs of trace and span.
struct Otlp {
    service: String,
    pid: u32,
    functions: BTreeSet<String>,
    links: BTreeSet<(String, String)>,
    samples: u64,
}

/// Reads one by its tables, of which each number must lead to an entry.
fn otlp(export: &Value) -> Result<Vec<Otlp>> {
    let tables = &export["dictionary"];
    let entry = |table: &str, number: &Value| -> Result<Value> {
        let at = usize::try_from(number.as_u64().unwrap_or(0))?;
        tables[table].get(at).cloned().with_context(|| format!("entry {at} of {table}"))
    };
    let text = |number: &Value| -> Result<String> {
        Ok(entry("stringTable", number)?.as_str().unwrap_or_default().to_owned())
    };
    let mut out = Vec::new();
    for of in export["resourceProfiles"].as_array().context("profiles")? {
        let mut attributes = BTreeMap::new();
        for attribute in of["resource"]["attributes"].as_array().context("attributes")? {
            let key = match attribute["key"].as_str() {
                Some(key) => key.to_owned(),
                None => text(&attribute["keyStrindex"])?,
            };
            let value = &attribute["value"];
            let value = match (value["stringValue"].as_str(), value["intValue"].as_str()) {
                (Some(text), _) | (_, Some(text)) => text.to_owned(),
                _ => text(&value["stringValueStrindex"])?,
            };
            attributes.insert(key, value);
        }
        let mut one = Otlp {
            service: attributes.get("service.name").cloned().context("a service")?,
            pid: attributes.get("process.pid").context("a pid")?.parse()?,
            functions: BTreeSet::new(),
            links: BTreeSet::new(),
            samples: 0,
        };
        let profile = of.pointer("/scopeProfiles/0/profiles/0").context("a profile")?;
        ensure!(text(&profile["sampleType"]["typeStrindex"])? == "samples", "{profile}");
        for sample in profile["samples"].as_array().context("samples")? {
            let value = texts(sample, "/values").next().context("a value")?;
            one.samples += value.parse::<u64>()?;
            let stack = entry("stackTable", &sample["stackIndex"])?;
            for location in stack["locationIndices"].as_array().context("a stack")? {
                for line in
                    entry("locationTable", location)?["lines"].as_array().context("lines")?
                {
                    let function = entry("functionTable", &line["functionIndex"])?;
                    one.functions.insert(text(&function["nameStrindex"])?);
                }
            }
            if let Some(number) = sample.get("linkIndex") {
                let link = entry("linkTable", number)?;
                let id = |of: &str| link[of].as_str().unwrap_or_default().to_owned();
                one.links.insert((id("traceId"), id("spanId")));
            }
        }
        out.push(one);
    }
    Ok(out)
}

/// Spans that the collector got, as pairs of trace and span.
fn spans(collector: &Collector) -> Result<BTreeSet<(String, String)>> {
    let spans = collector.spans()?;
    Ok(spans.into_iter().map(|span| (span.trace_id, span.span_id)).collect())
}

fn profiles(collector: &Collector) -> Result<Vec<Otlp>> {
    let exports = collector.exports()?;
    let exports = exports.iter().filter(|export| export.get("resourceProfiles").is_some());
    exports.map(otlp).collect::<Result<Vec<_>>>().map(|all| all.into_iter().flatten().collect())
}

#[test]
fn profiles_reach_parca_pyroscope_and_a_collector() -> Result<()> {
    if !can_trace("profiles_reach_parca_pyroscope_and_a_collector") {
        return Ok(());
    }
    let (sink, collector) = (Sink::start()?, Collector::start()?);
    // Nothing can be traced in this one.
    let worker = ProfileApp::start(Version::of(24), Mode::Plain, &["-work"], "1s")?;
    let (app, mut short) = (busy()?, busy()?);
    let endpoint = collector.grpc_endpoint();
    let arguments =
        ["run", "--otlp-endpoint", &endpoint, "--name", "xrayapp", "--name", "profileapp"];
    let environment = [
        ("GOTAP_PROFILES_INTERVAL", "2s"),
        ("GOTAP_PROFILES_PARCA_ENDPOINT", sink.url.as_str()),
        ("GOTAP_PROFILES_PYROSCOPE_ENDPOINT", &sink.url),
        ("GOTAP_PROFILES_PYROSCOPE_HEADERS", "x-token=secret"),
        ("GOTAP_PROFILES_OTLP", "true"),
    ];
    let gotap = Gotap::start(&arguments, &environment)?;
    gotap.wait_ready()?;
    // It ends before its first profile is over.
    std::thread::sleep(Duration::from_millis(1200));
    let short_pid = short.pid();
    short.stop()?;
    let pids = [app.pid(), worker.process.pid(), short_pid];
    let all = |api: &str, pid: u32| !sink.profiles(api, pid).unwrap_or_default().is_empty();
    let complete = || {
        let sent = profiles(&collector).unwrap_or_default();
        pids.iter().all(|pid| {
            all("parca", *pid) && all("pyroscope", *pid) && sent.iter().any(|p| p.pid == *pid)
        })
    };
    ensure!(
        eventually(SOON, complete),
        "{:?}\n{:?}",
        sink.process.stdout(),
        gotap.process.stderr()
    );
    let said = gotap.stop()?.stderr;
    let known = spans(&collector)?;
    for (pid, service, function) in [
        (pids[0], "xrayapp", "main.spin"),
        (pids[1], "profileapp", "main.workAll"),
        (pids[2], "xrayapp", "main.spin"),
    ] {
        for api in ["parca", "pyroscope"] {
            let all = sink.profiles(api, pid)?;
            for profile in &all {
                check(api, profile, service, &known).with_context(|| format!("{profile}"))?;
            }
            // On a busy machine a profile may have few samples.
            let has = |profile: &Value| profile["functions"].get(function).is_some();
            ensure!(all.iter().any(has), "no {function}: {all:?}");
            let linked = all.iter().any(|profile| texts(profile, "/tags/span_id").count() > 0);
            ensure!(linked == (service == "xrayapp"), "{api}: links: {linked}");
        }
        check_otlp(&collector, pid, (service, function), &known)?;
    }
    let last = said.iter().find(|line| line.contains("profiles of")).context("a summary")?;
    for lost in ["many_stacks", "untold", "without_stack", "invalid", "unnamed", "not delivered"] {
        ensure!(!last.contains(lost), "{last}");
    }
    ensure!(last.contains("parca: ") && last.contains("otlp: "), "{last}");
    Ok(())
}

/// Checks the profiles of a process that the collector got.
fn check_otlp(
    collector: &Collector,
    pid: u32,
    (service, function): (&str, &str),
    known: &BTreeSet<(String, String)>,
) -> Result<()> {
    let mut sent = profiles(collector)?;
    sent.retain(|profile| profile.pid == pid);
    let named = sent.iter().any(|one| one.functions.contains(function));
    ensure!(named && sent.iter().all(|one| one.service == service), "no {function} by OTLP");
    // Two processors have 99 samples a second each.
    let plausible = |one: &Otlp| (1..=500).contains(&one.samples);
    ensure!(sent.iter().all(plausible), "{:?}", sent.iter().map(|one| one.samples).max());
    ensure!(sent.iter().flat_map(|one| &one.links).all(|link| known.contains(link)));
    let linked = sent.iter().any(|one| !one.links.is_empty());
    ensure!(linked == (service == "xrayapp"), "links by OTLP: {linked}");
    Ok(())
}

/// Name, types, and a function that is in some profile, of each kind that is read from memory.
const KINDS: [(&str, [&str; 2], &str); 5] = [
    ("wall", ["samples:count", "wall:nanoseconds"], "main.receiveAll"),
    ("memory", ["alloc_objects:count", "alloc_space:bytes"], "main.allocate"),
    ("memory", ["inuse_objects:count", "inuse_space:bytes"], "main.keepSmall"),
    ("mutex", ["contentions:count", "delay:nanoseconds"], "main.holdLock"),
    ("block", ["contentions:count", "delay:nanoseconds"], "main.receiveAll"),
];

/// They cost no trap and have the sample types of Go. What Go counts since its start becomes the change in each
/// interval.
#[test]
fn other_kinds_reach_the_same_back_ends() -> Result<()> {
    if !can_trace("other_kinds_reach_the_same_back_ends") {
        return Ok(());
    }
    let (sink, collector) = (Sink::start()?, Collector::start()?);
    let arguments = ["-work", "-keep", "-wait", "-sample"];
    let worker = ProfileApp::start(Version::NEWEST, Mode::Stripped, &arguments, "1s")?;
    // Its profiler samples nothing.
    let _off = busy()?;
    let pid = worker.process.pid();
    let endpoint = collector.grpc_endpoint();
    let arguments =
        ["run", "--otlp-endpoint", &endpoint, "--name", "xrayapp", "--name", "profileapp"];
    let environment = [
        ("GOTAP_PROFILES_KINDS", "wall,alloc,heap,mutex,block"),
        ("GOTAP_PROFILES_INTERVAL", "1s"),
        ("GOTAP_PROFILES_PARCA_ENDPOINT", sink.url.as_str()),
        ("GOTAP_PROFILES_PYROSCOPE_ENDPOINT", &sink.url),
        ("GOTAP_PROFILES_OTLP", "true"),
    ];
    let gotap = Gotap::start(&arguments, &environment)?;
    gotap.wait_ready()?;
    let of = |api: &str, (name, types, _): &(&str, [&str; 2], &str)| -> Result<Vec<Value>> {
        let mut all = sink.profiles(api, pid)?;
        all.retain(|p| p["labels"]["__name__"] == *name && texts(p, "/types").eq(*types));
        Ok(all)
    };
    let has = |api: &str, kind: &(&str, [&str; 2], &str)| {
        let all = of(api, kind).unwrap_or_default();
        all.len() > 2 && all.iter().any(|profile| profile["functions"].get(kind.2).is_some())
    };
    let complete = || KINDS.iter().all(|kind| has("parca", kind) && has("pyroscope", kind));
    ensure!(eventually(SOON, complete), "{:?} {:?}", sink.process.stdout(), gotap.process.stderr());
    let said = gotap.stop()?.stderr;
    for kind in &KINDS {
        for profile in of("parca", kind)? {
            let duration = profile["duration"].as_u64().context("a duration")?;
            let heap = kind.1[0].starts_with("inuse");
            ensure!((duration == 0) == heap, "{profile}");
            // A lock that is held for two milliseconds is waited for by one at a time.
            let most = duration / 2_000_000 + 5;
            let samples = profile["samples"].as_u64().context("samples")?;
            ensure!(kind.0 != "mutex" || samples <= most, "{samples} {most}: {profile}");
        }
    }
    ensure!(sink.profiles("parca", pid)?.iter().all(|p| p["labels"]["__name__"] != "process_cpu"));
    let exports = collector.exports()?;
    let sent: String = exports.iter().map(|e| e["dictionary"]["stringTable"].to_string()).collect();
    for kind in KINDS.iter().flat_map(|kind| kind.1) {
        let name = kind.split(':').next().unwrap_or_default();
        ensure!(sent.contains(&format!("\"{name}\"")), "no {name} by OTLP");
    }
    let last = said.iter().find(|line| line.contains("profiles of")).context("a summary")?;
    ensure!(last.contains("not made: off 4") && !last.contains("unreadable"), "{last}");
    ensure!(said.iter().any(|line| line.contains("SetBlockProfileRate")), "{said:?}");
    Ok(())
}

fn check(
    api: &str,
    profile: &Value,
    service: &str,
    known: &BTreeSet<(String, String)>,
) -> Result<()> {
    let labels = &profile["labels"];
    ensure!(labels["__name__"] == "process_cpu" && labels["service_name"] == service);
    ensure!(labels["service_instance_id"].as_str().is_some_and(|id| id.len() == 36));
    ensure!(texts(profile, "/types").eq(["samples:count", "cpu:nanoseconds"]));
    ensure!(profile["period"] == 1_000_000_000 / 99);
    let functions = profile["functions"].as_object().context("functions")?;
    // Each process has stacks of its own.
    let other = if service == "xrayapp" { "main.workAll" } else { "main.mix" };
    ensure!(!functions.contains_key(other), "{other}");
    ensure!(profile["header"] == if api == "pyroscope" { "secret" } else { "" });
    let spans: Vec<&str> = texts(profile, "/tags/span_id").collect();
    let traces: Vec<&str> = texts(profile, "/tags/trace_id").collect();
    ensure!(spans.iter().all(|span| known.iter().any(|(_, id)| id == span)), "unknown spans");
    // Pyroscope makes a series of each value of other labels than the span's.
    ensure!(traces.len() == if api == "parca" { spans.len() } else { 0 });
    let pairs = traces.iter().zip(&spans);
    for (trace, span) in pairs {
        ensure!(known.contains(&((*trace).to_owned(), (*span).to_owned())), "{trace} {span}");
    }
    Ok(())
}

/// A back end that can't be reached costs its profiles, which are counted, and nothing else.
#[test]
fn a_back_end_that_is_not_there_does_not_harm_tracing() -> Result<()> {
    if !can_trace("a_back_end_that_is_not_there_does_not_harm_tracing") {
        return Ok(());
    }
    let (collector, app) = (Collector::start()?, busy()?);
    let (endpoint, pid) = (collector.http_endpoint(), app.pid().to_string());
    let arguments =
        ["run", "--otlp-endpoint", &endpoint, "--otlp-protocol", "http/protobuf", "--pid", &pid];
    let environment = [
        ("GOTAP_PROFILES_INTERVAL", "1s"),
        // Nobody listens there.
        ("GOTAP_PROFILES_PARCA_ENDPOINT", "http://user:secret@127.0.0.1:1"),
        ("GOTAP_PROFILES_OTLP", "true"),
    ];
    let gotap = Gotap::start(&arguments, &environment)?;
    gotap.wait_ready()?;
    gotap.process.wait_for_error("can't be reached", SOON)?;
    ensure!(eventually(SOON, || profiles(&collector).is_ok_and(|all| !all.is_empty())));
    let began = Instant::now();
    let ended = gotap.stop()?;
    ensure!(began.elapsed() < SOON && ended.status.success(), "{:?}", ended.stderr);
    let said = ended.stderr.iter().filter(|line| line.contains("can't be reached")).count();
    ensure!(said == 1 && !ended.stderr.concat().contains("secret"), "{:?}", ended.stderr);
    let last =
        ended.stderr.iter().find(|line| line.contains("profiles of")).context("a summary")?;
    ensure!(last.contains("parca: 0 sent, not delivered: export_"), "{last}");
    ensure!(last.contains("otlp: ") && !last.contains("otlp: 0 sent"), "{last}");
    ensure!(
        ended.summary.lost_spans() == 0 && !collector.spans()?.is_empty(),
        "{:?}",
        ended.stderr
    );
    Ok(())
}
