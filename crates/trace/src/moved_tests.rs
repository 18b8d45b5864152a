//! Where spans go whose trace turns out to be another one, and for how long they wait.

use super::*;

fn span(trace: u8, own: u8, parent: Option<u8>, own_trace: bool) -> Span {
    let kind = if parent.is_some() { Kind::Client } else { Kind::Server };
    Span { own_trace, kind, ..crate::synthetic::span(trace, own, parent) }
}

/// Trace, span and flags.
fn told(spans: &[Span]) -> Vec<(u8, u8, u8)> {
    spans.iter().map(|span| (span.trace_id[0], span.span_id[0], span.trace_flags)).collect()
}

#[test]
fn what_ended_before_the_first_call_moves_with_its_request() {
    let mut moved = Moved::default();
    assert_eq!(moved.pass(span(1, 2, Some(9), true), 5), None);
    assert_eq!(moved.pass_all(Vec::new(), 0), []);
    moved.note([1; 16], [7; 16], 1);
    // A second trace of the same request is another one's matter.
    moved.note([1; 16], [8; 16], 1);
    assert_eq!(told(&moved.pass_all(Vec::new(), 0)), [(7, 2, 1)]);
    let later = moved.pass(span(1, 3, Some(9), true), 6).into_iter();
    let all: Vec<_> = later.chain(moved.pass(span(1, 9, None, true), 7)).collect();
    assert_eq!(told(&all), [(7, 3, 1), (7, 9, 1)]);
    assert_eq!(moved.split(), 0);
}

#[test]
fn the_decision_against_a_trace_moves_along() {
    let mut moved = Moved::default();
    assert_eq!(moved.pass(span(1, 2, Some(9), true), 5), None);
    moved.note([1; 16], [7; 16], 0);
    let mut all = moved.pass_all(Vec::new(), 0);
    all.extend(moved.pass(span(1, 9, None, true), 7));
    assert_eq!(told(&all), [(7, 2, 0), (7, 9, 0)]);
}

#[test]
fn requests_without_calls_stay_what_they_are() {
    let mut moved = Moved::default();
    assert_eq!(moved.pass(span(1, 2, Some(9), true), 5), None);
    // The request comes after what waited for it.
    assert_eq!(moved.pass(span(1, 9, None, true), 6), None);
    assert_eq!(told(&moved.pass_all(Vec::new(), 0)), [(1, 2, 1), (1, 9, 1)]);
    // What comes later stays with them, and a call in another trace is counted.
    assert!(moved.pass(span(1, 3, Some(9), true), 7).is_some());
    moved.note([1; 16], [7; 16], 1);
    assert_eq!(
        told(&moved.pass(span(1, 4, Some(9), true), 8).into_iter().collect::<Vec<_>>()),
        [(1, 4, 1)]
    );
    assert_eq!(moved.split(), 1);
}

#[test]
fn other_spans_never_wait() {
    let mut moved = Moved::default();
    assert!(moved.pass(span(1, 2, Some(9), false), 5).is_some());
    assert!(moved.pass(span(1, 9, None, false), 5).is_some());
    assert!(moved.fates.is_empty());
}

#[test]
fn nothing_waits_for_ever_nor_without_bounds() {
    let mut moved = Moved::default();
    assert_eq!(moved.pass(span(1, 2, Some(9), true), 5), None);
    assert_eq!(moved.pass_all(Vec::new(), PATIENCE + 4), []);
    assert_eq!(told(&moved.pass_all(Vec::new(), PATIENCE + 5)), [(1, 2, 1)]);
    for n in 0..3 * MAX_PENDING as u64 {
        let mut one = span(0, 2, Some(9), true);
        one.trace_id[..8].copy_from_slice(&n.to_le_bytes());
        one.trace_id[15] = 1;
        assert_eq!(moved.pass(one, n), None);
        assert!(moved.spans <= MAX_PENDING && moved.since.len() <= MAX_PENDING);
    }
    assert_eq!(moved.pass_all(Vec::new(), 0).len(), 2 * MAX_PENDING);
    assert_eq!(moved.pass_all(Vec::new(), u64::MAX).len(), MAX_PENDING);
    assert!(moved.waiting.is_empty() && moved.since.is_empty() && moved.known.len() <= MAX_KNOWN);
}
