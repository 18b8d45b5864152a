//! Which trace a sampled request belongs to. Samples say which request their goroutine serves; its trace is known
//! for certain when it has ended and its span is sent. Not here: how a sample finds its request (`bpf`).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use pipeline::Sink;
use trace::{Kind, Span};

/// The newest spans that are remembered, a power of two: one takes the place of another.
const RECENT: usize = 1 << 16;
/// Requests with samples that are remembered until their spans come.
const MAX_WANTED: usize = 1 << 16;

pub(super) type SpanId = [u8; 8];
pub(super) type TraceId = [u8; 16];

/// What is known of requests, for the threads of the sinks and of the profiles.
#[derive(Default)]
pub(crate) struct Links(Mutex<Known>);

struct Known {
    recent: Vec<(SpanId, TraceId)>,
    /// Those that samples belong to, with their traces as soon as they are known.
    wanted: HashMap<SpanId, Option<TraceId>>,
}

impl Default for Known {
    fn default() -> Self {
        Self { recent: vec![([0; 8], [0; 16]); RECENT], wanted: HashMap::new() }
    }
}

impl Links {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request has ended, and its span is sent.
    fn ended(&self, span: SpanId, trace: TraceId) {
        let mut known = self.lock();
        match known.wanted.get_mut(&span) {
            Some(found) => *found = Some(trace),
            None => known.recent[slot(span)] = (span, trace),
        }
    }

    /// Samples belong to these requests.
    pub(super) fn want(&self, spans: impl Iterator<Item = SpanId>) {
        let mut known = self.lock();
        for span in spans {
            if known.wanted.contains_key(&span) || known.wanted.len() >= MAX_WANTED {
                continue;
            }
            let (recent, trace) = known.recent[slot(span)];
            known.wanted.insert(span, (recent == span).then_some(trace));
        }
    }

    /// The traces of requests that were wanted, as far as they are known. They are forgotten; of the others those
    /// that samples belong to again are wanted again.
    pub(super) fn take(&self) -> HashMap<SpanId, TraceId> {
        let wanted = std::mem::take(&mut self.lock().wanted);
        wanted.into_iter().filter_map(|(span, trace)| Some((span, trace?))).collect()
    }
}

fn slot(span: SpanId) -> usize {
    usize::try_from(u64::from_ne_bytes(span) % RECENT as u64).unwrap_or(0)
}

/// Looks at the spans that are sent.
pub(crate) struct Observer(pub(crate) Arc<Links>);

impl Sink for Observer {
    fn name(&self) -> &'static str {
        "profiles"
    }

    fn span(&mut self, span: &Span) -> Result<()> {
        if span.kind == Kind::Server {
            self.0.ended(span.span_id, span.trace_id);
        }
        Ok(())
    }

    fn tick(&mut self) -> Result<()> {
        Ok(())
    }

    fn finish(self: Box<Self>, _patience: Duration) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_found_whether_it_ends_before_or_after_its_samples_are_read() {
        let links = Links::default();
        let (early, late, never) = ([1; 8], [2; 8], [3; 8]);
        links.ended(early, [9; 16]);
        links.want([early, late, never].into_iter());
        links.ended(late, [8; 16]);
        let found = links.take();
        assert_eq!(found, HashMap::from([(early, [9; 16]), (late, [8; 16])]));
        assert!(links.take().is_empty());
    }

    #[test]
    fn a_span_in_the_place_of_another_is_not_taken_for_it() {
        let links = Links::default();
        let (one, other) = (5u64.to_ne_bytes(), (5 + RECENT as u64).to_ne_bytes());
        links.ended(one, [9; 16]);
        links.ended(other, [8; 16]);
        links.want([one, other].into_iter());
        assert_eq!(links.take(), HashMap::from([(other, [8; 16])]));
    }
}
