//! What spans mean is typed; attributes are made of it where spans leave, and nobody reads them back.

use crate::repo::{self, File};

/// Who makes attributes, or writes them out.
const EDGE: [&str; 5] = [
    "crates/trace/src/attributes.rs",
    "crates/trace/src/log.rs",
    "crates/export/src/encode.rs",
    "crates/gotap/src/output/json.rs",
    // How much room they take.
    "crates/trace/src/span.rs",
];

/// Who knows names of the conventions for operations: beside the edge, who makes metrics, and the keys of headers.
const NAMES: [&str; 4] = [
    "crates/trace/src/attributes.rs",
    "crates/trace/src/headers.rs",
    "crates/red/src/keys.rs",
    "crates/gotap/src/agent/active.rs",
];

/// How the names of attributes begin that operations have.
const BEGIN: [&str; 8] = [
    "\"http.request.method",
    "\"http.response.",
    "\"http.route",
    "\"url.",
    "\"rpc.",
    "\"db.",
    "\"network.peer.",
    "\"service.peer.",
];

fn is_shipped(file: &File) -> bool {
    let in_src = file.is_below("crates") && file.path.contains("/src/");
    in_src && file.has_extension(&["rs"]) && !file.is_of_tests()
}

#[test]
fn attributes_are_read_only_where_spans_leave() {
    let mut findings = Vec::new();
    for file in repo::files().into_iter().filter(is_shipped) {
        if EDGE.contains(&file.path.as_str()) || file.path == "crates/trace/src/synthetic.rs" {
            continue;
        }
        for (number, line) in file.shipped_lines() {
            // What takes attributes one by one is a closure.
            let reads = line.contains(".attributes(|") || line.contains(".attributes(&mut");
            if reads || line.contains("trace::synthetic") || line.contains("synthetic::attribute") {
                findings.push(format!("{}:{number}: {}", file.path, line.trim()));
            }
        }
    }
    repo::none(
        findings,
        "a span has typed fields: only who writes spans out takes attributes of it",
    );
}

#[test]
fn names_of_the_conventions_are_in_one_place() {
    let mut findings = Vec::new();
    for file in repo::files().into_iter().filter(is_shipped) {
        if NAMES.contains(&file.path.as_str()) {
            continue;
        }
        for (number, line) in file.shipped_lines() {
            // Names of metrics end in what they measure.
            let is_metric = line.contains(".duration\"") || line.contains(".size\"");
            if !is_metric && BEGIN.iter().any(|begin| line.contains(begin)) {
                findings.push(format!("{}:{number}: {}", file.path, line.trim()));
            }
        }
    }
    repo::none(findings, "the names of an operation's attributes are given at output, in one file");
}
