//! Tail sampling: of the traces that sampling left out, those in which something failed or took long are sent
//! after all, whole. Their spans wait here, within bounds of memory and time, until the trace is decided.
//!
//! A trace is decided once, whichever processes of the host its spans come from: it is kept as soon as a span
//! says so, and dropped some time after its first span has ended, or when it has waited for as long as one may.
//! Not here: traces that are sent anyway, and those that their callers decided against.

mod recent;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use trace::{Kept, Kind, Span, Status};

use recent::Routes;

/// Which traces are kept, and within which bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TailSettings {
    /// Those in which something failed.
    pub errors: bool,
    /// Those with a request that took longer.
    pub slower_than: Option<Duration>,
    /// Those with a request that took longer than 99 of 100 others of its route did.
    pub slower_than_p99: bool,
    /// For how long spans wait, at the most.
    pub wait: Duration,
    /// Bytes of spans that may wait.
    pub bytes: usize,
}

/// How long a trace waits when its first span has ended: other processes may yet tell of theirs, and what a
/// request started may go on.
const LINGER: u64 = 1_000_000_000;
/// What a trace takes beside its spans.
const TRACE_BYTES: usize = 256;
/// Decisions that are remembered, for spans that come late.
const MAX_KEPT: usize = 16_384;
const MAX_DROPPED: usize = 32_768;

type TraceId = [u8; 16];

/// Traces by what was decided. The oldest are forgotten.
#[derive(Debug)]
struct Decided {
    max: usize,
    order: VecDeque<TraceId>,
    traces: HashMap<TraceId, Fate>,
}

/// What became of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Kept,
    /// Nothing in it was worth keeping.
    Dropped,
    /// It made room for others.
    Evicted,
}

impl Decided {
    fn new(max: usize) -> Self {
        Self { max, order: VecDeque::new(), traces: HashMap::new() }
    }

    fn get(&self, id: &TraceId) -> Option<Fate> {
        self.traces.get(id).copied()
    }

    fn insert(&mut self, id: TraceId, fate: Fate) {
        if self.order.len() >= self.max
            && let Some(oldest) = self.order.pop_front()
        {
            self.traces.remove(&oldest);
        }
        if self.traces.insert(id, fate).is_none() {
            self.order.push_back(id);
        }
    }
}

/// Spans of a trace that is not decided.
#[derive(Debug)]
struct Waiting {
    spans: Vec<Span>,
    bytes: usize,
    place: u64,
    /// When it is dropped.
    until: u64,
}

/// What is done with a span.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    /// It is sent, after these of its trace that have waited.
    Kept(Vec<Span>, Box<Span>),
    /// It waits, or it is gone and counted.
    NotSent,
}

/// Traces that are not decided, and what was decided of others.
#[derive(Debug)]
pub(crate) struct Tail {
    settings: TailSettings,
    waiting: HashMap<TraceId, Waiting>,
    /// By when they came.
    order: BTreeMap<u64, TraceId>,
    /// By until when they wait, with their places in `order`.
    until: BTreeSet<(u64, u64)>,
    next: u64,
    bytes: usize,
    kept: Decided,
    dropped: Decided,
    routes: Routes,
    now: u64,
    counts: Gone,
}

/// What the tail has counted: spans that waited and are not sent, and traces that are sent in part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Gone {
    /// Spans of traces that nothing spoke for.
    pub(crate) dropped: u64,
    /// Spans that made room for others.
    pub(crate) evicted: u64,
    /// Traces that turned out to be worth keeping when spans of them were gone.
    pub(crate) partial: u64,
}

impl Tail {
    pub(crate) fn new(settings: TailSettings) -> Self {
        Self {
            settings,
            waiting: HashMap::new(),
            order: BTreeMap::new(),
            until: BTreeSet::new(),
            next: 0,
            bytes: 0,
            kept: Decided::new(MAX_KEPT),
            dropped: Decided::new(MAX_DROPPED),
            routes: Routes::default(),
            now: 0,
            counts: Gone::default(),
        }
    }

    /// Learns how long requests of a route take: from all of them, also of traces that are sent anyway. Gives
    /// whether this one took longer than 99 of 100 others.
    pub(crate) fn learn(&mut self, span: &Span) -> bool {
        self.settings.slower_than_p99 && span.kind == Kind::Server && self.routes.is_slow(span)
    }

