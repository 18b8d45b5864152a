//! The ELF file as an address space: bytes by virtual address, sections by name, pointers with
//! their relocations applied. Knows nothing of Go.
//!
//! The container format is read by the `object` crate; what stands here is the view that Go's own
//! tables need, whose pointers are virtual addresses.

use std::cell::OnceCell;

use object::LittleEndian as LE;
use object::elf;
use object::read::elf::{FileHeader, ProgramHeader, Rela, SectionHeader};

use crate::Error;
use crate::bytes::u64_at;

/// Instruction set of a binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arch {
    /// x86-64, `GOARCH=amd64`.
    Amd64,
    /// AArch64, `GOARCH=arm64`.
    Arm64,
}

/// One `PT_LOAD` segment.
#[derive(Debug, Clone, Copy)]
pub struct Segment {
    /// First virtual address.
    pub vaddr: u64,
    /// Offset of the first byte in the file.
    pub offset: u64,
    /// Bytes that the file holds.
    pub file_size: u64,
    /// Bytes in memory (the rest is zero).
    pub mem_size: u64,
    /// Whether it is mapped executable.
    pub executable: bool,
}

/// One section header.
#[derive(Debug, Clone, Copy)]
pub struct Section<'d> {
    /// Name, such as `.gopclntab`.
    pub name: &'d str,
    /// Virtual address, 0 when it is not loaded.
    pub vaddr: u64,
    /// Bytes in the file; empty for `.bss`.
    pub data: &'d [u8],
}

/// A mapped ELF file of 64 bits, little-endian.
pub struct Image<'d> {
    data: &'d [u8],
    arch: Arch,
    pie: bool,
    segments: Vec<Segment>,
    sections: Vec<Section<'d>>,
    relative: OnceCell<Vec<(u64, u64)>>,
}

type Header = elf::FileHeader64<LE>;

impl<'d> Image<'d> {
    /// Reads the headers of `data`, the whole file.
    ///
    /// # Errors
    /// [`Error::Elf`] for anything that is no 64-bit little-endian ELF file with readable headers,
    /// [`Error::Machine`] for other machines than x86-64 and arm64.
    pub fn parse(data: &'d [u8]) -> Result<Self, Error> {
        let bad = |e: object::Error| Error::Elf(e.to_string());
        let header = Header::parse(data).map_err(bad)?;
        let endian = header.endian().map_err(bad)?;
        let arch = match header.e_machine(endian) {
            elf::EM_X86_64 => Arch::Amd64,
            elf::EM_AARCH64 => Arch::Arm64,
            other => return Err(Error::Machine(other.0)),
        };
        let programs = header.program_headers(endian, data).map_err(bad)?;
        let segments = programs
            .iter()
            .filter(|p| p.p_type(endian) == elf::PT_LOAD)
            .filter(|p| ends_in_range(p.p_vaddr(endian), p.p_filesz(endian), p.p_memsz(endian)))
            .map(|p| Segment {
                vaddr: p.p_vaddr(endian),
                offset: p.p_offset(endian),
                file_size: p.p_filesz(endian),
                mem_size: p.p_memsz(endian),
                executable: p.p_flags(endian).0 & elf::PF_X.0 != 0,
            })
            .collect();
        // A file whose section headers were cut off is still a program; do without their names.
        let sections = Self::read_sections(header, data).unwrap_or_default();
        Ok(Self {
            data,
            arch,
            pie: header.e_type(endian) == elf::ET_DYN,
            segments,
            sections,
            relative: OnceCell::new(),
        })
    }

    fn read_sections(header: &Header, data: &'d [u8]) -> Option<Vec<Section<'d>>> {
        let table = header.sections(LE, data).ok()?;
        let mut out = Vec::with_capacity(table.len());
        for section in table.iter() {
            let Some(name) =
                table.section_name(LE, section).ok().and_then(|n| std::str::from_utf8(n).ok())
            else {
                continue;
            };
            let bytes = section.data(LE, data).unwrap_or_default();
            out.push(Section { name, vaddr: section.sh_addr(LE), data: bytes });
        }
        Some(out)
    }

    /// The instruction set.
    pub fn arch(&self) -> Arch {
        self.arch
    }

    /// Whether the file is position independent, so that addresses need a load bias.
    pub fn is_pie(&self) -> bool {
        self.pie
    }

    /// The loadable segments in file order.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The first section called `name`.
    pub fn section(&self, name: &str) -> Option<Section<'d>> {
        self.sections.iter().copied().find(|s| s.name == name)
    }

