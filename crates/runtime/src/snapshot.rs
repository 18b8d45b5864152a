//! All goroutines at one moment, which takes some milliseconds and stops nothing: each is read, then
//! its stack and what it waits for, then it again, and it is marked if it is not where it was. Not here: how that is
//! read (`taking`).

mod taking;

use std::collections::BTreeMap;

use gobin::{Binary, Global};
use gomem::{Memory, u64_at};

use crate::layout::Layout;
use crate::waiting::{Channel, Lock};
use crate::{Error, Goroutine, StackState};
use taking::Taking;

/// More goroutines than this are not read.
const MAX_GOROUTINES: u64 = 4 << 20;
/// Goroutines that are read together.
const BATCH: usize = 1024;
/// How often the list is read anew when it grows meanwhile.
const ATTEMPTS: usize = 16;

/// What was read of a process.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// All goroutines, the runtime's own included, in the order in which they were first made.
    pub goroutines: Vec<Goroutine>,
    /// Channels that goroutines wait for.
    pub channels: Vec<Channel>,
    /// Locks that goroutines wait for.
    pub locks: Vec<Lock>,
    /// Goroutines whose structure could not be read.
    pub unreadable: usize,
    /// Whether the runtime's table of locks could not be read, so that `locks` has none.
    pub locks_unread: bool,
    /// Entries of queues for channels and locks that could not be read, or found no room: what goroutines wait for that
    /// stand there is not known.
    pub unread_waits: usize,
    /// Modules beside the main one, which plugins have: their functions and types are not known.
    pub further_modules: bool,
    /// What the runtime counts among its own goroutines, though none are there: they stand ready for threads of C code.
    pub extra: usize,
    stacks: Vec<Box<[u64]>>,
    reasons: BTreeMap<u8, Option<String>>,
}

impl Snapshot {
    /// Reads the goroutines of a process that runs `binary`, loaded `bias` above its addresses.
    ///
    /// # Errors
    /// When nothing can be read, or what is read can't be true.
    pub fn take(
        memory: &impl Memory,
        layout: &Layout,
        binary: &Binary<'_>,
        bias: u64,
    ) -> Result<Self, Error> {
        let list = list(memory, layout, bias)?;
        let mut taking = Taking::new(memory, layout, binary, bias);
        for batch in list.chunks(BATCH) {
            taking.batch(batch)?;
        }
        taking.finish(list.len())
    }

    /// Reads only the goroutines whose structures are at these addresses, and not what locks they wait for.
    ///
    /// # Errors
    /// As [`Snapshot::take`].
    pub fn of(
        memory: &impl Memory,
        layout: &Layout,
        binary: &Binary<'_>,
        bias: u64,
        addresses: &[u64],
    ) -> Result<Self, Error> {
        let mut taking = Taking::new(memory, layout, binary, bias);
        for batch in addresses.chunks(BATCH) {
            taking.batch(batch)?;
        }
        taking.out.stacks = taking.stacks.into_list();
        Ok(taking.out)
    }

    /// A goroutine's stack: addresses in the calls, innermost first.
    pub fn stack(&self, goroutine: &Goroutine) -> Option<&[u64]> {
        match goroutine.stack {
            StackState::Known(number) => self.stack_by_number(number),
            _ => None,
        }
    }

    /// A stack by its number.
    pub fn stack_by_number(&self, number: u32) -> Option<&[u64]> {
        self.stacks.get(number as usize).map(|stack| &**stack)
    }

    /// Why a goroutine waits, in the words of the program's own runtime.
    pub fn wait_reason(&self, goroutine: &Goroutine) -> Option<&str> {
        self.reasons.get(&goroutine.reason?)?.as_deref()
    }

    /// How many goroutines `runtime.NumGoroutine` counts.
    pub fn count(&self) -> usize {
        self.goroutines.iter().filter(|g| !g.system).count()
    }
}

/// The addresses of all `runtime.g`.
pub(crate) fn list(memory: &impl Memory, layout: &Layout, bias: u64) -> Result<Vec<u64>, Error> {
    let global = |global| layout.global(global).map_or(0, |address| address.wrapping_add(bias));
    let lost = || Error::Contradiction("the list of goroutines is not mapped".to_owned());
    for _ in 0..ATTEMPTS {
        let len = memory.word(global(Global::Allglen))?.ok_or_else(lost)?;
        let first = memory.word(global(Global::Allgptr))?.ok_or_else(lost)?;
        // The slice that both are parts of. While it grows they may differ for a moment.
        let slice = match layout.global(Global::Allgs) {
            Some(address) => memory.bytes(address.wrapping_add(bias), 16)?,
            None => None,
        };
        let agrees = slice.is_none_or(|slice| {
            u64_at(&slice, 0) == Some(first) && u64_at(&slice, 8).is_some_and(|n| n >= len)
        });
        if !agrees || len > MAX_GOROUTINES {
            continue;
        }
        let bytes = usize::try_from(8 * len).unwrap_or(usize::MAX);
        let Some(bytes) = memory.bytes(first, bytes)? else { continue };
        let (words, _) = bytes.as_chunks::<8>();
        return Ok(words.iter().map(|word| u64::from_le_bytes(*word)).collect());
    }
    Err(Error::Contradiction("the list of goroutines does not fit its length".to_owned()))
}
