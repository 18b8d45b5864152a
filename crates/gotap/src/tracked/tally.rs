//! What events of goroutines add up to: who lives, how long others lived, and how many of each function
//! there were.
//!
//! Everything here is bounded, and what does not fit is counted. Not here: printing.

use hdrhistogram::Histogram;
use probes::TrackerCounts;
use std::collections::HashMap;
use wire::{Lifecycle, TrackedEvent};

use crate::governor::Coverage;

/// Live goroutines that are remembered, after their creation was seen.
const MAX_LIVE: usize = 1 << 20;
/// Start functions that are counted apart.
const MAX_FUNCTIONS: usize = 4096;

/// What is known of one that lives.
#[derive(Debug, Clone, Copy)]
struct Live {
    created_ns: u64,
    parent: Option<u64>,
}

/// What is known of the goroutine of an event, beside what the event says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// How long it lived, if it ended and its creation was seen.
    pub(super) lifetime: Option<u64>,
    /// Who created it.
    pub(super) parent: Option<u64>,
}

/// Of one function, or one kind of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Numbers {
    pub(super) created: u64,
    pub(super) exited: u64,
}

/// What the kernel's side counted, and how long it did.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counted {
    pub(super) created: TrackerCounts,
    pub(super) exited: TrackerCounts,
    /// Records that could not be understood.
    pub(super) invalid: u64,
    /// For how long events were seen.
    pub(super) coverage: Coverage,
}

/// The sums.
pub(super) struct Tally {
    live: HashMap<u64, Live>,
    max_live: usize,
    /// In nanoseconds.
    pub(super) lifetimes: Histogram<u64>,
    functions: HashMap<Option<u64>, Numbers>,
    /// Of functions beyond those that are counted apart.
    pub(super) other_functions: Numbers,
    /// Creations that did not fit among those that live.
    pub(super) not_remembered: u64,
    /// Exits of goroutines whose creation was not seen.
    pub(super) exited_unknown: u64,
}

impl Tally {
    pub(super) fn new() -> Self {
        // Two digits, and up to a century and more.
        let lifetimes = Histogram::new_with_bounds(1, 1 << 62, 2);
        let lifetimes = lifetimes.unwrap_or_else(|_| unreachable!("these bounds are allowed"));
        Self {
            live: HashMap::new(),
            max_live: MAX_LIVE,
            lifetimes,
            functions: HashMap::new(),
            other_functions: Numbers::default(),
            not_remembered: 0,
            exited_unknown: 0,
        }
    }

    /// Forgets who lives: some may end unseen.
    pub(super) fn forget(&mut self) {
        self.live.clear();
    }

    /// Adds an event.
    pub(super) fn add(&mut self, event: &TrackedEvent) -> Seen {
        let room = self.functions.len() < MAX_FUNCTIONS;
        let numbers = match self.functions.entry(event.start) {
            std::collections::hash_map::Entry::Vacant(_) if !room => &mut self.other_functions,
            entry => entry.or_default(),
        };
        match event.kind {
            Lifecycle::Created => {
                numbers.created += 1;
                let live = Live { created_ns: event.time_ns, parent: event.parent_goid };
                if self.live.len() < self.max_live {
                    self.live.insert(event.goid, live);
                } else {
                    self.not_remembered += 1;
                }
                Seen { lifetime: None, parent: event.parent_goid }
            }
            Lifecycle::Exited => {
                numbers.exited += 1;
                let Some(live) = self.live.remove(&event.goid) else {
                    self.exited_unknown += 1;
                    return Seen { lifetime: None, parent: event.parent_goid };
                };
                let lifetime = event.time_ns.saturating_sub(live.created_ns);
                self.lifetimes.saturating_record(lifetime);
                Seen { lifetime: Some(lifetime), parent: event.parent_goid.or(live.parent) }
            }
        }
    }

