//! The scheduler's lists of processors and threads, as they lie in memory. Source: `runtime/runtime2.go`.
//!
//! Not here: what is made of them, for one moment ([`crate::Scheduler`]) or many times a second
//! ([`crate::timeline`]).

use std::collections::HashSet;

use gomem::{Memory, u32_at, u64_at};

use crate::Error;
use crate::layout::Workers;

/// More processors than this are not read.
const MAX_PROCESSORS: u64 = 4096;
/// Threads that are read; the runtime allows a program ten thousand, unless it asks for more.
pub(crate) const MAX_THREADS: usize = 20_000;
/// A processor's own queue has so many places.
const QUEUE: u32 = 256;
/// `_Pdead`, the last of their statuses.
const LAST_STATUS: u32 = 4;

/// Where all processors are, by what `allp` has: where its list begins, and how long that is. Else why they can't be
/// read.
pub(crate) fn processors(
    memory: &impl Memory,
    (first, len): (u64, u64),
) -> Result<Result<Vec<u64>, String>, Error> {
    if len == 0 || len > MAX_PROCESSORS {
        return Ok(Err(format!("their list has {len}, and up to {MAX_PROCESSORS} are read")));
    }
    let bytes = match usize::try_from(8 * len) {
        Ok(bytes) => memory.bytes(first, bytes)?,
        Err(_) => None,
    };
    let list = bytes.ok_or_else(|| "their list is not mapped".to_owned());
    Ok(list.map(|list| list.as_chunks::<8>().0.iter().map(|p| u64::from_le_bytes(*p)).collect()))
}

/// What a processor (P) has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RawP {
    pub(crate) id: i32,
    pub(crate) status: u32,
    /// Goroutines in its own queue, the one that runs next included.
    pub(crate) queued: u32,
    pub(crate) switches: u32,
    pub(crate) syscalls: u32,
    pub(crate) has_thread: bool,
    /// Goroutine numbers that it was given and has not used; `None` where the end is before the beginning.
    pub(crate) unused_ids: Option<u64>,
}

impl RawP {
    pub(crate) fn parse(bytes: &[u8], at: &Workers) -> Option<Self> {
        let half = |offset| u32_at(bytes, offset);
        let next = u32::from(u64_at(bytes, at.queue_next)? != 0);
        let waiting = half(at.queue_tail)?.wrapping_sub(half(at.queue_head)?);
        Some(Self {
            id: half(at.p_id)?.cast_signed(),
            status: half(at.p_status)?,
            queued: waiting.min(QUEUE) + next,
            switches: half(at.p_tick)?,
            syscalls: half(at.p_syscall_tick)?,
            has_thread: u64_at(bytes, at.p_m)? != 0,
            unused_ids: u64_at(bytes, at.ids_end)?.checked_sub(u64_at(bytes, at.ids)?),
        })
    }

    /// Whether this can be what stands at that place of the list.
    pub(crate) fn is_one(&self, place: usize) -> bool {
        usize::try_from(self.id) == Ok(place) && self.status <= LAST_STATUS
    }
}

/// How a list of threads ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// All are in it.
    Whole,
    /// There are more than are read.
    More,
    /// One could not be read, or the list leads back to itself; also when it has none. A thread that ended meanwhile
    /// may be why.
    Broken,
}

impl End {
    /// Why not all threads are there, as a clause.
    pub(crate) fn why(self) -> Option<String> {
        match self {
            End::Whole => None,
            End::More => Some(format!("there are more than {MAX_THREADS}")),
            End::Broken => Some("their list can't be read to its end".to_owned()),
        }
    }
}

/// Follows the list of threads (Ms) from its first one. `read` takes one and gives the one behind it, 0 for none;
/// `None` where it can't be read.
pub(crate) fn threads(
    first: u64,
    mut read: impl FnMut(u64) -> Result<Option<u64>, Error>,
) -> Result<End, Error> {
    let (mut next, mut seen) = (first, HashSet::new());
    while next != 0 {
        if seen.len() == MAX_THREADS {
            return Ok(End::More);
        }
        if !seen.insert(next) {
            return Ok(End::Broken);
        }
        let Some(behind) = read(next)? else { return Ok(End::Broken) };
        next = behind;
    }
    Ok(if seen.is_empty() { End::Broken } else { End::Whole })
}

#[cfg(test)]
mod tests {
    use gomem::Snippets;

    use super::*;

    #[test]
    fn a_list_of_threads_says_how_it_ended() {
        let walk = |first: u64, next: &dyn Fn(u64) -> Option<u64>| {
            let mut seen = Vec::new();
            let end = threads(first, |thread| {
                seen.push(thread);
                Ok(next(thread))
            });
            (seen, end.unwrap())
        };
        assert_eq!(walk(3, &|n| Some(n - 1)), (vec![3, 2, 1], End::Whole));
        assert_eq!(walk(0, &|_| Some(0)), (vec![], End::Broken));
        // One is not mapped, and one leads back.
        assert_eq!(walk(3, &|n| (n > 2).then_some(n - 1)), (vec![3, 2], End::Broken));
        assert_eq!(walk(2, &|n| Some(3 - n)), (vec![2, 1], End::Broken));
        let most = MAX_THREADS as u64;
        let (all, end) = walk(most, &|n| Some(n - 1));
        assert_eq!((all.len(), end), (MAX_THREADS, End::Whole));
        let (all, end) = walk(most + 1, &|n| Some(n - 1));
        assert_eq!((all.len(), end), (MAX_THREADS, End::More));
        assert!(End::Whole.why().is_none() && End::More.why() != End::Broken.why());
    }

    #[test]
    fn a_list_of_processors_is_read_whole_or_not_at_all() {
        let mut memory = Snippets::default();
        memory.map(0x1000, [8u64, 16, 24].iter().flat_map(|p| p.to_le_bytes()).collect());
        let read = |first, len| processors(&memory, (first, len)).unwrap();
        assert_eq!(read(0x1000, 3), Ok(vec![8, 16, 24]));
        for (first, len) in [(0x1000, 4), (0x2000, 1), (0x1000, 0), (0x1000, MAX_PROCESSORS + 1)] {
            assert!(read(first, len).is_err(), "{first:#x} {len}");
        }
        assert!(read(0x1000, u64::MAX).is_err());
    }
}
