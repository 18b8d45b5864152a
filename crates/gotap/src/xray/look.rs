//! Looks at the goroutines of a process that serve requests, and at those which they started: read from its
//! memory, without a trap, and seldom enough that it costs little. Not here: which requests there are, which
//! the kernel tells, and what becomes of what is seen (`table`).

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use anyhow::Result;
use goruntime::{Born, Goroutine, Scheduler, Snapshot, Symbols};
use wire::Serving;

use super::state::Doing;
use super::table::Table;
use super::times::{Moment, Place, Seen, Stack};
use crate::live::thread_time;
use crate::opened::{Target, monotonic, plain};

/// How often to look, if that costs little enough.
pub(crate) const INTERVAL: Duration = Duration::from_millis(5);
/// Looking takes at most this part of a processor.
pub(crate) const SHARE: f64 = 0.05;
/// The same of the search for goroutines that requests have started.
const SEARCH_SHARE: u32 = 50;
/// Goroutines of one request that are looked at, beside the one that serves it.
const MAX_STARTED: usize = 64;
/// Different stacks whose names are kept.
const MAX_STACKS: usize = 4096;
/// What libraries start beside a request, and not to serve it.
const BESIDE: [&str; 4] = [
    "net/http.(*connReader).startBackgroundRead",
    "net/http.(*Transport).",
    "golang.org/x/net/http2.(*Transport).",
    "database/sql.OpenDB",
];

/// How long to wait between two looks, by what they cost.
#[derive(Debug)]
pub(crate) struct Pace {
    interval: Duration,
    /// The part of a processor that looks may take.
    share: f64,
    /// Processor time of a look, on average.
    cost: Duration,
    /// The longest pause that there was.
    pub(crate) longest: Duration,
}

impl Pace {
    /// As often as `interval` says, if that takes no more than `share` of a processor.
    pub(crate) fn new(interval: Duration, share: f64) -> Self {
        Self { interval, share, cost: Duration::ZERO, longest: interval }
    }

    /// A look took so much of a processor.
    pub(crate) fn took(&mut self, cost: Duration) {
        // What is rare, as a first look, is smoothed.
        self.cost = (self.cost * 7 + cost) / 8;
        self.longest = self.longest.max(self.pause());
    }

    /// How long to wait from one look to the next.
    pub(crate) fn pause(&self) -> Duration {
        self.interval.max(self.cost.div_f64(self.share))
    }

    /// How far a look stands for the time around it, in nanoseconds.
    pub(crate) fn reach(&self) -> u64 {
        let reach = (self.pause() * 2).max(self.interval * 3);
        u64::try_from(reach.as_nanos()).unwrap_or(u64::MAX)
    }
}

/// What was read at one moment.
struct Read {
    /// By the monotonic clock.
    at: u64,
    snapshot: Snapshot,
    stopped: bool,
}

/// What looks at one process.
pub(crate) struct Looker<'c, 'a, 'd> {
    target: &'c Target<'a, 'd>,
    symbols: &'c Symbols<'a, 'd>,
    table: &'c Table,
    stacks: HashMap<Box<[u64]>, Stack>,
    /// The goroutines that requests had started when it was searched for them last.
    started: HashMap<[u8; 8], Vec<Born>>,
    searched: Option<Instant>,
    search_pause: Duration,
    /// Whether requests are looked at that may have ended before: then the goroutines are not looked at that they
    /// have started. If so, whether they were being served just now.
    later: Option<bool>,
    last: u64,
    /// Whether Go keeps which goroutine started which.
    pub(crate) knows_parents: bool,
    /// Requests that started more goroutines than are looked at.
    pub(crate) many: u64,
}

impl<'c, 'a, 'd> Looker<'c, 'a, 'd> {
    pub(crate) fn new(
        target: &'c Target<'a, 'd>,
        symbols: &'c Symbols<'a, 'd>,
        table: &'c Table,
    ) -> Self {
        Self {
            target,
            symbols,
            table,
            stacks: HashMap::new(),
            started: HashMap::new(),
            searched: None,
            search_pause: Duration::ZERO,
            later: None,
            last: monotonic(),
            knows_parents: true,
            many: 0,
        }
    }

    /// Looks at these requests, which are all of this process.
    ///
    /// # Errors
    /// When the process can't be read.
    pub(crate) fn look(&mut self, requests: &[Serving], reach: u64) -> Result<()> {
        if requests.is_empty() {
            self.started.clear();
            self.moment(monotonic(), reach);
            return Ok(());
        }
        let read = self.read(requests)?;
        let moment = self.moment(read.at, reach);
        self.note(&read, requests, |_| moment);
        Ok(())
    }

    /// Looks at these requests, which may have ended before unless they were `just_served`; not at the goroutines
    /// that they have started. Each look stands for what `moment` says, by when it was.
    ///
    /// # Errors
    /// When the process can't be read.
    pub(crate) fn look_each(
        &mut self,
        requests: &[Serving],
        just_served: bool,
        mut moment: impl FnMut(&Serving, u64) -> Moment,
    ) -> Result<()> {
        self.later = Some(just_served);
        let read = self.read(requests)?;
        self.note(&read, requests, |request| moment(request, read.at));
        Ok(())
    }

    fn read(&mut self, requests: &[Serving]) -> Result<Read> {
        if self.later.is_none() {
            self.search(requests)?;
        }
        let Target { memory, layout, binary, bias, .. } = self.target;
        let started = self.started.values().flatten().map(|born| born.address);
        let addresses: HashSet<u64> = requests.iter().map(|r| r.g).chain(started).collect();
        let addresses: Vec<u64> = addresses.into_iter().collect();
        let at = monotonic();
        let snapshot = Snapshot::of(memory, layout, binary, *bias, &addresses).map_err(plain)?;
        let stopped = Scheduler::is_stopped(memory, layout, *bias).map_err(plain)?;
        Ok(Read { at, snapshot, stopped })
    }

