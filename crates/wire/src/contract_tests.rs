//! Compares every structure, enumeration and flag of the C headers with its Rust twin: names, types and
//! order of fields, names and numbers. Both sides are read as text, so that nothing can be left out: what
//! stands on one side only is a failure.

use std::collections::{BTreeMap, BTreeSet};

use regex_lite::Regex;

use crate::{CollectedCounter, Drop, MeterCounter, Probe, SqlOperation, Unread, raw, tracked};

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
const SOURCES: [&str; 13] = [
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
    ("gt_sql_event", "Sql"),
    ("gt_redis_event", "RedisCall"),
    ("gt_site", "Site"),
    ("gt_key", "Key"),
    ("gt_request", "Request"),
    ("gt_http2", "Http2"),
    ("gt_learned", "Learned"),
    ("gt_process", "Process"),
    ("gt_grpc", "Grpc"),
    ("gt_connect", "Connect"),
    ("gt_join", "Join"),
    ("gt_sampling", "Sampling"),
    ("gt_wanted_name", "WantedName"),
    ("gt_wanted", "Wanted"),
    ("gt_header_event", "HeaderValue"),
    ("gt_http2_join", "Http2Join"),
    ("gt_redis", "Redis"),
    ("gt_redigo", "Redigo"),
    ("gt_fasthttp", "FastHttp"),
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
const OPEN_ENDED: [(&str, &str); 2] = [("gt_sql_event", "text"), ("gt_path_event", "text")];

/// Enumerations, the prefix of their names, and their twins.
const ENUMERATIONS: &[(&str, &str, &str)] = &[
    ("gt_probe", "GT_PROBE_", "Probe"),
    ("gt_drop", "GT_DROP_", "Drop"),
    ("gt_parent", "GT_PARENT_", "Parent"),
    ("gt_content", "GT_CONTENT_", "Content"),
    ("gt_outcome", "GT_OUTCOME_", "Outcome"),
    ("gt_unread", "GT_UNREAD_", "Unread"),
    ("gt_call_site", "GT_CALL_", "CallSite"),
    ("gt_sql_operation", "GT_SQL_", "SqlOperation"),
    ("gt_sql_library", "GT_SQL_", "SqlLibrary"),
    ("gt_redis_site", "GT_REDIS_", "RedisSite"),
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
    "GT_PROBE_COUNT",
    "GT_DROP_COUNT",
    "GT_UNREAD_COUNT",
    "GT_SQL_OPERATIONS",
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
    "GT_REDIS_LIBRARIES",
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
    without_comments(&HEADERS.concat())
}

fn sources() -> String {
    without_comments(&SOURCES.concat())
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
    let text = headers().replace("GT_WORDS", "");
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
    structure.captures_iter(&text).map(|c| (c[1].to_owned(), fields(&c[2]))).collect()
}

fn twin(c: &str) -> String {
    let found = STRUCTURES.iter().find(|(name, _)| *name == c);
    found.unwrap_or_else(|| panic!("struct {c} has no twin in STRUCTURES")).1.to_owned()
}

fn rust_structures() -> BTreeMap<String, Fields> {
    let text = sources();
    let structure = Regex::new(r"#\[repr\(C\)\]\s*(?:pub(?:\(crate\))? )?struct (\w+) \{([^}]*)\}");
    let field = Regex::new(r"(?:pub(?:\(crate\))? )?(\w+): ([^,\n]+),").unwrap();
    let fields = |body: &str| {
        field.captures_iter(body).map(|c| (c[1].to_owned(), c[2].to_owned())).collect()
    };
    let structure = structure.unwrap();
    structure.captures_iter(&text).map(|c| (c[1].to_owned(), fields(&c[2]))).collect()
}

#[test]
fn structures_have_the_same_fields() {
    let (c, rust) = (c_structures(), rust_structures());
    let listed: BTreeSet<_> = STRUCTURES.iter().map(|(c, _)| (*c).to_owned()).collect();
    assert_eq!(c.keys().cloned().collect::<BTreeSet<_>>(), listed, "the headers' structures");
    for (in_c, in_rust) in STRUCTURES {
        let mut fields = c[*in_c].clone();
        if OPEN_ENDED.iter().any(|(of, name)| of == in_c && fields.last().unwrap().0 == *name) {
            fields.pop();
        }
        // A macro of C has this name.
        fields.iter_mut().filter(|f| f.0 == "errno_value").for_each(|f| f.0 = "errno".into());
        assert!(!fields.is_empty(), "{in_c}");
        let twin = rust[*in_rust].iter().map(|(name, kind)| {
            (name.clone(), if kind == "Address" { "u64".to_owned() } else { kind.clone() })
        });
        assert_eq!(twin.collect::<Fields>(), fields, "{in_c} and {in_rust}");
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

#[test]
fn enumerations_have_the_same_numbers() {
    let text = headers();
    for (in_c, prefix, in_rust) in ENUMERATIONS {
        let start = text.find(&format!("enum {in_c} {{")).unwrap();
        let body = text[start..].split('}').next().unwrap();
        let named = Regex::new(r"(GT_\w+) = (\d+)").unwrap();
        let c: BTreeMap<_, u64> = named
            .captures_iter(body)
            .filter(|c| !COUNTS.contains(&&c[1]))
            .map(|c| (c[1].strip_prefix(prefix).unwrap().replace('_', ""), c[2].parse().unwrap()))
            .collect();
        assert!(!c.is_empty(), "{in_c}");
        assert_eq!(rust_variants(in_rust), c, "{in_c} and {in_rust}");
    }
}

/// Constants of Rust by the name that they have in C.
fn rust_constants() -> BTreeMap<String, u64> {
    let text = sources();
    let constant = Regex::new(r"(?m)^(?:pub(?:\(crate\))? )?const (\w+): u\w+ = ([^;]+);").unwrap();
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
    let enumerated = |name: &str| {
        ENUMERATIONS.iter().any(|(_, prefix, _)| name.starts_with(prefix)) || COUNTS.contains(&name)
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
        Probe::ALL.len(),
        Drop::ALL.len(),
        Unread::ALL.len(),
        SqlOperation::ALL.len(),
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
