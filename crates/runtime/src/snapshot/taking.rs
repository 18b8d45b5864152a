//! A snapshot in the making: goroutines batch by batch, their stacks, and the channels and locks that they wait for.
//! Not here: the list of goroutines, and what a snapshot answers.

use std::collections::HashSet;

use foldhash::{HashMap, HashMapExt};
use gobin::Binary;
use gomem::{Gathered, Memory};

use super::Snapshot;
use crate::census::reason_text;
use crate::goroutine::RawG;
use crate::layout::Layout;
use crate::stacks::{Stacks, Walk};
use crate::waiting::{self, Channels, Lock, LockKind, WaitingOn};
use crate::{Error, Goroutine, StackState, State, modules};

/// What a start function says of a goroutine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    User,
    System,
    /// Of the system unless it runs finalizers of the program.
    Finalizers,
    /// Of the system unless it runs cleanups of the program.
    Cleanups,
}

/// A snapshot in the making.
pub(super) struct Taking<'a, 'd, M> {
    memory: &'a M,
    layout: &'a Layout,
    bias: u64,
    binary: &'a Binary<'d>,
    pub(super) stacks: Stacks<'a, 'd>,
    channels: Channels,
    kinds: HashMap<u64, Start>,
    gathered: Gathered,
    /// Structures that may be goroutines, the dead ones included.
    plausible: usize,
    pub(super) out: Snapshot,
}

impl<'a, 'd, M: Memory> Taking<'a, 'd, M> {
    pub(super) fn new(
        memory: &'a M,
        layout: &'a Layout,
        binary: &'a Binary<'d>,
        bias: u64,
    ) -> Self {
        Self {
            memory,
            layout,
            bias,
            binary,
            stacks: Stacks::new(binary.lines(), bias),
            channels: Channels::default(),
            kinds: HashMap::new(),
            gathered: Gathered::default(),
            plausible: 0,
            out: Snapshot::default(),
        }
    }

    pub(super) fn batch(&mut self, addresses: &[u64]) -> Result<(), Error> {
        let read = self.read(addresses)?;
        self.out.unreadable += read.iter().filter(|raw| raw.is_none()).count();
        self.out.extra += read.iter().flatten().filter(|raw| raw.is_extra()).count();
        let plausible =
            |raw: &&RawG| raw.low <= raw.high && !matches!(raw.state, Some(State::Unknown(_)));
        self.plausible += read.iter().flatten().filter(plausible).count();
        let live: Vec<(u64, RawG)> = addresses
            .iter()
            .zip(read)
            .filter_map(|(address, raw)| Some((*address, raw?)))
            .filter(|(_, raw)| raw.state.is_some() && raw.goid != 0)
            .collect();
        let stacks = self.walk(&live)?;
        let reasons = self.reasons(&live)?;
        let waits = self.waits(&live, &reasons)?;
        let live_addresses: Vec<u64> = live.iter().map(|(address, _)| *address).collect();
        let again = self.read(&live_addresses)?;
        for (i, (address, raw)) in live.iter().enumerate() {
            let is_still = again[i].is_some_and(|now| now.is_still(raw));
            let parts = (stacks[i], reasons[i], waits[i].clone());
            let goroutine = self.goroutine(*address, raw, parts, !is_still);
            self.out.goroutines.push(goroutine);
        }
        Ok(())
    }

    fn read(&mut self, addresses: &[u64]) -> Result<Vec<Option<RawG>>, Error> {
        let places: Vec<_> =
            addresses.iter().map(|address| (*address, self.layout.g.len)).collect();
        self.memory.gather_into(&places, &mut self.gathered)?;
        let parse = |i| RawG::parse(self.gathered.get(i)?, &self.layout.g);
        Ok((0..places.len()).map(parse).collect())
    }

    fn walk(&mut self, live: &[(u64, RawG)]) -> Result<Vec<StackState>, Error> {
        let is_walked = |raw: &RawG| raw.has_stack() && self.layout.arch == gobin::Arch::Amd64;
        let walked: Vec<&RawG> =
            live.iter().map(|(_, raw)| raw).filter(|raw| is_walked(raw)).collect();
        let walk =
            |raw: &&RawG| Walk::new(raw.sp, raw.high, raw.pc, raw.state == Some(State::Syscall));
        let mut walks: Vec<Walk> = walked.iter().map(walk).collect();
        let mut numbers = self.stacks.walk(self.memory, &mut walks)?.into_iter();
        let state = |(_, raw): &(u64, RawG)| {
            let number = if is_walked(raw) { numbers.next().flatten() } else { None };
            match (number, raw.state) {
                (Some(number), _) => StackState::Known(number),
                (None, Some(State::Running)) => StackState::Running,
                _ => StackState::Unreadable,
            }
        };
        Ok(live.iter().map(state).collect())
    }

