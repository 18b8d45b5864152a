//! Compares the headers in `bpf/host` with their twins: fields of structures, and numbers. Both sides are
//! read as text, so that nothing can be left out.

use std::collections::BTreeMap;

use regex_lite::Regex;

const HEADERS: [&str; 3] = [
    include_str!("../../../bpf/host/host.h"),
    include_str!("../../../bpf/host/tcp.h"),
    include_str!("../../../bpf/host/flows.h"),
];
const TWIN: &str = include_str!("raw.rs");
const ENUMERATIONS: [(&str, &str); 3] = [
    ("GT_EXEC_", include_str!("exec.rs")),
    ("GT_TCP_", include_str!("tcp.rs")),
    ("GT_FLOW_", include_str!("flows.rs")),
];

/// What only the programs need: sizes of parts whose lengths the records tell.
const KERNEL_ONLY: [&str; 6] = [
    "GT_EXEC_ARGV_SMALL",
    "GT_EXEC_ARGV_MIDDLE",
    "GT_EXEC_ARGV_LARGE",
    "GT_EXEC_COUNTERS",
    "GT_TCP_COUNTERS",
    "GT_TCP_UNKNOWN",
];

fn without_comments(text: &str) -> String {
    Regex::new(r"(?s)/\*.*?\*/|//[^\n]*").unwrap().replace_all(text, "").into_owned()
}

/// `GT_EXEC_ARGV_CUT` as `execargvcut`.
fn plain(name: &str) -> String {
    name.replace("gt_", "").replace("GT_", "").replace('_', "").to_ascii_lowercase()
}

type Fields = Vec<(String, String)>;

fn c_structures() -> BTreeMap<String, Fields> {
    let text = without_comments(&HEADERS.concat());
    let structure = Regex::new(r"struct (gt_\w+) \{([^}]*)\}").unwrap();
    let field = Regex::new(r"(u8|u16|u32|u64) (\w+)(\[(\w+)\])?;").unwrap();
    let fields = |body: &str| {
        let lines = body.matches(';').count();
        let all: Fields = field
            .captures_iter(body)
            .map(|c| {
                let kind = match c.get(4) {
                    Some(len) => format!("[{}; {}]", &c[1], len.as_str()),
                    None => c[1].to_owned(),
                };
                (c[2].to_owned(), kind)
            })
            .collect();
        assert_eq!(all.len(), lines, "a field is not understood: {body}");
        all
    };
    structure.captures_iter(&text).map(|c| (plain(&c[1]), fields(&c[2]))).collect()
}

fn rust_structures() -> BTreeMap<String, Fields> {
    let text = without_comments(TWIN);
    let structure = Regex::new(r"struct (\w+) \{([^}]*)\}").unwrap();
    let field = Regex::new(r"(\w+): ([^,\n]+),").unwrap();
    let fields = |body: &str| {
        field.captures_iter(body).map(|c| (c[1].to_owned(), c[2].to_owned())).collect()
    };
    structure.captures_iter(&text).map(|c| (plain(&c[1]), fields(&c[2]))).collect()
}

#[test]
fn structures_have_the_same_fields() {
    let c = c_structures();
    assert!(!c.is_empty());
    assert_eq!(rust_structures(), c);
}

#[test]
fn numbers_are_the_same() {
    let text = without_comments(&HEADERS.concat());
    let number = Regex::new(r"(GT_\w+)(?: =)? (\d+)\b").unwrap();
    let constant = Regex::new(r"const (\w+): u\w+ = (\d+);").unwrap();
    let variant = Regex::new(r"(?m)^    (\w+) = (\d+),$").unwrap();
    let mut rust: BTreeMap<String, String> =
        constant.captures_iter(TWIN).map(|c| (plain(&c[1]), c[2].to_owned())).collect();
    for (prefix, source) in ENUMERATIONS {
        let named =
            |c: regex_lite::Captures<'_>| (plain(&format!("{prefix}{}", &c[1])), c[2].to_owned());
        rust.extend(variant.captures_iter(source).map(named));
    }
    let c: BTreeMap<String, String> = number
        .captures_iter(&text)
        .filter(|c| !KERNEL_ONLY.contains(&&c[1]))
        .map(|c| (plain(&c[1]), c[2].to_owned()))
        .collect();
    assert!(c.len() > 15, "{c:?}");
    assert_eq!(rust, c);
}
