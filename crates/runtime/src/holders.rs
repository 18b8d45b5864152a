//! Who holds a lock that others wait for, as far as stacks show it.
//!
//! `sync.Mutex` does not store who holds it. But `defer mu.Unlock()` leaves a call that is still to come: of a small
//! function that the compiler made, which calls `Unlock`, with the address of the lock. A goroutine that has such a call
//! holds the lock, unless it unlocks for a while and locks again. One that unlocks without `defer` is not found. Not
//! here: how calls that are to come are found (`deferred`), the sentences that `gotap chan` makes of it.

use std::collections::{HashMap, HashSet};

use gomem::Memory;

use crate::deferred::{self, Deferred};
use crate::goroutine::RawG;
use crate::layout::Layout;
use crate::symbols::{Position, Symbols};
use crate::{Error, Goroutine, LockKind, Snapshot, State, WaitingOn};

/// Goroutines whose stacks are read, and bytes of each that are: the innermost.
const MAX_STACKS: usize = 16 << 10;
const MAX_STACK: u64 = 32 << 10;
/// Stacks that are read together.
const BATCH: usize = 256;

/// A goroutine that holds a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold<'d> {
    /// Its index in the snapshot.
    pub goroutine: usize,
    /// The lock's index in the snapshot.
    pub lock: usize,
    /// Whether others may hold it, too: it is locked for reading.
    pub shared: bool,
    /// The `defer` statement that will unlock it.
    pub at: Position<'d>,
}

/// What stacks say of locks and channels.
#[derive(Debug, Default)]
pub struct Holds<'d> {
    /// Who holds which lock.
    pub holds: Vec<Hold<'d>>,
    /// Channels whose addresses stand on stacks of goroutines that wait to send: index of the goroutine, index of
    /// the channel.
    pub mentions: Vec<(usize, usize)>,
    /// Goroutines whose stacks were not read, as there are too many.
    pub left_out: usize,
}

/// A function that the compiler made of `defer mu.Unlock()`.
#[derive(Debug, Clone, Copy)]
struct Unlocks<'d> {
    /// The function that the statement is in.
    owner: &'d str,
    shared: bool,
    at: Position<'d>,
}

/// Reads the stacks of a snapshot's goroutines for what they say of its locks.
///
/// # Errors
/// When the process is gone, or may not be read.
pub fn holds<'d>(
    memory: &impl Memory,
    layout: &Layout,
    symbols: &Symbols<'_, 'd>,
    bias: u64,
    snapshot: &Snapshot,
) -> Result<Holds<'d>, Error> {
    let mut search = Search::new(symbols, bias, snapshot);
    let candidates = search.candidates();
    let left_out = candidates.len().saturating_sub(MAX_STACKS);
    for batch in candidates[..candidates.len() - left_out].chunks(BATCH) {
        search.batch(memory, layout, batch)?;
    }
    let mut out = search.out;
    out.holds = certain(snapshot, out.holds);
    out.left_out = left_out;
    Ok(out)
}

struct Search<'s, 'a, 'd> {
    symbols: &'s Symbols<'a, 'd>,
    bias: u64,
    snapshot: &'s Snapshot,
    /// Locks and channels by their addresses.
    locks: HashMap<u64, usize>,
    channels: HashMap<u64, usize>,
    senders: Senders,
    /// By the addresses of their code in the process.
    unlocks: HashMap<u64, Unlocks<'d>>,
    deferred: deferred::Search<'a, 'd>,
    out: Holds<'d>,
}

impl<'s, 'a, 'd> Search<'s, 'a, 'd> {
    fn new(symbols: &'s Symbols<'a, 'd>, bias: u64, snapshot: &'s Snapshot) -> Self {
        let locks = snapshot.locks.iter().enumerate().filter(|(_, lock)| lock.kind.is_held());
        let channels =
            snapshot.channels.iter().enumerate().filter(|(_, channel)| !channel.senders.is_empty());
        Self {
            symbols,
            bias,
            snapshot,
            locks: locks.map(|(i, lock)| (lock.address, i)).collect(),
            channels: channels.map(|(i, channel)| (channel.address, i)).collect(),
            senders: Senders::of(snapshot),
            unlocks: HashMap::new(),
            deferred: deferred::Search::new(symbols.binary(), bias),
            out: Holds::default(),
        }
    }

