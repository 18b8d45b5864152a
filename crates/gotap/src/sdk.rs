//! OpenTelemetry's SDK in a program: which version, and of what there are two spans where gotap traces
//! the program, too. Not here: whether such programs are traced, which a setting says.

use gobin::Binary;
use instruments::Plan;
use serde_json::{Value, json};

const MODULE: &str = "go.opentelemetry.io/otel/sdk";

/// The SDK that is linked in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sdk {
    version: String,
    doubles: Vec<&'static str>,
}

/// Finds it, where it can make spans.
pub(crate) fn find(binary: &Binary<'_>, plan: &Plan) -> Option<Sdk> {
    if !plan.has_sdk {
        return None;
    }
    let info = binary.build_info();
    let version = info.module(MODULE).map(|module| module.version).unwrap_or_default();
    let mut doubles = Vec::new();
    for module in &info.deps {
        let makes_spans = |path: &&str| is_version_of(module.path, path);
        let found = instruments::traced().find(|traced| traced.sdk.iter().any(makes_spans));
        doubles.extend(found.map(|traced| traced.word).filter(|what| !doubles.contains(what)));
    }
    Some(Sdk { version: version.to_owned(), doubles })
}

/// Whether a module is another one in any major version.
fn is_version_of(module: &str, path: &str) -> bool {
    let rest = module.strip_prefix(path);
    let major = rest.and_then(|rest| rest.strip_prefix("/v"));
    rest == Some("") || major.is_some_and(|n| n.parse::<u32>().is_ok())
}

impl Sdk {
    /// For people, as libraries are shown.
    pub(crate) fn short(&self) -> String {
        let version = self.version.trim_start_matches('v');
        let version = if version.is_empty() { "(replaced)" } else { version };
        let doubles = match self.doubles.as_slice() {
            [] => "has spans of its own".to_owned(),
            doubles => format!("spans twice: {}", doubles.join(" ")),
        };
        format!("otel/sdk {version} ({doubles})")
    }

    pub(crate) fn json(&self) -> Value {
        json!({"module": MODULE, "version": self.version, "doubles": self.doubles})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_what_has_two_spans() {
        let sdk = |doubles: &[&'static str]| {
            Sdk { version: "v1.47.0".into(), doubles: doubles.to_vec() }.short()
        };
        assert_eq!(sdk(&[]), "otel/sdk 1.47.0 (has spans of its own)");
        assert_eq!(sdk(&["http", "grpc"]), "otel/sdk 1.47.0 (spans twice: http grpc)");
    }

    #[test]
    fn instruments_are_known_in_all_major_versions() {
        let path = "github.com/gofiber/contrib/otelfiber";
        assert!(is_version_of(path, path) && is_version_of(&format!("{path}/v2"), path));
        assert!(!is_version_of(&format!("{path}x"), path));
    }
}
