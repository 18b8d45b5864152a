//! What goroutines wait for: channels, by the queues that their `runtime.sudog`s stand in, and locks,
//! by the runtime's table of semaphores.
//!
//! Source: `runtime/chan.go`, `runtime/select.go`, `runtime/sema.go`. Not here: which lock of `sync` a
//! semaphore belongs to, which the stack tells (`snapshot`).

use std::collections::HashSet;

use foldhash::HashMap;
use gobin::{Arch, Global};
use gomem::{Gathered, Memory, Pages, u32_at, u64_at};
use smallvec::SmallVec;

use crate::Error;
use crate::layout::{Layout, Queues};

/// Channels of one `select` that are looked at.
const MAX_CASES: usize = 1024;
/// Queue entries in all.
const MAX_ENTRIES: usize = 1 << 22;
/// Channels that are read together.
const BATCH: usize = 4096;
/// Roots of the table of semaphores, and bytes between them (`semTabSize`, a cache line).
const ROOTS: u64 = 251;
const ROOT_LEN: usize = 64;

/// What a goroutine waits for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum WaitingOn {
    /// To send to, or receive from, a channel: its number in the snapshot.
    Channel(u32),
    /// The same of a channel that is nil, so that it waits for ever.
    NilChannel,
    /// One of several channels. More than 1024 are not listed.
    Select(Box<[u32]>),
    /// A lock: its number in the snapshot.
    Lock(u32),
}

/// A channel that somebody waits for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Channel {
    /// Where it is.
    pub address: u64,
    /// Address of its elements' type, in the file.
    pub element_type: u64,
    /// Elements in it; this and the others are `None` where it could not be read.
    pub len: Option<u64>,
    /// Elements that it has room for.
    pub capacity: Option<u64>,
    /// Whether it is closed.
    pub closed: Option<bool>,
    /// Goroutines that wait to send to it.
    pub senders: Vec<u64>,
    /// Goroutines that wait to receive from it.
    pub receivers: Vec<u64>,
}

impl Channel {
    /// Reads one that is known by its address, without who waits for it; `None` where there can be none.
    ///
    /// # Errors
    /// When the process is gone, or may not be read.
    pub fn read(
        memory: &impl Memory,
        layout: &Layout,
        bias: u64,
        address: u64,
    ) -> Result<Option<Self>, Error> {
        let Some(at) = &layout.queues else { return Ok(None) };
        let bytes = memory.bytes(address, at.hchan_len)?;
        Ok(bytes.as_deref().and_then(|bytes| channel(bytes, at, bias, address)))
    }
}

/// What a `runtime.hchan` says of itself, without who waits for it; `None` where there can be none.
fn channel(bytes: &[u8], at: &Queues, bias: u64, address: u64) -> Option<Channel> {
    let (count, capacity) = (u64_at(bytes, at.count)?, u64_at(bytes, at.capacity)?);
    (count <= capacity).then_some(Channel {
        address,
        element_type: u64_at(bytes, at.element_type)?.wrapping_sub(bias),
        len: Some(count),
        capacity: Some(capacity),
        closed: Some(u32_at(bytes, at.closed)? != 0),
        ..Channel::default()
    })
}

/// What kind of lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LockKind {
    /// `sync.Mutex`.
    Mutex,
    /// `sync.RWMutex`.
    RwMutex,
    /// `sync.WaitGroup`.
    WaitGroup,
    /// Another semaphore.
    Semaphore,
}

impl LockKind {
    /// Whether a goroutine holds it, until it unlocks.
    pub fn is_held(self) -> bool {
        matches!(self, LockKind::Mutex | LockKind::RwMutex)
    }

    /// As it is printed.
    pub fn name(self) -> &'static str {
        match self {
            LockKind::Mutex => "mutex",
            LockKind::RwMutex => "rwmutex",
            LockKind::WaitGroup => "waitgroup",
            LockKind::Semaphore => "semaphore",
        }
    }
}

/// A lock that somebody waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// What it is.
    pub kind: LockKind,
    /// Where it is; the address of its semaphore if it is no more than that.
    pub address: u64,
    /// Goroutines that wait for it.
    pub waiters: Vec<u64>,
}

