//! Defaults, then the file, then the environment, then flags.
//!
//! Layered by hand on the JSON value of the structure: the crates for it are unmaintained or lose
//! the sentence that says which layer was wrong.

use std::path::Path;

use anyhow::{Context, Result};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use super::{Config, Invalid};
use crate::cli::RunArgs;

/// How a variable's text becomes a value.
#[derive(Clone, Copy)]
enum As {
    Text,
    Number,
    Bool,
    /// Comma-separated.
    Texts,
    Numbers,
    /// `k=v,k=v`, values percent-encoded as OpenTelemetry says.
    Headers,
    Milliseconds,
}

/// `(variable, path in the configuration, type)`; later ones win. Every setting has a `GOTAP_`
/// variable of its path, and OpenTelemetry's own are known too.
const VARIABLES: &[(&str, &str, As)] = &[
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "otlp.endpoint", As::Text),
    ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "otlp.traces_endpoint", As::Text),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", "otlp.protocol", As::Text),
    ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "otlp.protocol", As::Text),
    ("OTEL_EXPORTER_OTLP_HEADERS", "otlp.headers", As::Headers),
    ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "otlp.headers", As::Headers),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", "otlp.timeout", As::Milliseconds),
    ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "otlp.timeout", As::Milliseconds),
    ("OTEL_EXPORTER_OTLP_COMPRESSION", "otlp.compression", As::Text),
    ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "otlp.compression", As::Text),
    ("OTEL_EXPORTER_OTLP_CERTIFICATE", "otlp.ca_certificate", As::Text),
    ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "otlp.ca_certificate", As::Text),
    ("GOTAP_SERVICE_NAME", "service_name", As::Text),
    ("GOTAP_SELECT_PIDS", "select.pids", As::Numbers),
    ("GOTAP_SELECT_EXECUTABLES", "select.executables", As::Texts),
    ("GOTAP_SELECT_PORTS", "select.ports", As::Numbers),
    ("GOTAP_SELECT_NAMES", "select.names", As::Texts),
    ("GOTAP_OTLP_ENDPOINT", "otlp.endpoint", As::Text),
    ("GOTAP_OTLP_TRACES_ENDPOINT", "otlp.traces_endpoint", As::Text),
    ("GOTAP_OTLP_PROTOCOL", "otlp.protocol", As::Text),
    ("GOTAP_OTLP_HEADERS", "otlp.headers", As::Headers),
    ("GOTAP_OTLP_TIMEOUT", "otlp.timeout", As::Text),
    ("GOTAP_OTLP_COMPRESSION", "otlp.compression", As::Text),
    ("GOTAP_OTLP_CA_CERTIFICATE", "otlp.ca_certificate", As::Text),
    ("GOTAP_OTLP_QUEUE_BYTES", "otlp.queue_bytes", As::Number),
    ("GOTAP_HTTP_CLUSTER_PATHS", "http.cluster_paths", As::Bool),
    ("GOTAP_PROBES_EXACT_LINEAGE", "probes.exact_lineage", As::Bool),
    ("GOTAP_PROBES_UPROBE_MULTI", "probes.uprobe_multi", As::Bool),
];

/// The configuration in effect for `args`.
///
/// # Errors
/// [`Invalid`], naming the layer and the setting.
pub(crate) fn load(args: &RunArgs) -> Result<Config> {
    let base = match &args.config {
        Some(path) => from_file(path)?,
        None => Config::default(),
    };
    let mut tree = serde_json::to_value(base)?;
    let variables = VARIABLES.iter().filter_map(|(name, path, kind)| {
        let text = std::env::var(name).ok().filter(|t| !t.is_empty())?;
        Some((*name, *path, *kind, text))
    });
    for (name, path, kind, text) in variables.collect::<Vec<_>>() {
        let value = read(kind, &text)
            .ok_or_else(|| Invalid(format!("{name}: {text:?} can't be used for {path}")))?;
        overlay(&mut tree, path, value, name)?;
    }
    flags(args, &mut tree)?;
    let config: Config = serde_json::from_value(tree)?;
    super::validate(&config)?;
    Ok(config)
}

