//! Defaults, then the file, then the environment, then flags.
//!
//! This module does the layering itself, on the JSON value of the structure: the crates for it are unmaintained or lose
//! the sentence that says which layer was wrong.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::file::from_file;
use super::unknown;
use super::variables::{As, VARIABLES};
use super::{Config, Invalid};
use crate::cli::RunArgs;

/// A setting's path, its flag, and what that is given.
pub(super) type Flag = (&'static str, &'static str, Option<Value>);

/// The configuration in effect for `args`.
///
/// # Errors
/// [`Invalid`], naming the layer and the setting.
pub(crate) fn load(args: &RunArgs) -> Result<Config> {
    // Variables that are set to nothing count as unset, as systemd and Kubernetes set them.
    let file = std::env::var_os("GOTAP_CONFIG").filter(|path| !path.is_empty());
    let base = match args.config.clone().or(file.map(PathBuf::from)) {
        Some(path) => from_file(&path)?,
        None => Config::default(),
    };
    let mut tree = serde_json::to_value(base)?;
    unknown::check(std::env::vars_os())?;
    for (name, path, kind) in VARIABLES {
        let Some(text) = std::env::var_os(name).filter(|text| !text.is_empty()) else { continue };
        let text = text.into_string().map_err(|_| Invalid(format!("{name} is not UTF-8")))?;
        let value = kind.read(&text).ok_or_else(|| {
            let shown = kind.shown(&text);
            Invalid(format!("{name}: {shown} can't be used for {path}"))
        })?;
        set(&mut tree, path, value, name)?;
    }
    for (path, flag, value) in flags(args)? {
        if let Some(value) = value {
            set(&mut tree, path, value, flag)?;
        }
    }
    let config: Config = serde_json::from_value(tree)?;
    unknown::check_logs(&config)?;
    super::validate(&config)?;
    Ok(config)
}

/// Each flag that is a setting: the setting's path, the flag, and the value that it is given, if it is.
///
/// # Errors
/// [`Invalid`] for headers that are none.
pub(super) fn flags(args: &RunArgs) -> Result<Vec<Flag>> {
    let text = |value: &Option<String>| value.as_ref().map(|value| json!(value));
    let on = |set: bool| set.then_some(json!(true));
    let headers = match args.otlp_headers.as_slice() {
        [] => None,
        given => {
            let headers = As::Headers.read(&given.join(","));
            Some(headers.ok_or_else(|| {
                Invalid("--otlp-header: want NAME=VALUE, with % in values as %25".into())
            })?)
        }
    };
    let select = &args.select;
    let listen = args.metrics.prometheus_listen;
    let temporality = args.metrics.metrics_temporality.map(|which| json!(which));
    Ok(vec![
        ("service_name", "--service-name", text(&args.service_name)),
        ("otlp.endpoint", "--otlp-endpoint", text(&args.otlp_endpoint)),
        ("otlp.protocol", "--otlp-protocol", text(&args.otlp_protocol)),
        ("otlp.headers", "--otlp-header", headers),
        ("select.pids", "--pid", list(&select.pids)),
        ("select.executables", "--executable", list(&select.executables)),
        ("select.ports", "--port", list(&select.ports)),
        ("select.names", "--name", list(&select.names)),
        (
            "kubernetes.enabled",
            "--kubernetes",
            args.kubernetes.kubernetes.map(|enabled| json!(enabled)),
        ),
        ("kubernetes.node", "--node", text(&args.kubernetes.node)),
        ("errors.messages", "--error-messages", on(args.texts.error_messages)),
        ("http.cluster_paths", "--cluster-paths", on(args.http.urls.routes.cluster_paths)),
        ("http.query_strings", "--query-strings", on(args.http.urls.query_strings)),
        ("http.request_headers", "--request-headers", list(&args.http.request_headers)),
        ("sampling.ratio", "--sampling-ratio", args.sampling_ratio.map(|ratio| json!(ratio))),
        ("sdk_programs", "--sdk-programs", args.sdk.sdk_programs.map(|what| json!(what))),
        ("prometheus_listen", "--prometheus-listen", listen.map(|address| json!(address))),
        ("metrics_interval", "--metrics-interval", text(&args.metrics.metrics_interval)),
        ("otlp.metrics_temporality", "--metrics-temporality", temporality),
        ("overhead_budget", "--overhead-budget", text(&args.overhead_budget)),
        ("probes.exact_lineage", "--exact-lineage", on(args.probes.exact_lineage)),
        (
            "probes.connection_join",
            "--no-connection-join",
            args.probes.no_connection_join.then_some(json!(false)),
        ),
        (
            "probes.uprobe_multi",
            "--no-uprobe-multi",
            args.probes.no_uprobe_multi.then_some(json!(false)),
        ),
    ])
}

