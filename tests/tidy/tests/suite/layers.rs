//! Which crate may depend on what.

use crate::repo::{self, File};

/// Crates that do no IO, and all that they may depend on.
const PURE: [(&str, &[&str]); 9] = [
    ("gobin", &["iced-x86", "memchr", "object", "thiserror"]),
    // It is given what gomem's trait reads.
    ("goruntime", &["foldhash", "gobin", "gomem", "smallvec", "thiserror"]),
    ("host", &["regex-lite", "thiserror", "zerocopy"]),
    ("profile", &["flate2", "prost", "serde_json", "thiserror"]),
    ("metrics", &["compact_str", "prost"]),
    ("red", &["foldhash", "hashbrown", "metrics", "trace"]),
    ("wire", &["compact_str", "thiserror", "zerocopy"]),
    ("trace", &["compact_str", "percent-encoding", "wire"]),
    ("instruments", &["compact_str", "gobin", "trace", "wire", "zerocopy"]),
];

/// Modules through which a program touches the world.
const IO: [&str; 7] = [
    "std::fs",
    "std::net",
    "std::process",
    "std::env",
    "std::thread",
    "std::time::SystemTime",
    "std::time::Instant",
];

/// Libraries that one crate of `crates/` alone knows.
const ALONE: [(&str, &[&str]); 2] = [
    ("probes", &["libbpf-rs", "libbpf-sys", "libbpf-cargo"]),
    ("export", &["opentelemetry-proto", "tonic", "ureq"]),
];

#[test]
fn pure_crates_depend_on_no_io() {
    let mut findings = Vec::new();
    for package in repo::packages() {
        let Some((_, allowed)) = PURE.iter().find(|(name, _)| *name == package.name) else {
            continue;
        };
        for needed in package.needs.iter().filter(|n| !allowed.contains(&n.as_str())) {
            findings.push(format!("{} depends on {needed}", package.name));
        }
    }
    repo::none(findings, "the crates that are listed here depend only on crates that do no IO");
}

#[test]
fn pure_crates_do_no_io() {
    let folder = |name: &str| match name {
        "goruntime" => "crates/runtime/src".to_owned(),
        name => format!("crates/{name}/src"),
    };
    let is_pure = |f: &File| PURE.iter().any(|(name, _)| f.is_below(&folder(name)));
    let mut findings = Vec::new();
    for file in repo::files().into_iter().filter(|f| is_pure(f) && !f.is_of_tests()) {
        for (number, line) in file.shipped_lines() {
            if let Some(io) = IO.iter().find(|io| line.contains(*io)) {
                findings.push(format!("{}:{number} mentions {io}", file.path));
            }
        }
    }
    repo::none(
        findings,
        "the crates that are listed here are given bytes, events and spans; they do no IO",
    );
}

#[test]
fn libraries_stay_where_they_are_known() {
    let mut findings = Vec::new();
    for package in repo::packages().iter().filter(|p| p.folder.starts_with("crates/")) {
        for (owner, libraries) in ALONE.iter().filter(|(owner, _)| *owner != package.name) {
            for library in libraries.iter().filter(|l| package.needs.iter().any(|n| n == *l)) {
                findings.push(format!("{} needs {library}: only {owner} does", package.name));
            }
        }
    }
    repo::none(findings, "only probes knows libbpf, and only export knows OTLP");
}

#[test]
fn nothing_depends_on_the_command() {
    let packages = repo::packages();
    let dependents = packages.iter().filter(|p| p.needs.iter().any(|n| n == "gotap"));
    let findings = dependents.map(|p| format!("{} depends on gotap", p.name)).collect();
    repo::none(findings, "gotap depends on all and nothing depends on it");
}

#[test]
fn every_package_has_the_lints_of_the_workspace() {
    let mut findings = Vec::new();
    for package in repo::packages() {
        let manifest = repo::file(&format!("{}/Cargo.toml", package.folder));
        if !manifest.text.contains("[lints]\nworkspace = true") {
            findings.push(manifest.path);
        }
    }
    repo::none(findings, "a Cargo.toml has `[lints]` with `workspace = true`");
}

/// Lines outside its own files in which Redis, the pattern of a client library, may be named: in the list of instruments
/// (`bpf/instruments.h`), as a module of `instruments`, and as one of the end-to-end tests.
const SHARED_LINES: usize = 3;

#[test]
fn a_library_stays_in_its_own_files() {
    const OWN: [&str; 3] =
        ["crates/instruments/src/redis", "bpf/instruments/redis/", "tests/e2e/tests/suite/redis"];
    let is_shared = |f: &&File| {
        let source = f.is_below("crates") && f.has_extension(&["rs"]);
        let bpf = f.is_below("bpf") && f.has_extension(&["c", "h"]);
        (source || bpf || f.path == "tests/e2e/tests/suite/main.rs")
            && !f.is_of_tests()
            && !OWN.iter().any(|own| f.path.starts_with(own))
    };
    let names = |line: &str| {
        // Its command line, whose arguments may hold a password, is nothing of the library.
        let line = line.to_lowercase().replace("redis-cli", "");
        line.contains("redis") || line.contains("redigo")
    };
    let files = repo::files();
    let found: Vec<_> = files
        .iter()
        .filter(is_shared)
        .flat_map(|f| f.shipped_lines().map(move |(number, line)| (f, number, line)))
        .filter(|(_, _, line)| names(line))
        .map(|(f, number, line)| format!("{}:{number} {line}", f.path))
        .collect();
    assert!(found.len() <= SHARED_LINES, "named beside its own files: {found:#?}");
    assert_eq!(found.len(), SHARED_LINES, "the pattern has moved: {found:#?}");
}
