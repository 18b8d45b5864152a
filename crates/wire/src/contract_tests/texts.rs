//! The C headers and the Rust sources as text, and what stands in them: structures with their fields, enumerations,
//! constants. Text leaves nothing out. Instruments have a `contract.h` each, and the docs of a twin name the structure
//! of C that it is the twin of. Not here: what is compared.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use regex_lite::Regex;

use super::{COUNTS, STRUCTURES};

const HEADERS: [&str; 14] = [
    include_str!("../../../../bpf/logs.h"),
    include_str!("../../../../bpf/meter.h"),
    include_str!("../../../../bpf/gc.h"),
    include_str!("../../../../bpf/serving.h"),
    include_str!("../../../../bpf/tracker.h"),
    include_str!("../../../../bpf/wire.h"),
    include_str!("../../../../bpf/outcome.h"),
    include_str!("../../../../bpf/libraries.h"),
    include_str!("../../../../bpf/types.h"),
    include_str!("../../../../bpf/sites.h"),
    include_str!("../../../../bpf/wire_context.h"),
    include_str!("../../../../bpf/wanted_headers.h"),
    include_str!("../../../../bpf/paths.h"),
    include_str!("../../../../bpf/sampling.h"),
];
const SOURCES: [&str; 14] = [
    include_str!("../record.rs"),
    include_str!("../logged.rs"),
    include_str!("../metered.rs"),
    include_str!("../collection.rs"),
    include_str!("../serving.rs"),
    include_str!("../tracked.rs"),
    include_str!("../event.rs"),
    include_str!("../raw.rs"),
    include_str!("../raw/constants.rs"),
    include_str!("../raw/libraries.rs"),
    include_str!("../raw/sampling.rs"),
    include_str!("../raw/wanted.rs"),
    include_str!("../names.rs"),
    include_str!("../decode.rs"),
];

/// Fields in their order: name and type, as Rust writes it.
pub(super) type Fields = Vec<(String, String)>;

pub(super) fn without_comments(text: &str) -> String {
    Regex::new(r"(?s)/\*.*?\*/|//[^\n]*").unwrap().replace_all(text, "").into_owned()
}

pub(super) fn headers() -> String {
    without_comments(&(HEADERS.concat() + &of_instruments("bpf/instruments", &["h"])))
}

pub(super) fn sources() -> String {
    without_comments(&(SOURCES.concat() + &instruments()))
}

/// What instruments have in Rust, and what of theirs other crates know.
pub(super) fn instruments() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let database = fs::read_to_string(root.join("crates/trace/src/database.rs")).unwrap();
    of_instruments("crates/instruments/src", &["rs"]) + &database
}

/// All files of a folder, with all that are below it.
pub(super) fn of_instruments(folder: &str, extensions: &[&str]) -> String {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder)];
    let mut text = String::new();
    while let Some(folder) = folders.pop() {
        let found = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        for path in found.collect::<BTreeSet<_>>() {
            let extension = path.extension().and_then(|extension| extension.to_str());
            if path.is_dir() {
                folders.push(path);
            } else if extension.is_some_and(|extension| extensions.contains(&extension)) {
                text += &fs::read_to_string(path).unwrap();
            }
        }
    }
    text
}

/// Those of instruments: what each is the twin of, by its docs, its name and its body.
pub(super) fn twins_of_instruments(what: &str) -> Vec<(String, String, String)> {
    let twin = Regex::new(&format!(
        r"\(`{what} (gt_\w+)`\)\.\n(?:\s*#\[[^\n]*\n)*\s*(?:pub(?:\(\w+\))? )?(?:struct |enum )?(\w+) \{{([^}}]*)\}}"
    ));
    let text = instruments();
    let twin = twin.unwrap();
    let found =
        twin.captures_iter(&text).map(|c| (c[1].to_owned(), c[2].to_owned(), c[3].to_owned()));
    found.filter(|(c, ..)| c != "gt_instruments").collect()
}

/// Numbers by name, of `#define` and of enumerations.
pub(super) fn c_numbers() -> BTreeMap<String, u64> {
    let text = headers();
    let define = Regex::new(r"#define (GT_\w+) (.+)").unwrap();
    let named = Regex::new(r"(GT_\w+) = (\w+)").unwrap();
    let defined = define.captures_iter(&text).map(|c| (c[1].to_owned(), c[2].to_owned()));
    let numbered = named.captures_iter(&text).map(|c| (c[1].to_owned(), c[2].to_owned()));
    defined.chain(numbered).filter_map(|(name, text)| Some((name, number(&text)?))).collect()
}