/// One `runtime.sudog`: a goroutine in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    g: u64,
    next: u64,
    prev: u64,
    link: u64,
    element: u64,
    channel: u64,
}

fn entry(bytes: &[u8], at: &Queues) -> Option<Entry> {
    let pointer = |(offset, two): (usize, bool)| {
        let first = u64_at(bytes, offset)?;
        // Since Go 1.26 a pointer that the garbage collector shall not see stands in the second word.
        if first != 0 || !two { Some(first) } else { u64_at(bytes, offset + 8) }
    };
    Some(Entry {
        g: u64_at(bytes, at.g)?,
        next: u64_at(bytes, at.next)?,
        prev: u64_at(bytes, at.prev)?,
        link: u64_at(bytes, at.wait_link)?,
        element: pointer(at.element)?,
        channel: pointer(at.channel)?,
    })
}

/// A queue entry as far as queues are followed.
#[derive(Debug, Clone, Copy)]
struct Queued {
    next: u64,
    prev: u64,
    /// The channel that it is of.
    channel: u64,
    /// The goroutine that waits; 0 where the entry no longer belongs to the goroutine that led to it.
    goid: u64,
}

/// Channels that a goroutine waits for: most wait for one.
pub(crate) type Numbers = SmallVec<[u32; 4]>;

/// A goroutine that waits for channels: its number, its address and its first queue entry.
pub(crate) type Waiting = (u64, u64, u64);

/// Collects the channels that goroutines wait for.
#[derive(Debug, Default)]
pub(crate) struct Channels {
    /// Queue entries by their addresses.
    entries: HashMap<u64, Queued>,
    numbers: HashMap<u64, u32>,
    /// Channels by their numbers.
    addresses: Vec<u64>,
    read: Gathered,
    unread: usize,
}

impl Channels {
    /// Queue entries that could not be read, or found no room.
    pub(crate) fn unread(&self) -> usize {
        self.unread
    }

    /// Adds those of some goroutines; gives the channels' numbers for each of them.
    pub(crate) fn add(
        &mut self,
        memory: &impl Memory,
        at: &Queues,
        waiting: &[Waiting],
    ) -> Result<Vec<Numbers>, Error> {
        let mut out = vec![Numbers::new(); waiting.len()];
        // Each goroutine's entries hang on one another.
        let mut open: Vec<(usize, u64)> =
            waiting.iter().enumerate().map(|(i, (_, _, first))| (i, *first)).collect();
        for _ in 0..MAX_CASES {
            open.retain(|(_, address)| *address != 0);
            if open.is_empty() || self.entries.len() >= MAX_ENTRIES {
                self.unread += open.len();
                break;
            }
            let places: Vec<_> = open.iter().map(|(_, address)| (*address, at.sudog_len)).collect();
            memory.gather_into(&places, &mut self.read)?;
            self.entries.reserve(places.len());
            for (position, (i, address)) in open.iter_mut().enumerate() {
                let found = self.read.get(position).and_then(|bytes| entry(bytes, at));
                self.unread += usize::from(found.is_none());
                let (goid, g, _) = waiting[*i];
                // Another goroutine's entry: this one went on meanwhile.
                let own = found.filter(|entry| entry.g == g && entry.channel != 0);
                if let Some(Entry { next, prev, channel, .. }) = found {
                    let goid = if own.is_some() { goid } else { 0 };
                    let queued = Queued { next, prev, channel, goid };
                    let known = self.entries.entry(*address).or_insert(queued);
                    // The goroutine that has the entry is known already, unless the queue has changed.
                    if goid != 0 || (known.next, known.prev) != (next, prev) {
                        *known = queued;
                    }
                }
                if let Some(entry) = own {
                    out[*i].push(self.number(entry.channel));
                }
                *address = own.map_or(0, |entry| entry.link);
            }
        }
        for channels in &mut out {
            channels.sort_unstable();
            channels.dedup();
        }
        Ok(out)
    }

