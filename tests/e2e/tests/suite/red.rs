//! Metrics of operations: exact, by process, with traces as exemplars, as Prometheus and a Collector get them.

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Gotap, Load, SOON, can_trace, eventually};
use gotap_testkit::collector::Collector;
use gotap_testkit::go::{self, Mode, Version};
use gotap_testkit::http;
use gotap_testkit::process::Running;
use gotap_testkit::prometheus::{self, Prometheus};
use serde_json::Value;

use crate::metrics::{are_documented, own_program, run, run_with};

const OPENMETRICS: &str = "application/openmetrics-text;version=1.0.0";

/// The sum of the samples of a name whose labels have all of these; `None` if there are none.
fn sum(text: &str, name: &str, labels: &[&str]) -> Option<f64> {
    let samples = text.lines().filter(|line| line.starts_with(&format!("{name}{{")));
    let samples = samples.filter(|line| labels.iter().all(|label| line.contains(label)));
    let values = samples
        .filter_map(|line| line.split(" # ").next()?.rsplit(' ').next()?.parse::<f64>().ok());
    values.fold(None, |all, value| Some(all.unwrap_or_default() + value))
}

fn scrape(address: &str) -> Result<String> {
    Ok(http::get(address, "/metrics", &[])?.text())
}

/// Waits until a sum has a value; the text in which it has.
fn wait_for(address: &str, name: &str, labels: &[&str], value: f64) -> Result<String> {
    let mut text = String::new();
    let is_so = eventually(SOON, || {
        text = scrape(address).unwrap_or_default();
        sum(&text, name, labels) == Some(value)
    });
    ensure!(
        is_so,
        "{name}{labels:?} is {:?} instead of {value}:\n{text}",
        sum(&text, name, labels)
    );
    Ok(text)
}

