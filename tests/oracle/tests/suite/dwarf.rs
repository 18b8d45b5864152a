//! Struct layouts from DWARF, versions 4 and 5, compressed or not.

use std::borrow::Cow;
use std::collections::HashMap;

use anyhow::{Context, Result};
use gimli::{AttributeValue, EndianSlice, LittleEndian, constants as dw};
use object::read::elf::ElfFile64;
use object::{Object, ObjectSection};

type Slice<'s> = EndianSlice<'s, LittleEndian>;
type Unit<'s> = gimli::Unit<Slice<'s>>;
type Entry<'s> = gimli::DebuggingInformationEntry<Slice<'s>>;

/// Size and fields of a struct.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) size: u64,
    pub(crate) fields: Vec<(String, u64)>,
}

/// All named structs. A name stands for several layouts where functions define types of one name.
pub(crate) fn structs(data: &[u8]) -> Result<HashMap<String, Vec<Layout>>> {
    let file: ElfFile64<'_, object::LittleEndian> = ElfFile64::parse(data).context("parse ELF")?;
    let sections = gimli::DwarfSections::load(|id| -> Result<Cow<'_, [u8]>> {
        // Finds .zdebug_* of old Go, too.
        let Some(section) = file.section_by_name(id.name()) else { return Ok(Cow::default()) };
        section.uncompressed_data().with_context(|| format!("decompress {}", id.name()))
    })?;
    let dwarf = sections.borrow(|section| EndianSlice::new(section, LittleEndian));
    let mut out = HashMap::new();
    let mut headers = dwarf.units();
    while let Some(header) = headers.next()? {
        let unit = dwarf.unit(header)?;
        collect(&dwarf, &unit, &mut out)?;
    }
    Ok(out)
}

/// Reads the structs of one unit.
fn collect(
    dwarf: &gimli::Dwarf<Slice<'_>>,
    unit: &Unit<'_>,
    out: &mut HashMap<String, Vec<Layout>>,
) -> Result<()> {
    // Go's types stand directly below their unit, and members directly below their struct.
    let mut entries = unit.entries();
    let mut current: Option<(String, Layout)> = None;
    while let Some(entry) = entries.next_dfs()? {
        if entry.tag() == dw::DW_TAG_member {
            if let Some((_, layout)) = &mut current {
                // In C a member can be without a name, and all of a union's are at no offset.
                let name = name(dwarf, unit, entry).unwrap_or_default();
                let offset = number(entry, dw::DW_AT_data_member_location).unwrap_or(0);
                layout.fields.push((name, offset));
            }
            continue;
        }
        keep(out, current.take());
        if entry.tag() == dw::DW_TAG_structure_type
            && let Some(name) = name(dwarf, unit, entry)
        {
            let size = number(entry, dw::DW_AT_byte_size).unwrap_or(0);
            current = Some((name, Layout { size, fields: Vec::new() }));
        }
    }
    keep(out, current);
    Ok(())
}

fn keep(out: &mut HashMap<String, Vec<Layout>>, found: Option<(String, Layout)>) {
    if let Some((name, layout)) = found {
        out.entry(name).or_default().push(layout);
    }
}

fn name(dwarf: &gimli::Dwarf<Slice<'_>>, unit: &Unit<'_>, entry: &Entry<'_>) -> Option<String> {
    let value = entry.attr_value(dw::DW_AT_name)?;
    Some(dwarf.attr_string(unit, value).ok()?.to_string_lossy().into_owned())
}

/// A number, or the location expression `DW_OP_plus_uconst N` by which Go before 1.10 and the
/// DWARF 2 of some C compilers say the same.
fn number(entry: &Entry<'_>, attribute: gimli::DwAt) -> Option<u64> {
    match entry.attr_value(attribute)? {
        AttributeValue::Exprloc(expression) => {
            let mut bytes = expression.0;
            (gimli::Reader::read_u8(&mut bytes).ok()? == dw::DW_OP_plus_uconst.0)
                .then(|| gimli::Reader::read_uleb128(&mut bytes).ok())?
        }
        value => value.udata_value(),
    }
}
