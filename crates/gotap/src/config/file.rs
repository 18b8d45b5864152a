//! The file: YAML that becomes settings, with messages for those who wrote it. Not here: which layer wins (`layers`),
//! and what values mean (`validate`).

use std::borrow::Cow;
use std::path::Path;

use anyhow::Result;
use serde_json::Value;
use serde_saphyr::{DefaultMessageFormatter, Error, MessageFormatter};

use super::{Config, Invalid};

/// The configuration that a file holds, with defaults for what it leaves out.
///
/// # Errors
/// [`Invalid`], naming the file and where in it.
pub(crate) fn from_file(path: &Path) -> Result<Config> {
    let name = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|e| Invalid(format!("configuration file {name}: {e}")))?;
    parse(&text).map_err(|why| Invalid(format!("configuration file {name}: {why}")).into())
}

/// A file that says nothing, or only `null`, leaves all at its default.
fn parse(text: &str) -> Result<Config, String> {
    let readable = |e: Error| e.render_with_formatter(&ForUsers);
    if text.trim().is_empty() {
        return Ok(Config::default());
    }
    let config: Option<Config> = serde_saphyr::from_str(text).map_err(readable)?;
    let config = config.unwrap_or_default();
    // The reader of YAML takes 5 for a text and "5" for a number. The schema does not, nor do other readers.
    let written: Value = serde_saphyr::from_str(text).map_err(readable)?;
    let read = serde_json::to_value(&config).map_err(|e| e.to_string())?;
    same_types(&written, &read, "")?;
    Ok(config)
}

/// The schema of a text that may be written as a number, too.
#[derive(schemars::JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum TextOrNumber {
    Text(String),
    Number(f64),
    Bool(bool),
}

/// Settings that are texts and may be given as numbers.
const NUMBERS_TOO: [&str; 1] = ["memory_limit"];

/// Whether what was written has the types of what was read.
fn same_types(written: &Value, read: &Value, path: &str) -> Result<(), String> {
    match (written, read) {
        (Value::Object(written), Value::Object(read)) => {
            for (name, value) in written {
                let Some(read) = read.get(name) else { continue };
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                same_types(value, read, &path)?;
            }
            Ok(())
        }
        (Value::Array(written), Value::Array(read)) => {
            let mut pairs = written.iter().zip(read).enumerate();
            pairs.try_for_each(|(at, (value, read))| {
                same_types(value, read, &format!("{path}[{at}]"))
            })
        }
        // YAML 1.1 has these words for true and false, and gotap has settings that are such words.
        (Value::Bool(_), Value::String(word)) if word == "on" || word == "off" => Ok(()),
        (Value::Number(_) | Value::Bool(_), Value::String(text)) => {
            let is_header = path.rsplit_once('.').is_some_and(|(of, _)| of.ends_with("headers"));
            if is_header || NUMBERS_TOO.contains(&path) {
                return Ok(());
            }
            Err(format!("{path}: want a text; put {text} into quotes if it is meant"))
        }
        (Value::String(text), Value::Number(_) | Value::Bool(_)) => {
            let wanted = if read.is_number() { "a number" } else { "true or false" };
            Err(format!("{path}: want {wanted}; write {text} without quotes"))
        }
        _ => Ok(()),
    }
}

/// Sentences for those who write configurations: the library's own advise programmers.
struct ForUsers;

impl MessageFormatter for ForUsers {
    fn format_message<'a>(&self, error: &'a Error) -> Cow<'a, str> {
        match error {
            Error::DuplicateMappingKey { key: Some(key), .. } => {
                Cow::Owned(format!("{key} is given twice"))
            }
            Error::DuplicateMappingKey { key: None, .. } => Cow::Borrowed("a key is given twice"),
            Error::MultipleDocuments { .. } => {
                Cow::Borrowed("the file holds several YAML documents; want one, without --- in it")
            }
            Error::Budget { .. }
            | Error::AliasReplayCounterOverflow { .. }
            | Error::AliasReplayLimitExceeded { .. }
            | Error::AliasExpansionLimitExceeded { .. }
            | Error::AliasReplayStackDepthExceeded { .. } => {
                Cow::Borrowed("the file is too large or too deeply nested for a configuration")
            }
            Error::NonFiniteFloat { value, .. } => {
                Cow::Owned(format!("{value} is no number that can be used"))
            }
            Error::NullIntoString { .. } => Cow::Borrowed("want a text, and there is nothing"),
            Error::BinaryNotUtf8 { .. } => Cow::Borrowed("a !!binary value is not UTF-8"),
            other => DefaultMessageFormatter.format_message(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_says_nothing_is_valid() {
        for text in ["", "\n", "null", "~", "---\n", "# nothing yet\n"] {
            assert_eq!(parse(text), Ok(Config::default()), "{text:?}");
        }
    }

    #[test]
    fn messages_are_for_users() {
        let many = format!("select: {{names: [{}]}}", "a,".repeat(300_000));
        for (text, word) in [
            ("otlp: {}\notlp: {}\n", "otlp is given twice"),
            ("otlp: {}\n---\notlp: {}\n", "several YAML documents"),
            (&many, "too large"),
        ] {
            let said = parse(text).unwrap_err();
            assert!(said.contains(word), "{}", &said[..said.len().min(500)]);
            for advice in ["Options", "from_str", "budget", "Policy"] {
                assert!(!said.contains(advice), "{}", &said[..said.len().min(500)]);
            }
        }
    }

    #[test]
    fn types_are_those_of_the_schema() {
        for (text, path) in [
            ("otlp: {endpoint: 5}", "otlp.endpoint"),
            ("service_name: true", "service_name"),
            ("select: {pids: ['12']}", "select.pids[0]"),
            ("select: {names: [5]}", "select.names[0]"),
            ("otlp: {metrics: 'true'}", "otlp.metrics"),
            ("select: {kubernetes: [{labels: {v: 1}}]}", "select.kubernetes[0].labels.v"),
        ] {
            let said = parse(text).unwrap_err();
            assert!(said.starts_with(&format!("{path}: want ")), "{said}");
        }
        let config = parse(
            "otlp: {headers: {a: 5, b: 1.10, c: true}}\nmemory_limit: 134217728\n\
             kubernetes: {enabled: off}\nprofiles: {serve: off}\nsdk_programs: off\n\
             sampling: {ratio: 1}\nservice_name: '5'\nselect: {pids: [12]}\n",
        );
        let config = config.unwrap();
        assert_eq!(config.otlp.headers["b"], "1.10");
        assert_eq!(config.memory_limit.as_deref(), Some("134217728"));
    }

    #[test]
    fn the_schema_takes_numbers_where_the_program_does() {
        let schema = serde_json::to_value(schemars::schema_for!(Config)).unwrap();
        let of = |pointer: &str| schema.pointer(pointer).unwrap().to_string();
        for pointer in [
            "/$defs/Otlp/properties/headers/additionalProperties",
            "/$defs/Backend/properties/headers/additionalProperties",
            "/properties/memory_limit",
        ] {
            assert!(of(pointer).contains("TextOrNumber"), "{pointer}: {}", of(pointer));
        }
        assert!(of("/$defs/TextOrNumber").contains("number"));
    }
}
