//! What the runtime's own unwinder needs to know of a program counter: how far the stack pointer is
//! from the caller's, and which functions end or interrupt a stack.
//!
//! Source: `resolveInternal` in `runtime/traceback.go`; flags and ids in `internal/abi/symtab.go`.
//! Not here: reading stacks.

mod rows;

pub use rows::{Row, Step};

use crate::Binary;
use crate::code::amd64;
use crate::lines::Lines;
use crate::pclntab::{Function, Pclntab};

/// `FuncFlagTopFrame`: the outermost frame of a stack.
const TOP_FRAME: u8 = 1;
/// `FuncFlagSPWrite`: the function changes the stack pointer in a way that no table tells.
const SP_WRITE: u8 = 2;
/// Word of a `_func` record that names the table of stack pointer deltas.
const PCSP: usize = 4;

/// What a frame at a program counter is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StackFrame {
    /// Bytes between the stack pointer and the return address; `None` where no table tells.
    pub delta: Option<u32>,
    /// Whether the stack ends here.
    pub is_outermost: bool,
    /// Whether the function writes the stack pointer itself, so that its callers are unknown unless
    /// it is where the goroutine stopped in a system call.
    pub writes_pointer: bool,
    /// Whether its caller was interrupted, so that the return address is an instruction that has not
    /// run yet, and stands behind no call.
    pub is_injected: bool,
    /// Whether `pc` is the first instruction of the function.
    pub is_entry: bool,
}

impl StackFrame {
    /// Bytes between the stack pointer and the address to which the frame returns; `None` where its caller can't be
    /// known, or there is none. `in_syscall`: the goroutine stopped here for a system call.
    pub fn to_caller(&self, in_syscall: bool) -> Option<u32> {
        let hides_caller = self.writes_pointer && !in_syscall;
        self.delta.filter(|_| !self.is_outermost && !hides_caller)
    }
}

impl Binary<'_> {
    /// What `function` calls directly. x86-64 only.
    pub fn direct_calls(&self, function: &Function<'_>) -> Vec<u64> {
        let code = self.amd64_code(function);
        code.map(|code| amd64::direct_calls(code, function.entry)).unwrap_or_default()
    }
}

impl Lines<'_, '_> {
    /// The frame of the function that holds `pc`; `None` where there is none.
    pub fn stack_frame(&self, pc: u64) -> Option<StackFrame> {
        const INJECTED: [&str; 3] =
            ["runtime.sigpanic", "runtime.asyncPreempt", "runtime.debugCallV2"];
        let table = self.table();
        let function = table.lookup(pc)?;
        let flags = table.flags(&function)?;
        let delta = table
            .record_word(&function, PCSP)
            .and_then(|offset| table.pc_value(offset, function.entry, pc))
            .and_then(|delta| u32::try_from(delta).ok());
        let is_callback = function.name == "runtime.cgocallback";
        Some(StackFrame {
            delta,
            is_outermost: flags & TOP_FRAME != 0,
            writes_pointer: flags & SP_WRITE != 0 && !is_callback,
            is_injected: INJECTED.contains(&function.name),
            is_entry: pc == function.entry,
        })
    }

    /// Whether the compiler made `function`, as it does for `go f(x)`, to call another one.
    pub fn is_wrapper(&self, function: &Function<'_>) -> bool {
        self.table().id(function).is_some_and(|id| self.is_wrapper_id(id))
    }

    /// Wrappers have an id of their own, which differs between versions.
    pub(crate) fn is_wrapper_id(&self, id: u8) -> bool {
        self.wrapper_id() == Some(id)
    }
}

impl Pclntab<'_> {
    /// The number by which the runtime knows a special function; 0 for the others.
    pub(crate) fn id(&self, function: &Function<'_>) -> Option<u8> {
        self.record_byte(function, self.record_size() - 4)
    }

    pub(crate) fn flags(&self, function: &Function<'_>) -> Option<u8> {
        self.record_byte(function, self.record_size() - 3)
    }
}
