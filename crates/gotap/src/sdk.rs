//! OpenTelemetry's SDK in a program: which version, and of what there are two spans where gotap traces
//! the program, too. Not here: whether such programs are traced, which a setting says.

use gobin::Binary;
use probes::Plan;
use serde_json::{Value, json};

const MODULE: &str = "go.opentelemetry.io/otel/sdk";

/// Modules that make spans of what gotap traces, without their major versions, and of what.
const INSTRUMENTS: [(&str, &str); 13] = [
    ("go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp", "http"),
    ("go.opentelemetry.io/contrib/instrumentation/github.com/gin-gonic/gin/otelgin", "http"),
    ("go.opentelemetry.io/contrib/instrumentation/github.com/gorilla/mux/otelmux", "http"),
    ("go.opentelemetry.io/contrib/instrumentation/github.com/labstack/echo/otelecho", "http"),
    ("github.com/riandyrn/otelchi", "http"),
    ("github.com/gofiber/contrib/otelfiber", "http"),
    ("go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc", "grpc"),
    ("connectrpc.com/otelconnect", "grpc"),
    ("github.com/XSAM/otelsql", "sql"),
    ("github.com/uptrace/opentelemetry-go-extra/otelsql", "sql"),
    ("github.com/exaring/otelpgx", "sql"),
    ("github.com/redis/go-redis/extra/redisotel", "redis"),
    ("github.com/go-redis/redis/extra/redisotel", "redis"),
];

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
        let found = INSTRUMENTS.iter().find(|(path, _)| is_version_of(module.path, path));
        doubles.extend(found.map(|(_, what)| *what).filter(|what| !doubles.contains(what)));
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
