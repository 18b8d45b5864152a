//! What comes ahead of its span and waits for it, within bounds. Not here: what that is.

use std::collections::{HashMap, VecDeque};

use crate::assemble::MAX_PENDING;

/// What came ahead of a span, by the span's id. The oldest make room.
#[derive(Debug)]
pub(crate) struct Waiting<T> {
    pub(crate) max: usize,
    pub(crate) values: HashMap<[u8; 8], T>,
    /// Ids in order, also of some that do not wait any more.
    order: VecDeque<[u8; 8]>,
    /// Those that made room.
    pub(crate) forgotten: u64,
}

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Self { max: MAX_PENDING, values: HashMap::new(), order: VecDeque::new(), forgotten: 0 }
    }
}

impl<T> Waiting<T> {
    pub(crate) fn insert(&mut self, span_id: [u8; 8], value: T) {
        self.make_room(span_id);
        self.values.insert(span_id, value);
    }

    /// What waits for a span, made if there is nothing.
    pub(crate) fn entry(&mut self, span_id: [u8; 8]) -> &mut T
    where
        T: Default,
    {
        if !self.values.contains_key(&span_id) {
            self.make_room(span_id);
        }
        self.values.entry(span_id).or_default()
    }

    fn make_room(&mut self, span_id: [u8; 8]) {
        while self.values.len() >= self.max
            && let Some(oldest) = self.order.pop_front()
        {
            self.forgotten += u64::from(self.values.remove(&oldest).is_some());
        }
        if self.order.len() >= 2 * self.max {
            self.order.retain(|id| self.values.contains_key(id));
        }
        self.order.push_back(span_id);
    }

    pub(crate) fn take(&mut self, span_id: [u8; 8]) -> Option<T> {
        // Mostly nothing waits, and a map hashes before it looks.
        if self.values.is_empty() { None } else { self.values.remove(&span_id) }
    }
}
