//! Memory that is made up: for tests of what reads a process, and for fuzzing it.

use std::cell::Cell;
use std::collections::BTreeMap;

use crate::{Error, Memory};

/// Pieces of bytes at addresses.
#[derive(Debug, Default, Clone)]
pub struct Snippets {
    pieces: BTreeMap<u64, Vec<u8>>,
    reads: Cell<usize>,
}

impl Snippets {
    /// Puts bytes at an address. Pieces must not overlap.
    pub fn map(&mut self, address: u64, bytes: Vec<u8>) {
        self.pieces.insert(address, bytes);
    }

    /// How many pieces were read so far.
    pub fn reads(&self) -> usize {
        self.reads.get()
    }

    fn copy(&self, mut address: u64, mut to: &mut [u8]) -> bool {
        while !to.is_empty() {
            let Some((start, bytes)) = self.pieces.range(..=address).next_back() else {
                return false;
            };
            let Some(rest) = usize::try_from(address - start).ok().and_then(|at| bytes.get(at..))
            else {
                return false;
            };
            let len = rest.len().min(to.len());
            if len == 0 {
                return false;
            }
            to[..len].copy_from_slice(&rest[..len]);
            to = &mut to[len..];
            match address.checked_add(len as u64) {
                Some(next) => address = next,
                None => return to.is_empty(),
            }
        }
        true
    }
}

impl Memory for Snippets {
    fn read_parts(&self, parts: &[(u64, usize)], to: &mut [u8]) -> Result<usize, Error> {
        let mut at = 0;
        for (done, (address, len)) in parts.iter().enumerate() {
            self.reads.set(self.reads.get() + 1);
            let Some(to) = to.get_mut(at..at + len) else { return Ok(done) };
            if !self.copy(*address, to) {
                return Ok(done);
            }
            at += len;
        }
        Ok(parts.len())
    }
}
