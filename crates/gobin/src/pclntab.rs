//! Go's function table (`pclntab`): every function's name, address range and line table. It is what
//! the runtime itself prints stack traces from, so it is there in every binary, stripped or not.
//!
//! Source of the layout: Go's `runtime/symtab.go` and `cmd/link/internal/ld/pcln.go` (Go 1.18+).
//! The inline tree, which needs the module data as well, is in [`crate::lines`].

use crate::Error;
use crate::bytes::{cstr_at, i32_at, u32_at, u64_at, varint_at};
use crate::elf::Image;

/// Magic of Go 1.18 and 1.19.
const MAGIC_118: u32 = 0xffff_fff0;
/// Magic since Go 1.20.
const MAGIC_120: u32 = 0xffff_fff1;
const HEADER: usize = 72;

/// A pc-value table with more steps than this in one function is damage.
const MAX_STEPS: usize = 1 << 18;

/// One function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Function<'d> {
    /// Full name, such as `net/http.(*response).finishRequest`.
    pub name: &'d str,
    /// Virtual address of the first instruction.
    pub entry: u64,
    /// Virtual address after the last byte (alignment included).
    pub end: u64,
    /// Offset of the `_func` record from the start of the function data.
    pub(crate) record: u32,
}

/// The table, with the text base applied.
#[derive(Clone)]
pub struct Pclntab<'d> {
    /// Virtual address of the header.
    pub(crate) vaddr: u64,
    text: u64,
    functions: u32,
    min_lc: u8,
    /// Layout of 1.20 and newer: 44-byte `_func`, 16-byte inline entries.
    pub(crate) since_120: bool,
    pub(crate) names: &'d [u8],
    /// Where names, compilation units, files, pc-value tables and function data begin.
    pub(crate) offsets: [u64; 5],
    cus: &'d [u8],
    files: &'d [u8],
    pctab: &'d [u8],
    data: &'d [u8],
}

