//! Go's module data: where text, types and function data of the running image start.
//!
//! Source of the layout: `runtime/symtab.go`, `type moduledata`, of Go 1.18 to 1.27. Words that
//! moved between versions are recognised by their neighbours and not only by the version, so that
//! an unknown version still has a chance.

use crate::Error;
use crate::buildinfo::GoMinor;
use crate::elf::Image;
use crate::pclntab::Pclntab;

/// Where the parts of the one Go module in an executable lie; all are virtual addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moduledata {
    /// Address of the structure itself.
    pub vaddr: u64,
    /// First address of code.
    pub text: u64,
    /// First address after code.
    pub etext: u64,
    /// First address of initialized variables.
    pub data: u64,
    /// First address after them.
    pub edata: u64,
    /// Start of the type descriptors; type and name offsets count from here.
    pub types: u64,
    /// End of types and names.
    pub etypes: u64,
    /// Base of the function data (inline trees).
    pub gofunc: u64,
}

/// Indexes, in words, of the slices of the function table's parts: names, compilation units, files, pc-value tables,
/// function data.
const PARTS: [u64; 5] = [1, 4, 7, 10, 13];
/// Index of the slice of functions.
const FTAB: u64 = 16;
/// Index of `text`.
const TEXT: u64 = 22;
/// Index of `noptrdata`, the first of four start/end pairs.
const NOPTRDATA: u64 = 24;

impl Moduledata {
    pub(crate) fn find(
        image: &Image<'_>,
        table: &Pclntab<'_>,
        minor: Option<GoMinor>,
    ) -> Result<Self, Error> {
        let minor = minor.unwrap_or(GoMinor::NEWEST_KNOWN);
        let all = candidates(image, table).into_iter();
        let mut all = all.filter_map(|vaddr| Self::read(image, table, vaddr, minor));
        let first = all.next().ok_or(Error::NoModuledata)?;
        // Bytes elsewhere may look like it: it is one that fits the table, if there is any.
        std::iter::once(first).chain(all).find(|found| found.agrees(image, table)).ok_or_else(
            || {
                let what = "its header and the module data contradict each other";
                Error::Damaged { table: "function table", what }
            },
        )
    }

    /// Whether the parts of the function table are where its header says. The runtime itself goes by the module data
    /// alone, so that a program runs with a header that names others.
    fn agrees(&self, image: &Image<'_>, table: &Pclntab<'_>) -> bool {
        let word = |i: u64| image.pointer(self.vaddr.checked_add(8 * i)?);
        let mut offsets = PARTS.iter().zip(table.offsets);
        offsets.all(|(i, offset)| word(*i) == table.vaddr.checked_add(offset))
            && word(FTAB) == word(PARTS[4])
            // One entry more says where the last function ends.
            && word(FTAB + 1) == Some(table.len() as u64 + 1)
    }

    fn read(image: &Image<'_>, table: &Pclntab<'_>, vaddr: u64, minor: GoMinor) -> Option<Self> {
        let word = |i: u64| image.pointer(vaddr.checked_add(8 * i)?);
        // pcHeader, then the slice funcnametab, which must point into the table.
        let names = table.vaddr.checked_add(table.offsets[0])?;
        if word(0)? != table.vaddr || word(1)? != names {
            return None;
        }
        let (text, etext) = (word(TEXT)?, word(TEXT + 1)?);
        if text >= etext {
            return None;
        }
        // noptrdata, enoptrdata, data, edata
        let (data, edata) = (word(NOPTRDATA)?, word(NOPTRDATA + 3)?);
        let mut i = NOPTRDATA + 8;
        if minor >= GoMinor(20) {
            i += 2; // covctrs, ecovctrs
        }
        i += 3; // end, gcdata, gcbss
        let types = word(i)?;
        let etypes = if minor >= GoMinor(27) {
            let etypes = word(i + 2)?; // typedesclen stands between
            i += 5; // … and itaboffset, itabsize after
            etypes
        } else {
            i += 2;
            word(i - 1)?
        };
        let gofunc = word(i + 1)?; // after rodata
        let sane = types < etypes && etypes - types < 1 << 32 && image.tail(types).is_some();
        sane.then_some(Self { vaddr, text, etext, data, edata, types, etypes, gofunc })
    }
}

/// Addresses at which a pointer to the function table stands.
fn candidates(image: &Image<'_>, table: &Pclntab<'_>) -> Vec<u64> {
    if let Some(section) = image.section(".go.module") {
        return vec![section.vaddr];
    }
    let mut out = Vec::new();
    let wanted = table.vaddr.to_le_bytes();
    for segment in image.segments().iter().filter(|s| !s.executable) {
        let Some(data) = image.tail(segment.vaddr) else { continue };
        let (words, _) = data.as_chunks::<8>();
        let hits = words.iter().enumerate().filter(|(_, w)| **w == wanted);
        out.extend(hits.map(|(i, _)| segment.vaddr + 8 * i as u64));
    }
    if image.is_pie() {
        out.extend(image.relocated_to(table.vaddr));
    }
    out
}
