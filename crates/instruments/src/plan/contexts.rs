//! What the types of contexts hold: where the programs find the context that one is derived from, or the
//! several that it may be, and which types hide theirs.
//!
//! Not here: how contexts are followed (`bpf/contexts.h`, `bpf/context_walk.h`).

use gobin::{Kind, Type};
use wire::raw::{self, NONE, TypeRole};

use super::Context;
use super::types::{behind, role};
use crate::fasthttp::plan::request_context;

/// Structs nested deeper than this are not looked into.
const MAX_NESTING: usize = 4;
/// Types deeper than this behind a context's may hold one.
const MAX_HIDING: usize = 4;
/// Contexts of one type that the programs follow.
const FOLLOWED: usize = 3;

/// What the programs know of a context's type; nothing where it may hold a context somewhere.
pub(super) fn role_of<'d>(context: &Context<'_, 'd>, typ: &Type<'d>) -> Option<raw::Type> {
    let target = behind(context, typ);
    if let Some(found) = request_context(context, &target) {
        return role(TypeRole::RequestContext, found.into(), 0);
    }
    let held = Held::by(context, &target, MAX_NESTING);
    match held.at.as_slice() {
        [] if held.more => fork(&[], true),
        [] => pointed(context, typ, &target).or_else(|| root(context, typ)),
        [only] if !held.more => role(TypeRole::Context, *only, 0),
        several => fork(several, held.more),
    }
}

fn fork(found: &[u64], more: bool) -> Option<raw::Type> {
    let field = |i| found.get(i).map_or(Some(NONE), |offset| u16::try_from(*offset).ok());
    let more = more || found.len() > FOLLOWED;
    let kind = if more { TypeRole::ContextForkMore } else { TypeRole::ContextFork };
    Some(raw::Type { role: kind as u16, first: field(0)?, second: field(1)?, third: field(2)? })
}

/// A struct that embeds a pointer to a context, or holds a request as gin's context does; else one that
/// holds a pointer to a struct with a context among its own fields.
fn pointed<'d>(context: &Context<'_, 'd>, typ: &Type<'d>, target: &Type<'d>) -> Option<raw::Type> {
    let fields = context.types.fields(target);
    let via = |is_wanted: fn(&gobin::Field<'_>, &Type<'_>) -> bool, nesting| {
        fields.iter().find_map(|field| {
            let pointee = context.types.pointee(&context.types.at(field.typ)?)?;
            let inner = *Held::by(context, &pointee, nesting).at.first()?;
            is_wanted(field, &pointee).then_some((field.offset, inner))
        })
    };
    let (pointer, inner) =
        via(|field, pointee| field.embedded || pointee.name == "http.Request", MAX_NESTING)
            .or_else(|| via(|_, _| true, 0))?;
    if target.vaddr == typ.vaddr && fields.len() == 1 {
        // An interface holds such a value as the pointer that it is.
        return role(TypeRole::Context, inner, 0);
    }
    role(TypeRole::ContextVia, pointer, inner)
}

/// A type that can hold no context, so that a chain ends there for certain.
fn root(context: &Context<'_, '_>, typ: &Type<'_>) -> Option<raw::Type> {
    if may_hold(context, typ, MAX_HIDING) { None } else { role(TypeRole::ContextRoot, 0, 0) }
}

/// Whether a context may be somewhere in a value of the type, or behind it.
fn may_hold(context: &Context<'_, '_>, typ: &Type<'_>, depth: usize) -> bool {
    let Some(depth) = depth.checked_sub(1) else { return true };
    match typ.kind {
        Kind::Func | Kind::Interface | Kind::Map | Kind::UnsafePointer => true,
        Kind::Pointer | Kind::Slice | Kind::Array | Kind::Chan => {
            context.types.element(typ).is_none_or(|element| may_hold(context, &element, depth))
        }
        Kind::Struct => context.types.fields(typ).iter().any(|field| {
            context.types.at(field.typ).is_none_or(|inner| may_hold(context, &inner, depth))
        }),
        _ => false,
    }
}

/// The contexts in a struct.
#[derive(Default)]
struct Held {
    /// Offsets of each `context.Context`, also in the structs that it holds by value.
    at: Vec<u64>,
    /// Offsets of other interfaces that it embeds, which may be contexts with more methods.
    embedded: Vec<u64>,
    /// There are some that no offset leads to.
    more: bool,
}

impl Held {
    fn by(context: &Context<'_, '_>, typ: &Type<'_>, depth: usize) -> Self {
        let mut held = Self::default();
        held.add(context, typ, 0, depth);
        if held.at.is_empty() {
            // A context has its methods from somewhere.
            held.at.extend(held.embedded.first());
        }
        held
    }

    fn add(&mut self, context: &Context<'_, '_>, typ: &Type<'_>, at: u64, depth: usize) {
        for field in context.types.fields(typ) {
            let Some(inner) = context.types.at(field.typ) else { continue };
            let at = at + field.offset;
            match inner.kind {
                Kind::Interface if is_context(&inner) => self.at.push(at),
                Kind::Interface if field.embedded && depth > 0 => self.embedded.push(at),
                Kind::Struct if depth > 0 => self.add(context, &inner, at, depth - 1),
                Kind::Slice | Kind::Array => {
                    let element = context.types.element(&inner);
                    self.more |= element.is_some_and(|element| is_context(&element));
                }
                _ => {}
            }
        }
    }
}

fn is_context(typ: &Type<'_>) -> bool {
    typ.kind == Kind::Interface && typ.name == "context.Context"
}
