//! One goroutine, as its `runtime.g` says.

use gomem::{u8_at, u32_at, u64_at};

use crate::layout::G;
use crate::waiting::WaitingOn;

/// Set in a status while the garbage collector looks at the stack.
const SCAN: u32 = 0x1000;

/// What a goroutine does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// Ready, and waits for a processor.
    Runnable,
    /// Runs Go code.
    Running,
    /// Is in a system call, or in C code.
    Syscall,
    /// Waits for something.
    Waiting,
    /// Its stack is being moved.
    CopyStack,
    /// Was stopped while it ran.
    Preempted,
    /// Go's own search for leaks found that it can never go on (Go 1.26 and newer).
    Leaked,
    /// A number that is not known.
    Unknown(u32),
}

impl State {
    /// The state that a status stands for; `None` if there is no goroutine: not yet, or no more.
    pub(crate) fn of(status: u32) -> Option<Self> {
        Some(match status & !SCAN {
            0 | 6 | 11 => return None,
            1 => State::Runnable,
            2 => State::Running,
            3 => State::Syscall,
            4 => State::Waiting,
            8 => State::CopyStack,
            9 => State::Preempted,
            10 => State::Leaked,
            other => State::Unknown(other),
        })
    }

    /// The runtime's own word for it.
    pub fn name(self) -> &'static str {
        match self {
            State::Runnable => "runnable",
            State::Running => "running",
            State::Syscall => "syscall",
            State::Waiting => "waiting",
            State::CopyStack => "copystack",
            State::Preempted => "preempted",
            State::Leaked => "leaked",
            State::Unknown(_) => "unknown",
        }
    }
}

/// A goroutine's stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StackState {
    /// Number of the stack in the snapshot's list.
    Known(u32),
    /// It runs, so that its stack changes all the time.
    Running,
    /// It could not be read.
    Unreadable,
}

/// One goroutine. Code addresses are those of the file, without the load bias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Goroutine {
    /// Where its `runtime.g` is.
    pub address: u64,
    /// Its number.
    pub goid: u64,
    /// What it does.
    pub state: State,
    /// Number of the reason why it waits; only of one that waits.
    pub(crate) reason: Option<u8>,
    /// When it was first seen waiting by the garbage collector, by the monotonic clock.
    pub wait_since: Option<u64>,
    /// The number of the goroutine that started it. Go keeps it since 1.21.
    pub parent: Option<u64>,
    /// Where the `go` statement is.
    pub created_at: u64,
    /// The function that it began with.
    pub start: u64,
    /// Its stack.
    pub stack: StackState,
    /// What it waits for, if that can be told.
    pub waiting_on: Option<WaitingOn>,
    /// Whether it belongs to the runtime, which does not count it.
    pub system: bool,
    /// Whether it is bound to a thread.
    pub locked: bool,
    /// Goes up by one, modulo 256, each time that it stops running. Not of all Go versions.
    pub stops: Option<u8>,
    /// Whether it changed while it was read, so that what is said of it may not fit together.
    pub changed: bool,
}

/// What is read of a `runtime.g`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RawG {
    pub(crate) goid: u64,
    pub(crate) state: Option<State>,
    pub(crate) low: u64,
    pub(crate) high: u64,
    /// Stack pointer and program counter at which it stopped.
    pub(crate) sp: u64,
    pub(crate) pc: u64,
    pub(crate) wait_since: u64,
    pub(crate) reason: u8,
    pub(crate) parent: Option<u64>,
    pub(crate) created_at: u64,
    pub(crate) start: u64,
    /// The first `runtime.sudog` of what it waits for.
    pub(crate) waiting: u64,
    pub(crate) locked: bool,
    /// The first `runtime._defer`: what it deferred last of what its functions don't keep themselves.
    pub(crate) deferred: u64,
    pub(crate) cleanups: Option<bool>,
    /// Goes up by one each time that the goroutine stops running (`casgstatus` in `runtime/proc.go`):
    /// one that ran meanwhile and stopped at the same place again shows.
    pub(crate) stops: Option<u8>,
}

impl RawG {
    pub(crate) fn parse(bytes: &[u8], at: &G) -> Option<Self> {
        let word = |offset: usize| u64_at(bytes, offset);
        let state = State::of(u32_at(bytes, at.status)?);
        // A goroutine in a system call left behind where it made the call; other fields of it are of
        // its last wait.
        let (sp, pc) = match state {
            Some(State::Syscall) => (word(at.syscall_sp)?, word(at.syscall_pc)?),
            _ => (word(at.sched_sp)?, word(at.sched_pc)?),
        };
        let optional = |offset: Option<usize>| offset.and_then(word);
        Some(Self {
            goid: word(at.goid)?,
            state,
            low: word(at.stack_lo)?,
            high: word(at.stack_hi)?,
            sp,
            pc,
            wait_since: word(at.wait_since)?,
            reason: u8_at(bytes, at.wait_reason)?,
            parent: optional(at.parent),
            created_at: word(at.created_at)?,
            start: word(at.start)?,
            waiting: optional(at.waiting).unwrap_or(0),
            locked: optional(at.locked).is_some_and(|m| m != 0),
            deferred: optional(at.deferred).unwrap_or(0),
            cleanups: at.cleanups.and_then(|offset| u32_at(bytes, offset)).map(|n| n != 0),
            stops: at.stops.and_then(|offset| u8_at(bytes, offset)),
        })
    }

    /// Whether it stands ready for a thread that C code makes (`oneNewExtraM` in `runtime/proc.go`): no goroutine, but
    /// the runtime counts it among its own.
    pub(crate) fn is_extra(&self) -> bool {
        self.state.is_none() && self.locked
    }

    /// Whether it is where it was when `before` was read.
    pub(crate) fn is_still(&self, before: &RawG) -> bool {
        self.goid == before.goid
            && self.state == before.state
            && self.sp == before.sp
            && self.pc == before.pc
            && self.waiting == before.waiting
            && self.stops == before.stops
    }

    /// Whether its stack can be walked from where it stopped.
    pub(crate) fn has_stack(&self) -> bool {
        let stopped = match self.state {
            Some(State::Running | State::CopyStack | State::Unknown(_)) | None => false,
            Some(_) => true,
        };
        stopped && self.pc != 0 && self.low < self.sp && self.sp < self.high
    }
}
