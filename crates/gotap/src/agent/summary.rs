//! What is said at the end: how often the programs were trapped, how many spans there are, and what
//! was counted beside them, grouped by what it means to whoever reads the spans. Text for people, in
//! which each count has its name, or one line of JSON for programs. Not here: counting.

use pipeline::Counts;
use probes::Counters;
use serde_json::{Map, Value, json};
use wire::{Drop, Unread};

use super::count;
use super::losses::{self, Loss};
use crate::cli::Format;

/// What a count means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    /// Something happened and has no span.
    Lost,
    /// There is a span, which may lack something.
    Incomplete,
    /// It was seen, and its span goes nowhere, as somebody decided.
    LeftOut,
    /// It began before the probes were in: no span could be made of it.
    AtAttach,
    /// Starts and ends of processes that were found later, in `/proc`.
    Processes,
}

impl Group {
    const ALL: [Group; 5] =
        [Group::Incomplete, Group::AtAttach, Group::Processes, Group::LeftOut, Group::Lost];

    /// What stands before its counts.
    fn heading(self) -> &'static str {
        match self {
            Group::Lost => "lost",
            Group::Incomplete => "incomplete spans",
            Group::LeftOut => "not recorded",
            Group::AtAttach => "under way at attach",
            Group::Processes => "starts and ends of processes seen late",
        }
    }

    /// Its key in JSON.
    fn key(self) -> &'static str {
        match self {
            Group::Lost => "lost",
            Group::Incomplete => "incomplete",
            Group::LeftOut => "not_recorded",
            Group::AtAttach => "at_attach",
            Group::Processes => "processes",
        }
    }
}

/// The group of a reason, and its words, which have neither commas nor parentheses nor semicolons:
/// the line stays readable for programs.
fn meaning(reason: Drop) -> (Group, &'static str) {
    match reason {
        Drop::RingFull => (Group::Lost, "the event buffer was full"),
        Drop::ServerMapFull => (Group::Lost, "too many requests were served at once"),
        Drop::ClientMapFull => (Group::Lost, "too many calls were made at once"),
        Drop::StartUnseen => (Group::AtAttach, "had begun before gotap attached: no span"),
        Drop::ServerUnfinished => (Group::Lost, "the end of a served request was not seen"),
        Drop::ClientUnfinished => (Group::Lost, "the end of a call was not seen"),
        Drop::ProtocolUnsupported => (Group::Lost, "gotap does not know the protocol"),
        Drop::LifecycleFull => (Group::Processes, "the event buffer was full"),
        Drop::ReadFault => (Group::Lost, "the program's memory could not be read"),
        Drop::LineageLost => (Group::Incomplete, "may lack a parent"),
        Drop::TraceparentInvalid => (Group::Incomplete, "came with a malformed traceparent"),
        Drop::HeadersUnseen => (Group::Incomplete, "had too many headers: may lack a parent"),
        Drop::ProcessorsUnseen => (Group::Incomplete, "GOMAXPROCS is too high: may lack a parent"),
        Drop::MapLayoutUnknown => {
            (Group::Incomplete, "maps of this Go are not known: may lack a parent")
        }
        Drop::ContextUnfollowed => (Group::Incomplete, "context not followed: may lack a parent"),
        Drop::JoinUnread => (Group::Incomplete, "connection could not be read: may lack a parent"),
        Drop::JoinMapFull => (Group::Incomplete, "too many connections: may lack a parent"),
        Drop::SampledOut => (Group::LeftOut, SAMPLED_OUT),
        Drop::Unsampled => (Group::LeftOut, UNSAMPLED),
        Drop::ContextAmbiguous => (Group::Incomplete, "context of several requests: no parent"),
    }
}

/// Of what gotap's own sampling left out.
const SAMPLED_OUT: &str = "the trace is not among those that are sampled";
/// Of what found no room to wait in for its trace's end, and of what followed it.
const TAIL_EVICTED: &str = "too many spans waited for tail sampling";
const TAIL_PARTIAL: &str = "the trace was kept when a part of it was gone";
/// Of what callers left out.
const UNSAMPLED: &str = "the caller does not sample the trace";

/// What was counted for one reason.
#[derive(Debug, Clone)]
pub(super) struct Counted {
    pub(super) group: Group,
    pub(super) label: String,
    words: &'static str,
    pub(super) n: u64,
}

impl Counted {
    fn text(&self) -> String {
        format!("{} {} ({})", self.label, self.n, self.words)
    }
}

