//! Tests: which calls wait for their end, and for how long.

use super::*;

const SECOND: u64 = 1_000_000_000;

fn call(n: u64) -> Call {
    let span = Span { name: n.to_string().into(), ..crate::synthetic::span(1, 2, None) };
    Call { span, answered_ns: 0 }
}

fn open(pending: &mut PendingCalls, key: Key, n: u64) -> Option<Call> {
    pending.insert(key, call(n), GoesOn::Open)
}

fn names(spans: Vec<Span>) -> Vec<String> {
    spans.into_iter().map(|span| span.name.into()).collect()
}

#[test]
fn the_oldest_that_is_still_open_makes_room() {
    let mut pending = PendingCalls::default();
    for n in 0..MAX_PENDING as u64 + 1 {
        assert_eq!(open(&mut pending, (1, n), n), (n == MAX_PENDING as u64).then(|| call(0)));
    }
    // Calls that come and go evict nobody.
    assert!(pending.end((1, 5), true).is_some());
    for n in 0..3 * MAX_PENDING as u64 {
        assert_eq!(open(&mut pending, (2, n), n), None);
        assert_eq!(pending.end((2, n), true), Some(call(n)));
    }
    assert_eq!(open(&mut pending, (1, 0), 0), None);
    assert_eq!(open(&mut pending, (1, 5), 5), Some(call(1)));
    assert_eq!((pending.order.len(), pending.until.len()), (MAX_PENDING, MAX_PENDING));
}

#[test]
fn what_a_process_leaves_open_is_told() {
    let mut pending = PendingCalls::default();
    for (key, n) in [((1, 7), 1), ((2, 7), 2), ((1, 6), 3)] {
        assert_eq!(open(&mut pending, key, n), None);
    }
    assert_eq!(names(pending.remove_all(Some(1))), ["1", "3"]);
    assert_eq!(names(pending.remove_all(None)), ["2"]);
}

#[test]
fn none_waits_for_ever() {
    let mut pending = PendingCalls::default();
    for n in [1, 2] {
        assert_eq!(pending.insert((1, n), call(n), GoesOn::Failed), None);
    }
    open(&mut pending, (1, 3), 3);
    assert_eq!(pending.end((1, 2), true), Some(call(2)));
    // Ends have come by now, so that those who go on may do so for longer.
    open(&mut pending, (1, 2), 4);
    assert_eq!(names(pending.expired(SECOND - 1)), [""; 0]);
    assert_eq!(names(pending.expired(SECOND)), ["1"]);
    assert_eq!(names(pending.expired(60 * SECOND - 1)), [""; 0]);
    assert_eq!(names(pending.expired(60 * SECOND)), ["3"]);
    assert_eq!(names(pending.expired(3600 * SECOND - 1)), [""; 0]);
    assert_eq!(names(pending.expired(3600 * SECOND)), ["4"]);
}

#[test]
fn a_process_whose_ends_fit_no_span_is_waited_for_now_and_then() {
    let mut pending = PendingCalls::default();
    for n in 0..u64::from(MAX_UNMATCHED) {
        assert_eq!(open(&mut pending, (1, n), n), None);
        assert_eq!(pending.end((1, n), true), Some(call(n)));
        assert_eq!(pending.end((1, n), true), None);
    }
    for _ in 0..2 * MAX_UNMATCHED {
        assert_eq!(pending.end((1, 0), true), None);
    }
    for n in 0..10 {
        assert_eq!(open(&mut pending, (1, 2 * n), 1), Some(call(1)), "not waited for");
        assert_eq!(pending.end((1, 2 * n), true), None);
        assert_eq!(open(&mut pending, (1, 2 * n + 1), 2), None);
        assert_eq!(pending.end((1, 0), true), None);
    }
    assert_eq!(open(&mut pending, (2, 1), 1), None, "of another process");
    // One that fits is enough: there were streams that began before they were observed.
    assert_eq!(pending.end((1, 19), true), Some(call(2)));
    for n in 0..10 {
        assert_eq!(open(&mut pending, (1, 100 + n), n), None);
    }
}
