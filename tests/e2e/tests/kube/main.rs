//! gotap beside a real API server of Kubernetes: as its DaemonSet would run it, with the token, the rights and the
//! capabilities that the manifests give, and through an outage. `make test-kube` runs this.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Cgroup, Gotap, SOON, binary, can_trace, eventually, skip};
use gotap_testkit::collector::{Collector, FlatSpan};
use gotap_testkit::kubernetes::Cluster;
use gotap_testkit::process::Running;
use gotap_testkit::repo_root;
use serde_json::{Value, json};
use tempfile::TempDir;

const NODE: &str = "node-a";
const ACCOUNT: &str = "system:serviceaccount:gotap:gotap";

/// Runs what a container of the DaemonSet would: in a mount namespace where the account's files are. $1 is the folder
/// with them, $2 the capabilities.
const AS_IN_POD: &str = r#"
mount -t tmpfs none /run && mkdir -p /run/secrets/kubernetes.io/serviceaccount &&
cp "$1"/* /run/secrets/kubernetes.io/serviceaccount/ && folder=$2 && shift 2 &&
exec setpriv --bounding-set "$folder" --inh-caps=-all "$@"
"#;

fn manifests() -> Result<String> {
    let path = repo_root().join("deploy/kubernetes/gotap.yaml");
    std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
}

/// What controllers and kubelets would make: a node, a Deployment, its ReplicaSet.
fn prepare(cluster: &Cluster) -> Result<()> {
    let labels = json!({"app": "shop"});
    let pods = json!({"metadata": {"labels": labels},
        "spec": {"containers": [{"name": "app", "image": "registry.example/shop:1.4"}]}});
    let spec = json!({"selector": {"matchLabels": labels}, "template": pods});
    for object in [
        json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}}),
        json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-b"}}),
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "market"}}),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": spec,
            "metadata": {"name": "shop", "namespace": "market"}}),
        json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "spec": spec,
            "metadata": {"name": "shop-5f6", "namespace": "market"}}),
    ] {
        cluster.apply(&object.to_string())?;
    }
    Ok(())
}

/// A pod of the Deployment that runs, as a kubelet tells.
fn run_pod(cluster: &Cluster, name: &str, node: &str, cgroup: &Cgroup) -> Result<String> {
    let get = ["get", "replicaset", "shop-5f6", "-n", "market", "-o", "jsonpath={.metadata.uid}"];
    let owner = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "shop-5f6",
        "uid": cluster.kubectl(&get, "")?, "controller": true});
    let pod = json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "market", "ownerReferences": [owner],
            "labels": {"app": "shop", "pod-template-hash": "5f6"}},
        "spec": {"nodeName": node, "containers": [
            {"name": "app", "image": "registry.example/shop:1.4"}, {"name": "proxy", "image": "proxy"}]}});
    cluster.apply(&pod.to_string())?;
    let container = json!({"name": "app", "image": "registry.example/shop:1.4", "imageID": "sha256:1",
        "containerID": format!("containerd://{}", cgroup.container), "ready": true, "restartCount": 0,
        "started": true, "state": {"running": {"startedAt": "2026-11-29T09:00:00Z"}}});
    let status =
        json!({"status": {"phase": "Running", "containerStatuses": [container]}}).to_string();
    let patch =
        ["patch", "pod", name, "-n", "market", "--subresource=status", "--type=merge", "-p"];
    cluster.kubectl(&[&patch[..], &[&status]].concat(), "")?;
    cluster.kubectl(&["get", "pod", name, "-n", "market", "-o", "jsonpath={.metadata.uid}"], "")
}

/// The account may do what it needs and nothing else.
fn has_its_rights(cluster: &Cluster, token: &str) -> Result<()> {
    let may = |verb: &str, what: &str| {
        let as_it = format!("--as={ACCOUNT}");
        cluster.kubectl(&["auth", "can-i", verb, what, "--all-namespaces", &as_it], "").is_ok()
    };
    for (verb, what, wanted) in [
        ("list", "pods", true),
        ("watch", "pods", true),
        ("get", "pods", false),
        ("delete", "pods", false),
        ("create", "pods", false),
        ("list", "pods/log", false),
        ("list", "nodes", false),
        ("list", "secrets", false),
        ("list", "configmaps", false),
        ("list", "replicasets.apps", false),
        ("list", "namespaces", false),
    ] {
        ensure!(may(verb, what) == wanted, "{verb} {what}");
    }
    let raw = |path: &str| cluster.kubectl_as(token, &["get", "--raw", path], "");
    ensure!(raw("/api/v1/pods?fieldSelector=spec.nodeName%3Dnode-a")?.contains("PodList"));
    for path in ["/api/v1/nodes", "/api/v1/secrets", "/api/v1/namespaces/market/pods/shop-a"] {
        let refused = raw(path).err().map(|error| format!("{error:#}")).unwrap_or_default();
        ensure!(refused.contains("orbidden"), "{path}: {refused}");
    }
    ensure!(raw("/api/v1/pods").is_ok());
    let wrong = cluster.kubectl_as("wrong", &["get", "--raw", "/api/v1/pods"], "");
    ensure!(wrong.is_err(), "a wrong token is taken");
    Ok(())
}

/// The capabilities of the DaemonSet, as setpriv names them.
fn capabilities(cluster: &Cluster) -> Result<String> {
    let path = "jsonpath={.spec.template.spec.containers[0].securityContext.capabilities.add}";
    let text = cluster.kubectl(&["get", "daemonset", "gotap", "-n", "gotap", "-o", path], "")?;
    let names: Vec<String> = serde_json::from_str(&text).context(text)?;
    let number = |name: &str| match name {
        "PERFMON" => "cap_38".to_owned(),
        "BPF" => "cap_39".to_owned(),
        other => other.to_lowercase(),
    };
    Ok(names.iter().fold("-all".to_owned(), |all, name| format!("{all},+{}", number(name))))
}

fn start_as_in_pod(cluster: &Cluster, token: &str, endpoint: &str) -> Result<(Gotap, TempDir)> {
    let folder = TempDir::new()?;
    std::fs::write(folder.path().join("token"), token)?;
    std::fs::write(folder.path().join("namespace"), "gotap")?;
    std::fs::copy(cluster.certificate(), folder.path().join("ca.crt")).context("copy the CA")?;
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-ec", AS_IN_POD, "sh"]).arg(folder.path());
    command.arg(capabilities(cluster)?).arg(binary());
    command.args(["run", "--executable", "*/httpapp", "--otlp-endpoint", endpoint]);
    command.env("KUBERNETES_SERVICE_HOST", "127.0.0.1").env("NODE_NAME", NODE);
    command.env("KUBERNETES_SERVICE_PORT", cluster.port.to_string());
    let gotap = Gotap { process: Running::spawn(command)? };
    gotap.wait_ready()?;
    Ok((gotap, folder))
}

