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
fn who_waits_to_send_is_a_sender() {
    let mut snapshot = Snapshot::default();
    let (senders, receivers) = (vec![1], vec![2]);
    snapshot.channels.push(Channel { senders, receivers, ..Channel::default() });
    let senders = Senders::of(&snapshot);
    assert!(senders.has(&goroutine(1, Some(WaitingOn::Channel(0)))));
    assert!(!senders.has(&goroutine(2, Some(WaitingOn::Channel(0)))));
}
