//! The contract of the sampler: the twin of `bpf/sampler.h`.
//!
//! Not here: what the addresses of a stack are called.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::DecodeError;

/// Frames of the program that a sample keeps (`GT_USER_FRAMES`).
pub const USER_FRAMES: usize = 256;
/// Frames of the kernel that it keeps beside those (`GT_KERNEL_FRAMES`).
pub const KERNEL_FRAMES: usize = 64;
/// Processes that are sampled at once (`GT_TARGETS`).
pub const SAMPLED_PROCESSES: u32 = 1024;
/// Files whose tables are known at once (`GT_TABLES`).
pub const SAMPLED_FILES: u32 = 128;
/// Different stacks that are counted (`GT_STACKS`).
pub const STACKS: u32 = 65_536;
/// Threads that can be off their processors at once (`GT_THREADS`).
pub const OFF_THREADS: u32 = 16_384;
/// Bytes of code that one entry of the index stands for, as a shift (`GT_INDEX_SHIFT`).
pub const INDEX_SHIFT: u32 = 8;
/// Where the kind of a step is in a row (`enum gt_step`).
const KIND_SHIFT: u32 = 24;

/// What the walker does at an address (`enum gt_step`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum StepKind {
    /// No table tells.
    Unknown = 0,
    /// The return address is so many bytes above the stack pointer.
    Delta = 1,
    /// The stack ends here.
    Outermost = 2,
    /// The stack pointer changes as no table tells.
    Stops = 3,
    /// The goroutine's own stack goes on where it was left, by so many bytes.
    SystemStack = 4,
    /// The goroutine's own stack goes on at its saved address.
    MoreStack = 5,
}

/// From an offset of the code on, up to the next row (`struct gt_row`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct StackRow {
    /// Offset from the start of the code.
    pub start: u32,
    step: u32,
}

impl StackRow {
    /// A row; `Unknown` where the number of bytes is absurd.
    pub fn new(start: u32, kind: StepKind, delta: u32) -> Self {
        let fits = delta < 1 << KIND_SHIFT;
        Self { start, step: if fits { (kind as u32) << KIND_SHIFT | delta } else { 0 } }
    }
}

/// The constants of a process that is sampled (`struct gt_sampled`). [`crate::raw::NONE`] stands for
/// offsets that are not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Sampled {
    /// Which one it is among all that were ever sampled.
    pub target: u32,
    /// Whether samples of different goroutines are kept apart.
    pub with_goids: u32,
    /// Whether each sample is told, with the request that it belongs to.
    pub with_spans: u32,
    /// Number of the process in the maps of the requests.
    pub instance: u32,
    /// Where the code starts in the process.
    pub text: u64,
    /// Where it ends.
    pub etext: u64,
    /// Where the current g is, from the thread pointer; 0 if that is not known.
    pub tls_g: i64,
    /// Where net/http starts what works for all users of a connection.
    pub dial_conn: u64,
    /// Bytes of that code; 0 if there is none.
    pub dial_conn_size: u64,
    /// Offset of `runtime.g.m`.
    pub g_m: u16,
    /// Offset of `runtime.g.goid`.
    pub g_goid: u16,
    /// Offset of `runtime.g.stack.lo`.
    pub g_stack_lo: u16,
    /// Offset of `runtime.g.stack.hi`.
    pub g_stack_hi: u16,
    /// Offset of `runtime.g.sched.sp`.
    pub g_sched_sp: u16,
    /// Offset of `runtime.g.sched.pc`.
    pub g_sched_pc: u16,
    /// Offset of `runtime.g.syscallsp`.
    pub g_syscallsp: u16,
    /// Offset of `runtime.g.syscallpc`.
    pub g_syscallpc: u16,
    /// Offset of `runtime.m.curg`.
    pub m_curg: u16,
    /// Offset of `runtime.m.vdsoSP`.
    pub m_vdso_sp: u16,
    /// Offset of `runtime.m.vdsoPC`.
    pub m_vdso_pc: u16,
    /// Offset of `runtime.g.parentGoid`.
    pub g_parent_goid: u16,
    /// Offset of `runtime.g.gopc`.
    pub g_gopc: u16,
    /// Offset of `runtime.m.g0`.
    pub m_g0: u16,
    /// Where the tables of its file are.
    pub table: u32,
    /// The program's address space: 0, and its first sample tells it.
    pub mm: u64,
}

/// What the programs count (`enum gt_sampled_counter`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum SampledCounter {
    /// Samples of the process.
    Seen = 0,
    /// Those of a new stack that found no room in the ring buffer.
    RingFull = 1,
    /// Those of a new stack when there were [`STACKS`] already.
    StacksFull = 2,
    /// Those of a stack that has another one's hash.
    Collided = 3,
    /// Those of another program that the process runs since.
    OtherProgram = 4,
    /// Threads that were off their processors when there were [`OFF_THREADS`] already.
    ThreadsFull = 5,
    /// Samples whose request could not be found out.
    Untold = 6,
}

