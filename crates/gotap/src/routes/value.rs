//! Go values in a process's memory, looked into by the names of their fields, as reflection would.
//!
//! The program may change them meanwhile: what is read then is incomplete or damaged. So nothing is
//! trusted, and each table has a bounded number of reads. What can't be read is `None`.

use std::cell::Cell;

use gobin::{MapShape, Shape, Shapes, SwissMap};
use goproc::{Memory, Process};

/// Reads for one table.
const MAX_READS: u32 = 100_000;
/// Elements of a slice or a map that are looked at.
const MAX_ELEMENTS: u64 = 8192;
/// A value that is larger is not read.
const MAX_SIZE: u64 = 1 << 20;
/// Longer texts are not read.
const MAX_TEXT: u64 = 1024;
/// Entries that lie together in a map of any kind.
const SLOTS: u64 = 8;

/// Reads from one process.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    memory: Memory,
    shapes: &'a Shapes,
    bias: u64,
    left: Cell<u32>,
}

/// A value: its type and its bytes.
#[derive(Debug, Clone)]
pub(super) struct Value<'a> {
    reader: &'a Reader<'a>,
    /// Address of the type's descriptor in the file.
    pub(super) typ: u64,
    bytes: Vec<u8>,
}

impl<'a> Reader<'a> {
    pub(super) fn open(process: Process, shapes: &'a Shapes, bias: u64) -> Option<Self> {
        let memory = Memory::open(process).ok()?;
        Some(Self { memory, shapes, bias, left: Cell::new(MAX_READS) })
    }

    fn bytes(&self, address: u64, len: u64) -> Option<Vec<u8>> {
        if len > MAX_SIZE || address == 0 {
            return None;
        }
        self.left.set(self.left.get().checked_sub(1)?);
        let mut bytes = vec![0; usize::try_from(len).ok()?];
        self.memory.read(address, &mut bytes).ok()?;
        Some(bytes)
    }

    pub(super) fn word(&self, address: u64) -> Option<u64> {
        word(&self.bytes(address, 8)?, 0)
    }

    /// The value of a type at an address.
    pub(super) fn at(&'a self, address: u64, typ: u64) -> Option<Value<'a>> {
        let (size, _) = self.shapes.get(typ)?;
        Some(Value { reader: self, typ, bytes: self.bytes(address, size)? })
    }

    /// What an interface with methods at an address holds.
    pub(super) fn interface_at(&'a self, address: u64) -> Option<Value<'a>> {
        let bytes = self.bytes(address, 16)?;
        self.dynamic(self.word(word(&bytes, 0)?.checked_add(8)?)?, word(&bytes, 8)?)
    }

    /// What an interface holds, by the type's address in the process.
    fn dynamic(&'a self, typ: u64, data: u64) -> Option<Value<'a>> {
        let typ = typ.wrapping_sub(self.bias);
        self.shapes.get(typ)?;
        if self.shapes.is_direct(typ) {
            return Some(Value { reader: self, typ, bytes: data.to_ne_bytes().to_vec() });
        }
        self.at(data, typ)
    }
}

impl<'a> Value<'a> {
    fn shape(&self) -> Option<&'a Shape> {
        Some(self.reader.shapes.get(self.typ)?.1)
    }

    fn part(&self, offset: u64, typ: u64) -> Option<Value<'a>> {
        let (size, _) = self.reader.shapes.get(typ)?;
        let start = usize::try_from(offset).ok()?;
        let end = start.checked_add(usize::try_from(size).ok()?)?;
        let bytes = self.bytes.get(start..end)?.to_vec();
        Some(Value { reader: self.reader, typ, bytes })
    }

    /// A field of a struct, also of one that is embedded by value.
    pub(super) fn field(&self, name: &str) -> Option<Value<'a>> {
        let Shape::Struct(fields) = self.shape()? else { return None };
        if let Some(field) = fields.iter().find(|f| f.name == name) {
            return self.part(field.offset, field.typ);
        }
        let embedded = fields.iter().filter(|f| f.embedded);
        embedded.filter_map(|f| self.part(f.offset, f.typ)).find_map(|part| part.field(name))
    }

