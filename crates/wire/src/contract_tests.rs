//! Compares every structure, enumeration and flag of the C headers with its Rust twin: names, types and
//! order of fields, names and numbers. Both sides are read as text, so that nothing can be left out: what
//! stands on one side only is a failure. Instruments have a `contract.h` each, and their twins say in their
//! docs of what they are twins.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use regex_lite::Regex;

use crate::{CollectedCounter, Drop, MeterCounter, Unread, raw, tracked};

const HEADERS: [&str; 14] = [
    include_str!("../../../bpf/logs.h"),
    include_str!("../../../bpf/meter.h"),
    include_str!("../../../bpf/gc.h"),
    include_str!("../../../bpf/serving.h"),
    include_str!("../../../bpf/tracker.h"),
    include_str!("../../../bpf/wire.h"),
    include_str!("../../../bpf/outcome.h"),
    include_str!("../../../bpf/libraries.h"),
    include_str!("../../../bpf/types.h"),
    include_str!("../../../bpf/sites.h"),
    include_str!("../../../bpf/wire_context.h"),
    include_str!("../../../bpf/wanted_headers.h"),
    include_str!("../../../bpf/paths.h"),
    include_str!("../../../bpf/sampling.h"),
];
const SOURCES: [&str; 14] = [
    include_str!("record.rs"),
    include_str!("logged.rs"),
    include_str!("metered.rs"),
    include_str!("collection.rs"),
    include_str!("serving.rs"),
    include_str!("tracked.rs"),
    include_str!("event.rs"),
    include_str!("raw.rs"),
    include_str!("raw/constants.rs"),
    include_str!("raw/libraries.rs"),
    include_str!("raw/sampling.rs"),
    include_str!("raw/wanted.rs"),
    include_str!("names.rs"),
    include_str!("decode.rs"),
];

/// C structures and their twins.
const STRUCTURES: &[(&str, &str)] = &[
    ("gt_event_header", "Header"),
    ("gt_lifecycle_event", "Lifecycle"),
    ("gt_span", "Span"),
    ("gt_http_head", "HttpHead"),
    ("gt_http_event", "Http"),
    ("gt_http_small_event", "HttpSmall"),
    ("gt_tracestate_event", "Tracestate"),
    ("gt_moved_event", "Moved"),
    ("gt_path_event", "Path"),
    ("gt_rpc_event", "Rpc"),
    ("gt_call_end_event", "CallEnd"),
    ("gt_site", "Site"),
    ("gt_key", "Key"),
    ("gt_request", "Request"),
    ("gt_http2", "Http2"),
    ("gt_learned", "Learned"),
    ("gt_process", "Process"),
    ("gt_join", "Join"),
    ("gt_net", "Net"),
    ("gt_sampling", "Sampling"),
    ("gt_wanted_name", "WantedName"),
    ("gt_wanted", "Wanted"),
    ("gt_header_event", "HeaderValue"),
    ("gt_http2_join", "Http2Join"),
    ("gt_type", "Type"),
    ("gt_serving_asked", "ServingAsked"),
    ("gt_serving", "Serving"),
    ("gt_active", "Active"),
    ("gt_tracked", "Tracked"),
    ("gt_tracked_event", "Raw"),
    ("gt_gc", "Collected"),
    ("gt_meter_site", "MeterSite"),
    ("gt_meter_key", "MeterKey"),
    ("gt_meter_value", "MeterValue"),
    ("gt_meter_served", "MeterServed"),
    ("gt_meter_request", "MeterRequest"),
    ("gt_gc_event", "GcEvent"),
    ("gt_logging", "Logging"),
    ("gt_log", "Log"),
];

/// Fields of variable length, which the Rust structure leaves out.
const OPEN_ENDED: [(&str, &str); 3] = [
    ("gt_sql_event", "text"),
    ("gt_path_event", "text"),
    // Each has a structure of its own.
    ("gt_process", "instruments"),
];

