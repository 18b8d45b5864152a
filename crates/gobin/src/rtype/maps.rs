//! How the entries of a map lie in memory, from the map's own descriptor, and which maps a binary has.
//!
//! Not here: reading one, and what its entries mean.

use super::{COMMON, Kind, TFLAG_NAMED, Type, Types};
use crate::buildinfo::GoMinor;
use crate::bytes::{u32_at, u64_at};

/// Flags of a map of buckets whose keys or elements lie elsewhere.
const INDIRECT: u32 = 3;
/// Where the parts begin that the kinds of maps do not share: after key, element, group and hash.
const GEOMETRY: u64 = COMMON + 32;
/// The largest group: eight keys and elements of 128 bytes each, as larger ones are pointers.
const MAX_GROUP: u64 = 8 + 8 * 256;

/// Geometry of a `map[K]V` with Go 1.24's Swiss tables, from the map's own descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SwissMap {
    /// Bytes of a group: 8 control bytes, then 8 slots.
    pub group_size: u64,
    /// Offset of the first key in a group.
    pub keys_offset: u64,
    /// Distance between keys.
    pub key_stride: u64,
    /// Offset of the first element in a group.
    pub elems_offset: u64,
    /// Distance between elements.
    pub elem_stride: u64,
}

impl SwissMap {
    /// Whether keys and elements lie by turns, as until Go 1.26.
    pub fn is_in_pairs(&self) -> bool {
        let first = (self.keys_offset, self.key_stride) == (8, self.elem_stride);
        // The first element is in the first slot, and there are eight.
        first
            && self.elems_offset >= 8
            && self.elems_offset - 8 <= self.key_stride
            && Some(self.group_size)
                == self.key_stride.checked_mul(8).and_then(|n| n.checked_add(8))
    }

    /// Whether all keys lie before all elements, as since Go 1.27.
    pub fn is_split(&self) -> bool {
        // What follows eight of something is aligned.
        let follow = |from: u64, stride: u64, next: u64| {
            let end = stride.checked_mul(8).and_then(|bytes| bytes.checked_add(from));
            end.and_then(|end| next.checked_sub(end)).is_some_and(|gap| gap < 8)
        };
        self.keys_offset == 8
            && follow(8, self.key_stride, self.elems_offset)
            && follow(self.elems_offset, self.elem_stride, self.group_size)
    }
}

/// A map type, and what it is a map of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MapType<'d> {
    /// The map.
    pub map: Type<'d>,
    /// Its keys.
    pub key: Type<'d>,
    /// Its elements.
    pub elem: Type<'d>,
}

impl<'d> Types<'_, 'd> {
    /// The map types of the binary, named or not, in the order in which they lie.
    pub fn maps(&self) -> impl Iterator<Item = MapType<'d>> + '_ {
        self.maps.iter().filter_map(|vaddr| {
            let map = self.at(*vaddr)?;
            let part = |i: u64| self.at(self.image.pointer(vaddr.checked_add(COMMON + 8 * i)?)?);
            let found = MapType { map, key: part(0)?, elem: part(1)? };
            // What is no descriptor but looks like one has another name.
            (map.tflag & TFLAG_NAMED != 0 || map.name.starts_with("map[")).then_some(found)
        })
    }

    /// Geometry of a Swiss map type; `None` for buckets, as before Go 1.24, or for other kinds.
    pub fn swiss_map(&self, typ: &Type<'_>) -> Option<SwissMap> {
        if typ.kind != Kind::Map || self.has_buckets(typ.vaddr) {
            return None;
        }
        let data = self.image.tail(typ.vaddr.checked_add(GEOMETRY)?)?;
        let word = |i: usize| u64_at(data, 8 * i);
        if self.minor >= GoMinor(27) {
            return Some(SwissMap {
                group_size: word(0)?,
                keys_offset: word(1)?,
                key_stride: word(2)?,
                elems_offset: word(3)?,
                elem_stride: word(4)?,
            });
        }
        let (group_size, slot, elem) = (word(0)?, word(1)?, word(2)?);
        Some(SwissMap {
            group_size,
            keys_offset: 8,
            key_stride: slot,
            elems_offset: 8u64.checked_add(elem)?,
            elem_stride: slot,
        })
    }

    /// Whether the descriptor of a map at `vaddr` is that of a map of buckets: before Go 1.24, and
    /// in builds of 1.24 and 1.25 that ask for it (`GOEXPERIMENT=noswissmap`). Sizes of key, element
    /// and bucket share a word there; of a Swiss map that is the size of a group.
    pub(super) fn has_buckets(&self, vaddr: u64) -> bool {
        let word = || u64_at(self.image.tail(vaddr.checked_add(GEOMETRY)?)?, 0);
        match self.minor {
            GoMinor(minor) if minor < 24 => true,
            GoMinor(24 | 25) => word().is_some_and(|first| first > MAX_GROUP),
            GoMinor(_) => false,
        }
    }

    /// Whether a map of buckets has all keys and elements in them.
    pub(super) fn is_direct_map(&self, typ: &Type<'_>) -> bool {
        // Sizes in a word of four bytes, then flags.
        let flags = || u32_at(self.image.tail(typ.vaddr.checked_add(GEOMETRY + 4)?)?, 0);
        flags().is_some_and(|flags| flags & INDIRECT == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::SwissMap;

    fn map(numbers: [u64; 5]) -> SwissMap {
        let [group_size, keys_offset, key_stride, elems_offset, elem_stride] = numbers;
        SwissMap { group_size, keys_offset, key_stride, elems_offset, elem_stride }
    }

    #[test]
    fn groups_are_told_apart_by_their_numbers() {
        // Of strings to slices, and of bytes to words, in both ways.
        for pairs in [[328, 8, 40, 24, 40], [136, 8, 16, 16, 16]].map(map) {
            assert!(pairs.is_in_pairs() && !pairs.is_split(), "{pairs:?}");
        }
        for split in [[328, 8, 16, 136, 24], [80, 8, 1, 16, 8]].map(map) {
            assert!(split.is_split() && !split.is_in_pairs(), "{split:?}");
        }
        // A group of sixteen, another place for keys, and numbers of anything.
        let others = [[656, 16, 40, 32, 40], [328, 0, 16, 128, 24], [u64::MAX; 5], [0; 5]];
        for other in others.map(map) {
            assert!(!other.is_split() && !other.is_in_pairs(), "{other:?}");
        }
    }
}
