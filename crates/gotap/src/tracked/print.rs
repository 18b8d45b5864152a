//! Events of goroutines and their summary, as text or JSON.

use std::fmt::Write as _;
use std::io::{self, Write};

use goruntime::{Position, printed};
use serde_json::{Value, json};
use wire::{Lifecycle, TrackedEvent};

use crate::names::Names;

use super::tally::{Counted, Numbers, Seen, Tally};
use crate::output::text::{harmless, printable};

/// Functions that the text lists.
const FUNCTIONS: usize = 10;
/// The longest bar.
const BAR: u64 = 40;
/// The percentiles that are shown.
const PERCENTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999)];

/// Prints to `output`.
pub(super) struct Printer<'s, 'a, 'd, W> {
    pub(super) output: W,
    json: bool,
    names: Names<'s, 'a, 'd>,
    /// From the clock of the events to nanoseconds since 1970.
    offset: u64,
    /// The clock of the events at the beginning.
    began: u64,
}

impl<'s, 'a, 'd, W: Write> Printer<'s, 'a, 'd, W> {
    pub(super) fn new(
        output: W,
        json: bool,
        names: Names<'s, 'a, 'd>,
        offset: u64,
        began: u64,
    ) -> Self {
        Self { output, json, names, offset, began }
    }

    /// Prints one event.
    pub(super) fn event(&mut self, event: &TrackedEvent, seen: Seen) -> io::Result<()> {
        let creator = event.created_at.and_then(|address| self.names.creator(address));
        let name = self.name(event.start);
        if self.json {
            let word = match event.kind {
                Lifecycle::Created => "created",
                Lifecycle::Exited => "exited",
            };
            let object = json!({
                "event": word,
                "goid": event.goid,
                "parentGoid": seen.parent,
                "function": name,
                "createdBy": creator.as_ref().map(place),
                "timeUnixNano": event.time_ns.wrapping_add(self.offset),
                "lifetimeNanos": seen.lifetime,
            });
            return writeln!(self.output, "{object}");
        }
        let since = event.time_ns.saturating_sub(self.began) as f64 / 1e9;
        let name = name.unwrap_or_else(|| "(unknown function)".to_owned());
        let rest = match event.kind {
            Lifecycle::Created => {
                let by = creator.map(|at| format!(" by {}  {}:{}", at.name(), at.file, at.line));
                let parent = seen.parent.map(|goid| format!(" in goroutine {goid}"));
                format!("{}{}", by.unwrap_or_default(), parent.unwrap_or_default())
            }
            Lifecycle::Exited => match seen.lifetime {
                Some(lifetime) => format!(" after {}", short(lifetime)),
                None => " whose creation was not seen".to_owned(),
            },
        };
        let word = if event.kind == Lifecycle::Created { "created" } else { "exited " };
        let what = printable(&format!("{name}{rest}"));
        writeln!(self.output, "{since:>12.6} s  {word}  goroutine {}  {what}", event.goid)
    }

    fn name(&self, start: Option<u64>) -> Option<String> {
        start.and_then(|start| self.names.start(start)).map(|name| printed(name).into_owned())
    }

    /// Functions by name: several addresses may have the same.
    fn functions(&self, tally: &Tally) -> Vec<(Option<String>, Numbers)> {
        let mut out: Vec<(Option<String>, Numbers)> = Vec::new();
        let mut places = std::collections::HashMap::new();
        for (start, numbers) in tally.functions() {
            let name = self.name(start);
            let place = *places.entry(name.clone()).or_insert(out.len());
            match out.get_mut(place) {
                Some((_, sum)) => {
                    sum.created += numbers.created;
                    sum.exited += numbers.exited;
                }
                None => out.push((name, numbers)),
            }
        }
        out
    }

    /// Prints what all of them add up to.
    pub(super) fn summary(&mut self, tally: &Tally, counted: &Counted) -> io::Result<()> {
        let functions = self.functions(tally);
        if self.json {
            let summary = summary_json(tally, counted, &functions);
            return writeln!(self.output, "{}", json!({ "summary": summary }));
        }
        let text = summary_text(tally, counted, &functions);
        self.output.write_all(harmless(&text).as_bytes())
    }
}

fn place(at: &Position<'_>) -> Value {
    json!({"function": at.name(), "file": at.file, "line": at.line})
}

fn rate(counted: &Counted) -> f64 {
    counted.created.seen as f64 / counted.coverage.attached.as_secs_f64().max(1e-9)
}

