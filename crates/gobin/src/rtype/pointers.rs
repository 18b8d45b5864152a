//! From a type to the pointer to it, which its descriptor need not name.

use std::collections::HashMap;

use super::{Kind, TFLAG_UNCOMMON, Type, Types};

impl<'d> Types<'_, 'd> {
    /// The pointer to `target`, as interfaces hold it: one that has methods.
    pub fn pointer_to(&self, target: &Type<'_>) -> Option<Type<'d>> {
        let pointers = self.pointers.get_or_init(|| self.index_pointers());
        self.at(*pointers.get(&target.vaddr)?)
    }

    fn index_pointers(&self) -> HashMap<u64, u64> {
        let mut out = HashMap::new();
        for at in (0..self.region.len().saturating_sub(64)).step_by(8) {
            let is_pointer = self.region[at + 23] & 31 == Kind::Pointer as u8;
            if !is_pointer || self.region[at + 20] & TFLAG_UNCOMMON == 0 {
                continue;
            }
            let Some(typ) = self.at(self.base + at as u64) else { continue };
            let Some(target) = self.pointee(&typ) else { continue };
            // What is no descriptor but looks like one has another name.
            if typ.name.strip_prefix('*') == Some(target.name) {
                out.entry(target.vaddr).or_insert(typ.vaddr);
            }
        }
        out
    }
}