impl SampledCounter {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Seen,
        Self::RingFull,
        Self::StacksFull,
        Self::Collided,
        Self::OtherProgram,
        Self::ThreadsFull,
        Self::Untold,
    ];
}

/// How often a stack was seen (`struct gt_stack_count`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct StackCount {
    /// Samples, or times that a thread left its processor there and came back.
    pub samples: u64,
    /// How long threads were off their processors there.
    pub nanoseconds: u64,
    check: u32,
    pad: u32,
}

/// A thread that is off its processor (`struct gt_off`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct OffThread {
    /// Since when, by the monotonic clock.
    pub since: u64,
    /// Its stack's hash.
    pub hash: u64,
    check: u32,
    pad: u32,
}

/// A single sample (`struct gt_told`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ToldSample {
    /// Of its stack.
    pub hash: u64,
    /// Of the request that it belongs to; 0 for none. See [`ToldSample::span`].
    pub span_id: u64,
    /// The goroutine's number; 0 for none.
    pub goid: u64,
    /// When, by the monotonic clock.
    pub time_ns: u64,
}

impl ToldSample {
    /// Reads a record.
    ///
    /// # Errors
    /// [`DecodeError`], if it is none.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let read = Self::read_from_prefix(bytes).map_err(|_| DecodeError::Short(bytes.len()))?;
        Ok(read.0)
    }

    /// The request that it belongs to.
    pub fn span(&self) -> Option<[u8; 8]> {
        (self.span_id != 0).then(|| self.span_id.to_ne_bytes())
    }
}

/// A stack that was sampled. Addresses are those of the process, and of the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampledStack {
    /// By which its counts are found.
    pub hash: u64,
    /// Which process it is of: see [`Sampled::target`].
    pub target: u32,
    /// The goroutine's number, if it was asked for and there is one.
    pub goid: Option<u64>,
    /// The kernel's frames, the innermost first.
    pub kernel: Box<[u64]>,
    /// The program's, the innermost first.
    pub user: Box<[u64]>,
    flags: u32,
}

#[derive(FromBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Raw {
    hash: u64,
    goid: u64,
    check: u32,
    flags: u32,
    kernel: u32,
    user: u32,
    target: u32,
    pad: u32,
}

const DEEP: u32 = 1;
const BROKEN: u32 = 2;
const FROM_C: u32 = 4;
const KERNEL: u32 = 8;
const KERNEL_CUT: u32 = 16;
const PREEMPTED: u32 = 32;

const _: () = assert!(size_of::<StackRow>() == 8);
const _: () = assert!(size_of::<Sampled>() == 96);
const _: () = assert!(size_of::<StackCount>() == 24);
const _: () = assert!(size_of::<OffThread>() == 24);
const _: () = assert!(size_of::<Raw>() == 40);

impl SampledStack {
    /// Whether there are more frames than are kept.
    pub fn is_deep(&self) -> bool {
        self.flags & DEEP != 0
    }

    /// Whether the callers of the last frame are not known.
    pub fn is_broken(&self) -> bool {
        self.flags & BROKEN != 0
    }

    /// Whether the first frame is C code, whose callers up to the next frame are not known.
    pub fn is_from_c(&self) -> bool {
        self.flags & FROM_C != 0
    }

    /// Whether the thread was in the kernel.
    pub fn is_in_kernel(&self) -> bool {
        self.flags & KERNEL != 0
    }

    /// Whether the kernel may have more frames than are kept.
    pub fn is_deep_in_kernel(&self) -> bool {
        self.flags & KERNEL_CUT != 0 && !self.kernel.is_empty()
    }

    /// Whether the thread was in the kernel, which does not tell its frames.
    pub fn is_untold_in_kernel(&self) -> bool {
        self.flags & KERNEL_CUT != 0 && self.kernel.is_empty()
    }

    /// Whether the thread wanted to go on and had to leave its processor.
    pub fn is_preempted(&self) -> bool {
        self.flags & PREEMPTED != 0
    }
}

/// Decodes a record of the sampler's ring buffer.
///
/// # Errors
/// [`DecodeError`], if it is none.
pub fn decode_sampled(bytes: &[u8]) -> Result<SampledStack, DecodeError> {
    let short = || DecodeError::Short(bytes.len());
    let (raw, rest) = Raw::read_from_prefix(bytes).map_err(|_| short())?;
    let frames = rest.as_chunks::<8>().0;
    let (kernel, user) = (raw.kernel as usize, raw.user as usize);
    let end = kernel.checked_add(user).ok_or_else(short)?;
    let list = |range: std::ops::Range<usize>| -> Option<Box<[u64]>> {
        Some(frames.get(range)?.iter().map(|word| u64::from_ne_bytes(*word)).collect())
    };
    Ok(SampledStack {
        hash: raw.hash,
        target: raw.target,
        goid: Some(raw.goid).filter(|goid| *goid != 0),
        kernel: list(0..kernel).ok_or_else(short)?,
        user: list(kernel..end).ok_or_else(short)?,
        flags: raw.flags,
    })
}

#[cfg(test)]
#[path = "sampled_tests.rs"]
mod tests;
