//! Which values the chart takes, and which it refuses before anything is made of them.

use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use gotap_e2e::binary;
use gotap_testkit::kubernetes::{helm, output};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{app_armor_annotation, chart, objects, of_kind, template, validate};

#[test]
fn wrong_values_are_refused() -> Result<()> {
    let folder = TempDir::new()?;
    let (file, name) = ("localhostProfile", "app.kubernetes.io/name");
    let annotation = "container.apparmor.security.beta.kubernetes.io/gotap";
    for (values, part) in [
        (json!({"capabilities": ["CAP_BPF"]}), "/capabilities/0"),
        (json!({"capabilities": ["FOO"]}), "/capabilities/0"),
        (json!({"metricsPort": 1023}), "metricsPort"),
        (json!({"configuration": {}}), "configuration"),
        (json!({"config": null}), "'config'"),
        (json!({"config": {"prometheus_listen": "0.0.0.0:1"}}), "/config"),
        (json!({"config": {"otlp": {"endpont": "http://x"}}}), "endpont"),
        (json!({"config": {"otlp": "x"}}), "/config/otlp"),
        (json!({"image": {"repository": "x", "pullPolicy": "sometimes"}}), "pullPolicy"),
        (json!({"image": {"digest": "sha256:1"}}), "digest"),
        (json!({"serviceAccount": null}), "serviceAccount"),
        (json!({"rbac": null}), "rbac"),
        (json!({"updateStrategy": null}), "updateStrategy"),
        (json!({"updateStrategy": {"type": "Sometimes"}}), "updateStrategy/type"),
        (json!({"env": [{"name": "A", "value": 1}]}), "/env/0/value"),
        (json!({"env": [{"name": "NODE_NAME", "value": "x"}]}), "/env/0/name"),
        (json!({"resources": {"limit": {"memory": "1Gi"}}}), "'limit'"),
        (json!({"resources": {"limits": {"memory": "much"}}}), "/limits/memory"),
        (json!({"podLabels": {name: "x"}}), "/podLabels"),
        (json!({"podAnnotations": {"checksum/config": "x"}}), "/podAnnotations"),
        (json!({"podAnnotations": {annotation: "unconfined"}}), "/podAnnotations"),
        (json!({"seccompProfile": {"type": "Localhost"}}), "/seccompProfile"),
        (json!({"seccompProfile": {file: "x"}}), "/seccompProfile"),
        (json!({"appArmorProfile": {"type": "Localhost"}}), "/appArmorProfile"),
        (json!({"appArmorProfile": {"type": "RuntimeDefault", file: "x"}}), "/appArmorProfile"),
    ] {
        match template(folder.path(), "1.37.0", &values) {
            Ok(_) => bail!("helm takes {values}"),
            Err(error) => {
                let said = format!("{error:#}");
                let is_schema = said.contains("don't meet the specifications of the schema");
                ensure!(is_schema && said.contains(part), "{values}: {said}");
            }
        }
    }
    // And what checks manifests sees a wrong field.
    let wrong = template(folder.path(), "1.37.0", &json!({}))?.replace("hostPID", "hostPid");
    ensure!(validate(folder.path(), "1.37", &wrong).is_err(), "hostPid is taken");
    Ok(())
}

