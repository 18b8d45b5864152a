//! Processors, threads and run queues of Go's scheduler.
//!
//! Source: `runtime/runtime2.go`, `runtime/proc.go`.

use std::collections::HashSet;

use gobin::Global;
use gomem::{Memory, u8_at, u32_at, u64_at};

use crate::Error;
use crate::layout::{Layout, Workers};

/// More processors than this are not read.
const MAX_PROCESSORS: u64 = 4096;
/// Threads that are read.
const MAX_MACHINES: usize = 20_000;
/// A processor's own queue has so many places.
const QUEUE: u32 = 256;

/// How often what does not fit together is read again.
const ATTEMPTS: usize = 4;
/// The runtime starts no more goroutines of its own, but for a few for each processor.
const MAX_SYSTEM: u64 = 64;
/// The status of a processor that nobody uses.
const IDLE: &str = "idle";
/// The status of what is no processor.
const UNKNOWN: &str = "unknown";

/// One processor (P): what a thread needs to run Go code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Processor {
    /// Its number.
    pub id: i32,
    /// `idle`, `running`, `syscall`, `gcstop` or `dead`.
    pub status: &'static str,
    /// Goroutines in its own queue, the one that runs next included.
    pub queued: u32,
    /// How often it has switched to a goroutine.
    pub switches: u32,
    /// How many system calls it has seen.
    pub syscalls: u32,
    /// Whether a thread has it.
    pub has_thread: bool,
}

impl Processor {
    /// Whether this can be what stands at that place of the list of processors.
    fn is_one(&self, place: usize) -> bool {
        usize::try_from(self.id) == Ok(place) && self.status != UNKNOWN
    }
}

/// One thread (M).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Its number.
    pub id: i64,
    /// The kernel's id of it.
    pub thread: u64,
    /// Address of the goroutine that it runs, 0 for none.
    pub goroutine: u64,
    /// Whether it has a processor.
    pub has_processor: bool,
    /// Whether it looks for work.
    pub spinning: bool,
    /// How many signals to preempt its goroutine it has handled, modulo 2^32.
    pub preemptions: Option<u32>,
}

/// What the scheduler has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scheduler {
    /// `GOMAXPROCS`.
    pub max_processors: Option<u32>,
    /// All processors.
    pub processors: Vec<Processor>,
    /// All threads.
    pub machines: Vec<Machine>,
    /// Goroutines in the queue that all processors share.
    pub queued: Option<u32>,
    /// Processors that are idle.
    pub idle_processors: Option<u32>,
    /// Threads that look for work.
    pub spinning: Option<u32>,
    /// Goroutine numbers that were given to processors and not used yet.
    pub(crate) unused_ids: Option<u64>,
    /// The runtime's own goroutines, as it counts them.
    pub(crate) system: Option<u32>,
}

impl Scheduler {
    /// How many signals to preempt goroutines the threads have handled since `before`: those that were
    /// there then and are still. `None` if there is none, or one's number is not known.
    pub fn preemptions_since(&self, before: &Self) -> Option<u64> {
        let at_first = |machine: &Machine| before.machines.iter().find(|m| m.id == machine.id);
        let pairs = self.machines.iter().filter_map(|now| Some((now, at_first(now)?)));
        let pairs: Vec<_> = pairs.collect();
        if pairs.is_empty() {
            return None;
        }
        pairs
            .into_iter()
            .map(|(now, before)| {
                Some(u64::from(now.preemptions?.wrapping_sub(before.preemptions?)))
            })
            .sum()
    }

    /// How many goroutines are the runtime's own, as it counts them.
    pub fn system(&self) -> Option<u32> {
        self.system
    }

    /// Reads it; what can't be read is `None` or empty.
    ///
    /// # Errors
    /// When the process is gone, or may not be read.
    pub fn read(memory: &impl Memory, layout: &Layout, bias: u64) -> Result<Self, Error> {
        let mut out = Self::lists(memory, layout, bias)?;
        let is_known = out.max_processors.is_some() && layout.global(Global::Sched).is_some();
        for _ in 0..if is_known { ATTEMPTS } else { 0 } {
            if out.queues(memory, layout, bias)? {
                break;
            }
        }
        Ok(out)
    }

    /// Processors and threads.
    fn lists(memory: &impl Memory, layout: &Layout, bias: u64) -> Result<Self, Error> {
        let mut out = Self::default();
        let global = |g| layout.global(g).map(|address| address.wrapping_add(bias));
        if let Some(at) = &layout.workers {
            if let Some(address) = global(Global::Allp) {
                out.processors(memory, at, address)?;
            }
            if let Some(address) = global(Global::Allm) {
                out.machines(memory, at, address)?;
            }
        }
        // Numbers that contradict each other are not from where they are taken to be, nor are those of threads then.
        if !out.processors.iter().enumerate().all(|(place, processor)| processor.is_one(place)) {
            out = Self::default();
        }
        if let Some(address) = global(Global::Gomaxprocs) {
            let max = memory.half(address)?;
            out.max_processors = max.filter(|n| *n > 0 && *n as usize == out.processors.len());
        }
        Ok(out)
    }

