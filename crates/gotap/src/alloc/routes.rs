//! What is allocated for the requests of each route: counts by request, joined with the requests that tracing
//! sees. Not here: tracing, and printing.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use anyhow::Result;
use probes::{Meter, RequestCount};
use wire::MeterOwner;

use super::weigh::{Hit, Weights};
use crate::governor::Watch;
use crate::xray::{Found, Operation};

/// Requests, with what is counted of each, that are kept.
const MAX_COUNTS: usize = 1 << 20;
/// How often the kernel's counts are read: there is room for some thousand there.
const READ: Duration = Duration::from_millis(100);

/// Counts by request.
#[derive(Debug)]
pub(super) struct ByRequest {
    counts: HashMap<(Owner, u32, u64), (u64, u64)>,
    /// Hits that found no room here or in the kernel.
    full: u64,
    knows_started: bool,
    looked: Instant,
}

/// For whom something was allocated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Owner {
    None,
    Request([u8; 8]),
    Unread,
}

/// What was allocated.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Amount {
    pub(super) samples: u64,
    pub(super) objects: f64,
    pub(super) bytes: f64,
}

/// All of it, by route.
#[derive(Debug, Default)]
pub(super) struct ByRoute {
    /// Those with most bytes first. A request whose route is not known has none in its operation.
    pub(super) routes: Vec<(Operation, Amount)>,
    /// For no request.
    pub(super) none: Amount,
    /// For requests whose end was not seen: they had not ended, or their spans are lost.
    pub(super) not_ended: Amount,
    /// By goroutines that could not be read.
    pub(super) unread: Amount,
    pub(super) notes: Vec<String>,
}

impl ByRequest {
    pub(super) fn new(knows_started: bool) -> Self {
        Self { counts: HashMap::new(), full: 0, knows_started, looked: Instant::now() }
    }

    /// Reads the kernel's counts, if it is time for it. What that takes is a part of the budget.
    pub(super) fn now_and_then(&mut self, meter: &mut Meter, watch: &mut Watch) -> Result<()> {
        if self.looked.elapsed() >= READ {
            watch.spend(|| self.read(meter))?;
            self.looked = Instant::now();
        }
        Ok(())
    }

    /// Reads what there still is, when nothing is counted any more.
    pub(super) fn read_all(&mut self, meter: &mut Meter) -> Result<()> {
        // What was counted since the last time, and what a program counted late in the epoch before.
        self.read(meter)?;
        self.read(meter)?;
        self.full += meter.requests_lost()?;
        Ok(())
    }

    fn read(&mut self, meter: &mut Meter) -> Result<()> {
        meter.requests()?.iter().for_each(|one| self.add(one));
        Ok(())
    }

    fn add(&mut self, one: &RequestCount) {
        let owner = match one.owner {
            MeterOwner::None => Owner::None,
            MeterOwner::Request => Owner::Request(one.span_id),
            MeterOwner::Unread => Owner::Unread,
        };
        let key = (owner, one.operation, one.value);
        if self.counts.len() >= MAX_COUNTS && !self.counts.contains_key(&key) {
            self.full += one.count;
            return;
        }
        let sum = self.counts.entry(key).or_default();
        *sum = (sum.0 + one.count, sum.1.saturating_add(one.amount));
    }

    /// Added up by the routes of the requests that were found.
    pub(super) fn by_route(&self, found: &Found, weights: &Weights<'_>) -> ByRoute {
        let mut out = ByRoute { notes: self.notes(found), ..ByRoute::default() };
        let mut routes: BTreeMap<&Operation, Amount> = BTreeMap::new();
        for ((owner, operation, value), (count, amount)) in &self.counts {
            let (operation, value, count, amount) = (*operation, *value, *count, *amount);
            let Some(weight) = weights.of(&Hit { operation, value, count, amount }) else {
                continue;
            };
            let row = match owner {
                Owner::None => &mut out.none,
                Owner::Unread => &mut out.unread,
                Owner::Request(span) => match found.spans.get(span) {
                    Some(operation) => routes.entry(operation).or_default(),
                    None => &mut out.not_ended,
                },
            };
            row.samples += count;
            row.objects += weight.objects;
            row.bytes += weight.bytes;
        }
        out.routes = routes.into_iter().map(|(o, amount)| (o.clone(), amount)).collect();
        out.routes.sort_by(|a, b| b.1.bytes.total_cmp(&a.1.bytes));
        out
    }

    fn notes(&self, found: &Found) -> Vec<String> {
        let mut out = Vec::new();
        if found.operations.is_empty() {
            out.push("no request ended meanwhile, so that no route is known".to_owned());
        }
        if self.full > 0 {
            out.push(format!(
                "{} allocations are missing by route: there are too many requests",
                self.full
            ));
        }
        if found.full > 0 {
            out.push(format!(
                "{} requests have no row: there are more than 1000 routes",
                found.full
            ));
        }
        if !self.knows_started {
            out.push(
                "which goroutines requests start is known since Go 1.21: what those allocate counts as of no \
                 request"
                    .to_owned(),
            );
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alloc::weigh::MALLOC;

    fn count(owner: MeterOwner, span: u8, value: u64, count: u64) -> RequestCount {
        let (span_id, operation, amount) = ([span; 8], MALLOC, value * count);
        RequestCount { owner, span_id, operation, value, count, amount }
    }

    #[test]
    fn requests_become_routes_and_nothing_is_guessed() {
        let mut counts = ByRequest::new(true);
        for one in [
            count(MeterOwner::Request, 1, 64, 2),
            count(MeterOwner::Request, 1, 64, 3),
            count(MeterOwner::Request, 2, 1024, 10),
            count(MeterOwner::Request, 3, 16, 7),
            count(MeterOwner::Request, 4, 8, 1),
            count(MeterOwner::None, 0, 32, 4),
            count(MeterOwner::Unread, 0, 8, 5),
        ] {
            counts.add(&one);
        }
        let operation = |route: Option<&str>| Operation {
            method: Some("GET".to_owned()),
            route: route.map(str::to_owned),
        };
        let mut found = Found::default();
        found.spans.insert([1; 8], operation(Some("/a")));
        found.spans.insert([2; 8], operation(Some("/b")));
        found.spans.insert([4; 8], operation(None));
        let by_route = counts.by_route(&found, &Weights::each(1.0));
        let rows: Vec<_> =
            by_route.routes.iter().map(|(o, a)| (o.to_string(), a.samples, a.bytes)).collect();
        let row = |name: &str, samples, bytes| (name.to_owned(), samples, bytes);
        let expected =
            [row("GET /b", 10, 10240.0), row("GET /a", 5, 320.0), row("GET (no route)", 1, 8.0)];
        assert_eq!(rows, expected);
        let rest = [by_route.none, by_route.not_ended, by_route.unread];
        assert_eq!(rest.map(|amount| amount.bytes), [128.0, 112.0, 40.0]);
    }
}
