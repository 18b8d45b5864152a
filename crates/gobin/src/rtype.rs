//! Go's own type descriptors (`abi.Type`), which stay in every binary because reflection and the
//! garbage collector need them: names, sizes, struct fields with offsets, unexported ones too.
//!
//! Found by scanning the type region and not through `typelinks`, which Go 1.27 dropped and which
//! never listed all. Source of the layouts: Go's `internal/abi/type.go` (before 1.20
//! `runtime/type.go`), 1.18 to 1.27.

mod maps;
mod pointers;
mod shapes;

use std::cell::OnceCell;
use std::collections::HashMap;

use crate::buildinfo::GoMinor;
use crate::bytes::{i32_at, u32_at, u64_at, varint_at};
use crate::elf::Image;
use crate::moduledata::Moduledata;

pub use maps::{MapType, SwissMap};
pub use shapes::{MapShape, Shape, ShapeField, Shapes};

/// Size of the common part of every descriptor.
const COMMON: u64 = 48;
/// A struct with more fields than this is damage.
const MAX_FIELDS: u64 = 4096;
/// A type name longer than this is damage.
const MAX_NAME: usize = 4096;

const TFLAG_UNCOMMON: u8 = 1;
const TFLAG_EXTRA_STAR: u8 = 2;
const TFLAG_NAMED: u8 = 4;

/// Go's `abi.Kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are Go's own")]
#[repr(u8)]
pub enum Kind {
    Bool = 1,
    Int,
    Int8,
    Int16,
    Int32,
    Int64,
    Uint,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Uintptr,
    Float32,
    Float64,
    Complex64,
    Complex128,
    Array,
    Chan,
    Func,
    Interface,
    Map,
    Pointer,
    Slice,
    String,
    Struct,
    UnsafePointer,
}

impl Kind {
    fn from_bits(bits: u8) -> Option<Self> {
        use Kind as K;
        const ALL: [Kind; 26] = [
            K::Bool,
            K::Int,
            K::Int8,
            K::Int16,
            K::Int32,
            K::Int64,
            K::Uint,
            K::Uint8,
            K::Uint16,
            K::Uint32,
            K::Uint64,
            K::Uintptr,
            K::Float32,
            K::Float64,
            K::Complex64,
            K::Complex128,
            K::Array,
            K::Chan,
            K::Func,
            K::Interface,
            K::Map,
            K::Pointer,
            K::Slice,
            K::String,
            K::Struct,
            K::UnsafePointer,
        ];
        ALL.get(usize::from(bits & 31).checked_sub(1)?).copied()
    }

    /// Bytes that this kind adds to the common part; the uncommon part follows them.
    fn extra(self, minor: GoMinor) -> u64 {
        match self {
            Kind::Struct | Kind::Interface => 32,
            Kind::Array => 24,
            Kind::Chan => 16,
            Kind::Pointer | Kind::Slice | Kind::Func => 8,
            Kind::Map if minor < GoMinor(24) => 40,
            Kind::Map if minor < GoMinor(27) => 64,
            Kind::Map => 80,
            _ => 0,
        }
    }
}

/// One type descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Type<'d> {
    /// Virtual address of the descriptor; what interface values point to.
    pub vaddr: u64,
    /// Size of a value in bytes.
    pub size: u64,
    /// Kind of the type.
    pub kind: Kind,
    /// Name as Go prints it, such as `http.Request` or `*url.URL`.
    pub name: &'d str,
    tflag: u8,
}

/// One field of a struct.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'d> {
    /// Field name; the type's name for an embedded one.
    pub name: &'d str,
    /// Offset in bytes.
    pub offset: u64,
    /// Address of the descriptor of the field's type.
    pub typ: u64,
    /// Whether the field is embedded.
    pub embedded: bool,
}

/// All types of a binary, by name.
pub struct Types<'a, 'd> {
    image: &'a Image<'d>,
    base: u64,
    region: &'d [u8],
    minor: GoMinor,
    /// Named structs by import path and name.
    structs: HashMap<String, u64>,
    /// Maps, named or not.
    maps: Vec<u64>,
    /// Pointers that have methods, by what they point to; filled when first asked for.
    pointers: OnceCell<HashMap<u64, u64>>,
}

impl<'a, 'd> Types<'a, 'd> {
    pub(crate) fn scan(image: &'a Image<'d>, module: &Moduledata, minor: Option<GoMinor>) -> Self {
        let len = usize::try_from(module.etypes - module.types).unwrap_or(usize::MAX);
        let tail = image.tail(module.types).unwrap_or_default();
        let mut types = Self {
            image,
            base: module.types,
            region: &tail[..len.min(tail.len())],
            minor: minor.unwrap_or(GoMinor::NEWEST_KNOWN),
            structs: HashMap::new(),
            maps: Vec::new(),
            pointers: OnceCell::new(),
        };
        (types.structs, types.maps) = types.index();
        types
    }

