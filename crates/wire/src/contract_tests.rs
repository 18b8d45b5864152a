//! Compares every structure, enumeration and flag of the C headers with its Rust twin: names, types and
//! order of fields, names and numbers. What stands on one side only is a failure. Not here: how both sides are read
//! (`texts`).

mod texts;

use std::collections::{BTreeMap, BTreeSet};

use regex_lite::Regex;

use crate::{CollectedCounter, Drop, MeterCounter, Unread, raw, tracked};
use texts::{
    Fields, c_numbers, c_structures, c_variants, of_instruments, rust_constants, rust_fields,
    rust_structures, rust_variants, twins_of_instruments, without_comments,
};

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
    ("gt_meter_spans", "MeterSpans"),
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
        MeterCounter::SpansUnread as usize + 1,
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