fn summary_json(
    tally: &Tally,
    counted: &Counted,
    functions: &[(Option<String>, Numbers)],
) -> Value {
    let (created, exited) = (counted.created, counted.exited);
    let lifetimes = &tally.lifetimes;
    let known = |value: u64| (!lifetimes.is_empty()).then_some(value);
    let mut times = json!({
        "count": lifetimes.len(),
        "minNanos": known(lifetimes.min()),
        "maxNanos": known(lifetimes.max()),
        "buckets": tally.buckets().iter()
            .map(|(from, to, n)| json!({"fromNanos": from, "toNanos": to, "count": n}))
            .collect::<Vec<_>>(),
    });
    for (name, share) in PERCENTILES {
        times[format!("{name}Nanos")] = json!(known(lifetimes.value_at_quantile(share)));
    }
    let function = |(name, n): &(Option<String>, Numbers)| json!({"function": name, "created": n.created, "exited": n.exited});
    json!({
        "seconds": counted.coverage.elapsed.as_secs_f64(),
        "overhead": counted.coverage.json(),
        "created": created.seen,
        "exited": exited.seen,
        "createdPerSecond": rate(counted),
        "alive": counted.coverage.is_whole().then(|| tally.alive()),
        "exitedOfUnknownAge": tally.exited_unknown,
        "lost": {
            "createdRingFull": created.ring_full,
            "exitedRingFull": exited.ring_full,
            "createdUnread": created.unread,
            "exitedUnread": exited.unread,
            "notRemembered": tally.not_remembered,
            "invalid": counted.invalid,
        },
        "lifetimes": times,
        "functions": functions.iter().map(function).collect::<Vec<_>>(),
        "otherFunctions": {
            "created": tally.other_functions.created,
            "exited": tally.other_functions.exited,
        },
    })
}

/// `writeln!` to a `String`, which can't fail.
macro_rules! put {
    ($to:expr, $($text:tt)*) => { let _ = writeln!($to, $($text)*); };
}

fn summary_text(
    tally: &Tally,
    counted: &Counted,
    functions: &[(Option<String>, Numbers)],
) -> String {
    let mut out = String::new();
    let (created, exited) = (counted.created, counted.exited);
    let seconds = counted.coverage.attached.as_secs_f64();
    put!(
        out,
        "{} goroutines created in {seconds:.1} s, {:.1} a second; {} exited, {} of them after an unknown \
         time; {} live of those that were created",
        created.seen,
        rate(counted),
        exited.seen,
        tally.exited_unknown,
        tally.alive()
    );
    if let Some(warning) = counted.coverage.warning() {
        put!(out, "note: {warning}");
    }
    lost(&mut out, tally, counted);
    for (name, numbers) in functions.iter().take(FUNCTIONS) {
        let name = name.as_deref().unwrap_or("(unknown function)");
        put!(out, "{:>10} created {:>10} exited  {name}", numbers.created, numbers.exited);
    }
    let rest = functions.get(FUNCTIONS..).unwrap_or_default().iter().map(|(_, n)| *n);
    let (mut more, mut count) = (tally.other_functions, 0u32);
    for numbers in rest {
        more.created += numbers.created;
        more.exited += numbers.exited;
        count += 1;
    }
    if more != Numbers::default() {
        put!(
            out,
            "{:>10} created {:>10} exited  ({count} more functions)",
            more.created,
            more.exited
        );
    }
    if tally.lifetimes.is_empty() {
        put!(out, "no goroutine was seen from its creation to its exit");
        return out;
    }
    let all = PERCENTILES
        .map(|(name, share)| format!("{name} {}", short(tally.lifetimes.value_at_quantile(share))));
    put!(out, "lifetimes of {} goroutines that were seen whole:", tally.lifetimes.len());
    put!(out, "  {}, max {}", all.join(", "), short(tally.lifetimes.max()));
    let buckets = tally.buckets();
    let most = buckets.iter().map(|(_, _, n)| *n).max().unwrap_or(1).max(1);
    for (from, to, n) in buckets {
        let len = usize::try_from((n * BAR).div_ceil(most)).unwrap_or(0);
        put!(out, "  {:>8} to {:>8} {n:>10} {}", short(from), short(to), "#".repeat(len));
    }
    out
}

/// Nothing if nothing was lost.
fn lost(out: &mut String, tally: &Tally, counted: &Counted) {
    let (created, exited) = (counted.created, counted.exited);
    for (count, what) in [
        (created.ring_full, "creations have no event, as the ring buffer was full"),
        (exited.ring_full, "exits have no event, as the ring buffer was full"),
        (created.unread, "creations have no event, as the goroutine's number could not be read"),
        (exited.unread, "exits have no event, as the goroutine's number could not be read"),
        (tally.not_remembered, "creations were not remembered, as too many goroutines live"),
        (counted.invalid, "events could not be understood"),
    ] {
        if count > 0 {
            put!(out, "lost: {count} {what}");
        }
    }
}

/// A time with three digits.
fn short(nanoseconds: u64) -> String {
    let n = nanoseconds as f64;
    let (value, unit) = match nanoseconds {
        0..1_000 => return format!("{nanoseconds} ns"),
        1_000..1_000_000 => (n / 1e3, "µs"),
        1_000_000..1_000_000_000 => (n / 1e6, "ms"),
        _ => (n / 1e9, "s"),
    };
    let digits = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.digits$} {unit}")
}
