//! Whole pages, kept: for following pointers from one little thing to the next, which often lie
//! together. What is kept is as old as its first read.

use std::collections::HashMap;

use crate::{Error, Memory};

const PAGE: u64 = 4096;
/// Pages that are kept; then they are forgotten and read anew.
const MAX_PAGES: usize = 16 << 10;

/// Reads through a cache of pages.
#[derive(Debug)]
pub struct Pages<'m, M> {
    memory: &'m M,
    pages: HashMap<u64, Option<Box<[u8]>>>,
}

impl<'m, M: Memory> Pages<'m, M> {
    /// Reads from `memory`.
    pub fn new(memory: &'m M) -> Self {
        Self { memory, pages: HashMap::new() }
    }

    /// Fills `to` from `address`; whether all of it is mapped.
    ///
    /// # Errors
    /// As [`Memory::read_parts`].
    pub fn read(&mut self, address: u64, to: &mut [u8]) -> Result<bool, Error> {
        let mut done = 0;
        while done < to.len() {
            let Some(at) = address.checked_add(done as u64) else { return Ok(false) };
            let offset = usize::try_from(at % PAGE).unwrap_or(0);
            let Some(page) = self.page(at - at % PAGE)? else { return Ok(false) };
            let rest = &page[offset..];
            let len = rest.len().min(to.len() - done);
            to[done..done + len].copy_from_slice(&rest[..len]);
            done += len;
        }
        Ok(true)
    }

    fn page(&mut self, start: u64) -> Result<Option<&[u8]>, Error> {
        if !self.pages.contains_key(&start) {
            if self.pages.len() >= MAX_PAGES {
                self.pages.clear();
            }
            let mut page = vec![0; usize::try_from(PAGE).unwrap_or(0)].into_boxed_slice();
            let page = self.memory.read(start, &mut page)?.then_some(page);
            self.pages.insert(start, page);
        }
        Ok(self.pages.get(&start).and_then(Option::as_deref))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Snippets;

    #[test]
    fn a_page_is_read_once_and_holes_are_missing() {
        let mut memory = Snippets::default();
        memory.map(4096, (0..8192u32).map(|i| i.to_le_bytes()[0]).collect());
        let mut pages = Pages::new(&memory);
        let mut to = [0; 16];
        for address in [4096 + 4088, 4096, 5000] {
            assert!(pages.read(address, &mut to).unwrap());
            assert_eq!(to[0], (address % 256) as u8);
        }
        assert_eq!(memory.reads(), 2);
        for address in [4096 + 8184, 0, u64::MAX - 4] {
            assert!(!pages.read(address, &mut to).unwrap());
        }
    }
}