impl<'d> Pclntab<'d> {
    /// Finds and checks the table of `image`. The text base is set by [`Self::with_text`].
    ///
    /// # Errors
    /// [`Error::NoPclntab`], [`Error::PclntabMagic`] or [`Error::Damaged`].
    pub(crate) fn parse(image: &Image<'d>) -> Result<Self, Error> {
        let vaddr = find(image).ok_or(Error::NoPclntab)?;
        let blob = image.tail(vaddr).ok_or(Error::NoPclntab)?;
        let damaged = |what| Error::Damaged { table: "function table", what };
        let magic = u32_at(blob, 0).ok_or(damaged("cut off"))?;
        if magic != MAGIC_118 && magic != MAGIC_120 {
            return Err(Error::PclntabMagic(magic));
        }
        if blob.len() < HEADER || blob[7] != 8 {
            return Err(damaged("header"));
        }
        let word = |i: usize| u64_at(blob, 8 + 8 * i).ok_or(damaged("cut off"));
        let part = |i: usize| -> Result<&'d [u8], Error> {
            let start = usize::try_from(word(i)?).map_err(|_| damaged("offset"))?;
            blob.get(start..).ok_or(damaged("offset outside the file"))
        };
        let functions = u32::try_from(word(0)?).map_err(|_| damaged("function count"))?;
        let data = part(7)?;
        // Each function has 8 bytes of index, and one word ends it.
        if data.len() / 8 < functions as usize {
            return Err(damaged("function count"));
        }
        Ok(Self {
            vaddr,
            text: word(2)?,
            functions,
            min_lc: blob[6].max(1),
            since_120: magic == MAGIC_120,
            names: part(3)?,
            offsets: [word(3)?, word(4)?, word(5)?, word(6)?, word(7)?],
            cus: part(4)?,
            files: part(5)?,
            pctab: part(6)?,
            data,
        })
    }

    /// The same table with the start of text from the module data (the header's is 0 since 1.26).
    pub(crate) fn with_text(self, text: u64) -> Self {
        Self { text, ..self }
    }

    /// How many functions there are.
    pub fn len(&self) -> usize {
        self.functions as usize
    }

    /// Whether there is no function at all.
    pub fn is_empty(&self) -> bool {
        self.functions == 0
    }

    /// The `index`-th function in order of address.
    pub fn function(&self, index: usize) -> Option<Function<'d>> {
        if index >= self.len() {
            return None;
        }
        let start = u32_at(self.data, 8 * index)?;
        let record = u32_at(self.data, 8 * index + 4)?;
        let end = u32_at(self.data, 8 * index + 8)?;
        let name_offset = i32_at(self.data, record as usize + 4)?;
        let name = cstr_at(self.names, usize::try_from(name_offset).ok()?)?;
        let entry = self.text.checked_add(u64::from(start))?;
        let end = self.text.checked_add(u64::from(end))?;
        (entry <= end).then_some(Function { name, entry, end, record })
    }

    /// All functions in order of address; damaged records are skipped.
    pub fn functions(&self) -> impl Iterator<Item = Function<'d>> + '_ {
        (0..self.len()).filter_map(|i| self.function(i))
    }

    /// The function that holds `pc`.
    pub fn lookup(&self, pc: u64) -> Option<Function<'d>> {
        let target = u32::try_from(pc.checked_sub(self.text)?).ok()?;
        let (mut low, mut high) = (0usize, self.len());
        while low < high {
            let middle = low.midpoint(high);
            if u32_at(self.data, 8 * middle)? <= target {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let function = self.function(low.checked_sub(1)?)?;
        (pc < function.end).then_some(function)
    }

    /// Word `index` (of 4 bytes) of a `_func` record.
    pub(crate) fn record_word(&self, function: &Function<'_>, index: usize) -> Option<u32> {
        u32_at(self.data, (function.record as usize).checked_add(4 * index)?)
    }

    /// Bytes of a `_func` record before its pcdata offsets.
    pub(crate) fn record_size(&self) -> usize {
        if self.since_120 { 44 } else { 40 }
    }

    /// One byte of a `_func` record.
    pub(crate) fn record_byte(&self, function: &Function<'_>, at: usize) -> Option<u8> {
        self.data.get((function.record as usize).checked_add(at)?).copied()
    }

    /// The value of a pc-value table at `pc`; `None` when the table says nothing or is damaged.
    pub(crate) fn pc_value(&self, table: u32, entry: u64, pc: u64) -> Option<i32> {
        if table == 0 {
            return None;
        }
        let mut at = table as usize;
        let (mut value, mut reached, mut first) = (-1i32, entry, true);
        for _ in 0..MAX_STEPS {
            let (delta, next) = varint_at(self.pctab, at)?;
            if delta == 0 && !first {
                return None;
            }
            first = false;
            value = value.wrapping_add(unzigzag(delta));
            let (step, next) = varint_at(self.pctab, next)?;
            at = next;
            reached = reached.checked_add(u64::from(step) * u64::from(self.min_lc))?;
            if pc < reached {
                return Some(value);
            }
        }
        None
    }

    /// Gives `each` the end of each range of a pc-value table, and its value; where the last one ends.
    pub(crate) fn pc_values(&self, table: u32, entry: u64, mut each: impl FnMut(u64, i32)) -> u64 {
        let (mut at, mut value, mut reached) = (table as usize, -1i32, entry);
        if table == 0 {
            return entry;
        }
        for step in 0..MAX_STEPS {
            let Some((delta, next)) = varint_at(self.pctab, at) else { break };
            if delta == 0 && step > 0 {
                break;
            }
            value = value.wrapping_add(unzigzag(delta));
            let Some((bytes, next)) = varint_at(self.pctab, next) else { break };
            at = next;
            reached = reached.saturating_add(u64::from(bytes) * u64::from(self.min_lc));
            each(reached, value);
        }
        reached
    }

    /// The largest value of a pc-value table.
    pub(crate) fn largest_value(&self, table: u32) -> Option<i32> {
        if table == 0 {
            return None;
        }
        let (mut at, mut value, mut largest, mut first) = (table as usize, -1i32, -1i32, true);
        for _ in 0..MAX_STEPS {
            let (delta, next) = varint_at(self.pctab, at)?;
            if delta == 0 && !first {
                break;
            }
            first = false;
            value = value.wrapping_add(unzigzag(delta));
            largest = largest.max(value);
            at = varint_at(self.pctab, next)?.1;
        }
        Some(largest)
    }

    /// File name number `file` of the function's compilation unit.
    pub(crate) fn file_name(&self, function: &Function<'_>, file: i32) -> Option<&'d str> {
        let cu = self.record_word(function, 8)?;
        let index = cu.checked_add(u32::try_from(file).ok()?)? as usize;
        let offset = u32_at(self.cus, index.checked_mul(4)?)?;
        cstr_at(self.files, offset as usize)
    }

    /// The name at `offset` of the name table.
    pub(crate) fn name_at(&self, offset: i32) -> Option<&'d str> {
        cstr_at(self.names, usize::try_from(offset).ok()?)
    }
}

fn unzigzag(delta: u32) -> i32 {
    (delta >> 1).cast_signed() ^ -(delta & 1).cast_signed()
}

fn find(image: &Image<'_>) -> Option<u64> {
    for name in [".gopclntab", ".data.rel.ro.gopclntab"] {
        if let Some(section) = image.section(name) {
            return Some(section.vaddr);
        }
    }
    image.segments().iter().find_map(|segment| {
        let data = image.tail(segment.vaddr)?;
        let at = (0..data.len().checked_sub(HEADER)?).step_by(16).find(|i| looks_like(data, *i))?;
        Some(segment.vaddr + at as u64)
    })
}

/// Whether a table header may stand at `at`: magic, two zero bytes, a quantum, 8-byte pointers.
fn looks_like(data: &[u8], at: usize) -> bool {
    matches!(u32_at(data, at), Some(MAGIC_118 | MAGIC_120))
        && data[at + 4] == 0
        && data[at + 5] == 0
        && matches!(data[at + 6], 1 | 4)
        && data[at + 7] == 8
        && u64_at(data, at + 8).is_some_and(|n| n < 1 << 24)
}

#[cfg(test)]
mod tests {
    use super::unzigzag;

    #[test]
    fn deltas_are_zigzag_coded() {
        assert_eq!([0, 1, 2, 3, 4].map(unzigzag), [0, -1, 1, -2, 2]);
    }
}