    /// How many of those whose creation was seen have not ended.
    pub(super) fn alive(&self) -> usize {
        self.live.len()
    }

    /// All functions, the most frequent first.
    pub(super) fn functions(&self) -> Vec<(Option<u64>, Numbers)> {
        let mut all: Vec<_> = self.functions.iter().map(|(start, n)| (*start, *n)).collect();
        all.sort_by_key(|(start, n)| (std::cmp::Reverse(n.created.max(n.exited)), *start));
        all
    }

    /// Lifetimes in buckets that begin at 1, 2 and 5 times a power of ten, without empty ones at both
    /// ends: from, to, and how many.
    pub(super) fn buckets(&self) -> Vec<(u64, u64, u64)> {
        let mut out: Vec<(u64, u64, u64)> = vec![(0, 1, 0)];
        let mut bounds = (0..19).flat_map(|power| [1, 2, 5].map(|n| n * 10u64.pow(power)));
        bounds.next();
        for value in self.lifetimes.iter_recorded() {
            let (at, count) = (value.value_iterated_to(), value.count_since_last_iteration());
            while let Some((_, to, _)) = out.last().filter(|(_, to, _)| at >= *to) {
                let Some(next) = bounds.next() else { break };
                out.push((*to, next, 0));
            }
            if let Some((_, _, n)) = out.last_mut() {
                *n += count;
            }
        }
        let first = out.iter().position(|(_, _, n)| *n > 0).unwrap_or(out.len());
        out.split_off(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: Lifecycle, goid: u64, time_ns: u64, start: u64) -> TrackedEvent {
        let parent_goid = (kind == Lifecycle::Created).then_some(1);
        let (created_at, start) = (None, Some(start));
        TrackedEvent { kind, time_ns, goid, parent_goid, created_at, start }
    }

    #[test]
    fn lifetimes_belong_to_those_whose_creation_was_seen() {
        let mut tally = Tally::new();
        tally.add(&event(Lifecycle::Created, 7, 100, 1));
        tally.add(&event(Lifecycle::Created, 8, 150, 1));
        let before = tally.add(&event(Lifecycle::Exited, 3, 160, 2));
        assert_eq!(before, Seen { lifetime: None, parent: None });
        let ended = tally.add(&event(Lifecycle::Exited, 7, 1_300, 1));
        assert_eq!(ended, Seen { lifetime: Some(1_200), parent: Some(1) });
        assert_eq!((tally.alive(), tally.exited_unknown), (1, 1));
        assert_eq!(tally.buckets(), [(1_000, 2_000, 1)]);
        let one = Numbers { created: 2, exited: 1 };
        assert_eq!(tally.functions()[0], (Some(1), one));
    }

    #[test]
    fn what_is_not_remembered_is_counted() {
        let mut tally = Tally::new();
        tally.max_live = 2;
        for goid in 1..=5 {
            tally.add(&event(Lifecycle::Created, goid, goid, 1));
        }
        for goid in 1..=5 {
            tally.add(&event(Lifecycle::Exited, goid, 10, 1));
        }
        assert_eq!((tally.not_remembered, tally.exited_unknown), (3, 3));
        assert_eq!(tally.lifetimes.len(), 2);
        for start in 0..=MAX_FUNCTIONS as u64 {
            tally.add(&event(Lifecycle::Created, 9, 1, start));
        }
        assert_eq!(tally.other_functions.created, 1);
    }

    #[test]
    fn buckets_hold_every_lifetime_once() {
        let mut tally = Tally::new();
        for n in [0, 1, 4, 999, 20_000_000, 1 << 61] {
            tally.lifetimes.saturating_record(n);
        }
        let buckets = tally.buckets();
        assert_eq!(buckets.iter().map(|(_, _, n)| n).sum::<u64>(), 6);
        assert!(buckets.windows(2).all(|pair| pair[0].1 == pair[1].0));
        assert_eq!(buckets[0], (0, 1, 1));
    }
}