    /// The reasons of those that wait; their texts are read once.
    fn reasons(&mut self, live: &[(u64, RawG)]) -> Result<Vec<Option<u8>>, Error> {
        let waits = |raw: &RawG| matches!(raw.state, Some(State::Waiting | State::Leaked));
        // Without a reason the state says all.
        let reason = |(_, raw): &(u64, RawG)| (waits(raw) && raw.reason != 0).then_some(raw.reason);
        let out: Vec<Option<u8>> = live.iter().map(reason).collect();
        for reason in out.iter().flatten() {
            if !self.out.reasons.contains_key(reason) {
                let text = reason_text(self.memory, self.layout, self.bias, *reason)?;
                self.out.reasons.insert(*reason, text);
            }
        }
        Ok(out)
    }

    fn reason(&self, reason: Option<u8>) -> &str {
        reason.and_then(|r| self.out.reasons.get(&r)?.as_deref()).unwrap_or_default()
    }

    /// The channels of those that wait for some.
    fn waits(
        &mut self,
        live: &[(u64, RawG)],
        reasons: &[Option<u8>],
    ) -> Result<Vec<Option<WaitingOn>>, Error> {
        let mut out = vec![None; live.len()];
        let Some(at) = &self.layout.queues else { return Ok(out) };
        let mut who = Vec::new();
        for (i, reason) in reasons.iter().enumerate() {
            match self.reason(*reason) {
                text if text.contains("(nil chan)") => out[i] = Some(WaitingOn::NilChannel),
                text if text.starts_with("select") => who.push((i, true)),
                text if text.starts_with("chan ") => who.push((i, false)),
                _ => {}
            }
        }
        let waiting: Vec<_> =
            who.iter().map(|(i, _)| (live[*i].1.goid, live[*i].0, live[*i].1.waiting)).collect();
        let found = self.channels.add(self.memory, at, &waiting)?;
        for ((i, is_select), channels) in who.into_iter().zip(found) {
            out[i] = match channels.as_slice() {
                _ if is_select => Some(WaitingOn::Select(channels.into_boxed_slice())),
                [channel] => Some(WaitingOn::Channel(*channel)),
                _ => None,
            };
        }
        Ok(out)
    }

    fn goroutine(
        &mut self,
        address: u64,
        raw: &RawG,
        (stack, reason, waiting_on): (StackState, Option<u8>, Option<WaitingOn>),
        changed: bool,
    ) -> Goroutine {
        let start = raw.start.wrapping_sub(self.bias);
        let state = raw.state.unwrap_or(State::Unknown(0));
        let waits = matches!(state, State::Waiting | State::Leaked | State::Syscall);
        let system = match self.start(start) {
            Start::User => false,
            Start::System | Start::Finalizers => true,
            Start::Cleanups => !raw.cleanups.unwrap_or(false),
        };
        Goroutine {
            address,
            goid: raw.goid,
            state,
            reason,
            wait_since: (waits && raw.wait_since != 0).then_some(raw.wait_since),
            parent: raw.parent,
            created_at: if raw.created_at == 0 {
                0
            } else {
                raw.created_at.wrapping_sub(self.bias)
            },
            start,
            stack,
            waiting_on,
            system,
            locked: raw.locked,
            stops: raw.stops,
            // One that runs is never at rest, and nothing is said of where it is.
            changed: changed && state != State::Running,
        }
    }

    /// As `isSystemGoroutine` in `runtime/traceback.go`.
    fn start(&mut self, start: u64) -> Start {
        let binary = self.binary;
        *self.kinds.entry(start).or_insert_with(|| {
            let function = binary.functions().lookup(start);
            match function.map(|f| f.name).unwrap_or_default() {
                "runtime.main" | "runtime.corostart" | "runtime.handleAsyncEvent" => Start::User,
                "runtime.runfinq" | "runtime.runFinalizers" => Start::Finalizers,
                "runtime.runCleanups" => Start::Cleanups,
                name if name.starts_with("runtime.") => Start::System,
                _ => Start::User,
            }
        })
    }

    pub(super) fn finish(mut self, listed: usize) -> Result<Snapshot, Error> {
        if self.plausible * 10 < listed * 9 || self.out.goroutines.is_empty() {
            let why = format!("of {listed} goroutines {} look like some", self.plausible);
            return Err(Error::Contradiction(why));
        }
        if let Some(at) = &self.layout.queues {
            self.out.channels = self.channels.finish(self.memory, at, self.bias)?;
            self.out.unread_waits += self.channels.unread();
        }
        let stacks = std::mem::replace(&mut self.stacks, Stacks::new(self.binary.lines(), 0));
        self.out.stacks = stacks.into_list();
        self.finalizers();
        self.locks()?;
        self.out.further_modules = self.layout.has_plugins(self.memory, self.bias)?;
        if self.out.further_modules {
            let functions = self.binary.functions();
            modules::mark_system(&mut self.out, |start| functions.lookup(start).is_some());
        }
        Ok(self.out)
    }

