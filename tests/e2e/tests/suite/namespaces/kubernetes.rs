//! Programs in containers of pods, as cgroups and a server that replays an API server's answers tell: their spans and
//! metrics say which pod, also where that is known only later, and pods choose what is observed. A real API server is
//! in `tests/kube`.

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Cgroup, Gotap, SOON, can_trace, eventually, skip};
use gotap_testkit::collector::{Collector, FlatSpan};
use gotap_testkit::http;
use gotap_testkit::kubernetes::{Answer, Pod, Replay, end_of_list, event};
use tempfile::TempDir;

/// What a Deployment's pod has.
const OF_DEPLOYMENT: &str = r#","labels":{"app":"shop","pod-template-hash":"5f6"},"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"shop-5f6","uid":"u","controller":true}]"#;

/// A program in a container.
struct Contained {
    app: App,
    cgroup: Cgroup,
}

impl Contained {
    fn start(cgroup: Result<Cgroup>, environment: &[(&str, &str)]) -> Result<Self> {
        let cgroup = cgroup?;
        let app = App::start_with(&App::newest()?, &[], environment)?;
        cgroup.add(app.pid())?;
        Ok(Self { app, cgroup })
    }

    fn pod<'a>(&'a self, name: &'a str, namespace: &'a str, more: &'a str) -> Pod<'a> {
        Pod { name, namespace, uid: &self.cgroup.pod, container: &self.cgroup.container, more }
    }

    fn ask(&self, path: &str) -> Result<()> {
        self.app.get(path, &[]).map(drop)
    }
}

/// Whether cgroups can be made here.
fn can_contain(test: &str) -> bool {
    if !can_trace(test) {
        return false;
    }
    let made = Cgroup::containerd(99).and_then(|cgroup| Ok((cgroup, Cgroup::bare(98)?)));
    if let Err(error) = &made {
        skip(test, &format!("no cgroups can be made: {error:#}"));
    }
    made.is_ok()
}

fn span_of(collector: &Collector, path: &str) -> Result<FlatSpan> {
    let is_it = |span: &&FlatSpan| span.text("url.path") == Some(path);
    let spans = collector.wait_until(SOON, |spans| spans.iter().any(|span| is_it(&span)))?;
    spans.iter().find(is_it).cloned().with_context(|| format!("a span of {path}"))
}

fn has(span: &FlatSpan, expected: &[(&str, &str)]) -> Result<()> {
    for (key, value) in expected {
        ensure!(
            span.resource.get(*key).and_then(|v| v.as_str()) == Some(value),
            "{key}: {span:#?}"
        );
    }
    Ok(())
}

