//! The requests that were looked at and have not ended, by the ids of their spans: who looks writes, who gets the
//! spans takes. Not here: what becomes of a request that has ended (`tally`).

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};

use wire::Serving;

use super::state::Doing;
use super::times::{Seen, Stack, Sums, Times};

/// Requests that are known at once.
const MAX_REQUESTS: usize = 16_384;
/// A request that was not seen for so long has ended without a span, in nanoseconds.
const FORGOTTEN: u64 = 60_000_000_000;
/// Looks at one request that may turn out to be after its end.
const MAX_PENDING: usize = 256;
/// Different stacks that are kept of the goroutines that one request started.
const MAX_STACKS: usize = 64;

/// What was seen of one request.
#[derive(Debug)]
pub(crate) struct Looked {
    /// Of the goroutine that serves it.
    pub(crate) times: Times,
    /// Of the goroutines that it started.
    pub(crate) started: Sums,
    /// The most of those that were seen at once.
    pub(crate) most_started: u32,
    /// Looks after which the request was not seen to be served: it may have ended before.
    pending: Vec<Seen>,
    start_ns: u64,
}

impl Looked {
    fn new(start_ns: u64) -> Self {
        let (times, started, pending) = (Times::new(start_ns), Sums::default(), Vec::new());
        Self { times, started, most_started: 0, pending, start_ns }
    }

    /// The times of a request that took so long: what was seen later is not its own.
    pub(crate) fn ended(mut self, took: u64) -> Times {
        let end = self.start_ns.saturating_add(took);
        let own = self.pending.into_iter().filter(|seen| seen.moment.at <= end);
        own.for_each(|seen| self.times.look(seen));
        self.times
    }
}

/// What is counted beside.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Looks at requests.
    pub(crate) looks: u64,
    /// Requests that could not be noted, as there were too many.
    pub(crate) full: u64,
    /// Requests that were seen and have no span.
    pub(crate) forgotten: u64,
}

#[derive(Debug, Default)]
struct Inner {
    requests: HashMap<[u8; 8], Looked>,
    counts: Counts,
}

/// The table, for any thread.
#[derive(Debug, Default)]
pub(crate) struct Table(Mutex<Inner>);

impl Table {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what was seen of a request, and what the goroutines did that it started.
    pub(crate) fn look(&self, request: &Serving, seen: Seen, started: &[(Doing, Option<Stack>)]) {
        let mut inner = self.lock();
        inner.counts.looks += 1;
        let key = request.span();
        if inner.requests.len() >= MAX_REQUESTS && !inner.requests.contains_key(&key) {
            inner.counts.full += 1;
            return;
        }
        let looked = inner.requests.entry(key).or_insert_with(|| Looked::new(request.start_ns));
        let weight = seen.moment.weight;
        looked.times.look(seen);
        for (doing, stack) in started {
            looked.started.add(*doing, stack.as_ref(), weight, MAX_STACKS);
        }
        let count = u32::try_from(started.len()).unwrap_or(u32::MAX);
        looked.most_started = looked.most_started.max(count);
    }

    /// Notes what was seen of a request that may have ended before; not if it was `just_served`. One that was not
    /// noted before is noted only if it was.
    pub(crate) fn look_later(&self, request: &Serving, seen: Seen, just_served: bool) {
        let mut inner = self.lock();
        let (key, full) = (request.span(), inner.requests.len() >= MAX_REQUESTS);
        let looked = match inner.requests.entry(key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(_) if !just_served => return,
            Entry::Vacant(_) if full => {
                inner.counts.full += 1;
                return;
            }
            Entry::Vacant(new) => new.insert(Looked::new(request.start_ns)),
        };
        if just_served {
            let before = std::mem::take(&mut looked.pending);
            before.into_iter().for_each(|seen| looked.times.look(seen));
        }
        // What finds no room is not known.
        if looked.pending.len() < MAX_PENDING {
            looked.pending.push(seen);
            inner.counts.looks += 1;
        }
    }

    /// Takes what was seen of a request that has ended.
    pub(crate) fn take(&self, span_id: [u8; 8]) -> Option<Looked> {
        self.lock().requests.remove(&span_id)
    }

    /// Forgets requests that ended long ago without a span.
    pub(crate) fn forget(&self, now: u64) {
        let mut inner = self.lock();
        let before = inner.requests.len();
        inner.requests.retain(|_, looked| {
            let last = looked.pending.last().map(|seen| seen.moment.at);
            let seen = last.or(looked.times.seen_at()).unwrap_or(looked.start_ns);
            now.saturating_sub(seen) < FORGOTTEN
        });
        inner.counts.forgotten += (before - inner.requests.len()) as u64;
    }

    /// What is left: requests that were being served at `now`, with their lengths by then, and how many were
    /// not seen any more and have no span.
    pub(crate) fn drain(&self, now: u64) -> (Vec<(Looked, u64)>, u64) {
        let mut inner = self.lock();
        let all = std::mem::take(&mut inner.requests).into_values();
        let (mut running, mut gone) = (Vec::new(), 0);
        for looked in all {
            let took = now.saturating_sub(looked.start_ns);
            match looked.times.is_recent(now) {
                true => running.push((looked, took)),
                false => gone += 1,
            }
        }
        (running, gone)
    }

    /// What was counted.
    pub(crate) fn counts(&self) -> Counts {
        self.lock().counts
    }
}

#[cfg(test)]
mod tests {
    use super::super::times::Moment;
    use super::*;

    fn seen(at: u64, doing: Doing) -> Seen {
        Seen { moment: Moment { at, weight: 10, late: 0, reach: 20 }, doing, stack: None }
    }

    #[test]
    fn what_was_seen_after_the_end_is_not_the_requests() {
        let table = Table::default();
        let mut request = wire::decode_serving(&[0; size_of::<Serving>()])[0];
        (request.span_id, request.start_ns) = (7, 100);
        table.look_later(&request, seen(110, Doing::Cpu), false);
        assert!(table.take(request.span()).is_none(), "it may have ended already");
        table.look_later(&request, seen(120, Doing::Cpu), true);
        table.look_later(&request, seen(130, Doing::Io), false);
        table.look_later(&request, seen(140, Doing::Sleep), true);
        table.look_later(&request, seen(150, Doing::Io), false);
        let times = table.take(request.span()).unwrap().ended(45);
        assert_eq!(times.looks, 3);
        let sums = times.sums();
        let of = [Doing::Cpu, Doing::Io, Doing::Sleep].map(|doing| sums.of(doing));
        assert_eq!(of, [10, 10, 10]);
    }
}
