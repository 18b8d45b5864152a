//! Deferred calls that are still to come, by the frames of a goroutine's stack. Most functions keep their own in the
//! frame: a bit for each, which is cleared before the call, and its closure. The others, and all in builds for a
//! debugger or with the race detector, are records that hang on the goroutine and are taken off before the call. Not
//! here: what they do (`holders`).
//!
//! Source: `openDeferExit` in `cmd/compile/internal/ssagen/ssa.go`, `deferreturn` in `runtime/panic.go`, `_defer` in
//! `runtime/runtime2.go`.

use std::rc::Rc;

use foldhash::{HashMap, HashMapExt};
use gobin::{Binary, OpenDefers};
use gomem::{Memory, u8_at, u64_at};

use crate::Error;
use crate::goroutine::{RawG, State};
use crate::layout::{Defer, Layout};

/// Frames of one stack that are looked at, and records of one goroutine.
const MAX_FRAMES: usize = 512;
const MAX_RECORDS: usize = 64;
/// Program counters that are remembered.
const MAX_STEPS: usize = 1 << 16;
/// A closure's code, and the first word that it captured.
const CLOSURE: usize = 16;

/// A deferred call that is still to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deferred {
    /// The frame of the function that deferred it, counted from the innermost.
    pub(crate) frame: usize,
    /// Address of the code that is called.
    pub(crate) code: u64,
    /// The first word that its closure captured, if it did.
    pub(crate) captured: u64,
}

/// What is known of a program counter.
#[derive(Debug)]
struct Step {
    /// Bytes from the stack pointer to the return address.
    delta: Option<u32>,
    /// The same where the caller can be known: in a system call, and otherwise.
    to_caller: [Option<u32>; 2],
    open: Option<OpenDefers>,
}

/// A part of a goroutine's stack, from where it stopped.
#[derive(Clone, Copy)]
pub(crate) struct Stack<'b> {
    pub(crate) raw: RawG,
    pub(crate) bytes: &'b [u8],
}

impl Stack<'_> {
    /// Bytes from an address on.
    fn from(&self, address: u64) -> Option<&[u8]> {
        let at = address.checked_sub(self.raw.sp)?;
        self.bytes.get(usize::try_from(at).ok()?..)
    }

    fn closure(&self, address: u64) -> Option<(u64, u64)> {
        let bytes = self.from(address)?;
        Some((u64_at(bytes, 0)?, u64_at(bytes, 8)?))
    }
}

/// Finds deferred calls in processes of one program.
pub(crate) struct Search<'a, 'd> {
    binary: &'a Binary<'d>,
    bias: u64,
    steps: HashMap<u64, Option<Rc<Step>>>,
}

impl<'a, 'd> Search<'a, 'd> {
    pub(crate) fn new(binary: &'a Binary<'d>, bias: u64) -> Self {
        Self { binary, bias, steps: HashMap::new() }
    }

    /// Those of one goroutine, the innermost frame's first.
    ///
    /// # Errors
    /// When the process is gone, or may not be read.
    pub(crate) fn calls(
        &mut self,
        memory: &impl Memory,
        layout: &Layout,
        stack: Stack<'_>,
    ) -> Result<Vec<Deferred>, Error> {
        let mut out = Vec::new();
        let mut pointers = Vec::new();
        let Stack { raw, .. } = stack;
        let (mut pc, mut sp) = (raw.pc, raw.sp);
        for frame in 0..MAX_FRAMES {
            let Some(step) = self.step(pc, frame == 0) else { break };
            pointers.push(sp);
            if let (Some(open), Some(delta)) = (&step.open, step.delta) {
                let found = in_frame(stack, sp, delta, open).into_iter();
                out.extend(found.map(|(code, captured)| Deferred { frame, code, captured }));
            }
            let in_syscall = frame == 0 && raw.state == Some(State::Syscall);
            let Some(delta) = step.to_caller[usize::from(in_syscall)] else { break };
            let returns = sp.saturating_add(delta.into());
            let Some(caller) = stack.from(returns).and_then(|bytes| u64_at(bytes, 0)) else {
                break;
            };
            (pc, sp) = (caller, returns.saturating_add(8));
        }
        if let Some(at) = layout.defer.as_ref().filter(|_| raw.deferred != 0) {
            records(memory, at, stack, &pointers, &mut out)?;
        }
        Ok(out)
    }

    fn step(&mut self, pc: u64, innermost: bool) -> Option<Rc<Step>> {
        if let Some(known) = self.steps.get(&pc) {
            return known.clone();
        }
        let at = pc.wrapping_sub(self.bias);
        let step = self.binary.lines().stack_frame(at).map(|frame| {
            // A call may be the last instruction of its function.
            let open = self.binary.open_defers(if innermost { at } else { at.wrapping_sub(1) });
            let to_caller = [frame.to_caller(false), frame.to_caller(true)];
            Rc::new(Step { delta: frame.delta, to_caller, open })
        });
        if self.steps.len() < MAX_STEPS {
            self.steps.insert(pc, step.clone());
        }
        step
    }
}

/// Those that a frame keeps itself: code, and what was captured.
fn in_frame(stack: Stack<'_>, sp: u64, delta: u32, open: &OpenDefers) -> Vec<(u64, u64)> {
    // The caller's frame pointer lies between the variables and the return address.
    let Some(variables) = delta.checked_sub(8).filter(|size| *size > 0) else { return Vec::new() };
    let word = |below: &u32| {
        let at = sp.checked_add(variables.checked_sub(*below)?.into())?;
        stack.from(at)
    };
    let Some(bits) = word(&open.bits).and_then(|bytes| u8_at(bytes, 0)) else { return Vec::new() };
    let is_to_come = |n: &usize| bits & 1 << n != 0;
    let closures = (0..8).filter(is_to_come).filter_map(|n| open.closures.get(n));
    closures.filter_map(|at| stack.closure(u64_at(word(at)?, 0)?)).collect()
}

/// Those that hang on the goroutine.
fn records(
    memory: &impl Memory,
    at: &Defer,
    stack: Stack<'_>,
    pointers: &[u64],
    out: &mut Vec<Deferred>,
) -> Result<(), Error> {
    let mut next = stack.raw.deferred;
    for _ in 0..MAX_RECORDS {
        let Some(record) = read(memory, stack, next, at.len)? else { break };
        let word = |at: usize| u64_at(&record, at).unwrap_or(0);
        let has_begun =
            at.started.is_some_and(|at| record.get(at).is_none_or(|started| *started != 0));
        let frame = pointers.iter().position(|sp| *sp == word(at.sp));
        let closure = Some(word(at.function)).filter(|closure| *closure != 0 && !has_begun);
        if let (Some(frame), Some(closure)) = (frame, closure)
            && let Some(closure) = read(memory, stack, closure, CLOSURE)?
            && let (Some(code), Some(captured)) = (u64_at(&closure, 0), u64_at(&closure, 8))
        {
            out.push(Deferred { frame, code, captured });
        }
        next = word(at.link);
        if next == 0 {
            break;
        }
    }
    Ok(())
}

/// Memory at an address that may be on the stack, which was read already.
fn read(
    memory: &impl Memory,
    stack: Stack<'_>,
    address: u64,
    len: usize,
) -> Result<Option<Vec<u8>>, Error> {
    match stack.from(address).and_then(|bytes| bytes.get(..len)) {
        Some(bytes) => Ok(Some(bytes.to_vec())),
        None => Ok(memory.bytes(address, len)?),
    }
}

#[cfg(test)]
#[path = "deferred_tests.rs"]
mod tests;