#[test]
fn spans_and_metrics_say_which_pod_also_after_an_outage() -> Result<()> {
    if !can_contain("spans_and_metrics_say_which_pod_also_after_an_outage") {
        return Ok(());
    }
    let (collector, replay, folder) = (Collector::start()?, Replay::start()?, TempDir::new()?);
    let shop = Contained::start(Cgroup::containerd(1), &[])?;
    let pid = shop.app.pid().to_string();
    let (answer, more) = Answer::stream(&end_of_list(1));
    replay.watches([answer]);
    let kubeconfig = replay.kubeconfig(folder.path())?;
    let late = App::start(&App::newest()?)?;
    let late = Contained { app: late, cgroup: Cgroup::bare(2)? };
    late.cgroup.add(late.app.pid())?;
    let endpoint = collector.grpc_endpoint();
    let (late_pid, kubeconfig) = (late.app.pid().to_string(), kubeconfig.to_string_lossy());
    let arguments = ["run", "--pid", &pid, "--pid", &late_pid, "--node", "node-a"];
    let more_arguments = ["--otlp-endpoint", &endpoint, "--prometheus-listen", "127.0.0.1:0"];
    let variables = [("GOTAP_KUBERNETES_KUBECONFIG", &*kubeconfig)];
    let gotap = Gotap::start(&[&arguments[..], &more_arguments].concat(), &variables)?;
    gotap.wait_ready()?;

    // The kubelet tells of the container after its first request.
    shop.ask("/users/1")?;
    more.send(event("ADDED", &shop.pod("shop-5f6-x", "market", OF_DEPLOYMENT).json(2)))?;
    let expected = of_shop(&shop);
    let first = span_of(&collector, "/users/1")?;
    has(&first, &expected)?;
    let tags = &first.resource["container.image.tags"];
    ensure!(tags.as_array().is_some_and(|tags| tags.len() == 1), "{first:#?}");

    // The server goes: what is known stays, and what is not is sent without and counted.
    let address = replay.address.clone();
    drop((more, replay));
    gotap.process.wait_for_error("gotap: Kubernetes: ", SOON)?;
    let away = |line: &String| line.contains("going on without, and trying again");
    ensure!(eventually(SOON, || gotap.process.stderr().iter().any(away)), "no word of the outage");
    shop.ask("/users/2")?;
    has(&span_of(&collector, "/users/2")?, &expected)?;
    late.ask("/users/3")?;
    let early = span_of(&collector, "/users/3")?;
    has(&early, &[("container.id", &late.cgroup.container), ("k8s.pod.uid", &late.cgroup.pod)])?;
    ensure!(!early.resource.contains_key("k8s.pod.name"), "{early:#?}");

    // It is back, with both.
    let replay = Replay::start_at(&address)?;
    let both = [shop.pod("shop-5f6-x", "market", OF_DEPLOYMENT), late.pod("late", "default", "")];
    let both = both.iter().map(|pod| event("ADDED", &pod.json(3))).collect::<String>();
    let (answer, _keep) = Answer::stream(&(both + &end_of_list(4)));
    replay.watches([answer]);
    gotap.process.wait_for_error("the API server answers: 2 pods", SOON)?;
    let named = eventually(SOON, || {
        let asked = late.ask("/users/4").and_then(|()| span_of(&collector, "/users/4"));
        asked.is_ok_and(|_| {
            let spans = collector.spans().unwrap_or_default();
            spans.iter().any(|span| span.resource.get("k8s.pod.name").is_some_and(|n| n == "late"))
        })
    });
    ensure!(named, "its spans never say its pod");
    has_metrics(&gotap)?;
    let ended = gotap.stop()?;
    ensure!(ended.summary.incomplete.get("no_pod").is_some_and(|n| *n >= 1), "{:?}", ended.summary);
    ensure!(ended.summary.no_span.is_empty(), "{:?}", ended.summary);
    Ok(())
}

/// What spans of the shop say of their process.
fn of_shop(shop: &Contained) -> [(&str, &str); 14] {
    [
        ("service.name", "shop"),
        ("service.namespace", "market"),
        ("service.version", "1"),
        ("k8s.namespace.name", "market"),
        ("k8s.pod.name", "shop-5f6-x"),
        ("k8s.pod.uid", &shop.cgroup.pod),
        ("k8s.deployment.name", "shop"),
        ("k8s.replicaset.name", "shop-5f6"),
        ("k8s.node.name", "node-a"),
        ("host.name", "node-a"),
        ("k8s.container.name", "app"),
        ("container.id", &shop.cgroup.container),
        ("container.runtime.name", "containerd"),
        ("container.image.name", "shop-5f6-x"),
    ]
}

/// Prometheus's target_info names both pods, and the watch is measured.
fn has_metrics(gotap: &Gotap) -> Result<()> {
    let said = gotap.process.wait_for_error("gotap: metrics at ", SOON)?;
    let address = said.strip_prefix("gotap: metrics at http://").context("where metrics are")?;
    let address = address.strip_suffix("/metrics").context("the path of metrics")?;
    let metrics = String::from_utf8(http::get(address, "/metrics", &[])?.body)?;
    for part in [
        r#"k8s_pod_name="shop-5f6-x""#,
        r#"k8s_pod_name="late""#,
        "gotap_kubernetes_pods 2",
        "gotap_kubernetes_current_ratio 1",
        r#"gotap_kubernetes_failures_total{reason="unreachable"}"#,
    ] {
        ensure!(metrics.contains(part), "no {part} in {metrics}");
    }
    Ok(())
}