/// Enumerations, the prefix of their names, and their twins.
const ENUMERATIONS: &[(&str, &str, &str)] = &[
    ("gt_drop", "GT_DROP_", "Drop"),
    ("gt_parent", "GT_PARENT_", "Parent"),
    ("gt_content", "GT_CONTENT_", "Content"),
    ("gt_outcome", "GT_OUTCOME_", "Outcome"),
    ("gt_unread", "GT_UNREAD_", "Unread"),
    ("gt_call_site", "GT_CALL_", "CallSite"),
    ("gt_site_key", "GT_KEY_", "SiteKey"),
    ("gt_type_role", "GT_TYPE_", "TypeRole"),
    ("gt_tracked_kind", "GT_TRACKED_", "Lifecycle"),
    ("gt_tracked_counter", "GT_TRACKED_", "TrackedCounter"),
    ("gt_gc_counter", "GT_GC_", "CollectedCounter"),
    ("gt_meter_flag", "GT_METER_", "MeterFlag"),
    ("gt_meter_counter", "GT_METER_", "MeterCounter"),
    ("gt_meter_owner", "GT_OWNER_", "MeterOwner"),
    ("gt_log_stream", "GT_LOG_", "LogStream"),
    ("gt_log_counter", "GT_LOG_", "LogCounter"),
];

/// Names that say how many there are.
const COUNTS: &[&str] = &[
    "GT_DROP_COUNT",
    "GT_UNREAD_COUNT",
    "GT_TRACKED_COUNTERS",
    "GT_GC_COUNTERS",
    "GT_METER_COUNTERS",
    "GT_LOG_COUNTERS",
];

/// What only the programs need, and indices and lengths of arrays, which structures compare.
const KERNEL_ONLY: &[&str] = &[
    "GT_MAX_P",
    "GT_PATH_SHORT",
    "GT_WANTED_HEADERS",
    "GT_WANTED_WORDS",
    "GT_SITE_STACK_CHECK",
    "GT_REQUEST_HTTP",
    "GT_REQUEST_HTTP2",
    "GT_REQUEST_KINDS",
    "GT_HTTP2_STD",
    "GT_HTTP2_XNET",
    "GT_HTTP2_KINDS",
];

/// Fields in their order: name and type, as Rust writes it.
type Fields = Vec<(String, String)>;

fn without_comments(text: &str) -> String {
    Regex::new(r"(?s)/\*.*?\*/|//[^\n]*").unwrap().replace_all(text, "").into_owned()
}

fn headers() -> String {
    without_comments(&(HEADERS.concat() + &of_instruments("bpf/instruments", &["h"])))
}

fn sources() -> String {
    without_comments(&(SOURCES.concat() + &instruments()))
}

/// What instruments have in Rust, and what of theirs other crates know.
fn instruments() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let database = fs::read_to_string(root.join("crates/trace/src/database.rs")).unwrap();
    of_instruments("crates/instruments/src", &["rs"]) + &database
}

