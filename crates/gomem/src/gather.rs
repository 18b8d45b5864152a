//! Many small reads as few large ones.
//!
//! The kernel takes its time for each piece that it is asked for, and for each page. So pieces that
//! lie near each other are read with what is between them.

use crate::{Error, Memory};

/// Bytes that one call may read.
pub const MAX_GATHERED: usize = 256 << 20;
/// Pieces that are no further apart than this are read as one.
const GAP: u64 = 1024;
/// A piece of neighbours grows no larger than this, so that one hole costs little.
const MAX_RUN: u64 = 64 << 10;

/// What was read.
#[derive(Debug, Default)]
pub struct Gathered {
    bytes: Vec<u8>,
    /// Where in `bytes` each place's are; `usize::MAX` where it is not mapped.
    places: Vec<(usize, usize)>,
}

impl Gathered {
    /// The bytes of place number `index`, in the order in which they were asked for.
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        let (start, len) = *self.places.get(index)?;
        self.bytes.get(start..start.checked_add(len)?)
    }

    /// How many places were asked for.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether nothing was asked for.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }
}

/// Places that are read together: from where, how much, and which.
struct Run {
    start: u64,
    len: usize,
    /// Where the bytes go.
    to: usize,
    first: usize,
    count: usize,
}

pub(crate) fn gather(
    memory: &impl Memory,
    places: &[(u64, usize)],
    out: &mut Gathered,
) -> Result<(), Error> {
    out.places.clear();
    let mut order: Vec<u32> = (0..u32::try_from(places.len()).unwrap_or(u32::MAX)).collect();
    if !places.is_sorted_by_key(|place| place.0) {
        order.sort_unstable_by_key(|i| places[*i as usize].0);
    }
    let runs = runs(places, &order);
    let total = runs.last().map_or(0, |run| run.to.saturating_add(run.len));
    if total > MAX_GATHERED {
        return Err(Error::TooMuch(total));
    }
    out.places.resize(places.len(), (usize::MAX, 0));
    // Old bytes are either overwritten, or no place points to them.
    if out.bytes.len() < total {
        out.bytes.resize(total, 0);
    }
    let parts: Vec<_> = runs.iter().map(|run| (run.start, run.len)).collect();
    let mut next = 0;
    while let Some(run) = runs.get(next) {
        let read = memory.read_parts(&parts[next..], &mut out.bytes[run.to..total])?;
        for run in runs.iter().skip(next).take(read) {
            for i in &order[run.first..run.first + run.count] {
                let (address, len) = places[*i as usize];
                let offset = usize::try_from(address - run.start).unwrap_or(usize::MAX);
                out.places[*i as usize] = (run.to.saturating_add(offset), len);
            }
        }
        next += read;
        if let Some(broken) = runs.get(next) {
            one_by_one(memory, places, &order, broken, out)?;
            next += 1;
        }
    }
    Ok(())
}

/// Reads the places of a run in which there is a hole.
fn one_by_one(
    memory: &impl Memory,
    places: &[(u64, usize)],
    order: &[u32],
    run: &Run,
    out: &mut Gathered,
) -> Result<(), Error> {
    if run.count == 1 {
        return Ok(());
    }
    for i in &order[run.first..run.first + run.count] {
        let (address, len) = places[*i as usize];
        let at = run.to + usize::try_from(address - run.start).unwrap_or(usize::MAX);
        let Some(to) = out.bytes.get_mut(at..at + len) else { continue };
        if memory.read(address, to)? {
            out.places[*i as usize] = (at, len);
        }
    }
    Ok(())
}

fn runs(places: &[(u64, usize)], order: &[u32]) -> Vec<Run> {
    let mut out: Vec<Run> = Vec::new();
    let mut to = 0usize;
    for (position, i) in order.iter().enumerate() {
        let (address, len) = places[*i as usize];
        let len_wide = len as u64;
        if let Some(run) = out.last_mut() {
            let end = run.start.saturating_add(run.len as u64);
            let new_end = address.saturating_add(len_wide).max(end);
            let near = address <= end.saturating_add(GAP) && new_end < u64::MAX;
            if near && new_end - run.start <= MAX_RUN {
                let grown = usize::try_from(new_end - run.start).unwrap_or(usize::MAX);
                to = to.saturating_add(grown - run.len);
                run.len = grown;
                run.count += 1;
                continue;
            }
        }
        out.push(Run { start: address, len, to, first: position, count: 1 });
        to = to.saturating_add(len);
    }
    out
}

#[cfg(test)]
#[path = "gather_tests.rs"]
mod tests;