fn span_of(collector: &Collector, path: &str) -> Result<FlatSpan> {
    let is_it = |span: &&FlatSpan| span.text("url.path") == Some(path);
    let spans = collector.wait_until(SOON, |spans| spans.iter().any(|span| is_it(&span)))?;
    spans.iter().find(is_it).cloned().with_context(|| format!("a span of {path}"))
}

fn has(span: &FlatSpan, expected: &[(&str, &str)]) -> Result<()> {
    for (key, value) in expected {
        let found = span.resource.get(*key).and_then(Value::as_str);
        ensure!(found == Some(value), "{key}: {span:#?}");
    }
    Ok(())
}

fn start_in(cgroup: &Cgroup) -> Result<App> {
    let app = App::start(&App::newest()?)?;
    cgroup.add(app.pid())?;
    Ok(app)
}

#[test]
fn the_agent_of_the_daemon_set_names_pods_through_an_outage() -> Result<()> {
    if !can_trace("the_agent_of_the_daemon_set_names_pods_through_an_outage") {
        return Ok(());
    }
    let (first, second) = match Cgroup::containerd(11).and_then(|c| Ok((c, Cgroup::bare(12)?))) {
        Ok(both) => both,
        Err(error) => {
            skip("the_agent_of_the_daemon_set_names_pods_through_an_outage", &format!("{error:#}"));
            return Ok(());
        }
    };
    let mut cluster = Cluster::start()?;
    cluster.apply(&manifests()?)?;
    prepare(&cluster)?;
    let token = cluster.kubectl(&["create", "token", "gotap", "-n", "gotap"], "")?;
    let token = token.trim();
    has_its_rights(&cluster, token)?;

    let (collector, app) = (Collector::start()?, start_in(&first)?);
    let uid = run_pod(&cluster, "shop-a", NODE, &first)?;
    let (gotap, _files) = start_as_in_pod(&cluster, token, &collector.grpc_endpoint())?;
    app.get("/users/1", &[])?;
    let expected = |pod: &'static str| {
        [
            ("service.name", "shop"),
            ("service.namespace", "market"),
            ("service.version", "1.4"),
            ("k8s.namespace.name", "market"),
            ("k8s.deployment.name", "shop"),
            ("k8s.replicaset.name", "shop-5f6"),
            ("k8s.pod.name", pod),
            ("k8s.node.name", NODE),
            ("k8s.container.name", "app"),
            ("container.image.name", "registry.example/shop"),
        ]
    };
    let span = span_of(&collector, "/users/1")?;
    has(&span, &expected("shop-a"))?;
    has(&span, &[("k8s.pod.uid", &uid), ("container.id", &first.container)])?;

    // The server is killed. What is known stays; another program starts meanwhile.
    cluster.down()?;
    gotap.process.wait_for_error("trying again", SOON)?;
    app.get("/users/2", &[])?;
    has(&span_of(&collector, "/users/2")?, &expected("shop-a"))?;
    let late = start_in(&second)?;
    gotap.process.wait_for_error(&format!("attached to httpapp[{}]", late.pid()), SOON)?;
    late.get("/users/3", &[])?;
    has(&span_of(&collector, "/users/3")?, &[("container.id", &second.container)])?;

    cluster.up()?;
    run_pod(&cluster, "shop-b", NODE, &second)?;
    gotap.process.wait_for_error("Kubernetes: the API server answers", SOON)?;
    let named = |span: &FlatSpan| span.resource.get("k8s.pod.name").is_some_and(|n| n == "shop-b");
    let found = eventually(SOON, || {
        late.get("/users/4", &[]).is_ok() && collector.spans().is_ok_and(|s| s.iter().any(named))
    });
    ensure!(found, "{:?}", gotap.process.stderr());
    let spans = collector.spans()?;
    has(spans.iter().find(|span| named(span)).context("it")?, &expected("shop-b"))?;
    let ended = gotap.stop()?;
    ensure!(ended.status.success(), "{:?}", ended.stderr);
    Ok(())
}