/// What became of the spans that were to be sent.
#[derive(Debug, Clone, Default)]
pub(super) struct Delivery {
    pub(super) delivered: u64,
    /// The others, by reason.
    pub(super) not: Vec<(&'static str, u64)>,
}

/// All counts at the end.
#[derive(Debug, Clone)]
pub(super) struct Summary {
    spans: u64,
    counted: Vec<Counted>,
    traps: Vec<(&'static str, u64)>,
    /// What was lost beside operations and spans.
    pub(super) losses: Vec<Loss>,
    /// What else is to be said.
    pub(super) notes: Vec<String>,
    /// `None` where nothing is sent.
    pub(super) delivery: Option<Delivery>,
}

/// All counts beside spans, also those that are zero.
pub(super) fn counted(reader: &Counts, counters: &Counters) -> Vec<Counted> {
    // What is not sampled is counted where it ends: by the programs, or by who measures it.
    let by_reader = |reason| matches!(reason, Drop::SampledOut | Drop::Unsampled);
    let by_programs = |wanted: Drop| {
        let found = counters.drops.iter().find(|(reason, _)| *reason == wanted);
        found.map_or(0, |(_, n)| *n)
    };
    let kernel =
        counters.drops.iter().filter(|(reason, _)| !by_reader(*reason)).map(|(reason, n)| {
            let (group, words) = meaning(*reason);
            Counted { group, label: reason.label().to_owned(), words, n: *n }
        });
    let unread = Unread::ALL.iter().zip(reader.unread).map(|(what, n)| {
        let (label, words) = (format!("unread_{}", what.label()), "could not be read");
        Counted { group: Group::Incomplete, label, words, n }
    });
    let one = |group, label: &str, words, n| Counted { group, label: label.to_owned(), words, n };
    let (lost, incomplete, left_out) = (Group::Lost, Group::Incomplete, Group::LeftOut);
    let tracestate = "came with a tracestate that is no list";
    let unknown = "nothing is known of the process";
    let of_reader = [
        one(lost, "undecodable", "the event could not be read", reader.undecodable),
        one(lost, "unknown_process", unknown, reader.unknown_process),
        one(lost, "tail_evicted", TAIL_EVICTED, reader.tail_evicted),
        one(incomplete, "tail_partial", TAIL_PARTIAL, reader.tail_partial),
        one(incomplete, "tracestate_invalid", tracestate, reader.tracestate_invalid),
        one(incomplete, "trace_split", "a later call is in another trace", reader.trace_split),
        one(
            incomplete,
            "headers_forgotten",
            "its headers were forgotten",
            reader.headers_forgotten,
        ),
        one(
            incomplete,
            "xray_unfinished",
            "where its time went was not all known yet",
            reader.beside_unfinished,
        ),
        one(incomplete, "no_pod", "its pod was not known yet", reader.no_pod),
        one(left_out, "unsampled", UNSAMPLED, reader.unsampled + by_programs(Drop::Unsampled)),
        one(
            left_out,
            "sampled_out",
            SAMPLED_OUT,
            reader.sampled_out + by_programs(Drop::SampledOut),
        ),
        one(left_out, "left_to_sdk", "the program's own SDK sends its traces", reader.left_to_sdk),
        one(left_out, "telemetry", "it delivers telemetry or serves that", reader.telemetry),
    ];
    kernel.chain(unread).chain(of_reader).collect()
}

impl Summary {
    /// `not_written` are the spans that the output took too slowly to get.
    pub(super) fn new(reader: Counts, counters: &Counters, not_written: u64) -> Self {
        let mut counted = counted(&reader, counters);
        let (group, label) = (Group::Lost, "output_full".to_owned());
        let words = "the output takes them too slowly";
        counted.push(Counted { group, label, words, n: not_written });
        counted.retain(|counted| counted.n > 0);
        let traps = counters.hits.iter().filter(|(_, n)| *n > 0);
        Self {
            spans: reader.spans - not_written.min(reader.spans),
            counted,
            traps: traps.map(|(probe, n)| (probe.label(), *n)).collect(),
            losses: Vec::new(),
            notes: Vec::new(),
            delivery: None,
        }
    }

    /// The lines to print.
    pub(super) fn lines(&self, format: Format) -> Vec<String> {
        match format {
            Format::Text => self.text(),
            Format::Json => vec![format!("summary {}", self.json())],
        }
    }

    fn of(&self, group: Group) -> impl Iterator<Item = &Counted> {
        self.counted.iter().filter(move |counted| counted.group == group)
    }

    /// A line for each group that has counts; the spans and the losses are the last one.
    fn text(&self) -> Vec<String> {
        let mut lines = vec![match self.traps.as_slice() {
            [] => "no traps".to_owned(),
            traps => format!("traps: {}", pairs(traps)),
        }];
        lines.extend(self.notes.iter().cloned());
        let mut last = count(usize::try_from(self.spans).unwrap_or(usize::MAX), "span", "spans");
        for group in Group::ALL {
            let list: Vec<String> = self.of(group).map(Counted::text).collect();
            let (heading, list) = (group.heading(), list.join(", "));
            match (group, list.is_empty()) {
                (Group::Lost, true) => last.push_str(", none lost"),
                (Group::Lost, false) => last.push_str(&format!(", {heading}: {list}")),
                (_, true) => {}
                (_, false) => lines.push(format!("{heading}: {list}")),
            }
        }
        lines.extend(self.losses.iter().map(Loss::line));
        if let Some(Delivery { delivered, not }) = &self.delivery {
            last.push_str(&format!("; {delivered} delivered"));
            if !not.is_empty() {
                last.push_str(&format!(", not delivered: {}", pairs(not)));
            }
        }
        lines.push(last);
        lines
    }

