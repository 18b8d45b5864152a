//! Which goroutine started which: a few words of each are read, and no stack. Not here: what they do
//! (`snapshot`).

use gomem::Memory;

use crate::Error;
use crate::goroutine::RawG;
use crate::layout::Layout;
use crate::snapshot::list;

/// Goroutines that are read together.
const BATCH: usize = 4096;

/// A goroutine, and which one started it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Born {
    /// Where its `runtime.g` is.
    pub address: u64,
    /// Its number.
    pub goid: u64,
    /// The number of the goroutine that started it.
    pub parent: u64,
    /// Where the `go` statement is, without the load bias.
    pub created_at: u64,
}

impl Born {
    /// Reads all goroutines that were started by others; `None` where Go does not keep by whom, which it does
    /// since 1.21.
    ///
    /// # Errors
    /// When the list of goroutines can't be read.
    pub fn read(
        memory: &impl Memory,
        layout: &Layout,
        bias: u64,
    ) -> Result<Option<Vec<Self>>, Error> {
        if layout.g.parent.is_none() {
            return Ok(None);
        }
        let mut out = Vec::new();
        for batch in list(memory, layout, bias)?.chunks(BATCH) {
            let places: Vec<_> = batch.iter().map(|address| (*address, layout.g.len)).collect();
            let read = memory.gather(&places)?;
            for (i, address) in batch.iter().enumerate() {
                let raw = read.get(i).and_then(|bytes| RawG::parse(bytes, &layout.g));
                let Some(raw) = raw.filter(|raw| raw.state.is_some() && raw.goid != 0) else {
                    continue;
                };
                let created_at = raw.created_at.wrapping_sub(bias);
                let (goid, parent) = (raw.goid, raw.parent.unwrap_or(0));
                if parent != 0 {
                    out.push(Self { address: *address, goid, parent, created_at });
                }
            }
        }
        Ok(Some(out))
    }
}