/// Names of digits alone are no numbers.
#[test]
fn names_may_look_like_numbers() -> Result<()> {
    let folder = TempDir::new()?;
    let file = folder.path().join("values.yaml");
    let values = json!({
        "fullnameOverride": "1", "nameOverride": "2", "priorityClassName": "3",
        "serviceAccount": {"name": "4"}, "podLabels": {"a": "5"}, "nodeSelector": {"a": "true"}
    });
    std::fs::write(&file, values.to_string()).context("write values")?;
    let mut command = helm(folder.path())?;
    command.args(["template", "123", "--namespace", "456", "--kube-version", "1.37.0"]);
    command.arg("-f").arg(&file).arg(chart());
    let manifests = output(command, "")?;
    validate(folder.path(), "1.37", &manifests)?;
    let found = objects(&manifests)?;
    let set = of_kind(&found, "DaemonSet")?;
    let (meta, pod) = (&set["metadata"], &set["spec"]["template"]["spec"]);
    ensure!(meta["name"] == "1" && meta["namespace"] == "456", "{meta}");
    ensure!(meta["labels"]["app.kubernetes.io/instance"] == "123", "{meta}");
    ensure!(pod["serviceAccountName"] == "4" && pod["priorityClassName"] == "3", "{pod}");
    let subject = &of_kind(&found, "ClusterRoleBinding")?["subjects"][0];
    ensure!(subject["name"] == "4" && subject["namespace"] == "456", "{subject}");
    Ok(())
}

#[test]
fn an_image_may_have_a_digest() -> Result<()> {
    let folder = TempDir::new()?;
    let digest = format!("sha256:{}", "0a".repeat(32));
    for (image, wanted) in [
        (json!({"digest": digest}), format!("gotap@{digest}")),
        (json!({"digest": digest, "tag": "1"}), format!("gotap:1@{digest}")),
        (json!({"tag": "1"}), "gotap:1".to_owned()),
    ] {
        let made = template(folder.path(), "1.37.0", &json!({"image": image}))?;
        let set = of_kind(&objects(&made)?, "DaemonSet")?;
        let found = &set["spec"]["template"]["spec"]["containers"][0]["image"];
        ensure!(*found == wanted, "{image}: {found}");
    }
    Ok(())
}

/// Where the server has no field for it, a wrong value would be as if there was none.
#[test]
fn each_profile_of_app_armor_reaches_older_servers() -> Result<()> {
    let folder = TempDir::new()?;
    for (profile, wanted) in [
        (json!({"type": "Unconfined"}), json!("unconfined")),
        (json!({"type": "RuntimeDefault"}), json!("runtime/default")),
        (json!({"type": "Localhost", "localhostProfile": "own"}), json!("localhost/own")),
        (Value::Null, Value::Null),
    ] {
        for version in ["1.25.0", "1.29.14"] {
            let values = json!({"appArmorProfile": profile});
            let made = template(folder.path(), version, &values)?;
            let found = app_armor_annotation(&objects(&made)?)?;
            ensure!(found == wanted, "{version}: {profile}: {found}");
            ensure!(!made.contains("appArmorProfile"), "{version}: {made}");
        }
    }
    Ok(())
}

/// Helm refuses what gotap would.
#[test]
fn the_schema_of_the_configuration_is_gotaps() -> Result<()> {
    let mut command = Command::new(binary());
    command.args(["config", "schema"]);
    let mut wanted: Value =
        serde_json::from_str(&output(command, "")?).context("gotap's schema")?;
    let fields = wanted.as_object_mut().context("an object")?;
    // The chart's file is of another draft, and what is referred to stands at its top.
    fields.shift_remove("$schema");
    let parts = fields.shift_remove("$defs").context("parts of the schema")?;
    let path = chart().join("values.schema.json");
    let written = std::fs::read_to_string(&path).context("read the schema")?;
    let mut schema: Value = serde_json::from_str(&written).context("the chart's schema")?;
    schema["definitions"]["configuration"] = wanted;
    schema["$defs"] = parts;
    let text = serde_json::to_string_pretty(&schema)? + "\n";
    if std::env::var_os("GOTAP_WRITE_DEPLOY").is_some() {
        // Other tests read it meanwhile.
        let new = path.with_extension("new");
        std::fs::write(&new, &text).context("write the schema")?;
        std::fs::rename(&new, &path).context("replace the schema")?;
    }
    let now = std::fs::read_to_string(&path).context("read the schema")?;
    ensure!(now == text, "run this with GOTAP_WRITE_DEPLOY=1");
    Ok(())
}