    fn json(&self) -> Value {
        let object = |pairs: &[(&str, u64)]| {
            let pairs = pairs.iter().map(|(label, n)| ((*label).to_owned(), json!(n)));
            Value::Object(pairs.collect::<Map<_, _>>())
        };
        let mut all = Map::new();
        all.insert("spans".into(), json!(self.spans));
        for group in Group::ALL {
            let counts: Vec<_> = self.of(group).map(|c| (c.label.as_str(), c.n)).collect();
            all.insert(group.key().into(), object(&counts));
        }
        all.insert("losses".into(), losses::json(&self.losses));
        all.insert("traps".into(), object(&self.traps));
        if let Some(Delivery { delivered, not }) = &self.delivery {
            all.insert("delivered".into(), json!(delivered));
            all.insert("not_delivered".into(), object(not));
        }
        Value::Object(all)
    }
}

fn pairs(list: &[(&'static str, u64)]) -> String {
    list.iter().map(|(label, n)| format!("{label} {n}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use wire::Probe;

    use super::*;

    fn summary(drops: &[(Drop, u64)]) -> Summary {
        let hits = vec![(Probe::HttpServerStart, 7), (Probe::HttpServerFinish, 0)];
        let counters = Counters { hits, drops: drops.to_vec() };
        Summary::new(Counts { spans: 5279, ..Counts::default() }, &counters, 0)
    }

    #[test]
    fn only_what_is_lost_is_called_lost() {
        let said = summary(&[(Drop::StartUnseen, 38), (Drop::LineageLost, 238)]);
        let lines = said.lines(Format::Text);
        assert_eq!(
            lines,
            [
                "traps: http_server_start 7",
                "incomplete spans: lineage_lost 238 (may lack a parent)",
                "under way at attach: start_unseen 38 (had begun before gotap attached: no span)",
                "5279 spans, none lost",
            ]
        );
        let mut said = summary(&[(Drop::RingFull, 2), (Drop::ReadFault, 0)]);
        said.delivery = Some(Delivery { delivered: 9, not: vec![("export_rejected", 1)] });
        let last = said.lines(Format::Text).pop().unwrap();
        assert_eq!(
            last,
            "5279 spans, lost: ring_full 2 (the event buffer was full); \
             9 delivered, not delivered: export_rejected 1"
        );
    }

    #[test]
    fn what_is_not_recorded_is_not_lost() {
        let counts = Counts { spans: 1, unsampled: 3, ..Counts::default() };
        let said = Summary::new(counts, &Counters::default(), 0);
        let expected = [
            "no traps",
            "not recorded: unsampled 3 (the caller does not sample the trace)",
            "1 span, none lost",
        ];
        assert_eq!(said.lines(Format::Text), expected);
        assert_eq!(said.json()["not_recorded"], json!({"unsampled": 3}));
    }

    #[test]
    fn what_could_not_be_read_is_counted_by_name() {
        let mut reader = Counts { spans: 3, ..Counts::default() };
        reader.unread[Unread::Status as usize] = 2;
        let said = Summary::new(reader, &Counters { hits: Vec::new(), drops: Vec::new() }, 0);
        let lines = said.lines(Format::Text);
        let incomplete = "incomplete spans: unread_status 2 (could not be read)";
        assert_eq!(lines, ["no traps", incomplete, "3 spans, none lost"]);
        assert_eq!(said.json()["incomplete"], json!({"unread_status": 2}));
    }

    #[test]
    fn programs_get_the_groups_as_json() {
        let mut said = summary(&[(Drop::RingFull, 2), (Drop::LineageLost, 1)]);
        said.delivery = Some(Delivery { delivered: 9, not: vec![("export_rejected", 1)] });
        let lines = said.lines(Format::Json);
        let [line] = lines.as_slice() else { panic!("{lines:?}") };
        let value: Value = serde_json::from_str(line.strip_prefix("summary ").unwrap()).unwrap();
        let expected = json!({
            "spans": 5279,
            "lost": {"ring_full": 2},
            "incomplete": {"lineage_lost": 1},
            "at_attach": {},
            "processes": {},
            "not_recorded": {},
            "losses": {},
            "traps": {"http_server_start": 7},
            "delivered": 9,
            "not_delivered": {"export_rejected": 1},
        });
        assert_eq!(value, expected);
    }

    #[test]
    fn words_do_not_look_like_separators() {
        for reason in Drop::ALL {
            let (_, words) = meaning(*reason);
            assert!(!words.contains([',', '(', ')', ';']), "{words}");
        }
    }
}