#[test]
fn every_operation_is_measured_also_where_it_has_no_span() -> Result<()> {
    if !can_trace("every_operation_is_measured_also_where_it_has_no_span") {
        return Ok(());
    }
    let (_folder, program) = own_program()?;
    let (front, back) = App::start_pair(&program)?;
    let collector = Collector::start()?;
    let (gotap, address) = run(&program, &collector)?;
    let (pid, back_pid) = (format!("pid=\"{}\"", front.pid()), format!("pid=\"{}\"", back.pid()));
    ensure!(Load::send(&front.address, "/hello", 4, 400)?.answered == 400);
    let mut connection = front.connect()?;
    for _ in 0..3 {
        connection.get("/status/500", &[])?;
        connection.get("/call/same", &[])?;
    }
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    for _ in 0..7 {
        connection.get("/status/204", &[("traceparent", parent)])?;
    }
    connection.request("POST", "/echo", &[], Some(&[b'x'; 3000]))?;
    let (server, client) = (
        "http_server_request_duration_seconds_count",
        "http_client_request_duration_seconds_count",
    );
    // 204 is of requests that are not sampled.
    let text = wait_for(&address, server, &[&pid], 400.0 + 3.0 * 2.0 + 7.0 + 1.0)?;
    for (name, labels, value) in [
        (
            server,
            vec![pid.as_str(), r#"http_route="/hello""#, r#"code="200""#, r#"version="1.1""#],
            400.0,
        ),
        (server, vec![&pid, r#"http_response_status_code="500",error_type="500""#], 3.0),
        (server, vec![&pid, r#"http_response_status_code="204""#], 7.0),
        (server, vec![&back_pid], 3.0),
        (client, vec![&pid, r#"http_request_method="GET",server_address="127.0.0.1""#], 3.0),
        ("http_server_request_body_size_bytes_sum", vec![&pid, "/echo"], 3000.0),
        ("http_server_response_body_size_bytes_bucket", vec![&pid, "/echo", r#"le="2500.0""#], 0.0),
        ("gotap_metrics_overflow_total", vec![], 0.0),
    ] {
        ensure!(sum(&text, name, &labels) == Some(value), "{name}{labels:?}: {text}");
    }
    let edge = ["client=\"httpapp\",server=\"httpapp\",connection_type=\"\""];
    let text = wait_for(&address, "traces_service_graph_request_total", &edge, 3.0)?;
    ensure!(sum(&text, "traces_service_graph_request_total", &[]) == Some(3.0), "{text}");
    let labels = ["server=\"httpapp\""];
    let text = wait_for(&address, "traces_service_graph_unpaired_spans_total", &labels, 414.0)?;
    prometheus::check(&text)?;
    are_documented(&text)?;
    has_targets(&text, [&front, &back])?;
    has_exemplars(&address, &collector)?;
    // A process that is started again counts from zero; what its predecessor counted stays for a while.
    drop((connection, front));
    let again = App::start(&program)?;
    gotap.process.wait_for_error(&format!("attached to httpapp[{}]", again.pid()), SOON)?;
    again.get("/hello", &[])?;
    let text = wait_for(&address, server, &[&format!("pid=\"{}\"", again.pid())], 1.0)?;
    ensure!(sum(&text, server, &[&pid]) == Some(414.0), "{text}");
    gotap.stop().map(drop)
}

/// Each process has its attributes, and those have the labels by which its metrics are found.
fn has_targets(text: &str, apps: [&App; 2]) -> Result<()> {
    for app in apps {
        let pid = format!("process_pid=\"{}\"", app.pid());
        let mut lines = text.lines().filter(|line| line.starts_with("target_info{job=\"httpapp\""));
        let line =
            lines.find(|line| line.contains(&pid)).context("the process has no target_info")?;
        let instance = line.split("instance=\"").nth(1).and_then(|rest| rest.split('"').next());
        let instance = format!("instance=\"{}\"", instance.context("an instance")?);
        let found = sum(text, "http_server_request_duration_seconds_count", &[&instance]);
        ensure!(found.is_some(), "{instance}: {text}");
    }
    Ok(())
}

/// Exemplars name spans that were sent; the classic format has none.
fn has_exemplars(address: &str, collector: &Collector) -> Result<()> {
    let text = http::get(address, "/metrics", &[("Accept", OPENMETRICS)])?.text();
    let lines = text.lines().filter(|line| line.starts_with("http_server_request_duration"));
    let exemplars: Vec<_> = lines.filter_map(|line| line.split_once(" # ")).collect();
    ensure!(!exemplars.is_empty(), "no exemplars: {text}");
    let mut unknown = Vec::new();
    let all_known = eventually(SOON, || {
        let spans = collector.spans().unwrap_or_default();
        unknown.clone_from(&exemplars);
        unknown.retain(|(_, exemplar)| {
            let id = exemplar.split("span_id=\"").nth(1).and_then(|rest| rest.split('"').next());
            !spans.iter().any(|span| Some(span.span_id.as_str()) == id)
        });
        unknown.is_empty()
    });
    ensure!(all_known, "exemplars of spans that were not sent: {unknown:?}");
    let sent = points(collector, "http.server.request.duration");
    let of_sent = sent.iter().filter_map(|(_, point)| point["exemplars"].as_array()).flatten();
    let ids: Vec<_> = of_sent.map(|one| one["spanId"].as_str().unwrap_or_default()).collect();
    let spans = collector.spans()?;
    let is_known = |id: &&str| spans.iter().any(|span| span.span_id == **id);
    ensure!(!ids.is_empty() && ids.iter().all(is_known), "exemplars that were sent: {ids:?}");
    let unsampled = exemplars.iter().find(|(sample, _)| sample.contains("code=\"204\""));
    ensure!(unsampled.is_none() && !scrape(address)?.contains(" # {"), "{unsampled:?}");
    Ok(())
}

/// All points of a metric that a Collector got, with the metric's data.
fn points(collector: &Collector, name: &str) -> Vec<(Value, Value)> {
    let exports = collector.exports().unwrap_or_default();
    let lists = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    let metrics = exports.iter().flat_map(|export| lists(export, "resourceMetrics"));
    let metrics = metrics.flat_map(|resource| lists(&resource, "scopeMetrics"));
    let metrics = metrics.flat_map(|scope| lists(&scope, "metrics"));
    let metrics = metrics.filter(|metric| metric["name"] == name);
    let data = metrics.flat_map(|metric| {
        ["sum", "histogram", "exponentialHistogram"].map(|kind| metric[kind].clone())
    });
    data.flat_map(|data| lists(&data, "dataPoints").into_iter().map(move |p| (data.clone(), p)))
        .collect()
}

fn number(value: &Value) -> u64 {
    value.as_str().and_then(|text| text.parse().ok()).unwrap_or_default()
}

#[test]
fn a_collector_gets_differences_in_exponential_buckets_if_asked() -> Result<()> {
    if !can_trace("a_collector_gets_differences_in_exponential_buckets_if_asked") {
        return Ok(());
    }
    let (_folder, program) = own_program()?;
    let (app, collector) = (App::start(&program)?, Collector::start()?);
    let endpoint = collector.http_endpoint();
    let pid = app.pid().to_string();
    let arguments = ["run", "--otlp-endpoint", &endpoint, "--otlp-protocol", "http/protobuf"];
    let more = ["--pid", &pid, "--metrics-interval", "200ms"];
    let environment = [
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "Delta"),
        (
            "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
            "base2_exponential_bucket_histogram",
        ),
        ("GOTAP_METRICS_CARDINALITY_LIMIT", "3"),
    ];
    let gotap = Gotap::start(&[&arguments[..], &more].concat(), &environment)?;
    gotap.wait_ready()?;
    let name = "http.server.request.duration";
    for code in 200..230 {
        app.get(&format!("/status/{code}"), &[])?;
        if code == 210 {
            ensure!(eventually(SOON, || !points(&collector, name).is_empty()), "nothing arrives");
        }
    }
    gotap.stop()?;
    // The Collector writes what it has got each second.
    let count = |all: &[(Value, Value)]| -> u64 {
        all.iter().map(|(_, point)| number(&point["count"])).sum()
    };
    eventually(SOON, || count(&points(&collector, name)) >= 30);
    let all = points(&collector, name);
    ensure!(count(&all) == 30, "{} instead of 30: {all:?}", count(&all));
    ensure!(all.iter().all(|(data, _)| data["aggregationTemporality"] == 1), "{all:?}");
    ensure!(all.iter().all(|(_, point)| !point["positive"]["bucketCounts"].is_null()), "{all:?}");
    let starts: Vec<_> = all.iter().map(|(_, p)| number(&p["startTimeUnixNano"])).collect();
    ensure!(starts.iter().min() < starts.iter().max(), "differences begin where the last ended");
    // Two series of their own, and one of all others.
    let overflow = |point: &Value| point["attributes"][0]["key"] == "otel.metric.overflow";
    let others = all.iter().filter(|(_, point)| overflow(point));
    ensure!(others.map(|(_, point)| number(&point["count"])).sum::<u64>() == 28, "{all:?}");
    let counted = points(&collector, "gotap.metrics.overflow");
    ensure!(counted.iter().map(|(_, p)| number(&p["asInt"])).sum::<u64>() == 28, "{counted:?}");
    Ok(())
}

#[test]
fn prometheus_gets_native_histograms_of_what_is_wanted() -> Result<()> {
    if !can_trace("prometheus_gets_native_histograms_of_what_is_wanted") {
        return Ok(());
    }
    let (_folder, program) = own_program()?;
    let (app, collector) = (App::start(&program)?, Collector::start()?);
    let settings = tempfile::NamedTempFile::new().context("create a file")?;
    std::fs::write(settings.path(), "metrics: {body_sizes: false, native_histograms: true}\n")?;
    let file = settings.path().to_str().context("a path in UTF-8")?;
    let (gotap, address) = run_with(&["--pid", &app.pid().to_string(), "-c", file], &collector)?;
    let native = ["--enable-feature=native-histograms"];
    let prometheus = Prometheus::start_with(&address, &native)?;
    for _ in 0..20 {
        app.get("/slow?ms=30", &[])?;
    }
    let text = wait_for(&address, "http_server_request_duration_seconds_count", &[], 20.0)?;
    ensure!(!text.contains("body_size"), "{text}");
    let name = "http_server_request_duration_seconds";
    let count = format!("histogram_count({name})");
    let arrives = eventually(SOON, || prometheus.value(&count).ok() == Some(Some(20.0)));
    ensure!(arrives, "{count} is {:?}", prometheus.value(&count)?);
    // Nearer to the truth than buckets from 25 to 50 ms can tell.
    let median = prometheus.value(&format!("histogram_quantile(0.5, {name})"))?;
    ensure!(median.is_some_and(|m| (0.03..0.037).contains(&m)), "the median is {median:?} s");
    // What else there is comes in the same format.
    let targets = prometheus.value("gotap_targets")?;
    let spans = prometheus.value("gotap_spans_total")?;
    ensure!((targets, spans) == (Some(1.0), Some(20.0)), "{targets:?} {spans:?}");
    gotap.stop().map(drop)
}

/// Requests that are being served, of net/http, its HTTP/2 and fasthttp, and none any more behind their ends.
#[test]
fn requests_that_are_being_served_are_counted() -> Result<()> {
    if !can_trace("requests_that_are_being_served_are_counted") {
        return Ok(());
    }
    let (_folder, program) = own_program()?;
    let plain = App::start(&program)?;
    let flags = ["-tls", "-h2"];
    let encrypted = App::start_with(&program, &flags, &[])?;
    let fast = App::start(&go::build("fastapp", Version::NEWEST, Mode::Stripped)?)?;
    let collector = Collector::start()?;
    let pids = [&plain, &encrypted, &fast].map(|app| app.pid().to_string());
    let selection: Vec<_> = pids.iter().flat_map(|pid| ["--pid", pid]).collect();
    let (gotap, address) = run_with(&selection, &collector)?;
    let mut connections = Vec::new();
    for (app, method, path) in [
        (&plain, "GET", "/slow?ms=3000"),
        (&plain, "GET", "/slow?ms=3000"),
        (&plain, "POST", "/slow?ms=3000"),
        (&plain, "BREW", "/slow?ms=3000"),
        (&fast, "PUT", "/slow?ms=3000"),
    ] {
        let mut connection = app.connect()?;
        let head = connection.head(method, path, &[]);
        connection.send_raw(&head)?;
        connections.push(connection);
    }
    let url = format!("https://{}/slow?ms=3000", encrypted.address);
    let client = Running::start(&program, &[&flags[..], &["-client", "1", &url]].concat(), &[])?;
    let name = "http_server_active_requests";
    let expected = [
        (&plain, "GET", "http", 2.0),
        (&plain, "POST", "http", 1.0),
        (&plain, "_OTHER", "http", 1.0),
        (&fast, "PUT", "http", 1.0),
        (&encrypted, "GET", "https", 1.0),
    ];
    let labels = |app: &App, method: &str, scheme: &str| {
        [
            format!("pid=\"{}\"", app.pid()),
            format!("http_request_method=\"{method}\""),
            format!("url_scheme=\"{scheme}\""),
        ]
    };
    for ended in [false, true] {
        for (app, method, scheme, count) in expected {
            let labels = labels(app, method, scheme);
            let labels: Vec<_> = labels.iter().map(String::as_str).collect();
            let count = if ended { 0.0 } else { count };
            let text = wait_for(&address, name, &labels, count)?;
            prometheus::check(&text)?;
            are_documented(&text)?;
        }
    }
    drop(client);
    gotap.stop().map(drop)
}
