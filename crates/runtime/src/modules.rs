//! Programs that have loaded plugins: each of these has functions of the runtime of its own, which also start
//! goroutines. What a goroutine waits for says whether it is the runtime's. Not here: the functions and types of
//! plugins, which are not read.

use gomem::Memory;

use crate::layout::Layout;
use crate::{Error, Snapshot};

/// What only goroutines of the runtime wait for; see `waitReasonStrings` in `runtime/runtime2.go`.
const SYSTEM: [&str; 9] = [
    "GC worker (idle)",
    "GC worker (active)",
    "GC worker init",
    "GC sweep wait",
    "GC scavenge wait",
    "force gc (idle)",
    "finalizer wait",
    "cleanup wait",
    "trace reader (blocked)",
];

impl Layout {
    /// Whether the process has loaded a plugin: there is another module behind the program's own.
    ///
    /// # Errors
    /// When the process is gone, or may not be read.
    pub fn has_plugins(&self, memory: &impl Memory, bias: u64) -> Result<bool, Error> {
        let Some(next) = self.next_module else { return Ok(false) };
        Ok(memory.word(next.wrapping_add(bias))?.is_some_and(|next| next != 0))
    }
}

/// Marks goroutines of the runtime among those that began with a function of a plugin: `is_known` says which functions
/// are the program's own.
pub(crate) fn mark_system(snapshot: &mut Snapshot, is_known: impl Fn(u64) -> bool) {
    let waits = |i: usize| -> bool {
        let goroutine = &snapshot.goroutines[i];
        let reason = snapshot.wait_reason(goroutine).unwrap_or_default();
        SYSTEM.contains(&reason) && !is_known(goroutine.start)
    };
    let found: Vec<usize> = (0..snapshot.goroutines.len()).filter(|i| waits(*i)).collect();
    for i in found {
        snapshot.goroutines[i].system = true;
    }
}
