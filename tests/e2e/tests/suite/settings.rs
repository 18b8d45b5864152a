//! The configuration as people and orchestrators give it: variables, secrets in it, certificates.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Gotap, SOON, binary, can_trace};
use gotap_testkit::collector::{Certificates, Collector};
use tempfile::TempDir;

type Variables<'a> = &'a [(&'a str, &'a str)];

fn gotap(arguments: &[&str], environment: Variables<'_>) -> Result<Output> {
    let mut command = Command::new(binary());
    command.args(arguments).envs(environment.iter().copied());
    command.stdin(Stdio::null()).output().context("run gotap")
}

/// Checks the exit code; gives all that was printed.
fn said(output: &Output, code: i32) -> Result<String> {
    let all = [output.stdout.as_slice(), &output.stderr].concat();
    let all = String::from_utf8_lossy(&all).into_owned();
    ensure!(output.status.code() == Some(code), "{} instead of {code}: {all}", output.status);
    Ok(all)
}

/// As systemd and Kubernetes set what is not set.
#[test]
fn a_variable_that_is_empty_is_as_if_it_were_not_there() -> Result<()> {
    let unset = said(&gotap(&["config", "print"], &[])?, 0)?;
    for name in ["GOTAP_CONFIG", "GOTAP_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TIMEOUT"] {
        let empty = said(&gotap(&["config", "print"], &[(name, "")])?, 0)?;
        ensure!(empty == unset, "{name}: {empty}");
    }
    let missing = [("GOTAP_CONFIG", "/no/such/file")];
    said(&gotap(&["config", "print"], &missing)?, 2).map(drop)
}