    fn note(
        &mut self,
        read: &Read,
        requests: &[Serving],
        mut moment: impl FnMut(&Serving) -> Moment,
    ) {
        let Read { snapshot, stopped, .. } = read;
        let found: HashMap<u64, &Goroutine> =
            snapshot.goroutines.iter().map(|g| (g.address, g)).collect();
        for request in requests {
            let of = |this: &mut Self, address: u64, goid: u64| {
                let goroutine = found.get(&address).filter(|g| g.goid == goid)?;
                this.seen(snapshot, goroutine, *stopped)
            };
            // One that is over by now, or can't be read, is not looked at: that time is unknown.
            let Some((doing, stack)) = of(self, request.g, request.goid) else { continue };
            let started = self.started.get(&request.span()).cloned().unwrap_or_default();
            let started: Vec<_> =
                started.iter().filter_map(|born| of(self, born.address, born.goid)).collect();
            let moment = moment(request);
            let seen = Seen { moment, doing, stack };
            match self.later {
                Some(just_served) => self.table.look_later(request, seen, just_served),
                None => self.table.look(request, seen, &started),
            }
        }
    }

    /// For which time a look stands that is made now.
    fn moment(&mut self, at: u64, reach: u64) -> Moment {
        let gap = at.saturating_sub(std::mem::replace(&mut self.last, at));
        let weight = gap.min(reach);
        Moment { at, weight, late: gap - weight, reach }
    }

    fn seen(
        &mut self,
        snapshot: &Snapshot,
        goroutine: &Goroutine,
        stopped: bool,
    ) -> Option<(Doing, Option<Stack>)> {
        // One that changed while it was read was in this state, but maybe not at this place.
        let addresses = snapshot.stack(goroutine).filter(|_| !goroutine.changed);
        let stack = addresses.map(|addresses| self.named(addresses));
        let reason = snapshot.wait_reason(goroutine);
        let functions = stack.iter().flat_map(|stack| stack.iter().map(|place| &*place.function));
        Some((Doing::of(goroutine, reason, stopped, functions)?, stack))
    }

    fn named(&mut self, addresses: &[u64]) -> Stack {
        if let Some(known) = self.stacks.get(addresses) {
            return known.clone();
        }
        let place = |at: &goruntime::Position<'_>| Place {
            function: at.name().into(),
            file: at.file.into(),
            line: at.line,
        };
        let stack: Stack = self.symbols.stack(addresses).iter().map(place).collect();
        if self.stacks.len() >= MAX_STACKS {
            self.stacks.clear();
        }
        self.stacks.insert(addresses.into(), stack.clone());
        stack
    }

    /// Finds the goroutines that the requests have started, unless that was done just now.
    fn search(&mut self, requests: &[Serving]) -> Result<()> {
        if self.searched.is_some_and(|at| at.elapsed() < self.search_pause) {
            self.started.retain(|span, _| requests.iter().any(|r| r.span() == *span));
            return Ok(());
        }
        self.searched = Some(Instant::now());
        let before = thread_time();
        let Target { memory, layout, bias, .. } = self.target;
        let born = Born::read(memory, layout, *bias).map_err(plain)?;
        self.knows_parents = born.is_some();
        self.started = self.descendants(requests, &born.unwrap_or_default());
        self.search_pause = thread_time().saturating_sub(before) * SEARCH_SHARE;
        Ok(())
    }

    fn descendants(&mut self, requests: &[Serving], born: &[Born]) -> HashMap<[u8; 8], Vec<Born>> {
        let mut children: HashMap<u64, Vec<&Born>> = HashMap::new();
        for one in born {
            children.entry(one.parent).or_default().push(one);
        }
        let mut out = HashMap::new();
        for request in requests {
            let mut found: Vec<Born> = Vec::new();
            let direct = children.get(&request.goid).into_iter().flatten();
            let mut next: Vec<&Born> =
                direct.filter(|born| request.started(born.goid)).copied().collect();
            while let Some(born) = next.pop() {
                if self.is_beside(born) {
                    continue;
                }
                if found.len() >= MAX_STARTED {
                    self.many += 1;
                    break;
                }
                found.push(*born);
                // A goroutine that serves another request is that one's.
                let others = children.get(&born.goid).into_iter().flatten().copied();
                next.extend(others.filter(|b| !found.iter().any(|f| f.goid == b.goid)));
            }
            if !found.is_empty() {
                out.insert(request.span(), found);
            }
        }
        out
    }

    fn is_beside(&self, born: &Born) -> bool {
        let function = self.target.binary.functions().lookup(born.created_at);
        function.is_none_or(|f| BESIDE.iter().any(|name| f.name.starts_with(name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_get_rarer_when_they_are_dear() {
        let mut pace = Pace::new(INTERVAL, SHARE);
        for _ in 0..50 {
            pace.took(Duration::from_micros(40));
        }
        assert_eq!((pace.pause(), pace.longest), (INTERVAL, INTERVAL));
        for _ in 0..50 {
            pace.took(Duration::from_millis(1));
        }
        assert!(pace.pause() > INTERVAL * 3 && pace.longest >= pace.pause(), "{pace:?}");
        assert!(u128::from(pace.reach()) >= pace.pause().as_nanos());
    }
}
