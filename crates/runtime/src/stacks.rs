//! Walking goroutines' stacks, as the runtime does: by the tables that tell how far the stack pointer
//! is from each frame's return address. So frames without a frame pointer are found, too.
//!
//! Source: `unwinder` in `runtime/traceback.go`.

use foldhash::{HashMap, HashMapExt};
use gobin::{Lines, StackFrame};
use gomem::{Gathered, Memory, u64_at};
use smallvec::SmallVec;

use crate::Error;

/// Bytes of a stack that are read first; most stacks of waiting goroutines need no more.
const FIRST: u64 = 768;
/// Bytes that are read each further time.
const MORE: u64 = 8192;
/// Frames of one stack; those further out are left away, and [`LEFT_OUT`] stands for them.
const MAX_FRAMES: usize = 512;
/// How often more of a batch's stacks is read: a stack has no more windows than frames.
const MAX_ROUNDS: usize = MAX_FRAMES + 1;
/// Different stacks that are kept.
const MAX_STACKS: usize = 1 << 20;
/// Stands in a stack for frames that were left out.
pub(crate) const LEFT_OUT: u64 = 0;
/// Different program counters that are remembered.
const MAX_STEPS: usize = 1 << 20;

/// A walk over one stack.
#[derive(Debug)]
pub(crate) struct Walk {
    sp: u64,
    high: u64,
    pc: u64,
    /// Where the return address of the frame that was looked at last is.
    pending: Option<u64>,
    /// Whether the caller was interrupted, so that `pc` is no return address.
    injected: bool,
    in_syscall: bool,
    end: Option<End>,
    /// Addresses in the calls, the innermost first. Most stacks of waiting goroutines have few.
    frames: SmallVec<[u64; 16]>,
}

/// How a walk ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Whole,
    Broken,
}

impl Walk {
    /// From where a goroutine stopped: stack pointer, end of the stack, address of the code.
    pub(crate) fn new(sp: u64, high: u64, pc: u64, in_syscall: bool) -> Self {
        let (pending, end, frames) = (None, None, SmallVec::new());
        Self { sp, high, pc, pending, injected: false, in_syscall, end, frames }
    }

    /// What to read next.
    fn window(&self) -> (u64, usize) {
        let (from, wanted) = self.pending.map_or((self.sp, FIRST), |address| (address, MORE));
        let len = wanted.min(self.high.saturating_sub(from));
        (from, usize::try_from(len).unwrap_or(0))
    }

    fn finish(&mut self, end: End) -> bool {
        self.end = Some(end);
        false
    }

    /// Goes to the caller, whose address is in what was read from `start` on; whether there is more
    /// to be done with these bytes.
    fn follow_return(&mut self, window: &[u8], start: u64) -> bool {
        let Some(pending) = self.pending else { return true };
        let at = pending.checked_sub(start).and_then(|at| usize::try_from(at).ok());
        let Some(address) = at.and_then(|at| u64_at(window, at)) else {
            // There is nothing more where the stack ends, and nothing to be had where it has a hole.
            let is_beyond = pending.saturating_add(8) > self.high || pending == start;
            return is_beyond && self.finish(End::Broken);
        };
        if address == 0 {
            return self.finish(End::Whole);
        }
        self.pc = address;
        self.sp = pending + 8;
        self.pending = None;
        true
    }
}

/// Knows how to step from frame to frame, and keeps stacks once.
pub(crate) struct Stacks<'a, 'd> {
    lines: Lines<'a, 'd>,
    bias: u64,
    steps: HashMap<u64, Option<StackFrame>>,
    known: HashMap<Box<[u64]>, u32>,
    read: Gathered,
}

impl<'a, 'd> Stacks<'a, 'd> {
    pub(crate) fn new(lines: Lines<'a, 'd>, bias: u64) -> Self {
        let (steps, known) = (HashMap::new(), HashMap::new());
        Self { lines, bias, steps, known, read: Gathered::default() }
    }

    /// Walks all; gives the number of each one's stack.
    pub(crate) fn walk(
        &mut self,
        memory: &impl Memory,
        walks: &mut [Walk],
    ) -> Result<Vec<Option<u32>>, Error> {
        let mut open: Vec<usize> = (0..walks.len()).collect();
        for _ in 0..MAX_ROUNDS {
            if open.is_empty() {
                break;
            }
            let windows: Vec<_> = open.iter().map(|i| walks[*i].window()).collect();
            let mut read = std::mem::take(&mut self.read);
            memory.gather_into(&windows, &mut read)?;
            for (position, i) in open.iter().enumerate() {
                let window = read.get(position).unwrap_or_default();
                self.advance(&mut walks[*i], window, windows[position].0);
            }
            self.read = read;
            open.retain(|i| walks[*i].end.is_none());
        }
        Ok(walks.iter().map(|walk| self.keep(walk)).collect())
    }

    /// All stacks, by their numbers.
    pub(crate) fn into_list(self) -> Vec<Box<[u64]>> {
        let mut out: Vec<_> = self.known.into_iter().collect();
        out.sort_unstable_by_key(|(_, number)| *number);
        out.into_iter().map(|(frames, _)| frames).collect()
    }

    fn keep(&mut self, walk: &Walk) -> Option<u32> {
        if walk.end != Some(End::Whole) || walk.frames.is_empty() {
            return None;
        }
        if let Some(number) = self.known.get(walk.frames.as_slice()) {
            return Some(*number);
        }
        let number = u32::try_from(self.known.len()).ok()?;
        if self.known.len() >= MAX_STACKS {
            return None;
        }
        self.known.insert(walk.frames.as_slice().into(), number);
        Some(number)
    }

    /// Steps as far as the bytes from `start` on tell.
    fn advance(&mut self, walk: &mut Walk, window: &[u8], start: u64) {
        while walk.end.is_none() && walk.follow_return(window, start) && self.look(walk) {}
    }

    /// Looks at the frame at the walk's program counter; whether it has a caller.
    fn look(&mut self, walk: &mut Walk) -> bool {
        let pc = walk.pc.wrapping_sub(self.bias);
        let innermost = walk.frames.is_empty();
        let Some(frame) = self.frame(pc) else {
            // As the runtime does: what called the last frame is no Go code.
            return walk.finish(if innermost { End::Broken } else { End::Whole });
        };
        if walk.frames.len() >= MAX_FRAMES {
            walk.frames.push(LEFT_OUT);
            return walk.finish(End::Whole);
        }
        let is_call = !walk.injected && !frame.is_entry;
        walk.frames.push(if is_call { pc.wrapping_sub(1) } else { pc });
        walk.injected = frame.is_injected;
        let Some(delta) = frame.to_caller(innermost && walk.in_syscall) else {
            return walk.finish(End::Whole);
        };
        let pending = walk.sp.checked_add(delta.into());
        match pending.filter(|at| at.checked_add(8).is_some_and(|end| end <= walk.high)) {
            Some(at) => {
                walk.pending = Some(at);
                true
            }
            None => walk.finish(End::Broken),
        }
    }

    fn frame(&mut self, pc: u64) -> Option<StackFrame> {
        if let Some(known) = self.steps.get(&pc) {
            return *known;
        }
        let found = self.lines.stack_frame(pc);
        if self.steps.len() < MAX_STEPS {
            self.steps.insert(pc, found);
        }
        found
    }
}
