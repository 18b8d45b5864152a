//! A whole binary's table of stack pointer deltas, for an unwinder that can't read Go's own encoding: by
//! address, how far the return address is from the stack pointer, and where a stack ends or changes.
//!
//! Source: `resolveInternal` in `runtime/traceback.go`. Not here: reading stacks.

use super::{PCSP, SP_WRITE, TOP_FRAME};
use crate::Binary;
use crate::pclntab::{Function, Pclntab};

/// What an unwinder does at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// The return address is so many bytes above the stack pointer.
    Delta(u32),
    /// The stack ends here.
    Outermost,
    /// A function of the runtime that changes stacks, as no table tells: what it calls is the outermost there. Go's
    /// own unwinder stops here, too.
    Stops,
    /// `runtime.systemstack`: the goroutine's own stack goes on where it was left, and the return address is
    /// so many bytes above that.
    SystemStack(u32),
    /// `runtime.morestack`: the goroutine's own stack goes on at its saved address.
    MoreStack,
    /// No table tells.
    Unknown,
}

/// From `start` on, up to the next row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Virtual address.
    pub start: u64,
    /// What to do there.
    pub step: Step,
}

impl Binary<'_> {
    /// The rows of all functions, in order of address; `None` if there are more than `max`.
    pub fn stack_rows(&self, max: usize) -> Option<Vec<Row>> {
        let mut out: Vec<Row> = Vec::new();
        let mut end = None;
        for function in self.table.functions() {
            if let Some(end) = end.filter(|end| *end < function.entry) {
                push(&mut out, end, Step::Unknown);
            }
            end = Some(function.end);
            self.table.rows(&function, &mut out);
            if out.len() > max {
                return None;
            }
        }
        if let Some(end) = end {
            push(&mut out, end, Step::Unknown);
        }
        (out.len() <= max).then_some(out)
    }
}

fn push(out: &mut Vec<Row>, start: u64, step: Step) {
    match out.last_mut() {
        Some(last) if last.step == step => {}
        Some(last) if last.start == start => last.step = step,
        // Damaged tables may go back: rows stay in order.
        Some(last) if last.start > start => {}
        _ => out.push(Row { start, step }),
    }
}

impl Pclntab<'_> {
    fn rows(&self, function: &Function<'_>, out: &mut Vec<Row>) {
        let flags = self.flags(function);
        let name = function.name.strip_suffix(".abi0").unwrap_or(function.name);
        let whole = match (flags, name) {
            (None, _) => Some(Step::Unknown),
            (_, "runtime.morestack") => Some(Step::MoreStack),
            (_, "runtime.systemstack" | "runtime.cgocallback") => None,
            (Some(flags), _) if flags & TOP_FRAME != 0 => Some(Step::Outermost),
            // The kernel returns to it from the handler of a signal: nobody has called it.
            (_, "runtime.sigreturn" | "runtime.sigreturn__sigaction") => Some(Step::Outermost),
            (Some(flags), name) if flags & SP_WRITE != 0 => {
                // `gogo<>` of the runtime's assembly has no package in its name.
                let own = name.starts_with("runtime.")
                    || name.starts_with("internal/runtime/")
                    || name == "gogo";
                Some(if own { Step::Stops } else { Step::Unknown })
            }
            _ => None,
        };
        if let Some(step) = whole {
            return push(out, function.entry, step);
        }
        let is_system = name == "runtime.systemstack";
        let Some(table) = self.record_word(function, PCSP) else {
            return push(out, function.entry, Step::Unknown);
        };
        let mut from = function.entry;
        let reached = self.pc_values(table, function.entry, |end, value| {
            let step = match u32::try_from(value) {
                Ok(delta) if is_system => Step::SystemStack(delta),
                Ok(delta) => Step::Delta(delta),
                Err(_) => Step::Unknown,
            };
            if from < function.end {
                push(out, from, step);
            }
            from = end;
        });
        if reached < function.end {
            push(out, reached, Step::Unknown);
        }
    }
}
