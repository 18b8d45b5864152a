//! Traces that gotap began with a served request, and that turn out to be another one: a program with an
//! SDK of its own begins one for the same request, which the first call that it makes tells. Spans of the
//! request that ended before wait for that, until the request ends, or for a while; then they move, too.
//! Not here: which trace a call is in, which the kernel side tells.

use std::collections::{HashMap, VecDeque};

use crate::assemble::MAX_PENDING;
use crate::span::{Kind, Span};

/// Traces whose new ids are remembered. The oldest make room.
const MAX_KNOWN: usize = 16_384;
/// How long spans wait, in nanoseconds.
const PATIENCE: u64 = 10_000_000_000;

type TraceId = [u8; 16];

/// What a trace turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// What gotap began it as: spans of it were sent.
    Stays,
    /// Another one, with these flags.
    Moves(TraceId, u8),
}

#[derive(Debug)]
pub(crate) struct Moved {
    /// Spans that may wait. The oldest make room.
    max: usize,
    fates: HashMap<TraceId, Fate>,
    known: VecDeque<TraceId>,
    waiting: HashMap<TraceId, Vec<Span>>,
    /// Since when which traces have spans that wait; some of them may be gone.
    since: VecDeque<(u64, TraceId)>,
    spans: usize,
    /// Spans that wait no longer.
    ready: Vec<Span>,
    split: u64,
}

impl Default for Moved {
    fn default() -> Self {
        Self {
            max: MAX_PENDING,
            fates: HashMap::new(),
            known: VecDeque::new(),
            waiting: HashMap::new(),
            since: VecDeque::new(),
            spans: 0,
            ready: Vec::new(),
            split: 0,
        }
    }
}

impl Moved {
    /// Lets so many spans wait.
    pub(crate) fn hold_at_most(&mut self, max: usize) {
        self.max = max;
    }

    /// Trace `from` is trace `to`.
    pub(crate) fn note(&mut self, from: TraceId, to: TraceId, flags: u8) {
        match self.fates.get(&from) {
            None => self.decide(from, Fate::Moves(to, flags)),
            Some(Fate::Stays) => self.split += 1,
            // The first one that a request tells holds; later calls may have traces of their own.
            Some(Fate::Moves(..)) => {}
        }
    }

    /// Gives a span that ended at `ended_ns` by the kernel's clock, unless it has to wait.
    pub(crate) fn pass(&mut self, mut span: Span, ended_ns: u64) -> Option<Span> {
        if !span.own_trace {
            return Some(span);
        }
        if self.spans >= self.max {
            self.expire_first();
        }
        let id = span.trace_id;
        let is_root = span.kind == Kind::Server && span.parent_span_id.is_none();
        if is_root && !self.fates.contains_key(&id) {
            self.decide(id, Fate::Stays);
        }
        if let Some(fate) = self.fates.get(&id) {
            fate.apply(&mut span);
            // What waited for a request comes before it, as what it asked for ended before.
            if self.ready.is_empty() {
                return Some(span);
            }
            self.ready.push(span);
            return None;
        }
        let spans = self.waiting.entry(id).or_default();
        if spans.is_empty() {
            self.since.push_back((ended_ns, id));
        }
        spans.push(span);
        self.spans += 1;
        None
    }

    /// The same of several spans, of calls that went on for long, with all that wait no longer.
    pub(crate) fn pass_all(&mut self, spans: Vec<Span>, now_ns: u64) -> Vec<Span> {
        let passed: Vec<_> = spans.into_iter().filter_map(|span| self.pass(span, now_ns)).collect();
        while self.since.front().is_some_and(|(at, _)| at.saturating_add(PATIENCE) <= now_ns) {
            self.expire_first();
        }
        let mut out = std::mem::take(&mut self.ready);
        out.extend(passed);
        out
    }

    /// Traces whose spans were sent before it turned out that they belong to others.
    pub(crate) fn split(&self) -> u64 {
        self.split
    }

    fn expire_first(&mut self) {
        if let Some((_, id)) = self.since.pop_front()
            && self.waiting.contains_key(&id)
        {
            self.decide(id, Fate::Stays);
        }
    }

    fn decide(&mut self, id: TraceId, fate: Fate) {
        if self.known.len() >= MAX_KNOWN
            && let Some(oldest) = self.known.pop_front()
        {
            self.fates.remove(&oldest);
        }
        self.known.push_back(id);
        self.fates.insert(id, fate);
        let mut spans = self.waiting.remove(&id).unwrap_or_default();
        self.spans -= spans.len();
        spans.iter_mut().for_each(|span| fate.apply(span));
        self.ready.extend(spans);
        // Requests end sooner than their time is up: what is gone must not pile up.
        while self.since.front().is_some_and(|(_, id)| !self.waiting.contains_key(id)) {
            self.since.pop_front();
        }
    }
}

impl Fate {
    fn apply(self, span: &mut Span) {
        if let Fate::Moves(to, flags) = self {
            span.trace_id = to;
            span.trace_flags = flags;
        }
    }
}

#[cfg(test)]
#[path = "moved_tests.rs"]
mod tests;
