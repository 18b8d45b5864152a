//! What is in `deploy/`, as far as it can be checked without a cluster: the Helm chart with several values, what helm
//! makes of it by Kubernetes' schemas, the plain manifests, which are made of the chart, and gotap's configuration in
//! them. `make test-deploy` runs this. `GOTAP_WRITE_DEPLOY=1` writes the manifests and the schema of `config` anew.
//! Which values the chart takes: [`values`].

mod values;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use gotap_e2e::binary;
use gotap_testkit::kubernetes::{helm, output};
use gotap_testkit::{repo_root, setup};
use serde_json::{Value, json};
use tempfile::TempDir;

/// What stands above the objects that the chart makes.
const HEAD: &str = "# gotap on each node, without Helm: kubectl apply -f gotap.yaml, after the image and the collector's
# address are set. It needs Kubernetes 1.30 or newer, which has appArmorProfile; the chart serves those from 1.25 on.
# This file is made of the chart in deploy/helm/gotap; a test compares them.
apiVersion: v1
kind: Namespace
metadata:
  name: gotap
  labels:
    # hostPID and capabilities are allowed in no other.
    pod-security.kubernetes.io/enforce: privileged
";

fn chart() -> PathBuf {
    repo_root().join("deploy/helm/gotap")
}

/// What helm makes of the chart.
fn template(folder: &Path, kubernetes: &str, values: &Value) -> Result<String> {
    let file = folder.join("values.yaml");
    std::fs::write(&file, values.to_string()).context("write values")?;
    let mut command = helm(folder)?;
    command.args(["template", "gotap", "--namespace", "gotap", "--kube-version", kubernetes]);
    command.arg("-f").arg(&file).arg(chart());
    output(command, "")
}

/// By Kubernetes' own schemas; an error names the object that breaks them.
fn validate(folder: &Path, version: &str, manifests: &str) -> Result<String> {
    let file = folder.join("manifests.yaml");
    std::fs::write(&file, manifests).context("write manifests")?;
    let mut command = Command::new(setup(&["kubernetes-validate"])?);
    command.args(["-k", version, "--strict"]).arg(&file);
    output(command, "")
}

fn objects(manifests: &str) -> Result<Vec<Value>> {
    let objects: Vec<Value> = serde_saphyr::from_multiple(manifests).context("read manifests")?;
    Ok(objects.into_iter().filter(|object| !object.is_null()).collect())
}

fn of_kind(objects: &[Value], kind: &str) -> Result<Value> {
    objects.iter().find(|object| object["kind"] == kind).cloned().context(kind.to_owned())
}

/// What the pods' annotation says of AppArmor.
fn app_armor_annotation(objects: &[Value]) -> Result<Value> {
    let set = of_kind(objects, "DaemonSet")?;
    let annotations = &set["spec"]["template"]["metadata"]["annotations"];
    Ok(annotations["container.apparmor.security.beta.kubernetes.io/gotap"].clone())
}

/// gotap takes the configuration that is in the ConfigMap.
fn is_configuration(folder: &Path, objects: &[Value]) -> Result<Value> {
    let map = of_kind(objects, "ConfigMap")?;
    let text = map["data"]["gotap.yaml"].as_str().context("gotap.yaml in the ConfigMap")?;
    let file = folder.join("gotap.yaml");
    std::fs::write(&file, text).context("write the configuration")?;
    let mut command = Command::new(binary());
    command.args(["config", "check"]).arg(&file);
    output(command, "")?;
    serde_saphyr::from_str(text).context("read the configuration")
}

