//! What processors and threads do at one moment, to be read many times a second.
//!
//! A sample is a few calls of the kernel, which neither stop nor trap the process. Not here: what samples
//! add up to ([`crate::runs`]), and when they are taken.

use std::collections::HashMap;

use gobin::Global;
use gomem::{Gathered, Memory, u64_at};

use crate::goroutine::RawG;
use crate::layout::{Layout, Workers};
use crate::lists::{self, End, RawP};
use crate::{Error, State};

/// After so many samples the list of threads is read anew, as some may have ended.
const RELIST: u32 = 64;

/// The goroutine that a thread has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Running {
    /// Its number.
    pub goid: u64,
    /// The function that it began with, as an address of the file.
    pub start: u64,
    /// Whether it is in a system call, or in C code.
    pub in_syscall: bool,
}

/// One processor (P).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessorAt {
    /// Its number.
    pub id: i32,
    /// `runtime.p.status`: 0 idle, 1 running, 2 in a system call, 3 stopped for the garbage collector,
    /// 4 dead.
    pub status: u32,
    /// How often it has switched to a goroutine, modulo 2^32.
    pub switches: u32,
    /// How many system calls it has seen, modulo 2^32.
    pub syscalls: u32,
    /// Goroutines in its queue.
    pub queued: u32,
}

impl From<RawP> for ProcessorAt {
    fn from(raw: RawP) -> Self {
        let RawP { id, status, queued, switches, syscalls, .. } = raw;
        Self { id, status, switches, syscalls, queued }
    }
}

/// One thread (M).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThreadAt {
    /// The kernel's id of it.
    pub id: u64,
    /// The number of the processor that it has.
    pub processor: Option<i32>,
    /// The goroutine that it has.
    pub goroutine: Option<Running>,
    /// Whether the processor or the goroutine changed while they were read. Then neither is given.
    pub changed: bool,
}

/// What was read at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sample {
    /// All processors.
    pub processors: Vec<ProcessorAt>,
    /// All threads, unless there are more than are read.
    pub threads: Vec<ThreadAt>,
    /// Whether there are more threads than are read.
    pub more_threads: bool,
}

/// Takes samples of one process.
pub struct Sampler<'l> {
    layout: &'l Layout,
    at: &'l Workers,
    bias: u64,
    allp: u64,
    allm: u64,
    /// What `allp` was, and where its processors are.
    slice: (u64, u64),
    processors: Vec<u64>,
    /// The first of the list of threads, 0 where that is to be read anew, and all of it.
    first: u64,
    machines: Vec<u64>,
    more_machines: bool,
    taken: u32,
}

impl<'l> Sampler<'l> {
    /// For a process that is loaded `bias` above the addresses of its file.
    ///
    /// # Errors
    /// [`Error::Layout`] when the scheduler of this binary can't be read.
    pub fn new(layout: &'l Layout, bias: u64) -> Result<Self, Error> {
        let lost = |what: &str| Error::Layout(format!("{what} was not found"));
        let at = layout.workers.as_ref().ok_or_else(|| lost("the scheduler's layout"))?;
        let global = |g: Global| {
            let found = layout.global(g).map(|address| address.wrapping_add(bias));
            found.ok_or_else(|| lost(g.symbol()))
        };
        Ok(Self {
            layout,
            at,
            bias,
            allp: global(Global::Allp)?,
            allm: global(Global::Allm)?,
            slice: (0, 0),
            processors: Vec::new(),
            first: 0,
            machines: Vec::new(),
            more_machines: false,
            taken: 0,
        })
    }

