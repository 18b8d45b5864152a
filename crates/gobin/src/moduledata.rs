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

/// Index, in words, of `text`.
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
        candidates(image, table)
            .into_iter()
            .find_map(|vaddr| Self::read(image, table, vaddr, minor))
            .ok_or(Error::NoModuledata)
    }

    fn read(image: &Image<'_>, table: &Pclntab<'_>, vaddr: u64, minor: GoMinor) -> Option<Self> {
        let word = |i: u64| image.pointer(vaddr.checked_add(8 * i)?);
        // pcHeader, then the slice funcnametab, which must point into the table.
        let names = table.vaddr.checked_add(table.names_offset)?;
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
