//! What processors and threads do at one moment, to be read many times a second.
//!
//! A sample is a few calls of the kernel, which neither stop nor trap the process. Not here: what samples
//! add up to ([`crate::runs`]), and when they are taken.

use std::collections::HashSet;

use gobin::Global;
use gomem::{Gathered, Memory, u32_at, u64_at};

use crate::goroutine::RawG;
use crate::layout::{Layout, Workers};
use crate::{Error, State};

/// More processors than this are not read.
const MAX_PROCESSORS: u64 = 1024;
/// Threads that are read.
const MAX_MACHINES: usize = 1024;
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

impl ProcessorAt {
    /// Whether this can be what stands at that place of the list of processors.
    fn is_one(&self, place: usize) -> bool {
        /// `_Pdead`
        const LAST: u32 = 4;
        usize::try_from(self.id) == Ok(place) && self.status <= LAST
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
    /// All threads.
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
    /// The first of the list of threads, and all of it.
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
    /// When the process is gone, may not be read, or has no processors.
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
        let processors: Vec<_> = (0..count).filter_map(|i| processor(read.get(i)?, at)).collect();
        if processors.len() != count {
            return Err(Error::Contradiction("a processor is not mapped".to_owned()));
        }
        if !processors.iter().enumerate().all(|(place, processor)| processor.is_one(place)) {
            let why = "what is in the list of processors is none".to_owned();
            return Err(Error::Contradiction(why));
        }
        let numbers: Vec<_> = self.processors.iter().zip(&processors).collect();
        let number =
            |address: u64| numbers.iter().find(|(place, _)| **place == address).map(|(_, p)| p.id);
        let threads = before.iter().enumerate().filter_map(|(i, before)| {
            let before = (*before)?;
            let changed = Holds::parse(again.get(i), at) != Some(before);
            let goroutine = self.goroutine(&goroutines, i).filter(|_| !changed);
            let processor = number(before.processor).filter(|_| !changed);
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
            if len == 0 || len > MAX_PROCESSORS {
                return Err(Error::Contradiction(format!("it has {len} processors")));
            }
            let list = memory.bytes(start, usize::try_from(8 * len).unwrap_or(0))?;
            let list = list.ok_or_else(lost)?;
            self.processors =
                list.as_chunks::<8>().0.iter().map(|p| u64::from_le_bytes(*p)).collect();
            self.slice = (start, len);
        }
        if first != self.first || self.taken.is_multiple_of(RELIST) {
            self.machines(memory, first)?;
        }
        self.taken = self.taken.wrapping_add(1);
        Ok(())
    }

    fn machines(&mut self, memory: &impl Memory, first: u64) -> Result<(), Error> {
        let (mut next, mut seen) = (first, HashSet::new());
        self.machines.clear();
        while next != 0 && self.machines.len() < MAX_MACHINES && seen.insert(next) {
            self.machines.push(next);
            let link = memory.word(next.wrapping_add(self.at.m_next as u64))?;
            next = link.unwrap_or(0);
        }
        self.more_machines = next != 0;
        self.first = first;
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

fn processor(bytes: &[u8], at: &Workers) -> Option<ProcessorAt> {
    let half = |offset| u32_at(bytes, offset);
    let next = u32::from(u64_at(bytes, at.queue_next)? != 0);
    let queued = half(at.queue_tail)?.wrapping_sub(half(at.queue_head)?).min(256) + next;
    Some(ProcessorAt {
        id: half(at.p_id)?.cast_signed(),
        status: half(at.p_status)?,
        switches: half(at.p_tick)?,
        syscalls: half(at.p_syscall_tick)?,
        queued,
    })
}