    /// Goroutines that may hold a lock, or wait to send to one of several channels.
    fn candidates(&mut self) -> Vec<usize> {
        if self.locks.is_empty() && self.channels.len() < 2 {
            return Vec::new();
        }
        let own: Vec<usize> = (0..self.snapshot.goroutines.len())
            .filter(|i| {
                let goroutine = &self.snapshot.goroutines[*i];
                !goroutine.system && !goroutine.changed && goroutine.state != State::Running
            })
            .collect();
        let numbers: HashSet<u32> = own.iter().filter_map(|i| self.stack_number(*i)).collect();
        // Which functions are on stacks at all: of as many stacks as there may be, only that is kept.
        let mut functions: HashSet<&str> = HashSet::new();
        if !self.locks.is_empty() {
            for number in &numbers {
                functions.extend(self.frames(*number).iter().map(|frame| frame.function));
            }
            let bias = self.bias;
            let found = self.symbols.wrappers(|owner| functions.contains(owner)).into_iter();
            self.unlocks = found
                .filter_map(|wrapper| {
                    let shared = unlocks(wrapper.calls)?;
                    let (owner, at) = (wrapper.owner, wrapper.at);
                    Some((wrapper.entry.wrapping_add(bias), Unlocks { owner, shared, at }))
                })
                .collect();
        }
        let owners: HashSet<&str> = self.unlocks.values().map(|one| one.owner).collect();
        let may_hold: HashSet<u32> = numbers
            .into_iter()
            .filter(|number| {
                let frames = self.frames(*number);
                let has = |is: &dyn Fn(&str) -> bool| frames.iter().any(|f| is(f.function));
                // `Wait` has unlocked what its caller has locked.
                let is_condition = has(&|function| function == "sync.(*Cond).Wait");
                !is_condition && has(&|function| owners.contains(function))
            })
            .collect();
        own.into_iter()
            .filter(|i| {
                let may_hold = self.stack_number(*i).is_some_and(|n| may_hold.contains(&n));
                let sends = self.senders.has(&self.snapshot.goroutines[*i]);
                may_hold || (self.channels.len() > 1 && sends)
            })
            .collect()
    }

    fn stack_number(&self, index: usize) -> Option<u32> {
        match self.snapshot.goroutines[index].stack {
            crate::StackState::Known(number) => Some(number),
            _ => None,
        }
    }

    fn frames(&self, stack: u32) -> Vec<Position<'d>> {
        self.symbols.stack(self.snapshot.stack_by_number(stack).unwrap_or_default())
    }

    fn batch(
        &mut self,
        memory: &impl Memory,
        layout: &Layout,
        batch: &[usize],
    ) -> Result<(), Error> {
        let at = &layout.g;
        let goroutine = |i: &usize| &self.snapshot.goroutines[*i];
        let structures: Vec<_> = batch.iter().map(|i| (goroutine(i).address, at.len)).collect();
        let read = memory.gather(&structures)?;
        let raw = |i: usize| RawG::parse(read.get(i)?, at);
        let places: Vec<(u64, usize)> = (0..batch.len())
            .map(|i| {
                let raw = raw(i).filter(|raw| is_still(raw, goroutine(&batch[i])));
                let len = raw.map_or(0, |raw| raw.high.saturating_sub(raw.sp).min(MAX_STACK));
                (raw.map_or(0, |raw| raw.sp), usize::try_from(len).unwrap_or(0))
            })
            .collect();
        let stacks = memory.gather(&places)?;
        let mut deferred = Vec::with_capacity(batch.len());
        for i in 0..batch.len() {
            let bytes = stacks.get(i).filter(|bytes| !bytes.is_empty() && !self.unlocks.is_empty());
            deferred.push(match raw(i).zip(bytes) {
                Some((raw, bytes)) => {
                    self.deferred.calls(memory, layout, deferred::Stack { raw, bytes })?
                }
                None => Vec::new(),
            });
        }
        let again = memory.gather(&structures)?;
        for (i, index) in batch.iter().enumerate() {
            let now = again.get(i).and_then(|bytes| RawG::parse(bytes, at));
            let is_same = raw(i).zip(now).is_some_and(|(then, now)| now.is_still(&then));
            if let Some(bytes) = stacks.get(i).filter(|_| is_same) {
                self.holds_of(*index, &deferred[i]);
                self.mentions_of(*index, bytes);
            }
        }
        Ok(())
    }

    /// Locks that deferred calls of a goroutine will unlock.
    fn holds_of(&mut self, index: usize, deferred: &[Deferred]) {
        let goroutine = &self.snapshot.goroutines[index];
        let mut holds = Vec::new();
        for call in deferred {
            let lock = self.locks.get(&call.captured);
            let (Some(unlocks), Some(lock)) = (self.unlocks.get(&call.code), lock) else {
                continue;
            };
            if self.is_held(goroutine, *lock, call.frame) {
                let (shared, at) = (unlocks.shared, unlocks.at);
                holds.push(Hold { goroutine: index, lock: *lock, shared, at });
            }
        }
        holds.sort_by_key(|hold| hold.lock);
        holds.dedup_by_key(|hold| hold.lock);
        self.out.holds.extend(holds);
    }

    /// Whether a goroutine holds the lock that this frame's function will unlock. It may wait for that lock itself: then
    /// the function may have unlocked for a while and lock again, so that another one must be what locks. That this one
    /// does the same is rare, and its wait is short.
    fn is_held(&self, goroutine: &Goroutine, lock: usize, frame: usize) -> bool {
        let waits_for_it =
            matches!(goroutine.waiting_on, Some(WaitingOn::Lock(n)) if n as usize == lock);
        let is_own =
            |address: &u64| !self.symbols.stack(&[*address]).iter().all(Position::waits_for_caller);
        let locks = || self.snapshot.stack(goroutine)?.iter().position(is_own);
        !waits_for_it || locks().is_some_and(|locks| frame > locks)
    }

    /// Channels whose addresses stand on the stack of a goroutine that waits to send.
    fn mentions_of(&mut self, index: usize, bytes: &[u8]) {
        if !self.senders.has(&self.snapshot.goroutines[index]) {
            return;
        }
        let (words, _) = bytes.as_chunks::<8>();
        let channels =
            words.iter().filter_map(|word| self.channels.get(&u64::from_le_bytes(*word)));
        let mut mentions: Vec<_> = channels.map(|channel| (index, *channel)).collect();
        mentions.sort_unstable();
        mentions.dedup();
        self.out.mentions.extend(mentions);
    }
}

