//! Spans of calls that were answered and have not ended yet: connect's of streams and of gRPC's
//! protocols, whose code comes behind the body. Whether a request is one that connect made is known only
//! when it ends, so that none waits for ever.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::assemble::MAX_PENDING;
use crate::span::Span;

/// After so many ends in a row that belong to no span of a process, its spans are not waited for but for
/// every other one, until one of those ends: something has then replaced what its responses are known by.
const MAX_UNMATCHED: u32 = 1024;
/// For how long calls are waited for that have failed, in nanoseconds.
const FAILED: u64 = 1_000_000_000;
/// The same for calls that go on: in a process whose calls were seen to end, and in one where no end was seen yet.
const OPEN: u64 = 3600 * 1_000_000_000;
const UNKNOWN: u64 = 60 * 1_000_000_000;

/// Process instance, and address of the response's `http.Header`.
type Key = (u32, u64);

/// How a call goes on whose request was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GoesOn {
    /// In the answer's body, for as long as it may take.
    Open,
    /// It failed, and what is said of that is read at once.
    Failed,
}

/// A call that was answered.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Call {
    /// As it is if nothing more comes.
    pub(crate) span: Span,
    /// When the answer came, by the clock of the events.
    pub(crate) answered_ns: u64,
}

#[derive(Debug)]
struct Waiting {
    call: Call,
    place: u64,
    until: u64,
}

/// What is known of the ends of a process.
#[derive(Debug, Default)]
struct Ends {
    seen: bool,
    /// That belonged to no span, since the last one that did.
    unmatched: u32,
}

#[derive(Debug)]
pub(crate) struct PendingCalls {
    /// As many calls may be open at once; the oldest make room: their spans are sent as they are.
    max: usize,
    calls: HashMap<Key, Waiting>,
    /// By when they came.
    order: BTreeMap<u64, Key>,
    /// By until when they wait, with their places in `order`.
    until: BTreeSet<(u64, u64)>,
    next: u64,
    ends: HashMap<u32, Ends>,
}

impl Default for PendingCalls {
    fn default() -> Self {
        Self {
            max: MAX_PENDING,
            calls: HashMap::new(),
            order: BTreeMap::new(),
            until: BTreeSet::new(),
            next: 0,
            ends: HashMap::new(),
        }
    }
}

impl PendingCalls {
    /// Lets so many calls be open at once.
    pub(crate) fn hold_at_most(&mut self, max: usize) {
        self.max = max;
    }

    /// Keeps a call, the first with its key, until it ends, or for a while; gives the one that must be
    /// sent now instead.
    pub(crate) fn insert(&mut self, key: Key, call: Call, how: GoesOn) -> Option<Call> {
        let ends = self.ends.get_mut(&key.0);
        let patience = match how {
            GoesOn::Failed => FAILED,
            GoesOn::Open if ends.as_ref().is_some_and(|ends| ends.seen) => OPEN,
            GoesOn::Open => UNKNOWN,
        };
        if let Some(ends) = ends.filter(|ends| ends.unmatched >= MAX_UNMATCHED) {
            // One for its own end, which will match no call, and one for the next call's sake.
            ends.unmatched -= 2;
            return Some(call);
        }
        let full = self.calls.len() >= self.max;
        let oldest = self.order.first_key_value().map(|(_, key)| *key).filter(|_| full);
        let evicted = oldest.and_then(|key| self.remove(key));
        let (place, until) = (self.next, call.answered_ns.saturating_add(patience));
        self.next += 1;
        self.order.insert(place, key);
        self.until.insert((until, place));
        self.calls.insert(key, Waiting { call, place, until });
        evicted
    }

    /// The call that has ended. `first` says that its end is reported for the first time.
    pub(crate) fn end(&mut self, key: Key, first: bool) -> Option<Call> {
        let found = self.remove(key);
        let ends = self.ends.entry(key.0).or_default();
        ends.seen = true;
        if found.is_some() {
            ends.unmatched = 0;
        } else if first {
            ends.unmatched = (ends.unmatched + 1).min(MAX_UNMATCHED);
        }
        found
    }

    /// The call that nothing more can be known of.
    pub(crate) fn remove(&mut self, key: Key) -> Option<Call> {
        let Waiting { call, place, until } = self.calls.remove(&key)?;
        self.order.remove(&place);
        self.until.remove(&(until, place));
        Some(call)
    }

    /// Spans that have waited until their time.
    pub(crate) fn expired(&mut self, now_ns: u64) -> Vec<Span> {
        let mut expired = Vec::new();
        while let Some((until, place)) = self.until.first().copied() {
            if until > now_ns {
                break;
            }
            self.until.remove(&(until, place));
            let key = self.order.get(&place).copied();
            expired.extend(key.and_then(|key| self.remove(key)).map(|call| call.span));
        }
        expired
    }

    /// All spans of a process, or of all, in the order in which they came.
    pub(crate) fn remove_all(&mut self, instance: Option<u32>) -> Vec<Span> {
        if let Some(instance) = instance {
            self.ends.remove(&instance);
        }
        let wanted = |key: &&Key| instance.is_none_or(|instance| key.0 == instance);
        let keys: Vec<Key> = self.order.values().filter(wanted).copied().collect();
        keys.into_iter().filter_map(|key| self.remove(key)).map(|call| call.span).collect()
    }
}

#[cfg(test)]
#[path = "pending_tests.rs"]
mod tests;