    /// All fields of a struct.
    pub(super) fn fields(&self) -> Vec<Value<'a>> {
        match self.shape() {
            Some(Shape::Struct(fields)) => {
                fields.iter().filter_map(|f| self.part(f.offset, f.typ)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// What a pointer points to.
    pub(super) fn target(&self) -> Option<Value<'a>> {
        let Shape::Pointer(to) = self.shape()? else { return None };
        self.reader.at(self.address()?, *to)
    }

    /// Whether it is a pointer.
    pub(super) fn is_pointer(&self) -> bool {
        matches!(self.shape(), Some(Shape::Pointer(_)))
    }

    /// The address that a pointer, a map or a slice has; `None` for nil.
    pub(super) fn address(&self) -> Option<u64> {
        word(&self.bytes, 0).filter(|address| *address != 0)
    }

    /// What an interface holds, if its type is known.
    pub(super) fn held(&self) -> Option<Value<'a>> {
        let Shape::Interface { methods } = self.shape()? else { return None };
        let (first, data) = (self.address()?, word(&self.bytes, 8)?);
        let typ = if *methods { self.reader.word(first.checked_add(8)?)? } else { first };
        self.reader.dynamic(typ, data)
    }

    /// The elements of a slice or an array; none of one that is nil.
    pub(super) fn elements(&self) -> Option<Vec<Value<'a>>> {
        let (elem, bytes, count) = match self.shape()? {
            Shape::Array(elem, count) => (*elem, self.bytes.clone(), *count),
            Shape::Slice(elem) => {
                let count = word(&self.bytes, 8)?;
                let Some(data) = self.address().filter(|_| count > 0) else {
                    return Some(Vec::new());
                };
                let (size, _) = self.reader.shapes.get(*elem)?;
                let bytes = self.reader.bytes(data, size.checked_mul(count)?)?;
                (*elem, bytes, count)
            }
            _ => return None,
        };
        let (size, _) = self.reader.shapes.get(elem)?;
        let all = Value { reader: self.reader, typ: elem, bytes };
        if count > MAX_ELEMENTS {
            return None;
        }
        (0..count).map(|i| all.part(size.checked_mul(i)?, elem)).collect()
    }

    /// The text of a string.
    pub(super) fn text(&self) -> Option<String> {
        String::from_utf8(self.bytes_of_text()?).ok()
    }

    /// The same of one that may be cut within a character.
    pub(super) fn bytes_of_text(&self) -> Option<Vec<u8>> {
        let Shape::String = self.shape()? else { return None };
        let len = word(&self.bytes, 8)?;
        if len == 0 {
            return Some(Vec::new());
        }
        self.reader.bytes(self.address()?, Some(len).filter(|n| *n <= MAX_TEXT)?)
    }

    /// The code of a function value, as an address in the file.
    pub(super) fn code(&self) -> Option<u64> {
        Some(self.reader.word(self.address()?)?.wrapping_sub(self.reader.bias))
    }

    /// An integer, or a bool, of up to eight bytes.
    pub(super) fn number(&self) -> Option<u64> {
        let mut out = [0; 8];
        out.get_mut(..self.bytes.len())?.copy_from_slice(&self.bytes);
        Some(u64::from_ne_bytes(out))
    }

    /// Keys and elements of a map, in no order; none of one that is nil.
    pub(super) fn entries(&self) -> Option<Vec<(Value<'a>, Value<'a>)>> {
        let Shape::Map(map) = self.shape()? else { return None };
        let mut out = Vec::new();
        let Some(address) = self.address() else { return Some(out) };
        match &map.swiss {
            Some(swiss) => self.swiss(address, map, swiss, &mut out)?,
            None => self.buckets(address, map, &mut out)?,
        }
        Some(out)
    }

