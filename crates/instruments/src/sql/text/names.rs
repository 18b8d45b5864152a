//! The names that a `WITH` gives to queries: no tables. Each table is looked for among them.

/// How many are remembered. With more of them, each name may be one.
const NAMES: usize = 16;
/// Slots of the table, half of which stay empty.
const SLOTS: usize = 32;

/// Some names, whose letters may be capitals or not. No room is taken for none.
#[derive(Debug, Clone, Default)]
pub(super) struct Names<'a> {
    slots: Vec<&'a str>,
    count: usize,
}

impl<'a> Names<'a> {
    #[inline(never)]
    pub(super) fn insert(&mut self, name: &'a str) {
        if self.count > NAMES || name.is_empty() || self.search(name) {
            return;
        }
        self.count += 1;
        self.slots.resize(SLOTS, "");
        let mut slots = probe(name);
        let free = slots.find(|slot| self.slots.get(*slot).is_some_and(|taken| taken.is_empty()));
        if let Some(slot) = free.and_then(|slot| self.slots.get_mut(slot)) {
            *slot = name;
        }
    }

    /// Whether the name is one of them, as far as is remembered.
    pub(super) fn may_contain(&self, name: &str) -> bool {
        self.count > 0 && (self.count > NAMES || self.search(name))
    }

    #[inline(never)]
    fn search(&self, name: &str) -> bool {
        probe(name)
            .map_while(|slot| self.slots.get(slot).filter(|taken| !taken.is_empty()))
            .any(|taken| taken.eq_ignore_ascii_case(name))
    }

    pub(super) fn clear(&mut self) {
        if self.count > 0 {
            self.slots.clear();
            self.count = 0;
        }
    }
}

/// The slots that may hold the name, in their order.
fn probe(name: &str) -> impl Iterator<Item = usize> {
    let mix = |hash: u32, byte: u8| (hash ^ u32::from(byte | 0x20)).wrapping_mul(0x0100_0193);
    let first = name.bytes().fold(0x811c_9dc5, mix) as usize;
    (0..SLOTS).map(move |next| (first.wrapping_add(next)) % SLOTS)
}
