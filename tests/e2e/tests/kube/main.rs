//! gotap beside a real API server of Kubernetes: as its DaemonSet would run it, with the token, the rights and the
//! capabilities that the manifests give, and through an outage. `make test-kube` runs this.

use std::path::Path;
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

/// A pod of the Deployment that runs on a node, as a kubelet tells, with this value of the label `tier`.
fn run_pod(
    cluster: &Cluster,
    name: &str,
    (node, tier): (&str, &str),
    cgroup: &Cgroup,
) -> Result<String> {
    let get = ["get", "replicaset", "shop-5f6", "-n", "market", "-o", "jsonpath={.metadata.uid}"];
    let owner = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "shop-5f6",
        "uid": cluster.kubectl(&get, "")?, "controller": true});
    let pod = json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "market", "ownerReferences": [owner],
            "labels": {"app": "shop", "pod-template-hash": "5f6", "tier": tier}},
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

/// The account may do what it needs and nothing else, and is refused the rest.
fn has_its_rights(cluster: &Cluster, token: &str) -> Result<()> {
    let raw = |path: &str| cluster.kubectl_as(token, &["get", "--raw", path], "");
    ensure!(raw("/api/v1/pods?fieldSelector=spec.nodeName%3Dnode-a")?.contains("PodList"));
    for path in ["/api/v1/nodes", "/api/v1/secrets", "/api/v1/namespaces/market/pods/shop-a"] {
        let refused = raw(path).err().map(|error| format!("{error:#}")).unwrap_or_default();
        // So kubectl calls the status 403.
        ensure!(refused.contains("(Forbidden)"), "{path}: {refused}");
    }
    ensure!(raw("/api/v1/pods").is_ok());
    let wrong = cluster.kubectl_as("wrong", &["get", "--raw", "/api/v1/pods"], "");
    ensure!(wrong.is_err(), "a wrong token is taken");
    // What each account may: ask who it is, say.
    cluster.kubectl(&["create", "serviceaccount", "plain", "-n", "gotap"], "")?;
    let plain = cluster.kubectl(&["create", "token", "plain", "-n", "gotap"], "")?;
    for namespace in ["default", "gotap", "market"] {
        let of_all = rules(cluster, plain.trim(), namespace)?;
        let mut more = rules(cluster, token, namespace)?;
        more.retain(|rule| !of_all.contains(rule));
        let pods = json!({"verbs": ["list", "watch"], "apiGroups": [""], "resources": ["pods"]});
        ensure!(more == [pods], "in {namespace}: {more:?}");
    }
    Ok(())
}

/// All that the server lets an account do in a namespace.
fn rules(cluster: &Cluster, token: &str, namespace: &str) -> Result<Vec<Value>> {
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace}});
    // Checking it here would need rights to list resources.
    let asked = ["create", "--validate=false", "-o", "json", "-f", "-"];
    let answer = cluster.kubectl_as(token, &asked, &review.to_string())?;
    let answer: Value = serde_json::from_str(&answer).with_context(|| answer.clone())?;
    let status = &answer["status"];
    ensure!(status["incomplete"] == false, "{answer}");
    let of = |kind: &str| status[kind].as_array().with_context(|| format!("{kind}: {answer}"));
    Ok([&of("resourceRules")?[..], of("nonResourceRules")?].concat())
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

/// The pods that are chosen.
const CHOICE: &str =
    r#"[{"namespace": "mark*", "labels": {"app": "shop", "tier": "front"}, "container": "app"}]"#;

/// Starts gotap, which observes the pods of [`CHOICE`] and what runs this program.
fn start_as_in_pod(
    cluster: &Cluster,
    token: &str,
    endpoint: &str,
    program: &Path,
) -> Result<(Gotap, TempDir)> {
    let folder = TempDir::new()?;
    std::fs::write(folder.path().join("token"), token)?;
    std::fs::write(folder.path().join("namespace"), "gotap")?;
    std::fs::copy(cluster.certificate(), folder.path().join("ca.crt")).context("copy the CA")?;
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-ec", AS_IN_POD, "sh"]).arg(folder.path());
    command.arg(capabilities(cluster)?).arg(binary());
    command.args(["run", "--otlp-endpoint", endpoint, "--executable"]).arg(program);
    command.env("GOTAP_SELECT_KUBERNETES", CHOICE);
    command.env("KUBERNETES_SERVICE_HOST", "127.0.0.1").env("NODE_NAME", NODE);
    command.env("KUBERNETES_SERVICE_PORT", cluster.port.to_string());
    let gotap = Gotap::of(Running::spawn(command)?);
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

#[test]
fn the_agent_of_the_daemon_set_names_pods_through_an_outage() -> Result<()> {
    if !can_trace("the_agent_of_the_daemon_set_names_pods_through_an_outage") {
        return Ok(());
    }
    let cgroups = || Ok((Cgroup::containerd(11)?, Cgroup::bare(12)?, Cgroup::containerd(13)?));
    let (first, second, third) = match cgroups() {
        Ok(all) => all,
        Err::<_, anyhow::Error>(error) => {
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

    // Its path names one of the two, so that no other program of this machine is observed.
    let (collector, program, own) = (Collector::start()?, App::newest()?, TempDir::new()?);
    let copy = own.path().join("httpapp");
    std::fs::copy(&program, &copy).context("copy the program")?;
    let (app, back) = (first.start(&program)?, third.start(&program)?);
    let uid = run_pod(&cluster, "shop-a", (NODE, "front"), &first)?;
    run_pod(&cluster, "shop-c", (NODE, "back"), &third)?;
    run_pod(&cluster, "shop-d", ("node-b", "front"), &second)?;
    let (gotap, _files) = start_as_in_pod(&cluster, token, &collector.grpc_endpoint(), &copy)?;
    gotap.process.wait_for_error("Kubernetes: 2 pods on node node-a", SOON)?;
    back.get("/users/0", &[])?;
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
    let said = || format!("{:#?}", gotap.process.stderr());
    let span = span_of(&collector, "/users/1").with_context(said)?;
    has(&span, &expected("shop-a"))?;
    has(&span, &[("k8s.pod.uid", &uid), ("container.id", &first.container)])?;

    // Its pod's labels are no choice, until they change.
    ensure!(collector.spans()?.iter().all(|span| span.text("url.path") != Some("/users/0")));
    cluster
        .kubectl(&["label", "pod", "shop-c", "-n", "market", "--overwrite", "tier=front"], "")?;
    gotap.process.wait_for_error(&format!("attached to shop[{}]", back.pid()), SOON)?;
    back.get("/users/5", &[])?;
    has(&span_of(&collector, "/users/5")?, &expected("shop-c"))?;

    // The server is killed. What is known stays; another program starts meanwhile.
    cluster.down()?;
    gotap.process.wait_for_error("trying again", SOON)?;
    app.get("/users/2", &[])?;
    has(&span_of(&collector, "/users/2")?, &expected("shop-a"))?;
    let late = second.start(&copy)?;
    gotap.process.wait_for_error(&format!("attached to httpapp[{}]", late.pid()), SOON)?;
    late.get("/users/3", &[])?;
    has(&span_of(&collector, "/users/3")?, &[("container.id", &second.container)])?;

    cluster.up()?;
    run_pod(&cluster, "shop-b", (NODE, "back"), &second)?;
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
