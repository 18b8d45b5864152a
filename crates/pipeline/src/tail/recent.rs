//! How long requests of each route took lately: above which time one of a hundred is. Not here: what is done
//! with those that are.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use trace::Span;

/// Routes that are known; of others nothing is called slow.
const MAX_ROUTES: usize = 1000;
/// Requests of a route before any of it is called slow.
const FIRST: u32 = 200;
/// Requests after which the limit is computed anew.
const AGAIN: u32 = 200;
/// With so many requests the older ones count half.
const WINDOW: u32 = 10_000;

/// Powers of two of nanoseconds that have buckets: from a microsecond to some minutes.
const FIRST_POWER: u32 = 10;
const POWERS: usize = 28;
/// Buckets of each.
const PARTS: usize = 1 << PART_BITS;
const PART_BITS: u32 = 6;
const BUCKETS: usize = POWERS * PARTS;

/// Requests of one route.
#[derive(Debug)]
struct Route {
    hash: u64,
    service: Box<str>,
    name: Box<str>,
    counts: Box<[u16; BUCKETS]>,
    total: u32,
    /// Since the limit was computed.
    new: u32,
    /// What takes longer is slow, in nanoseconds.
    limit: u64,
}

/// All routes, bounded in number.
#[derive(Debug, Default)]
pub(super) struct Routes {
    routes: HashTable<Route>,
    hasher: RandomState,
}

impl Routes {
    /// Whether a request took longer than 99 of 100 before it. Counts it.
    pub(super) fn is_slow(&mut self, span: &Span) -> bool {
        let (service, name) = (span.resource.service_name(), span.name.as_str());
        let hash = self.hasher.hash_one((service, name));
        let is_it = |route: &Route| *route.service == *service && *route.name == *name;
        let fits = self.routes.len() < MAX_ROUTES;
        let route = match self.routes.entry(hash, is_it, |route| route.hash) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(vacant) if fits => {
                vacant.insert(Route::new(hash, service, name)).into_mut()
            }
            Entry::Vacant(_) => return false,
        };
        let took = span.end_unix_nano.saturating_sub(span.start_unix_nano);
        let slow = took > route.limit;
        route.count(took);
        slow
    }
}

impl Route {
    fn new(hash: u64, service: &str, name: &str) -> Self {
        Self {
            hash,
            service: service.into(),
            name: name.into(),
            counts: Box::new([0; BUCKETS]),
            total: 0,
            new: 0,
            limit: u64::MAX,
        }
    }

    fn count(&mut self, took: u64) {
        // There are never as many as a bucket may count: see WINDOW.
        let count = &mut self.counts[bucket(took)];
        *count = count.saturating_add(1);
        self.total += 1;
        self.new += 1;
        if self.total >= FIRST && self.new >= AGAIN {
            self.new = 0;
            self.limit = self.limit();
            if self.total >= WINDOW {
                self.counts.iter_mut().for_each(|n| *n /= 2);
                self.total = self.counts.iter().map(|n| u32::from(*n)).sum();
            }
        }
    }

    /// The end of the bucket that the 99th of 100 requests is in.
    fn limit(&self) -> u64 {
        let above = self.total / 100;
        let mut seen = 0;
        for (i, n) in self.counts.iter().enumerate().rev() {
            seen += u32::from(*n);
            if seen > above {
                return end(i);
            }
        }
        u64::MAX
    }
}

fn bucket(took: u64) -> usize {
    let power = took.max(1).ilog2();
    let Some(power) = power.checked_sub(FIRST_POWER) else { return 0 };
    let part = (took >> (power + FIRST_POWER - PART_BITS)) as usize % PARTS;
    (power as usize * PARTS + part).min(BUCKETS - 1)
}

/// The longest time that is in a bucket. The last one holds all that is longer.
fn end(bucket: usize) -> u64 {
    if bucket == BUCKETS - 1 {
        return u64::MAX;
    }
    let next = bucket + 1;
    let power = (next / PARTS) as u32 + FIRST_POWER;
    (1 << power) + ((next % PARTS) as u64) * (1 << (power - PART_BITS)) - 1
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn buckets_hold_what_is_not_above_their_end() {
        assert_eq!((bucket(0), bucket(1023), bucket(u64::MAX)), (0, 0, BUCKETS - 1));
        for took in [1024u64, 1_500, 1_000_000, 1_048_575, 1_048_576, 99_999_999, 5_000_000_000] {
            let at = bucket(took);
            assert!(end(at) >= took && end(at) < took + took / 32, "{took}: {at} to {}", end(at));
            assert_eq!((bucket(end(at)), bucket(end(at) + 1)), (at, at + 1), "{took}");
        }
    }

    #[test]
    fn one_of_a_hundred_is_slow_and_routes_are_apart() {
        let mut routes = Routes::default();
        let mut span = trace::synthetic::span(1, 1, None);
        span.resource = Arc::default();
        span.start_unix_nano = 0;
        let mut slow = 0;
        for i in 0..20_000u64 {
            let long = (i * 7919 % 1000).saturating_sub(984);
            span.end_unix_nano = 1_000_000 + long * 50_000_000;
            slow += u32::from(routes.is_slow(&span));
        }
        assert!((150..=250).contains(&slow), "{slow} of 20000");
        span.end_unix_nano = 5_000_000_000;
        assert!(routes.is_slow(&span));
        span.name = "another".into();
        assert!(!routes.is_slow(&span), "nothing is known of it");
    }

    #[test]
    fn a_route_that_gets_slower_is_not_slow_for_long() {
        let mut routes = Routes::default();
        let mut span = trace::synthetic::span(1, 1, None);
        span.start_unix_nano = 0;
        let mut of = |times: u32, took: u64| {
            span.end_unix_nano = took;
            (0..times).filter(|_| routes.is_slow(&span)).count()
        };
        assert_eq!(of(2_000, 1_000_000), 0);
        let slow = of(5_000, 5_000_000);
        assert!((1..=400).contains(&slow), "{slow}");
    }
}
