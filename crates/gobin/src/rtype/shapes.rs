//! How values of chosen types lie in memory, taken out of the binary: for a reader of a process's
//! memory that looks into structures by the names of their fields.
//!
//! Not here: reading, and which types are worth it.

use std::collections::{HashMap, HashSet};

use super::{COMMON, Kind, SwissMap, Type, Types};

/// More types than this are not kept.
const MAX_SHAPES: usize = 8192;
/// Bytes of fields and their names that are kept; damaged descriptors may share them.
const MAX_BYTES: usize = 1 << 22;

/// The shapes of types, by the address of their descriptor in the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shapes {
    shapes: HashMap<u64, (u64, Shape)>,
}

/// What a value of a type consists of. Types are addresses of descriptors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// Fields.
    Struct(Vec<ShapeField>),
    /// A pointer to a type.
    Pointer(u64),
    /// Data, length and capacity of elements of a type.
    Slice(u64),
    /// Elements of a type.
    Array(u64, u64),
    /// A pointer to a map.
    Map(MapShape),
    /// Data and length of text.
    String,
    /// A word for the type, and data. With methods the word is that of a table that knows the type.
    Interface {
        /// Whether it has methods.
        methods: bool,
    },
    /// A number, or what is of no interest.
    Other,
}

/// One field of a struct.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShapeField {
    /// Its name.
    pub name: String,
    /// Offset in bytes.
    pub offset: u64,
    /// Its type.
    pub typ: u64,
    /// Whether it is embedded.
    pub embedded: bool,
}

/// Types and geometry of a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MapShape {
    /// Type of the keys.
    pub key: u64,
    /// Type of the elements.
    pub elem: u64,
    /// Where they lie; `None` for buckets, as maps had until Go 1.23.
    pub swiss: Option<SwissMap>,
}

impl Shapes {
    /// Size of a value, and what it consists of.
    pub fn get(&self, typ: u64) -> Option<(u64, &Shape)> {
        self.shapes.get(&typ).map(|(size, shape)| (*size, shape))
    }

    /// Whether an interface holds such a value itself, and not its address.
    pub fn is_direct(&self, typ: u64) -> bool {
        match self.shapes.get(&typ) {
            Some((_, Shape::Pointer(_) | Shape::Map(_))) => true,
            Some((8, Shape::Struct(fields))) => match fields.as_slice() {
                [field] => self.is_direct(field.typ),
                _ => false,
            },
            _ => false,
        }
    }
}

impl Types<'_, '_> {
    /// The shapes of `roots` and of what they hold: structs by value always, others, which they
    /// only lead to, where `follow` says so of their package.
    pub fn shapes(&self, roots: &[u64], follow: impl Fn(&str) -> bool) -> Shapes {
        let chosen: HashSet<u64> = roots.iter().copied().collect();
        let mut out = Shapes::default();
        let mut room = MAX_BYTES;
        // Types, and whether they are part of what is looked into.
        let mut open: Vec<(u64, bool)> = roots.iter().map(|typ| (*typ, true)).collect();
        while let Some((vaddr, inside)) = open.pop() {
            let Some(typ) = self.at(vaddr) else { continue };
            let wanted = inside
                || chosen.contains(&vaddr)
                || typ.kind != Kind::Struct
                || self.package(&typ).is_none_or(&follow);
            let known = out.shapes.get(&vaddr).is_some_and(|(_, s)| !wanted || *s != Shape::Other);
            if known || out.shapes.len() >= MAX_SHAPES {
                continue;
            }
            let shape = if wanted { self.shape(&typ) } else { None };
            let shape = shape.unwrap_or(Shape::Other);
            match &shape {
                Shape::Struct(fields) => {
                    let bytes = fields.iter().map(|f| f.name.len() + size_of::<ShapeField>());
                    let Some(left) = room.checked_sub(bytes.sum()) else { break };
                    room = left;
                    open.extend(fields.iter().map(|f| (f.typ, true)));
                }
                Shape::Array(elem, _) => open.push((*elem, true)),
                Shape::Pointer(to) | Shape::Slice(to) => open.push((*to, false)),
                Shape::Map(map) => open.extend([(map.key, false), (map.elem, false)]),
                Shape::String | Shape::Interface { .. } | Shape::Other => {}
            }
            out.shapes.insert(vaddr, (typ.size, shape));
        }
        out
    }

    fn shape(&self, typ: &Type<'_>) -> Option<Shape> {
        let word = |i: u64| self.image.pointer(typ.vaddr.checked_add(COMMON + 8 * i)?);
        Some(match typ.kind {
            Kind::Struct => {
                let fields = self.fields(typ).into_iter();
                let owned = fields.map(|f| ShapeField {
                    name: f.name.to_owned(),
                    offset: f.offset,
                    typ: f.typ,
                    embedded: f.embedded,
                });
                Shape::Struct(owned.collect())
            }
            Kind::Pointer => Shape::Pointer(word(0)?),
            Kind::Slice => Shape::Slice(word(0)?),
            Kind::Array => Shape::Array(word(0)?, word(2)?),
            Kind::Map => Shape::Map(self.map_shape(typ, word(0)?, word(1)?)?),
            Kind::String => Shape::String,
            Kind::Interface => Shape::Interface { methods: word(2)? > 0 },
            _ => Shape::Other,
        })
    }

    fn map_shape(&self, typ: &Type<'_>, key: u64, elem: u64) -> Option<MapShape> {
        if !self.has_buckets(typ.vaddr) {
            return Some(MapShape { key, elem, swiss: Some(self.swiss_map(typ)?) });
        }
        self.is_direct_map(typ).then_some(MapShape { key, elem, swiss: None })
    }
}
