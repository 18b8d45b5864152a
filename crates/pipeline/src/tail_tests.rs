//! What is kept, what is dropped, and what finds no room.

use trace::synthetic::span;

use super::*;

const SECOND: u64 = 1_000_000_000;

fn settings() -> TailSettings {
    TailSettings {
        errors: true,
        slower_than: Some(Duration::from_millis(500)),
        slower_than_p99: false,
        wait: Duration::from_secs(30),
        bytes: 1 << 20,
    }
}

/// A span of a trace that sampling left out.
fn left_out(trace: u8, id: u8, parent: Option<u8>) -> Span {
    Span { trace_flags: 0, left_out: true, ..span(trace, id, parent) }
}

fn failed(span: Span) -> Span {
    Span { status: Status::Error("broken".into()), ..span }
}

/// Ids of the spans that are sent for this one, and why each is.
fn sent(tail: &mut Tail, span: Span) -> Vec<(u8, String)> {
    let slow = tail.learn(&span);
    match tail.take(span, slow) {
        Verdict::NotSent => Vec::new(),
        Verdict::Kept(before, span) => {
            let all = before.into_iter().chain([*span]);
            all.map(|span| {
                assert!(span.is_sampled());
                (span.span_id[0], span.kept.unwrap().label().to_owned())
            })
            .collect()
        }
    }
}

fn pairs(list: &[(u8, &str)]) -> Vec<(u8, String)> {
    list.iter().map(|(id, why)| (*id, (*why).to_owned())).collect()
}

#[test]
fn a_trace_in_which_something_failed_is_kept_whole() {
    let mut tail = Tail::new(settings());
    assert_eq!(sent(&mut tail, left_out(1, 3, Some(2))), []);
    assert_eq!(sent(&mut tail, left_out(2, 9, None)), []);
    let of_another_process = failed(left_out(1, 2, Some(1)));
    assert_eq!(sent(&mut tail, of_another_process), pairs(&[(3, "trace"), (2, "error")]));
    // The rest follows, also much later.
    tail.tick(3600 * SECOND);
    assert_eq!(sent(&mut tail, left_out(1, 1, None)), pairs(&[(1, "trace")]));
    assert_eq!(tail.gone(), Gone { dropped: 1, ..Gone::default() });
    assert_eq!(tail.bytes(), 0);
}

#[test]
fn a_slow_request_keeps_its_trace_and_a_slow_call_does_not() {
    let mut tail = Tail::new(settings());
    let slow = |span: Span| Span { end_unix_nano: span.start_unix_nano + SECOND, ..span };
    let call = Span { kind: Kind::Client, ..slow(left_out(1, 2, Some(1))) };
    assert_eq!(sent(&mut tail, call), []);
    assert_eq!(sent(&mut tail, slow(left_out(1, 1, None))), pairs(&[(2, "trace"), (1, "slow")]));
    let alone = Span { kind: Kind::Client, ..slow(left_out(2, 5, None)) };
    assert_eq!(sent(&mut tail, alone), pairs(&[(5, "slow")]));
}

#[test]
fn a_request_that_is_slow_for_its_route_keeps_its_trace() {
    let settings = TailSettings { slower_than: None, slower_than_p99: true, ..settings() };
    let mut tail = Tail::new(settings);
    let took = |span: Span, took| Span { end_unix_nano: span.start_unix_nano + took, ..span };
    // Also of traces that are sent anyway.
    for _ in 0..1000 {
        assert!(!tail.learn(&took(span(1, 1, None), SECOND / 1000)));
    }
    assert_eq!(sent(&mut tail, took(left_out(2, 7, None), SECOND / 1000)), []);
    let slow = took(left_out(3, 8, None), SECOND / 100);
    assert_eq!(sent(&mut tail, slow), pairs(&[(8, "slow_route")]));
}

/// A trace is decided some time after its first span has ended, or when it has waited for too long.
#[test]
fn what_nothing_speaks_for_is_dropped_in_time() {
    let mut tail = Tail::new(settings());
    sent(&mut tail, left_out(1, 1, None));
    sent(&mut tail, left_out(2, 2, Some(1)));
    tail.tick(LINGER - 1);
    assert_eq!(tail.gone().dropped, 0);
    tail.tick(LINGER);
    assert_eq!(tail.gone().dropped, 1);
    tail.tick(30 * SECOND);
    assert_eq!((tail.gone().dropped, tail.bytes()), (2, 0));
    // What comes later follows, and is counted as what it is.
    assert_eq!(sent(&mut tail, left_out(2, 3, Some(1))), []);
    assert_eq!(tail.gone(), Gone { dropped: 3, ..Gone::default() });
    assert_eq!(sent(&mut tail, failed(left_out(2, 4, Some(1)))), pairs(&[(4, "error")]));
    assert_eq!(tail.gone().partial, 1);
}

#[test]
fn the_oldest_traces_make_room_and_are_counted() {
    let mut tail = Tail::new(TailSettings { bytes: 8 * 1024, ..settings() });
    for trace in 1..=200 {
        sent(&mut tail, left_out(trace, 1, Some(9)));
        assert!(tail.bytes() <= 8 * 1024, "{}", tail.bytes());
    }
    let evicted = tail.gone().evicted;
    assert!((150..200).contains(&evicted), "{evicted}");
    sent(&mut tail, left_out(1, 2, Some(9)));
    assert_eq!(tail.gone(), Gone { evicted: evicted + 1, ..Gone::default() });
    assert_eq!(sent(&mut tail, failed(left_out(200, 2, Some(9)))).len(), 2, "the newest is there");
    tail.tick(u64::MAX);
    assert_eq!(
        (tail.bytes(), tail.waiting.len(), tail.order.len(), tail.until.len()),
        (0, 0, 0, 0)
    );
    assert_eq!(tail.gone().dropped + evicted + 1 + 1, 201);
}
