//! Requests that have ended, by route: how many, and where their time went. Not here: printing (`print`).

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use trace::{Kind, Span};

use super::table::{Looked, Table};
use super::times::Sums;

/// Routes that are told apart.
const MAX_ROUTES: usize = 1000;
/// Requests are looked at when they have taken this part of what counts as slow, within these bounds.
const EARLY: u32 = 50;
const EARLIEST: Duration = Duration::from_millis(1);
const LATEST: Duration = Duration::from_millis(5);
/// Different stacks that are kept of a route.
const MAX_STACKS: usize = 1024;
/// Requests whose routes are remembered for the samples of their processor time.
const MAX_SPANS: usize = 1 << 20;

/// What requests have in common.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Operation {
    /// Of HTTP.
    pub(crate) method: Option<String>,
    /// The route, or of a remote call the procedure; `None` where it is not known.
    pub(crate) route: Option<String>,
}

impl Operation {
    /// Of a request that was served.
    pub(crate) fn of(span: &Span) -> Self {
        let procedure = || span.operation.call().map(|_| span.name.to_string());
        let trace::Operation::Http(http) = &span.operation else {
            return Self { method: None, route: procedure() };
        };
        let route = http.route.as_ref().map(|route| route.to_string());
        let method = http.method.as_ref().map(|method| method.label().to_owned());
        Self { method, route: route.or_else(procedure) }
    }

    /// Whether the user asked for it: by its route, or its method and its route; or for all.
    pub(crate) fn is(&self, wanted: &str) -> bool {
        wanted == "*" || self.route.as_deref() == Some(wanted) || self.to_string() == wanted
    }
}

impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let route = self.route.as_deref().unwrap_or("(no route)");
        match &self.method {
            Some(method) => write!(f, "{method} {route}"),
            None => f.write_str(route),
        }
    }
}

/// Requests of one sort.
#[derive(Debug, Clone, Default)]
pub(crate) struct Requests {
    pub(crate) count: u64,
    /// How long they took together, in nanoseconds.
    pub(crate) took: u64,
    /// Of the goroutines that serve them.
    pub(crate) sums: Sums,
    /// Of the goroutines that these started.
    pub(crate) started: Sums,
    /// The most of those that one request had at once.
    pub(crate) most_started: u32,
    /// Requests that were never seen, so that nothing is known of them.
    pub(crate) unseen: u64,
    pub(crate) looks: u64,
    /// Time that nobody looked at: all of requests that were never seen, and the beginnings of the others.
    pub(crate) not_looked: u64,
}

impl Requests {
    /// Requests that were looked at.
    pub(crate) fn seen(&self) -> u64 {
        self.count - self.unseen
    }

    /// Gives the time that the requests took to what the looks stand for, and the rest to what is unknown.
    fn settled(self) -> Self {
        let sums = self.sums.settled(self.took, self.not_looked);
        Self { sums, ..self }
    }

    fn add(&mut self, looked: Option<Looked>, took: u64, early: u64) {
        self.count += 1;
        self.took += took;
        let Some(looked) = looked else {
            self.unseen += 1;
            self.not_looked += took;
            return;
        };
        self.not_looked += took.min(early);
        self.looks += u64::from(looked.times.looks);
        self.sums.merge(&looked.times.sums(), MAX_STACKS);
        self.started.merge(&looked.started, MAX_STACKS);
        self.most_started = self.most_started.max(looked.most_started);
    }
}

/// Which requests are wanted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    pub(crate) slower_than: Duration,
    pub(crate) route: Option<String>,
}