fn list<T: serde::Serialize>(values: &[T]) -> Option<Value> {
    (!values.is_empty()).then(|| json!(values))
}

/// Sets one setting. Who says where to send later says it for traces, too.
fn set(tree: &mut Value, path: &str, value: Value, layer: &str) -> Result<()> {
    if path == "otlp.endpoint" {
        overlay(tree, "otlp.traces_endpoint", Value::Null, layer)?;
    }
    overlay(tree, path, value, layer)
}

/// Sets one setting and checks that the whole still has its types.
fn overlay(tree: &mut Value, path: &str, value: Value, layer: &str) -> Result<()> {
    let mut node = &mut *tree;
    for part in path.split('.') {
        node = node
            .as_object_mut()
            .context("the configuration is a tree")?
            .entry(part)
            .or_insert(Value::Null);
    }
    *node = value;
    let checked: Result<Config, _> = serde_json::from_value(tree.clone());
    checked.map(|_| ()).map_err(|e| Invalid(format!("{layer} ({path}): {e}")).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Paths of all settings, from the schema's own structure.
    fn paths(value: &Value, prefix: &str, out: &mut Vec<String>) {
        for (key, value) in value.as_object().unwrap() {
            let path = format!("{prefix}{key}");
            match value {
                Value::Object(map) if !map.is_empty() => paths(value, &format!("{path}."), out),
                _ => out.push(path),
            }
        }
    }

    #[test]
    fn every_setting_has_a_variable_of_its_path() {
        let mut all = Vec::new();
        let mut full = Config { service_name: Some("x".into()), ..Config::default() };
        full.otlp.traces_endpoint = Some("x".into());
        full.otlp.endpoint = Some("x".into());
        full.otlp.metrics_endpoint = Some("x".into());
        full.otlp.logs_endpoint = Some("x".into());
        full.prometheus_listen = "127.0.0.1:1".parse().ok();
        full.otlp.ca_certificate = Some("x".into());
        full.kubernetes.node = Some("x".into());
        full.kubernetes.kubeconfig = Some("x".into());
        full.otlp.client_certificate = Some("x".into());
        full.otlp.client_key = Some("x".into());
        for backend in [&mut full.profiles.parca, &mut full.profiles.pyroscope] {
            backend.endpoint = Some("x".into());
            backend.ca_certificate = Some("x".into());
            backend.client_certificate = Some("x".into());
            backend.client_key = Some("x".into());
        }
        full.xray.slower_than = Some("1s".into());
        paths(&serde_json::to_value(full).unwrap(), "", &mut all);
        for path in all {
            let name = format!("GOTAP_{}", path.replace('.', "_").to_uppercase());
            let known = VARIABLES.iter().any(|(n, p, _)| *n == name && *p == path);
            assert!(known, "{name} for {path}");
        }
    }

    #[test]
    fn where_to_send_is_said_for_traces_too() {
        let mut tree = serde_json::to_value(Config::default()).unwrap();
        set(&mut tree, "otlp.traces_endpoint", json!("http://old"), "a").unwrap();
        set(&mut tree, "otlp.endpoint", json!("http://new"), "b").unwrap();
        let config: Config = serde_json::from_value(tree).unwrap();
        assert_eq!(config.otlp.to_export(1 << 20).unwrap().endpoint, "http://new");
    }

    #[test]
    fn a_wrong_value_names_its_layer() {
        let mut tree = serde_json::to_value(Config::default()).unwrap();
        let error = overlay(&mut tree, "otlp.protocol", json!("soap"), "--otlp-protocol");
        let text = format!("{:#}", error.unwrap_err());
        assert!(text.contains("--otlp-protocol") && text.contains("soap"), "{text}");
    }
}