    /// Takes a span of a trace that sampling left out. `slow` is what [`Tail::learn`] gave.
    pub(crate) fn take(&mut self, mut span: Span, slow: bool) -> Verdict {
        let id = span.trace_id;
        let why = self.why(&span, slow);
        let fate = self.kept.get(&id).or_else(|| self.dropped.get(&id));
        if why.is_some() || fate == Some(Fate::Kept) {
            mark(&mut span, why.unwrap_or(Kept::Trace));
            let mut before = self.remove(&id).unwrap_or_default();
            before.iter_mut().for_each(|span| mark(span, Kept::Trace));
            self.counts.partial += u64::from(matches!(fate, Some(Fate::Dropped | Fate::Evicted)));
            self.kept.insert(id, Fate::Kept);
            return Verdict::Kept(before, Box::new(span));
        }
        match fate {
            Some(Fate::Dropped) => self.counts.dropped += 1,
            Some(Fate::Evicted) => self.counts.evicted += 1,
            _ => {
                self.wait(span);
                self.make_room();
            }
        }
        Verdict::NotSent
    }

    /// Drops what has waited for long enough. `now_ns` is by a clock that is not set; its highest value says
    /// that nothing more comes.
    pub(crate) fn tick(&mut self, now_ns: u64) {
        self.now = now_ns;
        while let Some((until, place)) = self.until.first().copied() {
            if until > now_ns {
                break;
            }
            self.until.remove(&(until, place));
            if let Some(id) = self.order.get(&place).copied() {
                let spans = self.remove(&id).unwrap_or_default();
                self.counts.dropped += spans.len() as u64;
                self.dropped.insert(id, Fate::Dropped);
            }
        }
    }

    /// What was counted so far.
    pub(crate) fn gone(&self) -> Gone {
        self.counts
    }

    /// Bytes of the spans that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Why a span's trace is kept.
    fn why(&self, span: &Span, slow: bool) -> Option<Kept> {
        let settings = &self.settings;
        let took = Duration::from_nanos(span.end_unix_nano.saturating_sub(span.start_unix_nano));
        // What is slow is a request, or a trace that begins with a call.
        let counts = span.kind == Kind::Server || span.parent_span_id.is_none();
        match span.status {
            Status::Error(_) if settings.errors => Some(Kept::Error),
            _ if counts && settings.slower_than.is_some_and(|limit| took > limit) => {
                Some(Kept::Slow)
            }
            _ if slow => Some(Kept::SlowRoute),
            _ => None,
        }
    }

    fn wait(&mut self, span: Span) {
        let ends = span.parent_span_id.is_none();
        let bytes = span.size();
        let (id, place, now) = (span.trace_id, self.next, self.now);
        let wait = u64::try_from(self.settings.wait.as_nanos()).unwrap_or(u64::MAX);
        let until = now.saturating_add(wait);
        let trace = self.waiting.entry(id).or_insert_with(|| {
            self.order.insert(place, id);
            self.until.insert((until, place));
            self.next += 1;
            self.bytes += TRACE_BYTES;
            Waiting { spans: Vec::new(), bytes: TRACE_BYTES, place, until }
        });
        trace.bytes += bytes;
        self.bytes += bytes;
        trace.spans.push(span);
        let sooner = now.saturating_add(LINGER);
        if ends && sooner < trace.until {
            self.until.remove(&(trace.until, trace.place));
            trace.until = sooner;
            self.until.insert((trace.until, trace.place));
        }
    }

    fn make_room(&mut self) {
        while self.bytes > self.settings.bytes
            && let Some((_, id)) = self.order.first_key_value()
        {
            let id = *id;
            let spans = self.remove(&id).unwrap_or_default();
            self.counts.evicted += spans.len() as u64;
            self.dropped.insert(id, Fate::Evicted);
        }
    }

    fn remove(&mut self, id: &TraceId) -> Option<Vec<Span>> {
        let trace = self.waiting.remove(id)?;
        self.order.remove(&trace.place);
        self.until.remove(&(trace.until, trace.place));
        self.bytes -= trace.bytes;
        Some(trace.spans)
    }
}

/// Says why a span is sent, and that it is.
fn mark(span: &mut Span, why: Kept) {
    span.trace_flags |= 1;
    span.kept = Some(why);
}

#[cfg(test)]
#[path = "tail_tests.rs"]
mod tests;