/// All files of a folder, with all that are below it.
fn of_instruments(folder: &str, extensions: &[&str]) -> String {
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
fn twins_of_instruments(what: &str) -> Vec<(String, String, String)> {
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
fn c_numbers() -> BTreeMap<String, u64> {
    let text = headers();
    let define = Regex::new(r"#define (GT_\w+) (.+)").unwrap();
    let named = Regex::new(r"(GT_\w+) = (\w+)").unwrap();
    let defined = define.captures_iter(&text).map(|c| (c[1].to_owned(), c[2].to_owned()));
    let numbered = named.captures_iter(&text).map(|c| (c[1].to_owned(), c[2].to_owned()));
    defined.chain(numbered).filter_map(|(name, text)| Some((name, number(&text)?))).collect()
}

fn number(text: &str) -> Option<u64> {
    let text = text.trim().trim_matches(['(', ')']).replace("ULL", "");
    if let Some((one, by)) = text.split_once("<<") {
        return Some(number(one)? << number(by)?);
    }
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

fn c_structures() -> BTreeMap<String, Fields> {
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

fn twin(c: &str) -> String {
    let known = STRUCTURES.iter().find(|(name, _)| *name == c).map(|(_, twin)| (*twin).to_owned());
    let of_instrument = || twins_of_instruments("struct").into_iter().find(|(name, ..)| name == c);
    let found = known.or_else(|| Some(of_instrument()?.1));
    // Its members are the instruments' own.
    found.unwrap_or_else(|| {
        if c == "gt_instruments" { c.to_owned() } else { panic!("struct {c} has no twin") }
    })
}

fn rust_fields(body: &str) -> Fields {
    let field = Regex::new(r"(?:pub(?:\(\w+\))? )?(\w+): ([^,\n]+),").unwrap();
    let body = without_comments(body);
    field.captures_iter(&body).map(|c| (c[1].to_owned(), without_default(&c[2]))).collect()
}

/// The type of a field that says what stands for "not known".
fn without_default(kind: &str) -> String {
    kind.split(" = ").next().unwrap_or_default().to_owned()
}

fn rust_structures() -> BTreeMap<String, Fields> {
    let text = without_comments(&SOURCES.concat());
    let structure = Regex::new(r"#\[repr\(C\)\]\s*(?:pub(?:\(crate\))? )?struct (\w+) \{([^}]*)\}");
    let structure = structure.unwrap();
    structure.captures_iter(&text).map(|c| (c[1].to_owned(), rust_fields(&c[2]))).collect()
}

#[test]
fn structures_have_the_same_fields() {
    let (mut c, rust) = (c_structures(), rust_structures());
    let own = twins_of_instruments("struct");
    let listed: BTreeSet<_> =
        STRUCTURES.iter().map(|(c, _)| *c).chain(own.iter().map(|o| o.0.as_str())).collect();
    assert_eq!(
        c.keys().map(String::as_str).collect::<BTreeSet<_>>(),
        listed,
        "the headers' structures"
    );
    let core = STRUCTURES.iter().map(|(c, name)| (*c, *name, rust[*name].clone()));
    let own = own.iter().map(|(c, name, body)| (c.as_str(), name.as_str(), rust_fields(body)));
    for (in_c, in_rust, twin) in core.chain(own) {
        let fields = c.get_mut(in_c).unwrap();
        if OPEN_ENDED.iter().any(|(of, name)| *of == in_c && fields.last().unwrap().0 == *name) {
            fields.pop();
        }
        // A macro of C has this name.
        fields.iter_mut().filter(|f| f.0 == "errno_value").for_each(|f| f.0 = "errno".into());
        assert!(!fields.is_empty(), "{in_c}");
        let twin: Fields = twin
            .into_iter()
            .map(|(name, kind)| (name, if kind == "Address" { "u64".to_owned() } else { kind }))
            .collect();
        assert_eq!(&twin, fields, "{in_c} and {in_rust}");
    }
    let twins: BTreeSet<_> = STRUCTURES.iter().map(|(_, rust)| (*rust).to_owned()).collect();
    assert_eq!(rust.into_keys().collect::<BTreeSet<_>>(), twins, "the structures in Rust");
}

/// `HttpServerStart` as `HTTP_SERVER_START`.
fn screaming(variant: &str) -> String {
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
fn rust_variants(name: &str) -> BTreeMap<String, u64> {
    let text = sources();
    let start = Regex::new(&format!(r"(?m)^(?:pub enum |    ){name} \{{")).unwrap();
    let start = start.find(&text).unwrap_or_else(|| panic!("no enumeration {name}")).end();
    let body = text[start..].split('}').next().unwrap();
    let variant = Regex::new(r"(\w+) = (\d+)").unwrap();
    let plain = |name: &str| screaming(name).replace('_', "");
    variant.captures_iter(body).map(|c| (plain(&c[1]), c[2].parse().unwrap())).collect()
}

/// The names of a C enumeration with their numbers.
fn c_variants(name: &str) -> BTreeMap<String, u64> {
    let text = headers();
    let start = text.find(&format!("enum {name} {{")).unwrap_or_else(|| panic!("no enum {name}"));
    let body = text[start..].split('}').next().unwrap();
    let named = Regex::new(r"(GT_\w+) = (\d+)").unwrap();
    let all = named.captures_iter(body).filter(|c| !COUNTS.contains(&&c[1]));
    all.map(|c| (c[1].to_owned(), c[2].parse().unwrap())).collect()
}

/// What all names have in common, up to an underscore.
fn prefix(names: &BTreeMap<String, u64>) -> String {
    let (first, last) = (names.keys().next().unwrap(), names.keys().last().unwrap());
    let same = first.chars().zip(last.chars()).take_while(|(a, b)| a == b).count();
    first[..first[..same].rfind('_').unwrap() + 1].to_owned()
}

#[test]
fn enumerations_have_the_same_numbers() {
    let core = ENUMERATIONS
        .iter()
        .map(|(c, prefix, rust)| ((*c).to_owned(), Some((*prefix).to_owned()), (*rust).to_owned()));
    let own = twins_of_instruments("enum").into_iter().map(|(c, rust, _)| (c, None, rust));
    let all: Vec<_> = core.chain(own).collect();
    assert!(all.len() > ENUMERATIONS.len(), "those of instruments were not found");
    for (in_c, known, in_rust) in all {
        let c = c_variants(&in_c);
        let prefix = known.unwrap_or_else(|| prefix(&c));
        let plain = |name: &String| name.strip_prefix(&prefix).unwrap().replace('_', "");
        let c: BTreeMap<_, u64> = c.iter().map(|(name, number)| (plain(name), *number)).collect();
        assert_eq!(rust_variants(&in_rust), c, "{in_c} and {in_rust}");
    }
}

/// All enumerations of instruments' contracts have a twin that names them.
#[test]
fn every_enumeration_of_an_instrument_is_compared() {
    let text = without_comments(&of_instruments("bpf/instruments", &["h"]));
    let found = Regex::new(r"enum (gt_\w+) \{").unwrap();
    let found: BTreeSet<_> = found.captures_iter(&text).map(|c| c[1].to_owned()).collect();
    let compared = twins_of_instruments("enum").into_iter().map(|(c, ..)| c);
    let compared: BTreeSet<_> =
        compared.chain(ENUMERATIONS.iter().map(|(c, ..)| (*c).to_owned())).collect();
    let missing: Vec<_> = found.difference(&compared).collect();
    assert!(missing.is_empty() && !found.is_empty(), "without a twin: {missing:?}");
}

/// Constants of Rust by the name that they have in C.
fn rust_constants() -> BTreeMap<String, u64> {
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

#[test]
fn flags_have_the_same_numbers() {
    let rust = rust_constants();
    let own: Vec<String> =
        twins_of_instruments("enum").iter().map(|(c, ..)| prefix(&c_variants(c))).collect();
    let enumerated = |name: &str| {
        let known = ENUMERATIONS.iter().map(|(_, prefix, _)| *prefix);
        known.chain(own.iter().map(String::as_str)).any(|prefix| name.starts_with(prefix))
            || COUNTS.contains(&name)
    };
    let (mut compared, mut different) = (0, Vec::new());
    for (name, value) in c_numbers() {
        if enumerated(&name) || KERNEL_ONLY.contains(&name.as_str()) {
            continue;
        }
        if rust.get(&name) != Some(&value) {
            different.push((name, value));
        }
        compared += 1;
    }
    assert_eq!(different, [], "in the headers, and not so in Rust");
    assert!(compared > 30, "{compared}");
}

#[test]
fn counts_are_those_of_the_enumerations() {
    let numbers = c_numbers();
    for (name, len) in COUNTS.iter().zip([
        Drop::ALL.len(),
        Unread::ALL.len(),
        tracked::TrackedCounter::Unread.index(tracked::Lifecycle::Exited) as usize + 1,
        CollectedCounter::RingFull as usize + 1,
        MeterCounter::RequestsFull as usize + 1,
    ]) {
        assert_eq!(numbers[*name], len as u64, "{name}");
    }
}

/// The kinds of all events, for tests of decoding: none can be forgotten there.
pub(crate) fn event_kinds() -> Vec<u16> {
    let kinds = c_numbers().into_iter().filter(|(name, _)| name.starts_with("GT_EVENT_"));
    kinds.map(|(_, kind)| u16::try_from(kind).unwrap()).collect()
}

#[test]
fn no_two_kinds_of_events_have_the_same_number() {
    let kinds = event_kinds();
    assert_eq!(kinds.iter().collect::<BTreeSet<_>>().len(), kinds.len(), "{kinds:?}");
}

/// Addresses in a structure, those in structures within it included.
fn addresses(structures: &BTreeMap<String, Fields>, name: &str) -> usize {
    let of = |(_, kind): &(String, String)| {
        let array =
            kind.strip_prefix('[').and_then(|kind| kind.strip_suffix(']')?.split_once("; "));
        let (kind, times) = array.map_or((kind.as_str(), 1), |(k, n)| (k, n.parse().unwrap()));
        match kind {
            "Address" => times,
            kind if structures.contains_key(kind) => times * addresses(structures, kind),
            _ => 0,
        }
    };
    structures[name].iter().map(of).sum()
}

#[test]
fn every_address_is_relocated() {
    let mut process = raw::Process::ABSENT;
    process.addresses_mut().for_each(|address| *address = 0x1000.into());
    process.addresses_mut().for_each(|address| *address = address.relocated(1));
    assert!(process.addresses_mut().all(|address| *address == 0x1001.into()));
    let expected = addresses(&rust_structures(), "Process");
    assert_eq!(process.addresses_mut().count(), expected);
    let none = raw::Address::NONE;
    assert_eq!(none.relocated(7), none, "what is not known stays so");
}
