//! Spans of calls that were answered and have not ended yet: connect's of streams and of gRPC's
//! protocols, whose code comes behind the body.

use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::span::Span;

/// As many calls may be open at once; the oldest make room, and are told as they are known.
const MAX_HELD: usize = 8192;
/// After so many ends in a row that belong to no span of a process, its spans wait no longer: its
/// requests are then not answered by the responses that connect gets, which something has replaced.
const MAX_STRANGERS: u32 = 1024;

/// Process instance, and address of the `http.Response`.
type Key = (u32, u64);

#[derive(Debug, Default)]
pub(crate) struct Held {
    /// With their places in `order`.
    spans: HashMap<Key, (u64, Span)>,
    order: BTreeMap<u64, Key>,
    next: u64,
    /// Until when some wait at most, by the clock of the events, with their places in `order`.
    brief: VecDeque<(u64, u64)>,
    /// By process.
    strangers: HashMap<u32, u32>,
}

impl Held {
    /// Keeps the span of a call until it ends, or until this time; gives the one that must be told now
    /// instead.
    pub(crate) fn insert(&mut self, key: Key, span: Span, until: Option<u64>) -> Option<Span> {
        if self.strangers.get(&key.0).is_some_and(|n| *n >= MAX_STRANGERS) {
            return Some(span);
        }
        // A response at the same address: the last one is gone, and its call was never ended.
        let mut ousted = self.remove(key);
        if self.spans.len() >= MAX_HELD {
            let oldest = self.order.first_key_value().map(|(_, key)| *key);
            ousted = oldest.and_then(|key| self.remove(key));
        }
        self.brief.extend(until.map(|until| (until, self.next)));
        self.order.insert(self.next, key);
        self.spans.insert(key, (self.next, span));
        self.next += 1;
        ousted
    }

    /// The span of a call that has ended.
    pub(crate) fn end(&mut self, key: Key) -> Option<Span> {
        let found = self.remove(key);
        let strangers = self.strangers.entry(key.0).or_default();
        *strangers = if found.is_some() { 0 } else { strangers.saturating_add(1) };
        found
    }

    /// The span of a call, which may have ended before.
    pub(crate) fn remove(&mut self, key: Key) -> Option<Span> {
        let (place, span) = self.spans.remove(&key)?;
        self.order.remove(&place);
        Some(span)
    }

    /// Spans that have waited until their time.
    pub(crate) fn expired(&mut self, now_ns: u64) -> Vec<Span> {
        let mut expired = Vec::new();
        while let Some((_, place)) = self.brief.pop_front_if(|(until, _)| *until <= now_ns) {
            let key = self.order.get(&place).copied();
            expired.extend(key.and_then(|key| self.remove(key)));
        }
        expired
    }

    /// All spans of a process, or of all, in the order in which they came.
    pub(crate) fn remove_all(&mut self, instance: Option<u32>) -> Vec<Span> {
        if let Some(instance) = instance {
            self.strangers.remove(&instance);
        }
        let wanted = |key: &&Key| instance.is_none_or(|instance| key.0 == instance);
        let keys: Vec<Key> = self.order.values().filter(wanted).copied().collect();
        keys.into_iter().filter_map(|key| self.remove(key)).collect()
    }
}

#[cfg(test)]
mod tests {
    use wire::Parent;

    use super::*;
    use crate::assemble::ProcessInfo;
    use crate::span::{Kind, Status};
    use crate::test_support::core;

    fn span(n: u64) -> Span {
        let (kind, process) = (Kind::Client, ProcessInfo::default());
        let name = n.to_string();
        Span::new(&core(Parent::None), name, kind, Status::Unset, Vec::new(), &process, 0)
    }

    fn names(spans: impl IntoIterator<Item = Span>) -> Vec<String> {
        spans.into_iter().map(|span| span.name.into()).collect()
    }

    #[test]
    fn the_oldest_that_is_still_open_makes_room() {
        let mut held = Held::default();
        for n in 0..MAX_HELD as u64 + 1 {
            assert_eq!(held.insert((1, n), span(n), None), (n == MAX_HELD as u64).then(|| span(0)));
        }
        // Calls that come and go oust nobody.
        assert!(held.end((1, 5)).is_some());
        for n in 0..3 * MAX_HELD as u64 {
            assert_eq!(held.insert((2, n), span(n), None), None);
            assert_eq!(held.end((2, n)), Some(span(n)));
        }
        assert_eq!(names(held.insert((1, 0), span(0), None)), [""; 0]);
        assert_eq!(names(held.insert((1, 5), span(5), None)), ["1"]);
    }

    #[test]
    fn a_response_at_the_same_address_ends_the_call_before() {
        let mut held = Held::default();
        held.insert((1, 7), span(1), None);
        assert_eq!(held.insert((1, 7), span(2), None), Some(span(1)));
        assert_eq!(held.insert((2, 7), span(3), None), None);
        assert_eq!(names(held.remove_all(Some(1))), ["2"]);
        assert_eq!(names(held.remove_all(None)), ["3"]);
    }

    #[test]
    fn some_wait_for_a_while_only() {
        let (mut held, now, later) = (Held::default(), 1_000, 2_000);
        held.insert((1, 1), span(1), Some(later));
        held.insert((1, 2), span(2), None);
        held.insert((1, 3), span(3), Some(later));
        assert_eq!(held.end((1, 3)), Some(span(3)));
        assert_eq!(held.insert((1, 3), span(4), None), None);
        assert_eq!(names(held.expired(now)), [""; 0]);
        assert_eq!(names(held.expired(later)), ["1"]);
        assert_eq!(names(held.remove_all(None)), ["2", "4"]);
    }

    #[test]
    fn a_process_whose_ends_fit_no_span_is_not_waited_for() {
        let mut held = Held::default();
        for n in 0..u64::from(MAX_STRANGERS) {
            assert_eq!(held.insert((1, n), span(n), None), None);
            assert_eq!(held.end((1, n)), Some(span(n)));
            assert_eq!(held.end((1, n)), None);
        }
        for n in 1..u64::from(MAX_STRANGERS) {
            assert_eq!(held.end((1, n)), None);
        }
        assert_eq!(held.insert((1, 1), span(1), None), Some(span(1)));
        assert_eq!(held.insert((2, 1), span(1), None), None);
    }
}
