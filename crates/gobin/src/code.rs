//! Machine code of Go functions: which instruction a probe may stand on, and which globals a
//! function refers to.
//!
//! The kernel runs some instructions of a uprobe itself ("emulates" them) and must single-step the
//! others out of line, which costs ten times as much. See `arch/x86/kernel/uprobes.c`
//! (`push_setup_xol_ops`, `branch_setup_xol_ops`) and `arch/arm64/kernel/probes/decode-insn.c`.

pub(crate) mod amd64;
pub(crate) mod arm64;
pub(crate) mod calls;
pub(crate) mod errors;
pub(crate) mod returns;
pub(crate) mod rows;
pub(crate) mod stores;
pub(crate) mod unoptimised;

/// How the kernel will run the probed instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SiteKind {
    /// `push %reg`: emulated; runs once a call, after the stack check.
    Push,
    /// A conditional branch: emulated.
    Branch,
    /// The conditional branch of the stack check: emulated; when it is taken the stack grows and
    /// the function starts anew, so a probe must ignore that hit.
    StackCheck,
    /// An unconditional jump: emulated.
    Jump,
    /// A call: emulated.
    Call,
    /// A one-byte no-op: emulated.
    Nop,
    /// A return: emulated on arm64, single-stepped on x86-64.
    Return,
    /// Anything else: single-stepped. Only where no other site exists, or off the hot path.
    SingleStep,
}

impl SiteKind {
    /// Whether a hit costs the kernel a single-step.
    pub fn is_single_stepped(self) -> bool {
        self == SiteKind::SingleStep
    }
}

/// An instruction that a probe can stand on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Site {
    /// Virtual address.
    pub vaddr: u64,
    /// Offset in the file, which is what uprobes are attached by.
    pub file_offset: u64,
    /// Distance from the function's entry.
    pub delta: u64,
    /// What stands there.
    pub kind: SiteKind,
}

/// Where an argument or result can be read when a probe fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Still in the register that Go's ABI assigns.
    Register,
    /// Stored at this distance from the stack pointer.
    Stack(u32),
}

/// What an architecture's decoder finds: address in the function and kind.
pub(crate) type Found = (u64, SiteKind);
