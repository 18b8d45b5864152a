//! Names of the functions that goroutines begin with, and of the places that create them.

use std::cell::RefCell;
use std::collections::HashMap;

use goruntime::{Position, Symbols};

/// Start functions whose names are kept. A program has no more than it has `go` statements.
const MAX_KEPT: usize = 1 << 16;

/// Names addresses of one process.
pub(crate) struct Names<'s, 'a, 'd> {
    symbols: &'s Symbols<'a, 'd>,
    bias: u64,
    starts: RefCell<HashMap<u64, Option<&'d str>>>,
}

impl<'s, 'a, 'd> Names<'s, 'a, 'd> {
    pub(crate) fn new(symbols: &'s Symbols<'a, 'd>, bias: u64) -> Self {
        Self { symbols, bias, starts: RefCell::default() }
    }

    /// The function that is meant by a goroutine's first address.
    pub(crate) fn start(&self, address: u64) -> Option<&'d str> {
        if let Some(known) = self.starts.borrow().get(&address) {
            return *known;
        }
        let name = self.symbols.start_at(address.wrapping_sub(self.bias), None);
        let mut starts = self.starts.borrow_mut();
        if starts.len() < MAX_KEPT {
            starts.insert(address, name);
        }
        name
    }

    /// Where the `go` statement is whose call ends at `address`.
    pub(crate) fn creator(&self, address: u64) -> Option<Position<'d>> {
        self.symbols.creator_at(address.wrapping_sub(self.bias))
    }
}
