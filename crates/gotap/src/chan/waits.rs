//! For how long goroutines wait, by line: from looking at all of them again and again.
//!
//! A wait that is shorter than the time between two looks is mostly not seen, and the length of the others is
//! known as well as that. Nothing is attached.

use std::collections::{BTreeMap, HashMap};

use goruntime::{Goroutine, Snapshot, State, Symbols, WaitingOn};
use serde_json::{Value, json};

use super::place_of;

/// Where buckets begin, in nanoseconds; the first begins at 0.
const BOUNDS: [u64; 7] = [
    10_000_000,
    30_000_000,
    100_000_000,
    300_000_000,
    1_000_000_000,
    10_000_000_000,
    60_000_000_000,
];
/// Lines that are shown.
const SHOWN: usize = 20;
/// Lines that are kept.
const MAX_LINES: usize = 4096;

/// A place where goroutines wait.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place<'d> {
    reason: Option<String>,
    function: &'d str,
    file: &'d str,
    line: u32,
}

/// A goroutine that waits, as it was seen.
#[derive(Debug, Clone)]
struct Episode {
    place: usize,
    /// How often it had stopped running when it began to wait.
    stops: Option<u8>,
    /// The look before it was seen first, and that look itself.
    began: (u64, u64),
    /// Since when the garbage collector knows it to wait.
    since: Option<u64>,
    last: u64,
}

/// Waits at one place.
#[derive(Debug, Clone, Default)]
struct Line {
    /// Those that ended, by bucket.
    ended: [u64; BOUNDS.len() + 1],
    longest: u64,
    /// How many were seen waiting, over all looks.
    seen: u64,
    /// Those that still wait, and for how long at least the oldest has.
    still: u64,
    oldest: u64,
}

/// What was seen so far.
#[derive(Default)]
pub(super) struct Waits<'d> {
    places: Vec<Place<'d>>,
    numbers: BTreeMap<Place<'d>, usize>,
    lines: Vec<Line>,
    open: HashMap<u64, Episode>,
    looks: u64,
    first: Option<u64>,
    last: u64,
    left_out: LeftOut,
}

/// Why a goroutine that waits is in no line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// Its stack is not known, or has no function.
    NoStack,
    /// There are as many lines as are kept.
    Full,
}

/// How often a goroutine that waits is in no line, over all looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct LeftOut {
    no_stack: u64,
    full: u64,
}

impl LeftOut {
    fn add(&mut self, why: Why) {
        match why {
            Why::NoStack => self.no_stack += 1,
            Why::Full => self.full += 1,
        }
    }

    fn notes(self) -> Vec<String> {
        let mut out = Vec::new();
        let mut say = |count: u64, why: &str| {
            if count > 0 {
                out.push(format!("{count} times a goroutine that waited is in no line: {why}"));
            }
        };
        say(self.no_stack, "its stack is not known");
        say(self.full, &format!("there are more than {MAX_LINES} lines"));
        out
    }
}

impl<'d> Waits<'d> {
    /// Takes what was seen at a time of the monotonic clock.
    pub(super) fn look(&mut self, snapshot: &Snapshot, symbols: &Symbols<'_, 'd>, now: u64) {
        let before = self.last;
        self.looks += 1;
        self.first.get_or_insert(now);
        let mut places = HashMap::new();
        for goroutine in snapshot.goroutines.iter().filter(|g| waits(g)) {
            let reason = snapshot.wait_reason(goroutine);
            let place = *places
                .entry((goroutine.stack, reason))
                .or_insert_with(|| self.place(snapshot, goroutine, symbols, reason));
            match place {
                Ok(place) => self.seen(goroutine, place, before, now),
                Err(why) => self.left_out.add(why),
            }
        }
        let ended: Vec<u64> =
            self.open.iter().filter(|(_, e)| e.last != now).map(|(goid, _)| *goid).collect();
        for goid in ended {
            if let Some(episode) = self.open.remove(&goid) {
                self.end(&episode, now);
            }
        }
        self.last = now;
    }