#[test]
fn pods_choose_what_is_observed() -> Result<()> {
    if !can_contain("pods_choose_what_is_observed") {
        return Ok(());
    }
    let (replay, folder) = (Replay::start()?, TempDir::new()?);
    let chosen = Contained::start(Cgroup::containerd(3), &[("OTEL_SERVICE_NAME", "chosen")])?;
    let other = Contained::start(Cgroup::bare(4), &[("OTEL_SERVICE_NAME", "other")])?;
    let elsewhere = Contained::start(Cgroup::bare(5), &[("OTEL_SERVICE_NAME", "elsewhere")])?;
    let (answer, more) = Answer::stream(&end_of_list(1));
    replay.watches([answer]);
    let file = folder.path().join("gotap.yaml");
    let kubeconfig = replay.kubeconfig(folder.path())?;
    let settings = format!(
        "kubernetes:\n  kubeconfig: {}\n  node: node-a\nselect:\n  kubernetes:\n  - namespace: mark*\n    container: app\n    labels: {{app: shop}}\n",
        kubeconfig.display()
    );
    std::fs::write(&file, settings).context("write the configuration")?;
    let endpoint = "http://127.0.0.1:9"; // nobody is there
    let gotap =
        Gotap::start(&["run", "-c", &file.to_string_lossy(), "--otlp-endpoint", endpoint], &[])?;
    gotap.wait_ready()?;
    // One has no such label; the other one is of another namespace.
    for pod in [
        elsewhere.pod("elsewhere", "other", OF_DEPLOYMENT),
        other.pod("other", "market", ""),
        chosen.pod("chosen", "market", OF_DEPLOYMENT),
    ] {
        more.send(event("ADDED", &pod.json(2)))?;
    }
    gotap.process.wait_for_error("gotap: attached to chosen[", SOON)?;
    let others = || gotap.process.stderr().iter().filter(|l| l.contains("attached to")).count();
    ensure!(others() == 1, "{:?}", gotap.process.stderr());
    // It gets the label later.
    more.send(event("MODIFIED", &other.pod("other", "market", OF_DEPLOYMENT).json(3)))?;
    gotap.process.wait_for_error("gotap: attached to other[", SOON)?;
    ensure!(others() == 2, "{:?}", gotap.process.stderr());
    Ok(())
}

#[test]
fn what_cannot_be_asked_is_said_in_one_sentence() -> Result<()> {
    let run = |arguments: &[&str], environment: &[(&str, &str)]| -> Result<(Option<i32>, String)> {
        let mut command = std::process::Command::new(gotap_e2e::binary());
        command.arg("run").args(arguments).envs(environment.iter().copied());
        let output = command.output().context("run gotap")?;
        Ok((output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned()))
    };
    for (arguments, environment, part) in [
        (&["--kubernetes", "on"][..], &[][..], "kubernetes.kubeconfig"),
        (
            &["--kubernetes", "on"],
            &[("GOTAP_KUBERNETES_KUBECONFIG", "/nowhere")],
            "kubeconfig /nowhere",
        ),
        (&["--kubernetes", "on"], &[("KUBERNETES_SERVICE_HOST", "127.0.0.1")], "NODE_NAME"),
        (&["--kubernetes", "off"], &[("GOTAP_SELECT_KUBERNETES", "[{}]")], "kubernetes.enabled"),
    ] {
        let (code, said) = run(arguments, environment)?;
        ensure!(code == Some(2) && said.contains(part), "{arguments:?} {environment:?}: {said}");
        ensure!(said.lines().count() <= 2, "{said}");
    }
    Ok(())
}