    /// Takes one.
    ///
    /// # Errors
    /// When the process is gone or may not be read; [`Error::Contradiction`] when not all processors or threads could
    /// be read, which may be so for a moment.
    pub fn take(&mut self, memory: &impl Memory) -> Result<Sample, Error> {
        self.lists(memory)?;
        let at = self.at;
        let processors = self.processors.iter().map(|p| (*p, at.p_len));
        let machines = self.machines.iter().map(|m| (*m, at.m_len));
        let both: Vec<_> = processors.chain(machines.clone()).collect();
        let read = memory.gather(&both)?;
        let count = self.processors.len();
        let before: Vec<_> =
            (0..self.machines.len()).map(|i| Holds::parse(read.get(count + i), at)).collect();
        let places: Vec<_> =
            before.iter().map(|m| (m.map_or(0, |m| m.goroutine), self.layout.g.len)).collect();
        let goroutines = memory.gather(&places)?;
        let again = memory.gather(&machines.collect::<Vec<_>>())?;
        let raw: Option<Vec<_>> = (0..count).map(|i| RawP::parse(read.get(i)?, at)).collect();
        let raw =
            raw.ok_or_else(|| Error::Contradiction("a processor is not mapped".to_owned()))?;
        if !raw.iter().enumerate().all(|(place, processor)| processor.is_one(place)) {
            let why = "what is in the list of processors is none".to_owned();
            return Err(Error::Contradiction(why));
        }
        if before.iter().any(Option::is_none) {
            self.first = 0;
            return Err(Error::Contradiction("a thread is not mapped".to_owned()));
        }
        let processors: Vec<ProcessorAt> = raw.into_iter().map(ProcessorAt::from).collect();
        let numbers = self.processors.iter().zip(&processors);
        let numbers: HashMap<u64, i32> = numbers.map(|(place, p)| (*place, p.id)).collect();
        let threads = before.iter().enumerate().filter_map(|(i, before)| {
            let before = (*before)?;
            let changed = Holds::parse(again.get(i), at) != Some(before);
            let goroutine = self.goroutine(&goroutines, i).filter(|_| !changed);
            let processor = numbers.get(&before.processor).copied().filter(|_| !changed);
            Some(ThreadAt { id: before.id, processor, goroutine, changed })
        });
        let threads = threads.filter(|thread| thread.id != 0).collect();
        Ok(Sample { processors, threads, more_threads: self.more_machines })
    }

    fn goroutine(&self, goroutines: &Gathered, index: usize) -> Option<Running> {
        let g = RawG::parse(goroutines.get(index)?, &self.layout.g)?;
        let start = g.start.wrapping_sub(self.bias);
        let in_syscall = g.state? == State::Syscall;
        (g.goid != 0).then_some(Running { goid: g.goid, start, in_syscall })
    }

    /// Looks where processors and threads are, which seldom changes.
    fn lists(&mut self, memory: &impl Memory) -> Result<(), Error> {
        let lost = || Error::Contradiction("the lists of the scheduler are not mapped".to_owned());
        let heads = memory.gather(&[(self.allp, 16), (self.allm, 8)])?;
        let word = |place: usize, at: usize| heads.get(place).and_then(|b| u64_at(b, at));
        let (start, len) = word(0, 0).zip(word(0, 8)).ok_or_else(lost)?;
        let first = word(1, 0).ok_or_else(lost)?;
        if (start, len) != self.slice {
            let why = |why| Error::Contradiction(format!("its processors can't be read: {why}"));
            self.processors = lists::processors(memory, (start, len))?.map_err(why)?;
            self.slice = (start, len);
        }
        if first != self.first || self.taken.is_multiple_of(RELIST) {
            self.machines(memory, first)?;
        }
        self.taken = self.taken.wrapping_add(1);
        Ok(())
    }

    fn machines(&mut self, memory: &impl Memory, first: u64) -> Result<(), Error> {
        let (mut machines, link) = (Vec::new(), self.at.m_next as u64);
        let end = lists::threads(first, |machine| {
            machines.push(machine);
            Ok(memory.word(machine.wrapping_add(link))?)
        })?;
        if end == End::Broken {
            self.first = 0;
            let why = end.why().unwrap_or_default();
            return Err(Error::Contradiction(format!("its threads can't be read: {why}")));
        }
        (self.machines, self.first, self.more_machines) = (machines, first, end == End::More);
        Ok(())
    }
}

/// What a thread has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Holds {
    id: u64,
    goroutine: u64,
    processor: u64,
}

impl Holds {
    fn parse(bytes: Option<&[u8]>, at: &Workers) -> Option<Self> {
        let word = |offset| u64_at(bytes?, offset);
        Some(Self {
            id: word(at.m_thread)?,
            goroutine: word(at.m_current)?,
            processor: word(at.m_p)?,
        })
    }
}