    fn place(
        &mut self,
        snapshot: &Snapshot,
        goroutine: &Goroutine,
        symbols: &Symbols<'_, 'd>,
        reason: Option<&str>,
    ) -> Result<usize, Why> {
        let stack = symbols.stack(snapshot.stack(goroutine).ok_or(Why::NoStack)?);
        let at = place_of(&stack).ok_or(Why::NoStack)?;
        let (function, file, line) = (at.function, at.file, at.line);
        self.number(Place { reason: reason.map(str::to_owned), function, file, line })
    }

    fn number(&mut self, place: Place<'d>) -> Result<usize, Why> {
        if let Some(number) = self.numbers.get(&place) {
            return Ok(*number);
        }
        if self.places.len() >= MAX_LINES {
            return Err(Why::Full);
        }
        self.numbers.insert(place.clone(), self.places.len());
        self.places.push(place);
        self.lines.push(Line::default());
        Ok(self.places.len() - 1)
    }

    fn seen(&mut self, goroutine: &Goroutine, place: usize, before: u64, now: u64) {
        self.lines[place].seen += 1;
        let is_same = |episode: &Episode| {
            let stopped_once = episode.stops.is_some() && episode.stops == goroutine.stops;
            episode.place == place && (stopped_once || goroutine.stops.is_none())
        };
        if let Some(episode) = self.open.get_mut(&goroutine.goid).filter(|e| is_same(e)) {
            episode.last = now;
            episode.since = goroutine.wait_since.or(episode.since);
            return;
        }
        let began = (if self.looks > 1 { before } else { now }, now);
        let (stops, since) = (goroutine.stops, goroutine.wait_since);
        let episode = Episode { place, stops, began, since, last: now };
        if let Some(other) = self.open.insert(goroutine.goid, episode) {
            self.end(&other, now);
        }
    }

    /// One has ended, between the look that saw it last and now.
    fn end(&mut self, episode: &Episode, now: u64) {
        let began = episode.began.0.midpoint(episode.began.1);
        let began = episode.since.map_or(began, |since| since.min(began));
        let lasted = episode.last.midpoint(now).saturating_sub(began);
        let line = &mut self.lines[episode.place];
        line.ended[BOUNDS.partition_point(|bound| *bound <= lasted)] += 1;
        line.longest = line.longest.max(lasted);
    }

    /// No more looks.
    pub(super) fn finish(&mut self) {
        for episode in self.open.values() {
            let began = episode.since.map_or(episode.began.1, |since| since.min(episode.began.1));
            let line = &mut self.lines[episode.place];
            line.still += 1;
            line.oldest = line.oldest.max(self.last.saturating_sub(began));
        }
        self.open.clear();
    }

    /// Those at which most time was spent waiting.
    fn shown(&self) -> Vec<(&Place<'d>, &Line)> {
        let mut all: Vec<_> = self.places.iter().zip(&self.lines).collect();
        all.sort_by(|a, b| b.1.seen.cmp(&a.1.seen).then(a.0.cmp(b.0)));
        all.truncate(SHOWN);
        all
    }

    /// How many more lines there are.
    fn not_shown(&self) -> usize {
        self.places.len().saturating_sub(SHOWN)
    }

    /// Between two looks, in seconds.
    fn interval(&self) -> Option<f64> {
        let looks = self.looks.checked_sub(1).filter(|n| *n > 0)?;
        Some(self.last.saturating_sub(self.first?) as f64 / looks as f64 / 1e9)
    }

    pub(super) fn json(&self) -> Value {
        let bucket = |(i, count): (usize, &u64)| {
            let from = i.checked_sub(1).map_or(0, |i| BOUNDS[i]);
            json!({"fromSeconds": from as f64 / 1e9, "count": count})
        };
        let lines = self.shown().into_iter().map(|(place, line)| {
            json!({
                "waitReason": place.reason,
                "function": goruntime::printed(place.function),
                "file": place.file,
                "line": place.line,
                "averageWaiting": line.seen as f64 / self.looks.max(1) as f64,
                "ended": line.ended.iter().sum::<u64>(),
                "stillWaiting": line.still,
                "longestSeconds": (line.longest > 0).then(|| line.longest as f64 / 1e9),
                "oldestSeconds": (line.still > 0).then(|| line.oldest as f64 / 1e9),
                "buckets": line.ended.iter().enumerate().map(bucket).collect::<Vec<_>>(),
            })
        });
        json!({
            "looks": self.looks,
            "intervalSeconds": self.interval(),
            "moreLines": self.not_shown(),
            "leftOut": self.left_out.full,
            "leftOutWithoutStack": self.left_out.no_stack,
            "lines": lines.collect::<Vec<_>>(),
        })
    }