    /// What all processors share. It stands in a variable that only a table by version describes, so it is checked
    /// against the processors and the goroutines; whether it fits. Numbers of a moment may not.
    fn queues(&mut self, memory: &impl Memory, layout: &Layout, bias: u64) -> Result<bool, Error> {
        let global = |g| layout.global(g).map(|address| address.wrapping_add(bias));
        let (Some(sched), Some(max)) = (global(Global::Sched), self.max_processors) else {
            return Ok(false);
        };
        let read = |name| match layout.offsets.get(name) {
            Some(at) => memory.half(sched.wrapping_add(at)),
            None => Ok(None),
        };
        let listed = match global(Global::Allglen) {
            Some(address) => memory.word(address)?,
            None => None,
        };
        let most = listed.unwrap_or(0).min(MAX_SYSTEM + 4 * u64::from(max));
        let system = read("schedt.ngsys")?.filter(|n| *n > 0 && u64::from(*n) <= most);
        // Looked at just before and just after: a busy program's processors come and go meanwhile.
        let before = Self::idle(memory, layout, bias)?;
        let counted = read("schedt.npidle")?;
        let after = Self::idle(memory, layout, bias)?;
        let (least, most_idle) = (before.min(after), before.max(after));
        let slack = 1.max(max as usize / 4);
        let near = |n: usize| n + slack >= least && n <= most_idle + slack;
        let idle = counted.filter(|n| *n <= max && near(*n as usize));
        let spinning = read("schedt.nmspinning")?.filter(|n| *n <= max);
        let (Some(system), Some(idle), Some(spinning)) = (system, idle, spinning) else {
            return Ok(false);
        };
        self.system = Some(system);
        self.idle_processors = Some(idle);
        self.spinning = Some(spinning);
        let queued = match read("schedt.runqsize")? {
            Some(size) => Some(size),
            None => read("schedt.runq.size")?,
        };
        self.queued = queued.filter(|n| u64::from(*n) <= listed.unwrap_or(0));
        Ok(true)
    }

    /// How many processors nobody uses, by their own statuses.
    fn idle(memory: &impl Memory, layout: &Layout, bias: u64) -> Result<usize, Error> {
        let mut now = Self::default();
        if let (Some(at), Some(allp)) = (&layout.workers, layout.global(Global::Allp)) {
            now.processors(memory, at, allp.wrapping_add(bias))?;
        }
        Ok(now.processors.iter().filter(|processor| processor.status == IDLE).count())
    }

    /// Whether the world is stopped, as far as the first processor tells: all are stopped then.
    ///
    /// # Errors
    /// When the process is gone, or may not be read.
    pub fn is_stopped(memory: &impl Memory, layout: &Layout, bias: u64) -> Result<bool, Error> {
        /// `_Pgcstop`
        const STOPPED: u32 = 3;
        let (Some(at), Some(allp)) = (&layout.workers, layout.global(Global::Allp)) else {
            return Ok(false);
        };
        let Some(first) = memory.word(allp.wrapping_add(bias))? else { return Ok(false) };
        let Some(processor) = memory.word(first)? else { return Ok(false) };
        let status = memory.half(processor.wrapping_add(at.p_status as u64))?;
        Ok(status == Some(STOPPED))
    }

    fn processors(&mut self, memory: &impl Memory, at: &Workers, allp: u64) -> Result<(), Error> {
        let Some(slice) = memory.bytes(allp, 16)? else { return Ok(()) };
        let (Some(first), Some(len)) = (u64_at(&slice, 0), u64_at(&slice, 8)) else {
            return Ok(());
        };
        if len > MAX_PROCESSORS {
            return Ok(());
        }
        let Some(list) = memory.bytes(first, usize::try_from(8 * len).unwrap_or(0))? else {
            return Ok(());
        };
        let places: Vec<_> =
            list.as_chunks::<8>().0.iter().map(|p| (u64::from_le_bytes(*p), at.p_len)).collect();
        let read = memory.gather(&places)?;
        let mut unused = 0u64;
        for i in 0..places.len() {
            let Some((processor, ids)) = read.get(i).and_then(|bytes| processor(bytes, at)) else {
                continue;
            };
            unused = unused.saturating_add(ids);
            self.processors.push(processor);
        }
        if self.processors.len() == places.len() {
            self.unused_ids = Some(unused);
        }
        Ok(())
    }

    fn machines(&mut self, memory: &impl Memory, at: &Workers, allm: u64) -> Result<(), Error> {
        let mut next = memory.word(allm)?.unwrap_or(0);
        let mut seen = HashSet::new();
        while next != 0 && self.machines.len() < MAX_MACHINES && seen.insert(next) {
            let Some(bytes) = memory.bytes(next, at.m_len)? else { break };
            let Some((machine, link)) = machine(&bytes, at) else { break };
            self.machines.push(machine);
            next = link;
        }
        Ok(())
    }
}

fn processor(bytes: &[u8], at: &Workers) -> Option<(Processor, u64)> {
    let half = |offset| u32_at(bytes, offset);
    let (head, tail) = (half(at.queue_head)?, half(at.queue_tail)?);
    let next = u32::from(u64_at(bytes, at.queue_next)? != 0);
    let ids = u64_at(bytes, at.ids_end)?.saturating_sub(u64_at(bytes, at.ids)?);
    let processor = Processor {
        id: half(at.p_id)?.cast_signed(),
        status: match half(at.p_status)? {
            0 => IDLE,
            1 => "running",
            2 => "syscall",
            3 => "gcstop",
            4 => "dead",
            _ => UNKNOWN,
        },
        queued: tail.wrapping_sub(head).min(QUEUE) + next,
        switches: half(at.p_tick)?,
        syscalls: half(at.p_syscall_tick)?,
        has_thread: u64_at(bytes, at.p_m)? != 0,
    };
    Some((processor, ids))
}

fn machine(bytes: &[u8], at: &Workers) -> Option<(Machine, u64)> {
    let word = |offset| u64_at(bytes, offset);
    let machine = Machine {
        id: word(at.m_id)?.cast_signed(),
        thread: word(at.m_thread)?,
        goroutine: word(at.m_current)?,
        has_processor: word(at.m_p)? != 0,
        spinning: u8_at(bytes, at.m_spinning)? != 0,
        preemptions: at.m_preempted.and_then(|offset| u32_at(bytes, offset)),
    };
    Some((machine, word(at.m_next)?))
}