    /// Goroutines that run finalizers count while one of the program's is running.
    fn finalizers(&mut self) {
        let names = |stack: &[u64]| {
            let mut names = stack.iter().filter_map(|pc| self.binary.functions().lookup(*pc));
            names.any(|function| !function.name.starts_with("runtime."))
        };
        let busy: Vec<usize> = (0..self.out.goroutines.len())
            .filter(|i| {
                let goroutine = &self.out.goroutines[*i];
                self.kinds.get(&goroutine.start) == Some(&Start::Finalizers)
                    && self.out.stack(goroutine).is_some_and(names)
            })
            .collect();
        for i in busy {
            self.out.goroutines[i].system = false;
        }
    }

    fn locks(&mut self) -> Result<(), Error> {
        let found = waiting::semaphores(self.memory, self.layout, self.bias)?;
        let Some(waiting::Semaphores { waiting: found, unread }) = found else {
            self.out.locks_unread = true;
            return Ok(());
        };
        self.out.unread_waits += unread;
        let waits: Vec<usize> = (0..self.out.goroutines.len())
            .filter(|i| {
                let goroutine = &self.out.goroutines[*i];
                goroutine.state == State::Waiting && found.contains_key(&goroutine.address)
            })
            .collect();
        let addresses: Vec<u64> = waits.iter().map(|i| self.out.goroutines[*i].address).collect();
        let mut now = Vec::with_capacity(addresses.len());
        for batch in addresses.chunks(super::BATCH) {
            now.extend(self.read(batch)?);
        }
        let mut kinds: HashMap<StackState, (LockKind, u64)> = HashMap::new();
        let mut numbers: HashMap<(LockKind, u64), u32> = HashMap::new();
        for (i, now) in waits.into_iter().zip(now) {
            let goroutine = &self.out.goroutines[i];
            // The table was read later than the goroutine, which may wait for something else by now.
            let is_still = now.is_some_and(|now| {
                now.goid == goroutine.goid
                    && now.state == Some(State::Waiting)
                    && now.stops == goroutine.stops
                    && Some(now.reason) == goroutine.reason
            });
            if !is_still || !may_wait_for_lock(self.reason(goroutine.reason)) {
                self.out.goroutines[i].changed = true;
                continue;
            }
            let (kind, offset) = *kinds
                .entry(goroutine.stack)
                .or_insert_with(|| self.kind_of_lock(self.out.stack(goroutine)));
            let semaphore = found.get(&goroutine.address).copied().unwrap_or(0);
            let address = semaphore.wrapping_sub(offset);
            let next = u32::try_from(self.out.locks.len()).unwrap_or(u32::MAX);
            let number = *numbers.entry((kind, address)).or_insert(next);
            if number == next {
                self.out.locks.push(Lock { kind, address, waiters: Vec::new() });
            }
            let goid = goroutine.goid;
            self.out.locks[number as usize].waiters.push(goid);
            self.out.goroutines[i].waiting_on = Some(WaitingOn::Lock(number));
        }
        Ok(())
    }

    /// Which method of `sync` waits, and where in its receiver the semaphore is.
    fn kind_of_lock(&self, stack: Option<&[u64]>) -> (LockKind, u64) {
        let at = &self.layout.semaphores;
        let names: HashSet<&str> = stack
            .unwrap_or_default()
            .iter()
            .flat_map(|address| self.binary.lines().frames(*address))
            .map(|frame| frame.function)
            .take_while(|name| {
                ["runtime.", "sync.", "internal/sync."].iter().any(|p| name.starts_with(p))
            })
            .collect();
        let has = |name: &str| names.contains(name);
        let is_mutex = has("sync.(*Mutex).lockSlow") || has("internal/sync.(*Mutex).lockSlow");
        let found = if has("sync.(*RWMutex).RLock") {
            (LockKind::RwMutex, at.readers)
        } else if has("sync.(*RWMutex).Lock") {
            // Writers wait for each other by the mutex that stands first in it.
            (LockKind::RwMutex, if is_mutex { at.mutex } else { at.writer })
        } else if is_mutex {
            (LockKind::Mutex, at.mutex)
        } else if has("sync.(*WaitGroup).Wait") {
            (LockKind::WaitGroup, at.wait_group)
        } else {
            (LockKind::Semaphore, Some(0))
        };
        found.1.map_or((LockKind::Semaphore, 0), |offset| (found.0, offset))
    }
}

/// Whether who waits for this reason may stand in the runtime's table of semaphores; empty where it can't be read.
fn may_wait_for_lock(reason: &str) -> bool {
    reason.is_empty() || reason.starts_with("sync.") || reason.starts_with("semacquire")
}