    pub(super) fn text(&self) -> Vec<String> {
        let looks = match self.interval() {
            Some(seconds) => {
                let (looks, every) = (self.looks, seconds * 1e3);
                format!("{looks} looks, one each {every:.0} ms; shorter ones are mostly not seen")
            }
            None => "1 look: for how long each waited is not known, look for longer".to_owned(),
        };
        let mut out = vec![
            format!("\nwaits, by {looks}"),
            format!(
                "{:>8} {:>6} {:>6} {:>5} {:>5} {:>5} {:>5} {:>5} {:>5}  {:>7} {:>6}  where",
                "average",
                "<10ms",
                "<30ms",
                "<0.1s",
                "<0.3s",
                "<1s",
                "<10s",
                "<60s",
                "more",
                "longest",
                "still"
            ),
        ];
        for (place, line) in self.shown() {
            let [a, b, c, d, e, f, g, h] = line.ended;
            out.push(format!(
                "{:>8.1} {a:>6} {b:>6} {c:>5} {d:>5} {e:>5} {f:>5} {g:>5} {h:>5}  {:>6.2}s {:>6}  {}  {}  {}:{}",
                line.seen as f64 / self.looks.max(1) as f64,
                line.longest.max(line.oldest) as f64 / 1e9,
                line.still,
                place.reason.as_deref().unwrap_or("?"),
                goruntime::printed(place.function),
                place.file,
                place.line,
            ));
        }
        if self.not_shown() > 0 {
            out.push(format!("note: {} further lines are not shown", self.not_shown()));
        }
        out.extend(self.left_out.notes().into_iter().map(|note| format!("note: {note}")));
        out
    }
}

/// Whether it waits for others of the program.
fn waits(goroutine: &Goroutine) -> bool {
    goroutine.state == State::Waiting
        && !goroutine.system
        && !goroutine.changed
        && matches!(
            goroutine.waiting_on,
            Some(
                WaitingOn::Channel(_)
                    | WaitingOn::Select(_)
                    | WaitingOn::Lock(_)
                    | WaitingOn::NilChannel
            )
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_no_line_is_counted_and_said_by_reason() {
        let mut waits = Waits::default();
        assert_eq!(waits.text().len(), 2);
        let place = |line| Place { reason: None, function: "main.work", file: "/src/a.go", line };
        let lines = u32::try_from(MAX_LINES).unwrap();
        for line in 0..lines {
            assert_eq!(waits.number(place(line)), Ok(line as usize));
        }
        assert_eq!((waits.number(place(7)), waits.number(place(lines))), (Ok(7), Err(Why::Full)));
        waits.left_out.add(Why::Full);
        waits.left_out.add(Why::NoStack);
        waits.left_out.add(Why::Full);
        let json = waits.json();
        assert_eq!((&json["leftOut"], &json["leftOutWithoutStack"]), (&json!(2), &json!(1)));
        assert!(json["lines"][0]["waitReason"].is_null());
        assert_eq!(json["moreLines"], MAX_LINES - SHOWN);
        let notes = waits.text().split_off(2 + SHOWN);
        let [shown, stack, full] = notes.as_slice() else { panic!("{notes:?}") };
        assert_eq!(shown, "note: 4076 further lines are not shown");
        let left_out =
            "note: 1 times a goroutine that waited is in no line: its stack is not known";
        assert_eq!(stack, left_out);
        assert!(full.starts_with("note: 2 times a goroutine that waited is in no line: there are"));
    }
}