#[test]
fn helm_installs_the_chart_and_wrong_manifests_are_refused() -> Result<()> {
    let cluster = Cluster::start()?;
    let wrong = manifests()?.replace("hostPID", "hostPid");
    let refused = cluster.apply(&wrong).err().map(|error| format!("{error:#}"));
    ensure!(refused.is_some_and(|said| said.contains("hostPid")), "hostPid is taken");
    let chart = repo_root().join("deploy/helm/gotap");
    let chart = chart.to_string_lossy();
    cluster.helm(&["install", "agent", &chart, "-n", "observe", "--create-namespace"])?;
    cluster.helm(&[
        "upgrade",
        "agent",
        &chart,
        "-n",
        "observe",
        "--set",
        "privileged=true",
        "--set",
        "config.kubernetes.service_labels=true",
    ])?;
    let objects = cluster.kubectl(&["get", "ds,cm,sa", "-n", "observe", "-o", "name"], "")?;
    ensure!(objects.contains("daemonset.apps/agent-gotap"), "{objects}");
    cluster.helm(&["uninstall", "agent", "-n", "observe"])?;
    let left = cluster.kubectl(&["get", "clusterroles", "agent-gotap"], "");
    ensure!(left.is_err(), "the ClusterRole is left");
    Ok(())
}