    fn index(&self) -> (HashMap<String, u64>, Vec<u64>) {
        let (mut out, mut maps) = (HashMap::new(), Vec::new());
        // Names cannot be longer than the region, unless damaged descriptors share them.
        let mut room = self.region.len();
        for at in (0..self.region.len().saturating_sub(80)).step_by(8) {
            // Cheap look at the kind byte before anything is decoded.
            let kind = self.region[at + 23] & 31;
            if kind != Kind::Struct as u8 && kind != Kind::Map as u8 {
                continue;
            }
            let Some(typ) = self.at(self.base + at as u64) else { continue };
            if typ.kind == Kind::Map {
                maps.push(typ.vaddr);
                continue;
            }
            let Some(package) = self.package(&typ) else { continue };
            let Some(left) = room.checked_sub(typ.name.len() + package.len()) else { break };
            room = left;
            out.entry(qualified(package, typ.name)).or_insert(typ.vaddr);
        }
        (out, maps)
    }

    /// The descriptor at `vaddr`, when what stands there can be one.
    pub fn at(&self, vaddr: u64) -> Option<Type<'d>> {
        let at = usize::try_from(vaddr.checked_sub(self.base)?).ok()?;
        let data = self.region.get(at..)?;
        let (size, pointers) = (u64_at(data, 0)?, u64_at(data, 8)?);
        let (hash, tflag, align) = (u32_at(data, 16)?, *data.get(20)?, *data.get(21)?);
        let kind = Kind::from_bits(*data.get(23)?)?;
        let (name, to_this) = (i32_at(data, 40)?, i32_at(data, 44)?);
        let plausible = hash != 0
            && tflag & !0x3f == 0
            && matches!(align, 1 | 2 | 4 | 8)
            && size <= 1 << 40
            && pointers <= size
            && usize::try_from(to_this).is_ok_and(|o| o < self.region.len());
        if !plausible {
            return None;
        }
        let mut name = self.name_at(usize::try_from(name).ok()?)?.0;
        if tflag & TFLAG_EXTRA_STAR != 0 {
            name = name.strip_prefix('*')?;
        }
        (!name.is_empty()).then_some(Type { vaddr, size, kind, name, tflag })
    }

    /// A named struct by import path and name, such as `net/http.Request`.
    pub fn find_struct(&self, name: &str) -> Option<Type<'d>> {
        self.at(*self.structs.get(name)?)
    }

    /// All named structs, `(qualified name, type)`, in no order.
    pub fn structs(&self) -> impl Iterator<Item = (&str, Type<'d>)> + '_ {
        self.structs.iter().filter_map(|(n, va)| Some((n.as_str(), self.at(*va)?)))
    }

    /// The fields of a struct, in order; empty for other kinds.
    pub fn fields(&self, typ: &Type<'_>) -> Vec<Field<'d>> {
        if typ.kind != Kind::Struct {
            return Vec::new();
        }
        self.read_fields(typ).unwrap_or_default()
    }

    fn read_fields(&self, typ: &Type<'_>) -> Option<Vec<Field<'d>>> {
        let slice = typ.vaddr.checked_add(COMMON + 8)?;
        let first = self.image.pointer(slice)?;
        let count = self.image.pointer(slice.checked_add(8)?)?;
        if count > MAX_FIELDS {
            return None;
        }
        (0..count).map(|i| self.read_field(first.checked_add(24 * i)?)).collect()
    }

    fn read_field(&self, vaddr: u64) -> Option<Field<'d>> {
        let name_va = self.image.pointer(vaddr)?;
        let name_at = usize::try_from(name_va.checked_sub(self.base)?).ok()?;
        let (name, flags) = self.name_at(name_at)?;
        let typ = self.image.pointer(vaddr.checked_add(8)?)?;
        let offset = u64_at(self.image.tail(vaddr.checked_add(16)?)?, 0)?;
        if self.minor < GoMinor(19) {
            // Up to 1.18 the word is offset<<1 | embedded.
            return Some(Field { name, offset: offset >> 1, typ, embedded: offset & 1 != 0 });
        }
        Some(Field { name, offset, typ, embedded: flags & 8 != 0 })
    }

    /// The offset of a field reached through nested structs, such as `["sched", "sp"]`.
    pub fn offset(&self, name: &str, path: &[&str]) -> Option<u64> {
        let mut typ = self.find_struct(name)?;
        let mut total = 0u64;
        for (i, wanted) in path.iter().enumerate() {
            let field = self.fields(&typ).into_iter().find(|f| f.name == *wanted)?;
            total = total.checked_add(field.offset)?;
            if i + 1 < path.len() {
                typ = self.at(field.typ)?;
            }
        }
        Some(total)
    }

    /// The type of one field of a struct.
    pub fn field_type(&self, name: &str, field: &str) -> Option<Type<'d>> {
        let typ = self.find_struct(name)?;
        self.at(self.fields(&typ).into_iter().find(|f| f.name == field)?.typ)
    }

    /// All types that have methods called `names`, pointer types included. Scans the region.
    pub fn with_methods(&self, names: &[&str]) -> Vec<Type<'d>> {
        // Each method takes 16 bytes of the region, unless damaged descriptors share many.
        let mut room = self.region.len();
        (0..self.region.len().saturating_sub(64))
            .step_by(8)
            .filter(|at| self.region[at + 20] & TFLAG_UNCOMMON != 0)
            .filter_map(|at| self.at(self.base + at as u64))
            .filter(|typ| self.has_methods(typ, names, &mut room).unwrap_or(false))
            .collect()
    }

    fn has_methods(&self, typ: &Type<'_>, names: &[&str], room: &mut usize) -> Option<bool> {
        let at = usize::try_from(typ.vaddr - self.base + COMMON).ok()?
            + usize::try_from(self.extra(typ)).ok()?;
        let count = u32_at(self.region, at + 4)? & 0xffff;
        let first = at.checked_add(u32_at(self.region, at + 8)? as usize)?;
        let mut found = 0;
        for i in 0..count as usize {
            *room = room.checked_sub(1)?;
            let offset = i32_at(self.region, first.checked_add(16 * i)?)?;
            let (name, _) = self.name_at(usize::try_from(offset).ok()?)?;
            found += usize::from(names.contains(&name));
        }
        Some(found == names.len())
    }

    /// Bytes between the common part of a descriptor and the uncommon one.
    fn extra(&self, typ: &Type<'_>) -> u64 {
        let has_buckets = typ.kind == Kind::Map && self.has_buckets(typ.vaddr);
        // Such a descriptor is the same with all versions.
        typ.kind.extra(if has_buckets { GoMinor::OLDEST } else { self.minor })
    }

    /// What a pointer type points to.
    pub fn pointee(&self, typ: &Type<'_>) -> Option<Type<'d>> {
        if typ.kind != Kind::Pointer {
            return None;
        }
        self.at(self.image.pointer(typ.vaddr.checked_add(COMMON)?)?)
    }

    /// What a pointer points to, or a slice, an array or a channel has as its elements.
    pub fn element(&self, typ: &Type<'_>) -> Option<Type<'d>> {
        match typ.kind {
            Kind::Pointer | Kind::Slice | Kind::Array | Kind::Chan => {
                self.at(self.image.pointer(typ.vaddr.checked_add(COMMON)?)?)
            }
            _ => None,
        }
    }

    /// Import path of the package that defines `typ`.
    pub fn package(&self, typ: &Type<'_>) -> Option<&'d str> {
        if typ.tflag & TFLAG_UNCOMMON == 0 {
            return None;
        }
        let at = typ.vaddr - self.base + COMMON + self.extra(typ);
        let offset = i32_at(self.region, usize::try_from(at).ok()?)?;
        Some(self.name_at(usize::try_from(offset).ok()?)?.0)
    }

    /// The name at `at` from the start of types, and its flag byte.
    fn name_at(&self, at: usize) -> Option<(&'d str, u8)> {
        let flags = *self.region.get(at)?;
        let (len, start) = varint_at(self.region, at.checked_add(1)?)?;
        let len = len as usize;
        if len > MAX_NAME {
            return None;
        }
        let text = std::str::from_utf8(self.region.get(start..start.checked_add(len)?)?).ok()?;
        (!text.bytes().any(|b| b.is_ascii_control())).then_some((text, flags))
    }
}

/// `net/http` and `http.Request` make `net/http.Request`; dots in type arguments stay.
fn qualified(package: &str, name: &str) -> String {
    let generic = name.find('[').unwrap_or(name.len());
    let base = name[..generic].find('.').map_or(0, |dot| dot + 1);
    format!("{package}.{}", &name[base..])
}

#[cfg(test)]
mod tests {
    use super::qualified;

    #[test]
    fn names_are_qualified_by_import_path() {
        assert_eq!(qualified("net/http", "http.Request"), "net/http.Request");
        assert_eq!(
            qualified("sync/atomic", "atomic.Pointer[net/http.response]"),
            "sync/atomic.Pointer[net/http.response]"
        );
    }
}