    fn number(&mut self, address: u64) -> u32 {
        let next = u32::try_from(self.addresses.len()).unwrap_or(u32::MAX);
        let number = *self.numbers.entry(address).or_insert(next);
        if number == next {
            self.addresses.push(address);
        }
        number
    }

    /// Reads the channels.
    pub(crate) fn finish(
        &self,
        memory: &impl Memory,
        at: &Queues,
        bias: u64,
    ) -> Result<Vec<Channel>, Error> {
        let mut out = Vec::with_capacity(self.addresses.len());
        for batch in self.addresses.chunks(BATCH) {
            let places: Vec<_> = batch.iter().map(|a| (*a, at.hchan_len)).collect();
            let read = memory.gather(&places)?;
            out.extend(batch.iter().enumerate().map(|(i, address)| {
                let channel = read.get(i).and_then(|bytes| {
                    let queue = |first: usize| Some(self.waiters(*address, u64_at(bytes, first)?));
                    let (senders, receivers) = (queue(at.senders)?, queue(at.receivers)?);
                    Some(Channel { senders, receivers, ..channel(bytes, at, bias, *address)? })
                });
                channel.unwrap_or_else(|| Channel { address: *address, ..Channel::default() })
            }));
        }
        Ok(out)
    }

    /// The goroutines of a channel's queue, as far as they were read. Entries of other channels end it, so that all queues
    /// together have no more than there are entries, whatever the process says.
    fn waiters(&self, channel: u64, first: u64) -> Vec<u64> {
        let (mut out, mut next, mut previous) = (Vec::new(), first, 0);
        let fits = |entry: &&Queued, previous| (entry.prev, entry.channel) == (previous, channel);
        while let Some(entry) = self.entries.get(&next).filter(|entry| fits(entry, previous)) {
            out.extend((entry.goid != 0).then_some(entry.goid));
            (previous, next) = (next, entry.next);
        }
        out
    }
}

/// Who waits for semaphores.
#[derive(Debug, Default)]
pub(crate) struct Semaphores {
    /// Which one each goroutine waits for, by the addresses of both.
    pub(crate) waiting: HashMap<u64, u64>,
    /// Entries that could not be read, or found no room: what hangs on them is missing.
    pub(crate) unread: usize,
}

/// Reads the runtime's table of semaphores; `None` where there is none that can be read.
pub(crate) fn semaphores(
    memory: &impl Memory,
    layout: &Layout,
    bias: u64,
) -> Result<Option<Semaphores>, Error> {
    let mut out = Semaphores::default();
    let found = layout.queues.as_ref().zip(layout.global(Global::Semtable));
    let treap = layout.offsets.get("semaRoot.treap").and_then(|at| usize::try_from(at).ok());
    let (Some((at, table)), Some(treap), Arch::Amd64) = (found, treap, layout.arch) else {
        return Ok(None);
    };
    let len = ROOT_LEN * ROOTS as usize;
    let Some(roots) = memory.bytes(table.wrapping_add(bias), len)? else { return Ok(None) };
    let mut pages = Pages::new(memory);
    let mut seen = HashSet::new();
    let mut bytes = vec![0; at.sudog_len];
    // Addresses of entries, and the semaphore that is known already of a waiter that hangs on another.
    let mut open: Vec<(u64, Option<u64>)> =
        roots.chunks(ROOT_LEN).filter_map(|root| Some((u64_at(root, treap)?, None))).collect();
    while let Some((address, semaphore)) = open.pop() {
        if address == 0 || seen.contains(&address) {
            continue;
        }
        if seen.len() >= MAX_ENTRIES {
            out.unread += 1;
            continue;
        }
        seen.insert(address);
        let is_there = pages.read(address, &mut bytes)?;
        let Some(entry) = entry(&bytes, at).filter(|_| is_there) else {
            out.unread += 1;
            continue;
        };
        let semaphore_of = semaphore.unwrap_or(entry.element);
        out.waiting.insert(entry.g, semaphore_of);
        open.push((entry.link, Some(semaphore_of)));
        if semaphore.is_none() {
            open.extend([(entry.prev, None), (entry.next, None)]);
        }
    }
    Ok(Some(out))
}

#[cfg(test)]
#[path = "waiting_tests.rs"]
mod tests;