    /// A map since Go 1.24: `Map`, `table` and `groupReference` of internal/runtime/maps.
    fn swiss(
        &self,
        address: u64,
        map: &MapShape,
        swiss: &SwissMap,
        out: &mut Vec<(Value<'a>, Value<'a>)>,
    ) -> Option<()> {
        let head = self.reader.bytes(address, 32)?;
        let (directory, tables) = (word(&head, 16)?, word(&head, 24)?);
        if tables == 0 {
            // A small map: one group, none while it is empty.
            return if directory == 0 { Some(()) } else { self.group(directory, map, swiss, out) };
        }
        let directory =
            self.reader.bytes(directory, Some(tables).filter(|n| *n <= MAX_ELEMENTS)? * 8)?;
        let mut last = 0;
        for i in 0..usize::try_from(tables).ok()? {
            let table = word(&directory, 8 * i)?;
            // A table may stand in several neighbouring places.
            if table == last {
                continue;
            }
            last = table;
            let groups = self.reader.bytes(table.checked_add(16)?, 16)?;
            let (data, mask) = (word(&groups, 0)?, word(&groups, 8)?);
            for i in 0..=Some(mask).filter(|mask| *mask < MAX_ELEMENTS)? {
                let group = data.checked_add(swiss.group_size.checked_mul(i)?)?;
                self.group(group, map, swiss, out)?;
            }
        }
        Some(())
    }

    fn group(
        &self,
        address: u64,
        map: &MapShape,
        swiss: &SwissMap,
        out: &mut Vec<(Value<'a>, Value<'a>)>,
    ) -> Option<()> {
        let bytes = self.reader.bytes(address, swiss.group_size)?;
        let group = Value { reader: self.reader, typ: 0, bytes };
        for i in 0..SLOTS {
            // The high bit says that the slot is empty or deleted.
            if group.bytes.get(usize::try_from(i).ok()?)? & 0x80 == 0 {
                let place = |first: u64, stride: u64| first.checked_add(stride.checked_mul(i)?);
                let key = group.part(place(swiss.keys_offset, swiss.key_stride)?, map.key)?;
                let elem = group.part(place(swiss.elems_offset, swiss.elem_stride)?, map.elem)?;
                out.push((key, elem));
            }
        }
        (out.len() as u64 <= MAX_ELEMENTS).then_some(())
    }

    /// A map until Go 1.23: `hmap` and `bmap` of runtime/map.go.
    fn buckets(
        &self,
        address: u64,
        map: &MapShape,
        out: &mut Vec<(Value<'a>, Value<'a>)>,
    ) -> Option<()> {
        let head = self.reader.bytes(address, 32)?;
        let log = (word(&head, 8)? >> 8) & 0xff;
        let buckets = 1u64.checked_shl(u32::try_from(log).ok()?).filter(|n| *n <= MAX_ELEMENTS)?;
        let (keys, elems) =
            (self.reader.shapes.get(map.key)?.0, self.reader.shapes.get(map.elem)?.0);
        // Top hashes, keys, elements, pointer to a bucket that this one overflows into.
        let end = SLOTS.checked_add(SLOTS.checked_mul(keys.checked_add(elems)?)?)?;
        // A map that grows has entries in its old array, too, which had half as many buckets, but
        // where it grows only to be tidy.
        let old = if word(&head, 8)? & 8 == 0 { buckets / 2 } else { buckets };
        for (array, count) in [(word(&head, 16)?, buckets), (word(&head, 24)?, old)] {
            for i in 0..if array == 0 { 0 } else { count } {
                let mut bucket = array.checked_add(i * (end + 8))?;
                while bucket != 0 {
                    let bytes = self.reader.bytes(bucket, end + 8)?;
                    let group = Value { reader: self.reader, typ: 0, bytes };
                    self.bucket(&group, map, (keys, elems), out)?;
                    bucket = word(&group.bytes, usize::try_from(end).ok()?)?;
                }
            }
        }
        Some(())
    }

    fn bucket(
        &self,
        bucket: &Value<'a>,
        map: &MapShape,
        (keys, elems): (u64, u64),
        out: &mut Vec<(Value<'a>, Value<'a>)>,
    ) -> Option<()> {
        for i in 0..SLOTS {
            // Up to 4 says that the slot is empty or moved.
            if *bucket.bytes.get(usize::try_from(i).ok()?)? > 4 {
                let key = bucket.part(SLOTS + keys * i, map.key)?;
                let elem = bucket.part(SLOTS + SLOTS * keys + elems * i, map.elem)?;
                out.push((key, elem));
            }
        }
        (out.len() as u64 <= MAX_ELEMENTS).then_some(())
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(8)?)?;
    Some(u64::from_ne_bytes(bytes.try_into().ok()?))
}
