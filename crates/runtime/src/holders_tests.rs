//! Who holds a lock, by stacks and by circles that are made up.

use super::*;
use crate::waiting::{Channel, Lock};
use crate::{Goroutine, StackState};

fn goroutine(goid: u64, waiting_on: Option<WaitingOn>) -> Goroutine {
    Goroutine {
        address: 0x1000 * goid,
        goid,
        state: State::Waiting,
        reason: None,
        wait_since: None,
        parent: None,
        created_at: 0,
        start: 0,
        stack: StackState::Unreadable,
        waiting_on,
        system: false,
        locked: false,
        stops: None,
        changed: false,
    }
}

fn at(function: &'static str, line: u32) -> Position<'static> {
    Position { function, file: "f.go", line, start_line: 0, inlined: false }
}

fn hold(goroutine: usize, lock: usize) -> Hold<'static> {
    Hold { goroutine, lock, shared: false, at: at("main.f", 1) }
}

/// Goroutines that wait for locks, by the locks' numbers.
fn waiting(locks: &[Option<u32>]) -> Snapshot {
    let goroutines =
        (1..).zip(locks).map(|(goid, lock)| goroutine(goid, lock.map(WaitingOn::Lock)));
    let lock = |kind| Lock { kind, address: 0, waiters: Vec::new() };
    let mut out = Snapshot::default();
    out.goroutines.extend(goroutines);
    out.locks.extend([LockKind::Mutex, LockKind::Mutex, LockKind::RwMutex].map(lock));
    out
}

