//! The symbol table, which stripped binaries lack: only for what is not found otherwise, in binaries that
//! were built for a debugger.

use std::collections::HashMap;

use crate::bytes::{cstr_at, u32_at, u64_at};
use crate::elf::Image;

/// Size of an entry.
const ENTRY: usize = 24;
/// The type of a symbol that is data (`STT_OBJECT`).
const OBJECT: u8 = 1;

/// Addresses of all variables by name; of one name the first.
pub(crate) fn index<'d>(image: &Image<'d>) -> HashMap<&'d str, u64> {
    let (Some(table), Some(names)) = (image.section(".symtab"), image.section(".strtab")) else {
        return HashMap::new();
    };
    // Names cannot be longer than their section, unless damaged entries share them.
    let mut room = names.data.len();
    let mut out = HashMap::new();
    for entry in table.data.chunks_exact(ENTRY) {
        if entry[4] & 15 != OBJECT {
            continue;
        }
        let name = u32_at(entry, 0).and_then(|at| cstr_at(names.data, at as usize));
        let (Some(name), Some(address)) = (name, u64_at(entry, 8)) else { continue };
        let Some(left) = room.checked_sub(name.len()) else { break };
        room = left;
        out.entry(name).or_insert(address);
    }
    out
}
