//! The table of settings in `docs/configuration.md`, which a test makes of the configuration's own
//! structure and compares. `GOTAP_WRITE_DOCS=1` writes it instead.

use std::path::Path;

use serde_json::Value;

use super::layers::flags;
use super::variables::VARIABLES;
use super::{Config, RunArgs};

const BEGIN: &str = "<!-- settings:begin -->\n";
const END: &str = "<!-- settings:end -->";

/// One setting.
struct Setting {
    path: String,
    description: String,
    default: String,
}

/// All settings below a schema's object.
fn settings(schema: &Value, root: &Value, defaults: &Value, prefix: &str, out: &mut Vec<Setting>) {
    for (name, property) in schema["properties"].as_object().unwrap() {
        let path = format!("{prefix}{name}");
        let reference = property["$ref"].as_str();
        let definition = reference.and_then(|r| root.pointer(r.trim_start_matches('#')));
        let default = &defaults[name];
        match definition.filter(|definition| definition.get("properties").is_some()) {
            Some(object) => settings(object, root, default, &format!("{path}."), out),
            None => {
                let description = property["description"].as_str().unwrap_or_default();
                let description = description.replace('\n', " ");
                let default = match default {
                    Value::Null => String::new(),
                    Value::String(text) => format!("`{text}`"),
                    Value::Array(list) if list.is_empty() => String::new(),
                    Value::Object(map) if map.is_empty() => String::new(),
                    other => format!("`{other}`"),
                };
                out.push(Setting { path, description, default });
            }
        }
    }
}

fn table() -> String {
    let schema = serde_json::to_value(schemars::schema_for!(Config)).unwrap();
    let defaults = serde_json::to_value(Config::default()).unwrap();
    let mut all = Vec::new();
    settings(&schema, &schema, &defaults, "", &mut all);
    let flags = flags(&RunArgs::default()).unwrap();
    let mut out =
        String::from("| setting | meaning | default | variables | flag |\n|---|---|---|---|---|\n");
    for Setting { path, description, default } in all {
        let variables = VARIABLES.iter().filter(|(_, of, _)| *of == path);
        let variables: Vec<_> = variables.map(|(name, ..)| format!("`{name}`")).collect();
        let flag =
            flags.iter().find(|(of, ..)| *of == path).map(|(_, flag, _)| format!("`{flag}`"));
        let (variables, flag) = (variables.join(", "), flag.unwrap_or_default());
        let description = description.replace('|', "\\|");
        out.push_str(&format!("| `{path}` | {description} | {default} | {variables} | {flag} |\n"));
    }
    out
}

#[test]
fn the_documented_settings_are_those_that_there_are() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (head, rest) = text.split_once(BEGIN).unwrap();
    let (written, tail) = rest.split_once(END).unwrap();
    let table = table();
    if std::env::var_os("GOTAP_WRITE_DOCS").is_some() {
        std::fs::write(&path, format!("{head}{BEGIN}{table}{END}{tail}")).unwrap();
    } else {
        assert_eq!(written, table, "run the tests with GOTAP_WRITE_DOCS=1");
    }
}