/// The configuration that a file holds, with defaults for what it leaves out.
pub(crate) fn from_file(path: &Path) -> Result<Config> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| Invalid(format!("configuration file {}: {e}", path.display())))?;
    if text.trim().is_empty() {
        return Ok(Config::default());
    }
    serde_saphyr::from_str(&text)
        .map_err(|e| Invalid(format!("configuration file {}: {e}", path.display())).into())
}

fn flags(args: &RunArgs, tree: &mut Value) -> Result<()> {
    let mut set = |path: &str, flag: &str, value: Value| overlay(tree, path, value, flag);
    if let Some(name) = &args.service_name {
        set("service_name", "--service-name", json!(name))?;
    }
    if let Some(url) = &args.otlp_endpoint {
        set("otlp.endpoint", "--otlp-endpoint", json!(url))?;
        set("otlp.traces_endpoint", "--otlp-endpoint", Value::Null)?;
    }
    if let Some(protocol) = &args.otlp_protocol {
        set("otlp.protocol", "--otlp-protocol", json!(protocol))?;
    }
    if !args.otlp_headers.is_empty() {
        let headers = read(As::Headers, &args.otlp_headers.join(","))
            .ok_or_else(|| Invalid("--otlp-header: want NAME=VALUE".into()))?;
        set("otlp.headers", "--otlp-header", headers)?;
    }
    let select = &args.select;
    if !select.pids.is_empty() {
        set("select.pids", "--pid", json!(select.pids))?;
    }
    if !select.executables.is_empty() {
        set("select.executables", "--executable", json!(select.executables))?;
    }
    if !select.ports.is_empty() {
        set("select.ports", "--port", json!(select.ports))?;
    }
    if !select.names.is_empty() {
        set("select.names", "--name", json!(select.names))?;
    }
    if args.http.cluster_paths {
        set("http.cluster_paths", "--cluster-paths", json!(true))?;
    }
    if args.probes.exact_lineage {
        set("probes.exact_lineage", "--exact-lineage", json!(true))?;
    }
    if args.probes.no_uprobe_multi {
        set("probes.uprobe_multi", "--no-uprobe-multi", json!(false))?;
    }
    Ok(())
}

fn read(kind: As, text: &str) -> Option<Value> {
    let list = || text.split(',').map(str::trim).filter(|t| !t.is_empty());
    Some(match kind {
        As::Text => json!(text),
        As::Number => json!(text.parse::<u64>().ok()?),
        As::Bool => json!(text.parse::<bool>().ok()?),
        As::Texts => json!(list().collect::<Vec<_>>()),
        As::Numbers => json!(list().map(|t| t.parse().ok()).collect::<Option<Vec<u32>>>()?),
        As::Milliseconds => json!(format!("{}ms", text.parse::<u64>().ok()?)),
        As::Headers => {
            let pairs = list().map(|pair| {
                let (name, value) = pair.split_once('=')?;
                let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
                Some((name.trim().to_owned(), json!(value)))
            });
            Value::Object(pairs.collect::<Option<Map<_, _>>>()?)
        }
    })
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
        full.otlp.ca_certificate = Some("x".into());
        paths(&serde_json::to_value(full).unwrap(), "", &mut all);
        for path in all {
            let name = format!("GOTAP_{}", path.replace('.', "_").to_uppercase());
            let known = VARIABLES.iter().any(|(n, p, _)| *n == name && *p == path);
            assert!(known, "{name} for {path}");
        }
    }

    #[test]
    fn texts_become_values() {
        assert_eq!(read(As::Headers, "a=b%20c, d=e"), Some(json!({"a": "b c", "d": "e"})));
        assert_eq!(read(As::Headers, "nonsense"), None);
        assert_eq!(read(As::Numbers, "1,2"), Some(json!([1, 2])));
        assert_eq!(read(As::Numbers, "1,x"), None);
        assert_eq!(read(As::Milliseconds, "250"), Some(json!("250ms")));
    }

    #[test]
    fn a_wrong_value_names_its_layer() {
        let mut tree = serde_json::to_value(Config::default()).unwrap();
        let error = overlay(&mut tree, "otlp.protocol", json!("soap"), "--otlp-protocol");
        let text = format!("{:#}", error.unwrap_err());
        assert!(text.contains("--otlp-protocol") && text.contains("soap"), "{text}");
    }
}