/// Whether a goroutine is where the snapshot says.
fn is_still(raw: &RawG, goroutine: &Goroutine) -> bool {
    raw.goid == goroutine.goid
        && raw.state == Some(goroutine.state)
        && raw.stops == goroutine.stops
        && raw.has_stack()
}

/// Whether a function unlocks what is locked for reading (`true`) or writing; `None` of any other function.
fn unlocks(function: &str) -> Option<bool> {
    match function {
        "sync.(*Mutex).Unlock" | "sync.(*RWMutex).Unlock" => Some(false),
        "sync.(*RWMutex).RUnlock" => Some(true),
        _ => None,
    }
}

/// Goroutines that wait to send to a channel.
#[derive(Debug)]
pub struct Senders(HashSet<u64>);

impl Senders {
    /// Those of a snapshot.
    pub fn of(snapshot: &Snapshot) -> Self {
        Self(snapshot.channels.iter().flat_map(|channel| channel.senders.iter().copied()).collect())
    }

    /// Whether a goroutine is one: it waits for this channel alone.
    pub fn has(&self, goroutine: &Goroutine) -> bool {
        matches!(goroutine.waiting_on, Some(WaitingOn::Channel(_)))
            && self.0.contains(&goroutine.goid)
    }
}

/// Only one goroutine can hold a lock, unless all hold it for reading: where there are more, none is certain.
fn certain<'d>(snapshot: &Snapshot, holds: Vec<Hold<'d>>) -> Vec<Hold<'d>> {
    let mut counts: HashMap<usize, (usize, usize)> = HashMap::new();
    for hold in &holds {
        let (shared, all) = counts.entry(hold.lock).or_default();
        *shared += usize::from(hold.shared);
        *all += 1;
    }
    let fits = |hold: &Hold<'_>| {
        let kind = snapshot.locks.get(hold.lock).map(|lock| lock.kind);
        let may_be = !hold.shared || kind == Some(LockKind::RwMutex);
        counts.get(&hold.lock).is_some_and(|(shared, all)| shared == all || *all == 1) && may_be
    };
    holds.into_iter().filter(fits).collect()
}

/// One goroutine of a circle: it waits for the lock that the next one holds.
pub type Link<'h, 'd> = &'h Hold<'d>;

/// Circles of goroutines that each wait for a lock which the next one holds: they wait for ever. Each hold is
/// that of the goroutine which the one before it waits for.
pub fn cycles<'h, 'd>(snapshot: &Snapshot, holds: &'h [Hold<'d>]) -> Vec<Vec<Link<'h, 'd>>> {
    let lock_of = |goroutine: usize| {
        let goroutine = snapshot.goroutines.get(goroutine)?;
        let waits = goroutine.state == State::Waiting && !goroutine.changed;
        match goroutine.waiting_on {
            Some(WaitingOn::Lock(number)) if waits => Some(number as usize),
            _ => None,
        }
    };
    // Of several that hold a lock for reading, one that waits for a lock itself.
    let mut held: HashMap<usize, Link<'h, 'd>> = HashMap::new();
    for hold in holds {
        let known = held.entry(hold.lock).or_insert(hold);
        if lock_of(known.goroutine).is_none() {
            *known = hold;
        }
    }
    let mut done = HashSet::new();
    let mut out = Vec::new();
    for hold in holds {
        let mut path: Vec<(usize, Link<'h, 'd>)> = Vec::new();
        let mut at = hold.goroutine;
        while done.insert(at) {
            let Some(link) = lock_of(at).and_then(|lock| held.get(&lock).copied()) else { break };
            path.push((at, link));
            at = link.goroutine;
        }
        // Where it came to a goroutine of this path again, the rest of the path is a circle.
        if let Some(start) = path.iter().position(|(goroutine, _)| *goroutine == at) {
            out.push(path.split_off(start).into_iter().map(|(_, link)| link).collect());
        }
    }
    out
}

#[cfg(test)]
#[path = "holders_tests.rs"]
mod tests;
