//! Processors, threads and run queues of Go's scheduler.
//!
//! Source: `runtime/runtime2.go`, `runtime/proc.go`.

use std::collections::HashMap;

use gobin::Global;
use gomem::{Memory, u8_at, u32_at, u64_at};

use crate::Error;
use crate::layout::{Layout, Missing, Workers};
use crate::lists::{self, End, RawP};

/// How often what does not fit together is read again.
const ATTEMPTS: usize = 4;
/// The runtime starts no more goroutines of its own, but for a few for each processor.
const MAX_SYSTEM: u64 = 64;
/// The status of a processor that nobody uses.
const IDLE: &str = "idle";

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
    /// All processors; `None` where not all could be read.
    pub processors: Option<Vec<Processor>>,
    /// All threads; `None` where not all could be read.
    pub machines: Option<Vec<Machine>>,
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
    /// Which of these lists is missing, and why, unless the layout says so already.
    pub missing: Vec<Missing>,
}

impl Scheduler {
    /// How many signals to preempt goroutines the threads have handled since `before`: those that were
    /// there then and are still. `None` if there is none, or one's number is not known, or not all threads are.
    pub fn preemptions_since(&self, before: &Self) -> Option<u64> {
        let (now, before) = (self.machines.as_ref()?, before.machines.as_ref()?);
        let before: HashMap<i64, &Machine> = before.iter().map(|m| (m.id, m)).collect();
        let pairs = now.iter().filter_map(|now| Some((now, *before.get(&now.id)?)));
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

    /// Reads it; what can't be read is `None`.
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
        let mut miss = |what, why: String| out.missing.push(Missing { what, why });
        let (mut processors, mut machines) = (None, None);
        if let Some(at) = &layout.workers {
            if let Some(address) = global(Global::Allp) {
                match Self::processors(memory, at, address)? {
                    Ok(all) => processors = Some(all),
                    Err(why) => miss("processors", why),
                }
            }
            if let Some(address) = global(Global::Allm) {
                // Where processors contradict themselves threads are not from where they are taken to be, either.
                let read = match &processors {
                    Some(_) => Self::machines(memory, at, address)?,
                    None => Err("the processors are not known".to_owned()),
                };
                match read {
                    Ok(all) => machines = Some(all),
                    Err(why) => miss("threads", why),
                }
            }
        }
        if let Some(all) = &processors {
            out.unused_ids = unused_ids(all);
        }
        if let Some(address) = global(Global::Gomaxprocs) {
            let max = memory.half(address)?.filter(|n| *n > 0);
            let listed = processors.as_ref().map(Vec::len);
            out.max_processors = max.filter(|n| listed == Some(*n as usize));
        }
        out.processors = processors.map(|all| all.iter().map(processor).collect());
        out.machines = machines;
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
        let (Some(before), Some(after)) = (before, after) else { return Ok(false) };
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
    fn idle(memory: &impl Memory, layout: &Layout, bias: u64) -> Result<Option<usize>, Error> {
        let (Some(at), Some(allp)) = (&layout.workers, layout.global(Global::Allp)) else {
            return Ok(None);
        };
        let all = Self::processors(memory, at, allp.wrapping_add(bias))?;
        Ok(all.ok().map(|all| all.iter().filter(|processor| name(processor) == IDLE).count()))
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

    /// All processors, or why not all can be read.
    fn processors(
        memory: &impl Memory,
        at: &Workers,
        allp: u64,
    ) -> Result<Result<Vec<RawP>, String>, Error> {
        let slice = memory.bytes(allp, 16)?;
        let slice = slice.and_then(|bytes| u64_at(&bytes, 0).zip(u64_at(&bytes, 8)));
        let Some(slice) = slice else { return Ok(Err("where they are is not mapped".to_owned())) };
        let places = match lists::processors(memory, slice)? {
            Ok(places) => places,
            Err(why) => return Ok(Err(why)),
        };
        let places: Vec<_> = places.into_iter().map(|place| (place, at.p_len)).collect();
        let read = memory.gather(&places)?;
        let all: Option<Vec<RawP>> =
            (0..places.len()).map(|i| RawP::parse(read.get(i)?, at)).collect();
        let Some(all) = all else { return Ok(Err("one is not mapped".to_owned())) };
        let are_some = all.iter().enumerate().all(|(place, processor)| processor.is_one(place));
        Ok(if are_some { Ok(all) } else { Err("what is in their list is none".to_owned()) })
    }

    /// All threads, or why not all can be read.
    fn machines(
        memory: &impl Memory,
        at: &Workers,
        allm: u64,
    ) -> Result<Result<Vec<Machine>, String>, Error> {
        let mut end = End::Broken;
        for _ in 0..ATTEMPTS {
            let (first, mut all) = (memory.word(allm)?.unwrap_or(0), Vec::new());
            end = lists::threads(first, |place| {
                let bytes = memory.bytes(place, at.m_len)?;
                let read = bytes.and_then(|bytes| machine(&bytes, at));
                Ok(read.map(|(machine, next)| {
                    all.push(machine);
                    next
                }))
            })?;
            match end {
                End::Whole => return Ok(Ok(all)),
                End::More => break,
                End::Broken => {}
            }
        }
        Ok(Err(end.why().unwrap_or_default()))
    }
}

/// Goroutine numbers that all processors were given and have not used.
fn unused_ids(all: &[RawP]) -> Option<u64> {
    all.iter().try_fold(0u64, |sum, processor| sum.checked_add(processor.unused_ids?))
}

fn name(processor: &RawP) -> &'static str {
    // What has another status was no processor.
    match processor.status {
        0 => IDLE,
        1 => "running",
        2 => "syscall",
        3 => "gcstop",
        _ => "dead",
    }
}

fn processor(raw: &RawP) -> Processor {
    Processor {
        id: raw.id,
        status: name(raw),
        queued: raw.queued,
        switches: raw.switches,
        syscalls: raw.syscalls,
        has_thread: raw.has_thread,
    }
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

#[cfg(test)]
#[path = "scheduler_tests.rs"]
mod tests;
