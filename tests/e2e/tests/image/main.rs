//! The image of `deploy/Dockerfile`: podman builds it, and runs it as a container runtime runs the DaemonSet in
//! `deploy/kubernetes`, with its capabilities, its read-only root and its limit of memory. `make test-image` runs this.
//!
//! Not here: what Kubernetes makes of the manifests, which `make test-kube` tests.

mod container;
mod contents;
mod seccomp;

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Ended, Gotap, SOON, can_trace, eventually, sites_in};
use gotap_testkit::collector::Collector;
use gotap_testkit::http;

use container::{Container, Image};

/// In Linux 6.6 and newer: BPF, PERFMON, SYS_PTRACE and DAC_READ_SEARCH, and nothing else that the DaemonSet has.
const KEPT: u64 = 1 << 39 | 1 << 38 | 1 << 19 | 1 << 2;

#[test]
fn the_image_holds_gotap_alone_and_runs_as_the_daemon_set() -> Result<()> {
    if !can_trace("the_image_holds_gotap_alone_and_runs_as_the_daemon_set") {
        return Ok(());
    }
    let image = Image::build()?;
    contents::are_few(&image)?;
    doctor_finds_nothing(&image)?;
    it_says_what_it_lacks(&image)?;
    it_traces(&image)
}

/// With the rights of the DaemonSet, all works.
fn doctor_finds_nothing(image: &Image) -> Result<()> {
    let said = Container::of_daemon_set(image)?.run(&["doctor"])?;
    let out = String::from_utf8_lossy(&said.stdout);
    ensure!(said.status.success(), "doctor: {}: {out}{}", said.status, error_of(&said));
    for check in ["privileges", "pid_namespace", "programs"] {
        let is_good = |line: &str| line.starts_with("ok ") && line.contains(check);
        ensure!(out.lines().any(is_good), "doctor says of {check}: {out}");
    }
    Ok(())
}

/// What does not give it the rights that it needs leads to one sentence that says why, and to exit code 77.
fn it_says_what_it_lacks(image: &Image) -> Result<()> {
    for (container, reason) in [
        (Container::of_daemon_set(image)?.without("BPF"), "CAP_BPF"),
        (Container::of_daemon_set(image)?.with_old_profile()?, "seccomp"),
    ] {
        let said = container.run(&["doctor"])?;
        ensure!(said.status.code() == Some(77), "{reason}: {}: {}", said.status, error_of(&said));
        ensure!(error_of(&said).contains(reason), "{reason}: {}", error_of(&said));
    }
    Ok(())
}

fn error_of(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The agent observes a program outside of its container, sends spans, answers its probes, and ends when it is asked.
fn it_traces(image: &Image) -> Result<()> {
    let (app, collector) = (App::start(&App::newest()?)?, Collector::start()?);
    let (pid, endpoint) = (app.pid().to_string(), collector.grpc_endpoint());
    let more = ["--pid", &pid, "--otlp-endpoint", &endpoint, "--prometheus-listen", "127.0.0.1:0"];
    let container = Container::of_daemon_set(image)?;
    let gotap = container.start(&more)?;
    gotap.wait_ready()?;
    let said = gotap.process.wait_for_error("gotap: metrics at ", SOON)?;
    let address = said.strip_prefix("gotap: metrics at http://").context("where metrics are")?;
    let address = address.strip_suffix("/metrics").context("the path of metrics")?;
    for path in ["/healthz", "/readyz"] {
        let answer = http::get(address, path, &[])?;
        ensure!(answer.status == 200, "{path}: {}", answer.text());
    }
    for _ in 0..20 {
        app.get("/hello", &[])?;
    }
    let spans = collector.wait_for(20, SOON)?;
    ensure!(spans.iter().all(|span| span.text("url.path") == Some("/hello")), "{spans:?}");
    container.has_few_rights(KEPT)?;
    let Ended { summary, status, stderr, .. } = stop(gotap)?;
    ensure!(status.success() && summary.delivered == Some(20), "{status}: {stderr:?}");
    ensure!(eventually(SOON, || sites_in(app.pid()).ok() == Some(0)), "probes are left");
    Ok(())
}

/// As Kubernetes ends a container. podman passes the signal on.
fn stop(mut gotap: Gotap) -> Result<Ended> {
    gotap.process.signal(libc::SIGTERM)?;
    gotap.wait()
}