#[test]
fn secrets_are_not_printed() -> Result<()> {
    let url = "http://user:s3cret@127.0.0.1:1/v1?token=s3cret";
    let cases: [(&[&str], Variables<'_>, i32); 8] = [
        (&["config", "print", "--otlp-endpoint", url], &[], 0),
        (&["config", "print"], &[("OTEL_EXPORTER_OTLP_ENDPOINT", url)], 0),
        (&["config", "print"], &[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", url)], 0),
        (&["config", "print"], &[("GOTAP_OTLP_HEADERS", "a=s3cret")], 0),
        (&["config", "print"], &[("GOTAP_OTLP_HEADERS", "Bearer s3cret")], 2),
        (&["config", "print"], &[("OTEL_EXPORTER_OTLP_HEADERS", "s3cret")], 2),
        (&["run", "--pid", "4194305", "--otlp-endpoint", "ftp://user:s3cret@host"], &[], 2),
        (&["run", "--pid", "4194305", "--otlp-endpoint", "http://user:s3c ret/s3cret@h"], &[], 2),
    ];
    for (arguments, environment, code) in cases {
        let all = said(&gotap(arguments, environment)?, code)?;
        ensure!(!all.contains("s3c"), "{arguments:?} {environment:?}: {all}");
    }
    if !can_trace("secrets_are_not_printed") {
        return Ok(());
    }
    for protocol in ["grpc", "http/protobuf"] {
        let app = App::start(&App::newest()?)?;
        let pid = app.pid().to_string();
        let flags = ["run", "--pid", &pid, "--otlp-endpoint", url, "--otlp-protocol", protocol];
        let gotap = Gotap::start(&flags, &[])?;
        gotap.wait_ready()?;
        app.get("/hello", &[])?;
        gotap.process.wait_for_error("cannot deliver", SOON)?;
        let all = gotap.stop()?.stderr.join("\n");
        ensure!(all.contains("127.0.0.1:1") && !all.contains("s3c"), "{all}");
    }
    Ok(())
}

#[test]
fn a_standard_variable_that_has_no_effect_is_refused_by_name() -> Result<()> {
    for (name, value) in [
        ("OTEL_EXPORTER_OTLP_NOVELTY", "x"),
        ("OTEL_EXPORTER_OTLP_TRACES_NOVELTY", "x"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
        ("OTEL_EXPORTER_OTLP_INSECURE", "maybe"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
        ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "1000"),
        ("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "a=b"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "0"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=b,,c=%zz"),
        ("OTEL_METRICS_EXPORTER", "prometheus"),
        ("OTEL_TRACES_EXPORTER", "none"),
        ("OTEL_TRACES_SAMPLER_ARG", "0.1"),
        ("OTEL_PROPAGATORS", "none"),
        ("GOTAP_OTLP_ENDPOINTS", "http://h"),
    ] {
        let all = said(&gotap(&["config", "print"], &[(name, value)])?, 2)?;
        let setting = if value == "0" { "otlp.timeout" } else { name };
        ensure!(all.contains(setting), "{name}: {all}");
    }
    for (name, value, printed) in [
        ("OTEL_METRIC_EXPORT_INTERVAL", "5000", "metrics_interval: 5000ms"),
        ("OTEL_METRICS_EXPORTER", "none", "metrics: false"),
        ("OTEL_SDK_DISABLED", "true", "metrics: true"),
    ] {
        let all = said(&gotap(&["config", "print"], &[(name, value)])?, 0)?;
        ensure!(all.contains(printed), "{name}: no {printed} in {all}");
    }
    Ok(())
}

/// What `gotap run` refuses, `gotap config check` does, too; what depends on the machine is a note.
#[test]
fn check_refuses_what_run_does() -> Result<()> {
    let folder = TempDir::new().context("create a folder")?;
    let path = folder.path().join("gotap.yaml").to_string_lossy().into_owned();
    for text in [
        "otlp: {endpoint: 'ftp://x'}",
        "otlp: {endpoint: 'http://'}",
        "otlp: {endpoint: 'http://a b:4317'}",
        "otlp: {endpoint: 'http://127.0.0.1:99999'}",
        "otlp: {traces_endpoint: 'ftp://x'}",
        "otlp: {headers: {'a b': c}}",
        "otlp: {headers: {a: \"c\\nd\"}}",
        "otlp: {client_certificate: /c.pem}",
        "otlp: {timeout: 0s}",
        "otlp: {queue_bytes: 100}",
        "otlp: {endpoint: 5}",
        "metrics_interval: 99999999999h",
        "select: {pids: ['12']}",
        "select: {kubernetes: [{namespace: a}]}\nkubernetes: {enabled: off}",
    ] {
        std::fs::write(&path, text)?;
        let checked = said(&gotap(&["config", "check", &path], &[])?, 2).context(text)?;
        let run = said(&gotap(&["run", "--config", &path], &[])?, 2).context(text)?;
        ensure!(checked == run, "{text}: {checked} {run}");
    }
    std::fs::write(&path, "otlp: {endpoint: 'https://h', ca_certificate: /no/such.pem}")?;
    let all = said(&gotap(&["config", "check", &path], &[])?, 0)?;
    ensure!(all.contains("note: ") && all.contains("/no/such.pem"), "{all}");
    Ok(())
}

#[test]
fn variables_of_traces_win_and_endpoints_get_their_scheme() -> Result<()> {
    let general = "OTEL_EXPORTER_OTLP_";
    for (option, setting) in [
        ("CERTIFICATE", "ca_certificate"),
        ("CLIENT_CERTIFICATE", "client_certificate"),
        ("CLIENT_KEY", "client_key"),
    ] {
        let (all, traces) = (format!("{general}{option}"), format!("{general}TRACES_{option}"));
        // A certificate and its key are given together.
        let pair = ["CERTIFICATE", "KEY"].map(|half| format!("{general}CLIENT_{half}"));
        let mut environment =
            pair.iter().map(|name| (name.as_str(), "/pair.pem")).collect::<Vec<_>>();
        environment.extend([(all.as_str(), "/all.pem"), (traces.as_str(), "/traces.pem")]);
        let printed = said(&gotap(&["config", "print"], &environment)?, 0)?;
        let expected = format!("{setting}: /traces.pem");
        ensure!(printed.contains(&expected), "no {expected} in {printed}");
    }
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317");
    let insecure = ("OTEL_EXPORTER_OTLP_INSECURE", "true");
    let traces = ("OTEL_EXPORTER_OTLP_TRACES_INSECURE", "false");
    let http = ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
    let cases: [(Variables<'_>, &str); 5] = [
        (&[endpoint], "endpoint: https://collector:4317"),
        (&[endpoint, insecure], "endpoint: http://collector:4317"),
        (&[endpoint, insecure, traces], "endpoint: https://collector:4317"),
        (&[], "endpoint: http://localhost:4317"),
        (&[http], "endpoint: http://localhost:4318"),
    ];
    for (environment, expected) in cases {
        let printed = said(&gotap(&["config", "print"], environment)?, 0)?;
        ensure!(printed.contains(expected), "no {expected} in {printed}");
    }
    Ok(())
}

#[test]
fn certificates_that_can_not_be_used_are_named() -> Result<()> {
    let (certificate, key) =
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "OTEL_EXPORTER_OTLP_CLIENT_KEY");
    let run = ["run", "--pid", "4194305", "--otlp-endpoint", "https://127.0.0.1:1"];
    for protocol in ["grpc", "http/protobuf"] {
        let arguments = [&run[..], &["--otlp-protocol", protocol]].concat();
        let none = [(certificate, "/no/such.pem"), (key, "/no/such.key")];
        let all = said(&gotap(&arguments, &none)?, 2)?;
        ensure!(all.contains("/no/such.pem"), "{protocol}: {all}");
        let all = said(&gotap(&arguments, &none[1..])?, 2)?;
        ensure!(all.contains("certificate") && all.contains("key"), "{protocol}: {all}");
    }
    Ok(())
}

/// A collector that takes spans of clients with a certificate only.
#[test]
fn a_collector_may_ask_for_a_certificate() -> Result<()> {
    if !can_trace("a_collector_may_ask_for_a_certificate") {
        return Ok(());
    }
    let certificates = Certificates::new()?;
    let collector = Collector::start_mutual(&certificates)?;
    let file = |name: &str| certificates.file(name).to_string_lossy().into_owned();
    let app = App::start(&App::newest()?)?;
    let (authority, certificate, key) =
        (file("authority.pem"), file("client.pem"), file("client.key"));
    let mut expected = 0;
    for (protocol, endpoint) in
        [("grpc", collector.grpc_endpoint()), ("http/protobuf", collector.http_endpoint())]
    {
        let known = [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", &authority),
            ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", &certificate),
            ("OTEL_EXPORTER_OTLP_CLIENT_KEY", &key),
        ];
        let gotap = start(&app, &known)?;
        app.get("/hello", &[])?;
        expected += 1;
        collector.wait_for(expected, SOON).with_context(|| protocol.to_owned())?;
        gotap.stop()?;
        // Without one it is refused.
        let gotap = start(&app, &known[..3])?;
        app.get("/hello", &[])?;
        gotap.process.wait_for_error("cannot deliver", SOON)?;
        gotap.stop()?;
        ensure!(collector.spans()?.len() == expected, "{protocol}: an unknown client was heard");
    }
    Ok(())
}

fn start(app: &App, environment: Variables<'_>) -> Result<Gotap> {
    let gotap = Gotap::start(&["run", "--pid", &app.pid().to_string()], environment)?;
    gotap.wait_ready()?;
    Ok(gotap)
}

/// Which capability is missing is said, and the exit code is the one of missing rights.
#[test]
fn each_missing_capability_is_named() -> Result<()> {
    if !can_trace("each_missing_capability_is_named") {
        return Ok(());
    }
    let app = App::start(&App::newest()?)?;
    let pid = app.pid().to_string();
    let capabilities = ["bpf", "perfmon", "sys_ptrace", "dac_read_search"];
    for lacking in ["bpf", "perfmon", "sys_ptrace"] {
        let kept = capabilities.iter().filter(|name| **name != lacking);
        let set: String = kept.map(|name| format!(",+{name}")).collect();
        for verb in [&["trace", "http", "--pid", &pid][..], &["run", "--pid", &pid], &["doctor"]] {
            let mut command = Command::new("/usr/bin/setpriv");
            command.args([format!("--inh-caps=-all{set}"), format!("--bounding-set=-all{set}")]);
            let output = command.arg(binary()).args(verb).stdin(Stdio::null()).output()?;
            let all = said(&output, 77).with_context(|| format!("{verb:?} without {lacking}"))?;
            let name = format!("CAP_{}", lacking.to_uppercase());
            ensure!(all.contains(&name), "{verb:?} without {name}: {all}");
        }
    }
    Ok(())
}

#[test]
fn a_thread_is_named_with_its_process() -> Result<()> {
    if !can_trace("a_thread_is_named_with_its_process") {
        return Ok(());
    }
    let app = App::start(&App::newest()?)?;
    let pid = app.pid();
    let tasks = std::fs::read_dir(Path::new("/proc").join(pid.to_string()).join("task"))?;
    let ids = tasks.filter_map(|task| task.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let thread = ids.into_iter().find(|id| *id != pid).context("a thread")?.to_string();
    for verb in [&["trace", "http", "--pid", &thread][..], &["ps", "--pid", &thread]] {
        let all = said(&gotap(verb, &[])?, 1)?;
        ensure!(all.contains(&format!("{thread} is a thread of process {pid}")), "{all}");
        ensure!(all.lines().count() == 1, "{all}");
    }
    Ok(())
}