#[test]
fn the_chart_makes_valid_manifests_of_valid_values() -> Result<()> {
    let folder = TempDir::new()?;
    let mut lint = helm(folder.path())?;
    lint.args(["lint", "--strict"]).arg(chart());
    output(lint, "")?;
    let many = json!({
        "fullnameOverride": "agent",
        "image": {"repository": "registry.example/gotap", "tag": "x"},
        "imagePullSecrets": [{"name": "pull"}],
        "env": [{"name": "GOTAP_OTLP_HEADERS",
            "valueFrom": {"secretKeyRef": {"name": "collector", "key": "headers"}}}],
        "metricsPort": 9999,
        "config": {"kubernetes": {"service_labels": true},
            "select": {"kubernetes": [{"namespace": "shop", "labels": {"tier": "backend"}}]}},
        "serviceAccount": {"create": false, "name": "mine"},
        "rbac": {"create": false},
        "capabilities": ["BPF", "PERFMON"],
        "seLinuxOptions": {"type": "spc_t"},
        "podAnnotations": {"a": "b"}, "podLabels": {"c": "d"}, "priorityClassName": "system-node-critical",
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": [{"key": "gpu", "operator": "DoesNotExist"}]}]}}}
    });
    for (version, kinds, values) in
        [("1.37.0", 5, json!({})), ("1.28.0", 5, json!({"privileged": true})), ("1.37.0", 2, many)]
    {
        let manifests = template(folder.path(), version, &values)?;
        let found = objects(&manifests)?;
        ensure!(found.len() == kinds, "{} objects of {values}: {manifests}", found.len());
        let minor = version.rsplit_once('.').context("a version")?.0;
        validate(folder.path(), minor, &manifests)?;
        let config = is_configuration(folder.path(), &found)?;
        let port = values.get("metricsPort").and_then(Value::as_u64).unwrap_or(9464);
        ensure!(config["prometheus_listen"] == format!("0.0.0.0:{port}"), "{config}");
        let pod = &of_kind(&found, "DaemonSet")?["spec"]["template"]["spec"];
        let container = &pod["containers"][0];
        ensure!(container["ports"][0]["containerPort"] == port, "{container}");
        let security = &container["securityContext"];
        let privileged = values.get("privileged").is_some();
        ensure!(security.get("privileged").is_some() == privileged, "{security}");
        ensure!(security.get("capabilities").is_some() != privileged, "{security}");
        // Older servers know the annotation alone.
        let (old, field) = (version == "1.28.0", &security["appArmorProfile"]["type"]);
        let annotation = &app_armor_annotation(&found)?;
        let only_one = if old {
            annotation == "unconfined" && field.is_null()
        } else {
            annotation.is_null() && field == "Unconfined"
        };
        ensure!(only_one, "{version}: {annotation}, {security}");
        ensure!(security["readOnlyRootFilesystem"] == true && pod["hostPID"] == true, "{pod}");
    }
    Ok(())
}

#[test]
fn the_plain_manifests_are_the_charts() -> Result<()> {
    let folder = TempDir::new()?;
    let made = template(folder.path(), "1.37.0", &json!({}))?;
    let of_helm = |line: &&str| {
        !["# Source:", "app.kubernetes.io/managed-by: Helm", "helm.sh/chart:"]
            .iter()
            .any(|part| line.trim_start().starts_with(part))
    };
    let lines = made.lines().filter(of_helm).filter(|line| !line.trim().is_empty());
    let text = lines.fold(HEAD.to_owned(), |text, line| text + line + "\n");
    let path = repo_root().join("deploy/kubernetes/gotap.yaml");
    if std::env::var_os("GOTAP_WRITE_DEPLOY").is_some() {
        std::fs::write(&path, &text).context("write the manifests")?;
    }
    let written = std::fs::read_to_string(&path).context("read the manifests")?;
    ensure!(written == text, "run this with GOTAP_WRITE_DEPLOY=1");
    validate(folder.path(), "1.37", &written)?;
    is_configuration(folder.path(), &objects(&written)?).map(drop)
}

/// A row of the table of memory in docs/kubernetes.md, in MiB.
fn measured(document: &str, row: &str) -> Result<u64> {
    let lines = || document.split_once("<!-- memory:begin -->").map(|(_, table)| table.lines());
    let line = lines().and_then(|mut lines| lines.find(|line| line.starts_with(row)));
    let cell = line.and_then(|line| line.split('|').nth_back(1)).context(row.to_owned())?;
    cell.trim().trim_end_matches(" MiB").parse().with_context(|| format!("{row}: {cell}"))
}

/// As docs/kubernetes.md says it, and not much more.
#[test]
fn requests_and_limits_follow_from_what_was_measured() -> Result<()> {
    let document = std::fs::read_to_string(repo_root().join("docs/kubernetes.md"))?;
    let charged = measured(&document, "| charged to its cgroup, at most |")?;
    let queues = measured(&document, "| what its queues and caches ")?;
    let values = std::fs::read_to_string(chart().join("values.yaml"))?;
    let values: Value = serde_saphyr::from_str(&values).context("read values.yaml")?;
    for (kind, wanted) in [("requests", charged), ("limits", (charged + queues) * 4 / 3)] {
        let text = values["resources"][kind]["memory"].as_str().context(kind)?;
        let memory: u64 = text.trim_end_matches("Mi").parse().context(text.to_owned())?;
        ensure!((wanted..=wanted + wanted / 10).contains(&memory), "{kind}: {text} for {wanted}");
    }
    Ok(())
}
