//! Whether the runtime searches for goroutines that can never go on, as it can since Go 1.26. Source:
//! `runtime/mgc.go`. Not here: what it found, which goroutines' states say.

use gobin::Global;
use gomem::{Memory, u64_at};

use crate::Error;
use crate::layout::Layout;

/// The variables of the search: whether it is wanted, runs, and has been done, and how many it found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeakSearch {
    address: u64,
}

impl LeakSearch {
    /// Finds them; `None` where the version has none, or they are not known.
    pub fn find(layout: &Layout, bias: u64) -> Option<Self> {
        let offset = layout.offsets.get("workType.goroutineLeak")?;
        let address = layout.global(Global::Work)?.wrapping_add(bias).wrapping_add(offset);
        Some(Self { address })
    }

    /// The byte that says whether the next collection is to search: 1 if it is. The runtime clears it then.
    pub fn address(self) -> u64 {
        self.address
    }

    /// Whether no search is wanted or runs. Not so, too, where what is there can't be these variables.
    ///
    /// # Errors
    /// When the process is gone, or may not be read.
    pub fn is_idle(self, memory: &impl Memory) -> Result<bool, Error> {
        let bytes = memory.bytes(self.address, 16)?;
        Ok(bytes.is_some_and(|bytes| {
            let found = u64_at(&bytes, 8).is_some_and(|found| found < 1 << 40);
            found && bytes[..3] == [0, 0, 0]
        }))
    }
}