    /// All of the file.
    pub fn file(&self) -> &'d [u8] {
        self.data
    }

    /// Lowest virtual address that is loaded; the load bias is relative to its page.
    pub fn lowest_vaddr(&self) -> u64 {
        self.segments.iter().map(|s| s.vaddr).min().unwrap_or(0)
    }

    /// The offset in the file of virtual address `va`.
    pub fn file_offset(&self, va: u64) -> Option<u64> {
        let segment = self.segments.iter().find(|s| va >= s.vaddr && va - s.vaddr < s.file_size)?;
        segment.offset.checked_add(va - segment.vaddr)
    }

    /// The bytes from `va` to the end of what the file holds of its segment.
    pub fn tail(&self, va: u64) -> Option<&'d [u8]> {
        let segment = self.segments.iter().find(|s| va >= s.vaddr && va - s.vaddr < s.file_size)?;
        let start = segment.offset.checked_add(va - segment.vaddr)?;
        let end = segment.offset.checked_add(segment.file_size)?;
        let end = end.min(self.data.len() as u64);
        self.data.get(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
    }

    /// `len` bytes at `va`.
    pub fn bytes(&self, va: u64, len: usize) -> Option<&'d [u8]> {
        self.tail(va)?.get(..len)
    }

    /// The pointer stored at `va`, as it will be in memory less the load bias.
    pub fn pointer(&self, va: u64) -> Option<u64> {
        if self.pie {
            let table = self.relative();
            if let Ok(i) = table.binary_search_by_key(&va, |r| r.0) {
                return Some(table[i].1);
            }
        }
        u64_at(self.tail(va)?, 0)
    }

    /// Whether a word of the file's data is, or will be, `target`.
    pub(crate) fn holds_pointer(&self, target: u64) -> bool {
        let word = target.to_le_bytes();
        let in_data = |s: &Segment| {
            let bytes = usize::try_from(s.file_size).ok().and_then(|len| self.bytes(s.vaddr, len));
            !s.executable && bytes.is_some_and(|b| memchr::memmem::find(b, &word).is_some())
        };
        self.relocated_to(target).next().is_some() || self.segments.iter().any(in_data)
    }

    /// Addresses of all relocated pointers whose value is `target` (PIE only).
    pub(crate) fn relocated_to(&self, target: u64) -> impl Iterator<Item = u64> + '_ {
        self.relative().iter().filter(move |r| r.1 == target).map(|r| r.0)
    }

    /// `(address, value)` of the base-relative relocations, sorted by address.
    fn relative(&self) -> &[(u64, u64)] {
        self.relative.get_or_init(|| {
            let mut out = Vec::new();
            // Sections that overlap must not multiply: the file has room for this many entries.
            let room = self.data.len() / size_of::<elf::Rela64<LE>>();
            for section in self.sections.iter().filter(|s| s.name.starts_with(".rela")) {
                if out.len() >= room {
                    break;
                }
                let count = section.data.len() / size_of::<elf::Rela64<LE>>();
                if let Ok((entries, _)) = object::pod::slice_from_bytes(section.data, count) {
                    collect_relative(entries, &mut out);
                }
            }
            if !out.is_sorted() {
                out.sort_unstable();
            }
            out
        })
    }
}

/// Whether a segment ends below the end of the address space, so that adding to an address in it
/// cannot overflow.
fn ends_in_range(vaddr: u64, file_size: u64, mem_size: u64) -> bool {
    vaddr.checked_add(file_size.max(mem_size)).is_some()
}

fn collect_relative(entries: &[elf::Rela64<LE>], out: &mut Vec<(u64, u64)>) {
    for rela in entries {
        let kind = rela.r_type(LE, false);
        if kind == elf::R_X86_64_RELATIVE || kind == elf::R_AARCH64_RELATIVE {
            out.push((rela.r_offset(LE), rela.r_addend(LE).cast_unsigned()));
        }
    }
}