impl Wanted {
    /// Requests are looked at when they have taken so long.
    pub(crate) fn early(&self) -> Duration {
        (self.slower_than / EARLY).clamp(EARLIEST, LATEST)
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// All that was found.
#[derive(Debug, Clone, Default)]
pub(crate) struct Found {
    pub(crate) operations: BTreeMap<Operation, Requests>,
    /// Of requests that are among these.
    pub(crate) spans: HashMap<[u8; 8], Operation>,
    /// Requests that were quicker.
    pub(crate) quick: u64,
    /// Those of other routes, and some of these routes.
    pub(crate) others: u64,
    pub(crate) other_routes: BTreeMap<Operation, u64>,
    /// Requests beyond so many routes.
    pub(crate) full: u64,
}

impl Found {
    /// The routes of requests that were not asked for, the most frequent first.
    pub(crate) fn routes(&self) -> Option<String> {
        let mut seen: Vec<_> = self.other_routes.iter().collect();
        seen.sort_by_key(|(_, count)| u64::MAX - **count);
        let names: Vec<_> = seen.iter().take(10).map(|(o, _)| o.to_string()).collect();
        (!names.is_empty()).then(|| names.join(", "))
    }
}

/// The same, in the making.
#[derive(Debug)]
pub(crate) struct Tally {
    wanted: Wanted,
    /// In nanoseconds.
    early: u64,
    found: Mutex<Found>,
}

impl Tally {
    pub(crate) fn new(wanted: Wanted) -> Self {
        let early = nanoseconds(wanted.early());
        Self { wanted, early, found: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Requests are looked at when they have taken so long.
    pub(crate) fn early(&self) -> Duration {
        self.wanted.early()
    }

    /// A request has ended.
    pub(crate) fn span(&self, span: &Span, table: &Table) {
        if span.kind != Kind::Server {
            return;
        }
        let looked = table.take(span.span_id);
        let took = span.end_unix_nano.saturating_sub(span.start_unix_nano);
        let mut found = self.lock();
        let operation = Operation::of(span);
        if self.wanted.route.as_deref().is_some_and(|route| !operation.is(route)) {
            found.others += 1;
            if found.other_routes.len() < MAX_ROUTES {
                *found.other_routes.entry(operation).or_default() += 1;
            }
            return;
        }
        if Duration::from_nanos(took) <= self.wanted.slower_than {
            found.quick += 1;
            return;
        }
        if found.operations.len() >= MAX_ROUTES && !found.operations.contains_key(&operation) {
            found.full += 1;
            return;
        }
        if found.spans.len() < MAX_SPANS {
            found.spans.insert(span.span_id, operation.clone());
        }
        found.operations.entry(operation).or_default().add(looked, took, self.early);
    }

    /// What was found.
    pub(crate) fn found(&self) -> Found {
        let mut found = self.lock().clone();
        for requests in found.operations.values_mut() {
            *requests = std::mem::take(requests).settled();
        }
        found
    }
}

/// Requests that were being served at the end: together, as their routes are known when they end.
pub(crate) fn running(left: Vec<(Looked, u64)>, early: Duration) -> Requests {
    let mut out = Requests::default();
    for (looked, took) in left {
        out.add(Some(looked), took, nanoseconds(early));
    }
    out.settled()
}

#[cfg(test)]
mod tests {
    use super::super::state::Doing;
    use super::super::times::{Moment, Seen};
    use super::*;
    use trace::synthetic::{http, span};

    fn request(id: u8, route: &str, took: u64) -> Span {
        let mut out = span(1, id, None);
        out.end_unix_nano = out.start_unix_nano + took;
        let method = Some(trace::Named::known("GET"));
        out.operation =
            http(trace::Http { method, route: Some(route.into()), ..Default::default() });
        out
    }

    #[test]
    fn requests_are_told_apart_by_route_and_length() {
        let slower_than = Duration::from_nanos(50);
        let tally = Tally::new(Wanted { slower_than, route: Some("/a".into()) });
        let table = Table::default();
        for (id, route, took) in [(1, "/a", 100), (2, "/a", 50), (3, "/b", 100), (4, "/a", 60)] {
            tally.span(&request(id, route, took), &table);
        }
        let found = tally.found();
        let all: Vec<_> = found.operations.iter().collect();
        let [(operation, requests)] = &all[..] else { panic!("{all:?}") };
        assert_eq!(operation.to_string(), "GET /a");
        assert_eq!((requests.count, requests.took, requests.unseen), (2, 160, 2));
        // Nobody looked at them: nothing is known.
        assert_eq!((requests.sums.unknown, requests.sums.known()), (160, 0));
        assert_eq!((found.quick, found.others, found.spans.len()), (1, 1, 2));
    }

    fn serving(span_id: [u8; 8]) -> wire::Serving {
        let mut out = wire::decode_serving(&[0; size_of::<wire::Serving>()])[0];
        out.span_id = u64::from_ne_bytes(span_id);
        out
    }

    /// Few looks tell nothing of the requests that they were not at.
    #[test]
    fn requests_that_no_look_covered_are_unknown() {
        let slower_than = Duration::from_millis(10);
        let (tally, table) = (Tally::new(Wanted { slower_than, route: None }), Table::default());
        let moment = Moment { at: 90_000_000, weight: 5_000_000, late: 0, reach: 15_000_000 };
        for id in 1..=99 {
            let span = request(id, "/a", 100_000_000);
            if id <= 5 {
                let request = serving(span.span_id);
                table.look(&request, Seen { moment, doing: Doing::Mutex, stack: None }, &[]);
            }
            tally.span(&span, &table);
        }
        let found = tally.found();
        let requests = found.operations.values().next().unwrap();
        assert_eq!((requests.count, requests.seen(), requests.looks), (99, 5, 5));
        let (mutex, unknown) = (requests.sums.of(Doing::Mutex), requests.sums.unknown);
        assert_eq!((mutex, unknown), (25_000_000, 9_875_000_000));
    }

    #[test]
    fn a_route_is_asked_for_with_or_without_its_method() {
        let operation = Operation::of(&request(1, "/a", 1));
        assert!(operation.is("/a") && operation.is("GET /a"));
        assert!(!operation.is("POST /a") && !operation.is("/"));
        assert_eq!(Operation::default().to_string(), "(no route)");
    }
}