fn members(cycles: &[Vec<&Hold<'_>>]) -> Vec<Vec<usize>> {
    cycles.iter().map(|cycle| cycle.iter().map(|hold| hold.goroutine).collect()).collect()
}

#[test]
fn two_that_wait_for_each_other_are_one_circle() {
    let snapshot = waiting(&[Some(1), Some(0)]);
    let holds = [hold(0, 0), hold(1, 1)];
    assert_eq!(members(&cycles(&snapshot, &holds)), [vec![1, 0]]);
}

#[test]
fn who_waits_for_a_circle_is_not_of_it() {
    // The first holds a lock that nobody waits for in a circle, and waits for one of the circle.
    let snapshot = waiting(&[Some(0), Some(1), Some(0)]);
    let holds = [hold(0, 2), hold(1, 0), hold(2, 1)];
    assert_eq!(members(&cycles(&snapshot, &holds)), [vec![2, 1]]);
}

#[test]
fn a_goroutine_that_waits_for_its_own_lock_is_a_circle() {
    assert_eq!(members(&cycles(&waiting(&[Some(0)]), &[hold(0, 0)])), [vec![0]]);
}

#[test]
fn who_holds_a_lock_and_waits_for_none_is_in_no_circle() {
    let snapshot = waiting(&[Some(1), None]);
    assert!(cycles(&snapshot, &[hold(0, 0), hold(1, 1)]).is_empty());
}

#[test]
fn one_that_changed_is_in_no_circle() {
    let mut snapshot = waiting(&[Some(1), Some(0)]);
    snapshot.goroutines[1].changed = true;
    assert!(cycles(&snapshot, &[hold(0, 0), hold(1, 1)]).is_empty());
}

#[test]
fn of_readers_the_one_that_waits_makes_the_circle() {
    let snapshot = waiting(&[None, Some(0), Some(2)]);
    let read = |goroutine| Hold { shared: true, ..hold(goroutine, 2) };
    let holds = [read(0), read(1), hold(2, 0)];
    assert_eq!(members(&cycles(&snapshot, &holds)), [vec![2, 1]]);
}

#[test]
fn two_that_seem_to_hold_one_lock_are_both_uncertain() {
    let snapshot = waiting(&[None, None]);
    assert!(certain(&snapshot, vec![hold(0, 0), hold(1, 0)]).is_empty());
    let read = |goroutine| Hold { shared: true, ..hold(goroutine, 2) };
    assert_eq!(certain(&snapshot, vec![read(0), read(1)]).len(), 2);
    assert!(certain(&snapshot, vec![read(0), hold(1, 2)]).is_empty());
}

#[test]
fn a_lock_is_held_only_past_the_statement_that_defers_its_release() {
    let unlocks = Unlocks { owner: "main.f", shared: false, at: at("main.f", 10) };
    let other = goroutine(1, Some(WaitingOn::Lock(1)));
    let past = |stack: &[Position<'_>], goroutine| is_past(stack, &unlocks, goroutine, 0);
    assert!(past(&[at("sync.(*Mutex).lockSlow", 1), at("main.f", 12)], &other));
    // Words of an earlier call: this one has not come so far.
    assert!(!past(&[at("sync.(*Mutex).lockSlow", 1), at("main.f", 9)], &other));
    assert!(!past(&[at("sync.(*Mutex).lockSlow", 1), at("main.g", 12)], &other));
}

#[test]
fn a_function_that_locks_again_what_it_unlocked_for_a_while_does_not_wait_for_itself() {
    let unlocks = Unlocks { owner: "main.f", shared: false, at: at("main.f", 10) };
    let same = goroutine(1, Some(WaitingOn::Lock(0)));
    let slow = at("sync.(*Mutex).lockSlow", 1);
    assert!(!is_past(&[slow, at("main.f", 12)], &unlocks, &same, 0));
    assert!(is_past(&[slow, at("main.g", 3), at("main.f", 12)], &unlocks, &same, 0));
}

#[test]
fn who_waits_to_send_is_a_sender() {
    let mut snapshot = Snapshot::default();
    let (senders, receivers) = (vec![1], vec![2]);
    snapshot.channels.push(Channel { senders, receivers, ..Channel::default() });
    let senders = Senders::of(&snapshot);
    assert!(senders.has(&goroutine(1, Some(WaitingOn::Channel(0)))));
    assert!(!senders.has(&goroutine(2, Some(WaitingOn::Channel(0)))));
}

/// A stack in which `main.f` defers the release of a lock on line 10.
fn may_be_over(inner: &[(&'static str, u32, bool)]) -> bool {
    let unlocks = Unlocks { owner: "main.f", shared: false, at: at("main.f", 10) };
    let call = |(function, begins, inlined): (&'static str, u32, bool)| Call {
        position: Position { inlined, ..at(function, begins) },
        begins,
    };
    let outer = [("main.f", 5, false), ("main.main", 30, false)];
    let stack: Vec<_> = inner.iter().copied().chain(outer).map(call).collect();
    may_have_unlocked(&stack, &unlocks)
}

#[test]
fn a_deferred_call_that_comes_after_the_release_may_not_hold_the_lock() {
    let wait = ("sync.(*WaitGroup).Wait", 100, false);
    // Deferred on line 8, so that it runs after the release, and on line 12, before it.
    assert!(may_be_over(&[wait, ("main.f.deferwrap1", 8, false)]));
    assert!(!may_be_over(&[wait, ("main.f.deferwrap3", 12, false)]));
    assert!(may_be_over(&[wait, ("main.f.func1", 8, false)]));
    assert!(!may_be_over(&[wait, ("main.f.func3", 12, false)]));
    assert!(may_be_over(&[wait, ("main.f.func1", 0, false)]), "where it begins is not known");
    // In a loop, or where there are many, the runtime calls what is deferred.
    let returns = ("runtime.deferreturn", 500, false);
    assert!(may_be_over(&[wait, ("main.f.func1", 8, false), returns]));
    assert!(!may_be_over(&[wait, ("main.f.func3", 12, false), returns]));
}

#[test]
fn other_calls_say_nothing_of_what_is_deferred() {
    let wait = ("runtime.gopark", 100, false);
    assert!(!may_be_over(&[wait]));
    assert!(!may_be_over(&[wait, ("main.g", 8, false)]));
    assert!(!may_be_over(&[wait, ("main.g", 8, false), ("main.inlined", 8, true)]));
    assert!(!may_be_over(&[wait, ("main.ff.func1", 8, false)]), "a closure of another function");
}

#[test]
fn in_a_panic_it_is_not_known_what_has_been_released() {
    let wait = ("sync.(*WaitGroup).Wait", 100, false);
    let panics = [wait, ("main.f.func3", 12, false), ("runtime.gopanic", 700, false)];
    assert!(may_be_over(&panics));
}
