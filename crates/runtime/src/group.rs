//! Goroutines that are alike, put together as pprof's goroutine profile does: the same stack, state,
//! reason and creator.

use std::collections::HashMap;

use crate::{Channel, Goroutine, Snapshot, StackState, State, WaitingOn};

/// Goroutines that are alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Their positions in the snapshot, in its order.
    pub members: Vec<usize>,
    /// What they wait for, as far as it is the same for all.
    pub waiting_on: Option<Wait>,
}

/// What is waited for, as far as it is known and the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// `chan`, `select`, `mutex` or the like.
    pub kind: &'static str,
    /// Where it is.
    pub address: Option<u64>,
    /// Address of the elements' type, of channels.
    pub element_type: Option<u64>,
    /// Elements in it.
    pub len: Option<u64>,
    /// Elements that it has room for.
    pub capacity: Option<u64>,
    /// Whether it is closed.
    pub closed: Option<bool>,
    /// How many wait to send.
    pub senders: Option<usize>,
    /// How many wait to receive; of locks, how many wait.
    pub receivers: Option<usize>,
}

impl Wait {
    fn of_kind(kind: &'static str) -> Self {
        Self {
            kind,
            address: None,
            element_type: None,
            len: None,
            capacity: None,
            closed: None,
            senders: None,
            receivers: None,
        }
    }

    fn of_channel(kind: &'static str, channel: &Channel) -> Self {
        let is_read = channel.len.is_some();
        Self {
            kind,
            address: Some(channel.address),
            element_type: is_read.then_some(channel.element_type),
            len: channel.len,
            capacity: channel.capacity,
            closed: channel.closed,
            senders: is_read.then_some(channel.senders.len()),
            receivers: is_read.then_some(channel.receivers.len()),
        }
    }

    /// Of one goroutine.
    pub fn of(snapshot: &Snapshot, goroutine: &Goroutine) -> Option<Self> {
        let channel = |number: &u32| snapshot.channels.get(*number as usize);
        Some(match goroutine.waiting_on.as_ref()? {
            WaitingOn::NilChannel => Self::of_kind("chan"),
            WaitingOn::Channel(number) => Self::of_channel("chan", channel(number)?),
            WaitingOn::Select(numbers) => match numbers.as_ref() {
                [number] => Self::of_channel("select", channel(number)?),
                _ => Self::of_kind("select"),
            },
            WaitingOn::Lock(number) => {
                let lock = snapshot.locks.get(*number as usize)?;
                let mut out = Self::of_kind(lock.kind.name());
                out.address = Some(lock.address);
                out.receivers = Some(lock.waiters.len());
                out
            }
        })
    }

    /// What both have in common.
    fn and(self, other: Self) -> Option<Self> {
        fn same<T: PartialEq>(one: Option<T>, other: Option<T>) -> Option<T> {
            one.filter(|value| Some(value) == other.as_ref())
        }
        (self.kind == other.kind).then(|| Self {
            kind: self.kind,
            address: same(self.address, other.address),
            element_type: same(self.element_type, other.element_type),
            len: same(self.len, other.len),
            capacity: same(self.capacity, other.capacity),
            closed: same(self.closed, other.closed),
            senders: same(self.senders, other.senders),
            receivers: same(self.receivers, other.receivers),
        })
    }
}

/// What goroutines must share to be alike.
pub(crate) type Key = (State, Option<u8>, StackState, u64);

pub(crate) fn key(goroutine: &Goroutine) -> Key {
    (goroutine.state, goroutine.reason, goroutine.stack, goroutine.created_at)
}

/// Puts the goroutines that are `wanted` together, the most numerous first.
pub fn group(snapshot: &Snapshot, wanted: impl Fn(&Goroutine) -> bool) -> Vec<Group> {
    let mut positions: HashMap<Key, usize> = HashMap::new();
    let mut out: Vec<Group> = Vec::new();
    for (i, goroutine) in snapshot.goroutines.iter().enumerate().filter(|(_, g)| wanted(g)) {
        let wait = Wait::of(snapshot, goroutine);
        let position = *positions.entry(key(goroutine)).or_insert(out.len());
        match out.get_mut(position) {
            Some(group) => {
                group.members.push(i);
                let before = group.waiting_on.take();
                group.waiting_on = before.zip(wait).and_then(|(a, b)| a.and(b));
            }
            None => out.push(Group { members: vec![i], waiting_on: wait }),
        }
    }
    out.sort_by_key(|group| std::cmp::Reverse(group.members.len()));
    out
}