pub(super) fn number(text: &str) -> Option<u64> {
    let text = text.trim().trim_matches(['(', ')']).replace("ULL", "");
    if let Some((one, by)) = text.split_once("<<") {
        return Some(number(one)? << number(by)?);
    }
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

pub(super) fn c_structures() -> BTreeMap<String, Fields> {
    let directive = Regex::new(r"(?m)^#[^\n]*\n").unwrap();
    let text = directive.replace_all(&headers(), "").replace("GT_WORDS", "");
    let structure = Regex::new(r"struct (gt_\w+) \{([^}]*)\}").unwrap();
    let numbers = c_numbers();
    let field = |declaration: &str| -> Fields {
        let declaration = declaration.trim().trim_start_matches("struct ");
        let Some((kind, names)) = declaration.split_once(char::is_whitespace) else {
            return Vec::new();
        };
        let kind = match kind.trim_start_matches("__") {
            "char" => "u8".to_owned(),
            "s32" => "i32".to_owned(),
            "s64" => "i64".to_owned(),
            unsigned @ ("u8" | "u16" | "u32" | "u64") => unsigned.to_owned(),
            other => twin(other),
        };
        let one = |name: &str| match name.trim().split_once('[') {
            None => (name.trim().to_owned(), kind.clone()),
            Some((name, len)) => {
                let len = len.trim_end_matches(']');
                let len = number(len).or_else(|| numbers.get(len).copied());
                let len = len.map_or(String::new(), |len| len.to_string());
                (name.to_owned(), format!("[{kind}; {len}]"))
            }
        };
        names.split(',').map(one).collect()
    };
    let fields = |body: &str| body.split(';').flat_map(field).collect();
    let all = structure.captures_iter(&text).map(|c| (c[1].to_owned(), fields(&c[2])));
    all.filter(|(_, fields): &(String, Fields)| !fields.is_empty()).collect()
}

pub(super) fn twin(c: &str) -> String {
    let known = STRUCTURES.iter().find(|(name, _)| *name == c).map(|(_, twin)| (*twin).to_owned());
    let of_instrument = || twins_of_instruments("struct").into_iter().find(|(name, ..)| name == c);
    let found = known.or_else(|| Some(of_instrument()?.1));
    // Its members are the instruments' own.
    found.unwrap_or_else(|| {
        if c == "gt_instruments" { c.to_owned() } else { panic!("struct {c} has no twin") }
    })
}

pub(super) fn rust_fields(body: &str) -> Fields {
    let field = Regex::new(r"(?:pub(?:\(\w+\))? )?(\w+): ([^,\n]+),").unwrap();
    let body = without_comments(body);
    field.captures_iter(&body).map(|c| (c[1].to_owned(), without_default(&c[2]))).collect()
}

/// The type of a field that says what stands for "not known".
pub(super) fn without_default(kind: &str) -> String {
    kind.split(" = ").next().unwrap_or_default().to_owned()
}

pub(super) fn rust_structures() -> BTreeMap<String, Fields> {
    let text = without_comments(&SOURCES.concat());
    let structure = Regex::new(r"#\[repr\(C\)\]\s*(?:pub(?:\(crate\))? )?struct (\w+) \{([^}]*)\}");
    let structure = structure.unwrap();
    structure.captures_iter(&text).map(|c| (c[1].to_owned(), rust_fields(&c[2]))).collect()
}

/// `HttpServerStart` as `HTTP_SERVER_START`.
pub(super) fn screaming(variant: &str) -> String {
    let mut out = String::new();
    for c in variant.chars() {
        if c.is_ascii_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.push(c.to_ascii_uppercase());
    }
    out
}

/// The variants of a Rust enumeration, without underscores, as the two sides set them differently.
pub(super) fn rust_variants(name: &str) -> BTreeMap<String, u64> {
    let text = sources();
    let start = Regex::new(&format!(r"(?m)^(?:pub enum |    ){name} \{{")).unwrap();
    let start = start.find(&text).unwrap_or_else(|| panic!("no enumeration {name}")).end();
    let body = text[start..].split('}').next().unwrap();
    let variant = Regex::new(r"(\w+) = (\d+)").unwrap();
    let plain = |name: &str| screaming(name).replace('_', "");
    variant.captures_iter(body).map(|c| (plain(&c[1]), c[2].parse().unwrap())).collect()
}

/// The names of a C enumeration with their numbers.
pub(super) fn c_variants(name: &str) -> BTreeMap<String, u64> {
    let text = headers();
    let start = text.find(&format!("enum {name} {{")).unwrap_or_else(|| panic!("no enum {name}"));
    let body = text[start..].split('}').next().unwrap();
    let named = Regex::new(r"(GT_\w+) = (\d+)").unwrap();
    let all = named.captures_iter(body).filter(|c| !COUNTS.contains(&&c[1]));
    all.map(|c| (c[1].to_owned(), c[2].parse().unwrap())).collect()
}

/// Constants of Rust by the name that they have in C.
pub(super) fn rust_constants() -> BTreeMap<String, u64> {
    let text = sources();
    let constant = Regex::new(r"(?m)^(?:pub(?:\(\w+\))? )?const (\w+): u\w+ = ([^;]+);").unwrap();
    let mut out = BTreeMap::new();
    for c in constant.captures_iter(&text) {
        let Some(value) = number(&c[2]) else { continue };
        let name = &c[1];
        let (bare, prefixes) = match name.strip_prefix("FLAG_") {
            Some(bare) => (bare, ["GT_HTTP_", "GT_RPC_"]),
            None => (name, ["GT_", "GT_EVENT_"]),
        };
        out.extend(prefixes.map(|prefix| (format!("{prefix}{bare}"), value)));
    }
    out
}
