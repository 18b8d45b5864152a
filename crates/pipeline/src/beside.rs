//! What is known of requests beside their events, and is added to their spans. Spans that end while more of it comes
//! wait for that, and not for long. Bounded. Not here: what is known.

use std::time::{Duration, Instant};

use trace::Span;

/// Spans that may wait; further ones go on with what is known.
const MAX_WAITING: usize = 4096;
/// For how long a span waits at most.
const PATIENCE: Duration = Duration::from_secs(1);

/// What knows of requests that were served.
pub trait Beside: Send {
    /// What must have been done before all is known that will ever be of a span's request; `None` where nothing
    /// is to be added.
    fn ticket(&self, span: &Span) -> Option<u64>;

    /// Whether that was done.
    fn is_done(&self, ticket: u64) -> bool;

    /// Adds what is known of its request to a span.
    fn add(&mut self, span: &mut Span);
}

/// A span that waits.
struct Waiting {
    ticket: u64,
    until: Instant,
    span: Span,
}

/// The spans that wait.
#[derive(Default)]
pub(crate) struct Joined {
    beside: Option<Box<dyn Beside>>,
    waiting: Vec<Waiting>,
    /// Spans that went on before all was known.
    pub(crate) unfinished: u64,
}

impl Joined {
    pub(crate) fn new(beside: Option<Box<dyn Beside>>) -> Self {
        Self { beside, ..Self::default() }
    }

    /// Gives a span back with what is added to it, unless it waits.
    pub(crate) fn take(&mut self, mut span: Span) -> Option<Span> {
        let Some(beside) = &mut self.beside else { return Some(span) };
        let Some(ticket) = beside.ticket(&span) else { return Some(span) };
        if !beside.is_done(ticket) {
            if self.waiting.len() < MAX_WAITING {
                self.waiting.push(Waiting { ticket, until: Instant::now() + PATIENCE, span });
                return None;
            }
            self.unfinished += 1;
        }
        beside.add(&mut span);
        Some(span)
    }

    /// Those that need not wait any more; all of them at the end.
    pub(crate) fn due(&mut self, end: bool) -> Vec<Span> {
        let Some(beside) = self.beside.as_mut().filter(|_| !self.waiting.is_empty()) else {
            return Vec::new();
        };
        let now = Instant::now();
        let is_due = |one: &mut Waiting| end || one.until <= now || beside.is_done(one.ticket);
        let due: Vec<_> = self.waiting.extract_if(.., is_due).collect();
        let added = due.into_iter().map(|mut one| {
            self.unfinished += u64::from(!beside.is_done(one.ticket));
            beside.add(&mut one.span);
            one.span
        });
        added.collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use trace::Value;
    use trace::synthetic::{attribute, span};

    use super::*;

    /// Knows something of the first trace, once that many things were done.
    struct Known(Arc<AtomicU64>);

    impl Beside for Known {
        fn ticket(&self, span: &Span) -> Option<u64> {
            (span.trace_id[0] == 1).then_some(3)
        }

        fn is_done(&self, ticket: u64) -> bool {
            self.0.load(Ordering::Relaxed) >= ticket
        }

        fn add(&mut self, span: &mut Span) {
            span.added.push("x", Value::Double(0.5));
        }
    }

    #[test]
    fn a_span_waits_until_what_is_added_to_it_is_known() {
        let done = Arc::new(AtomicU64::new(2));
        let mut joined = Joined::new(Some(Box::new(Known(done.clone()))));
        assert!(
            joined.take(span(2, 1, None)).is_some_and(|other| attribute(&other, "x").is_none())
        );
        assert!(joined.take(span(1, 1, None)).is_none());
        assert!(joined.due(false).is_empty() && joined.unfinished == 0);
        done.store(3, Ordering::Relaxed);
        let due = joined.due(false);
        assert_eq!((due.len(), attribute(&due[0], "x")), (1, Some(Value::Double(0.5))));
        let at_once = joined.take(span(1, 2, None)).unwrap();
        assert_eq!(attribute(&at_once, "x"), Some(Value::Double(0.5)));
        assert_eq!(joined.unfinished, 0);
    }

    #[test]
    fn those_that_wait_are_bounded_and_none_is_left_at_the_end() {
        let mut joined = Joined::new(Some(Box::new(Known(Arc::default()))));
        let sent = (0..MAX_WAITING + 2).filter_map(|_| joined.take(span(1, 1, None)));
        let sent: Vec<_> = sent.map(|span| attribute(&span, "x")).collect();
        assert_eq!(sent, vec![Some(Value::Double(0.5)); 2]);
        assert_eq!(joined.unfinished, 2);
        assert_eq!(joined.due(true).len(), MAX_WAITING);
        assert!(joined.waiting.is_empty());
        assert_eq!(joined.unfinished, MAX_WAITING as u64 + 2);
    }
}
