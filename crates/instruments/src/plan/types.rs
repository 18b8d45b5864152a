//! Types that interface values hold and that the programs look into: contexts, to find the parent
//! of each, and errors, to find their text or the system error that they wrap.

use gobin::{Kind, Type};
use wire::raw::{self, TypeRole};

use super::{Ability, Context, Plan, contexts};
use crate::instrument::{INSTRUMENTS, Instrument};

/// More types of one sort than this are not passed to the programs.
const MAX_TYPES: usize = 512;

/// Errors whose first field is their text, and whose text is the program's own.
const TEXT_ERRORS: [&str; 4] =
    ["*errors.errorString", "*http.timeoutError", "*http.httpError", "*net.timeoutError"];

pub(super) fn plan(context: &Context<'_, '_>, plan: &mut Plan) {
    for typ in context.types.with_methods(&["Deadline", "Done", "Value"]).iter().take(MAX_TYPES) {
        if typ.name == "*context.cancelCtx" {
            plan.constants.cancel_ctx = typ.vaddr.into();
        } else if typ.name == "*context.valueCtx" {
            plan.constants.value_ctx = typ.vaddr.into();
        }
        plan.types.extend(contexts::role_of(context, typ).map(|role| (typ.vaddr, role)));
    }
    tell_contexts(plan);
    let none = context.types.find_struct("net/http.noBody");
    let none = none.and_then(|typ| Some((typ.vaddr, role(TypeRole::NoBody, 0, 0)?)));
    plan.types.extend(none);
    for typ in context.types.with_methods(&["Error"]) {
        plan.type_names.push((typ.vaddr, typ.name.to_owned()));
        if plan.types.len() < 2 * MAX_TYPES {
            plan.types.extend(error_role(context, &typ).map(|role| (typ.vaddr, role)));
        }
    }
}

/// Says of what is served if the contexts of its requests can't be distinguished from others.
fn tell_contexts(plan: &mut Plan) {
    let constants = &plan.constants;
    let cancels = (constants.cancel_ctx.is_known(), "type context.cancelCtx was not found");
    let carries = constants.value_ctx.is_known() && plan.own.grpc.incoming_key.is_known();
    let carries = (carries, "the type of the context that holds gRPC's metadata was not found");
    let needed = [
        (Ability::HttpServer, cancels),
        (Ability::Http2Server, cancels),
        (Ability::GrpcServer, carries),
    ];
    for (ability, (known, why)) in needed {
        if !known && plan.abilities.contains(&ability) {
            plan.miss(ability, format!("parents by context: {why}"));
        }
    }
    if !carries.0 && plan.abilities.contains(&Ability::GrpcServer) {
        plan.miss(Ability::GrpcServer, format!("parents in other processes: {}", carries.1));
    }
}

pub(crate) fn role(role: TypeRole, first: u64, second: u64) -> Option<raw::Type> {
    Some(raw::Type {
        role: role as u16,
        first: u16::try_from(first).ok()?,
        second: u16::try_from(second).ok()?,
        third: 0,
    })
}

/// The struct behind a pointer type; other types are themselves.
pub(super) fn behind<'d>(context: &Context<'_, 'd>, typ: &Type<'d>) -> Type<'d> {
    context.types.pointee(typ).unwrap_or(*typ)
}

fn error_role<'d>(context: &Context<'_, 'd>, typ: &Type<'d>) -> Option<raw::Type> {
    if typ.name == "syscall.Errno" {
        return role(TypeRole::Errno, 0, 0);
    }
    if TEXT_ERRORS.contains(&typ.name) {
        return role(TypeRole::ErrorString, 0, 0);
    }
    let target = behind(context, typ);
    let of_instrument = |one: &Instrument| (one.error)(context, typ, &target);
    if let Some(found) = INSTRUMENTS.iter().find_map(of_instrument) {
        return Some(found);
    }
    if let Some(found) = http2_role(context, &target) {
        return Some(found);
    }
    let inner = context.types.fields(&target).into_iter().find(|field| {
        context.types.at(field.typ).is_some_and(|t| t.kind == Kind::Interface && t.name == "error")
    })?;
    role(TypeRole::ErrorWrap, inner.offset, 0)
}

/// Errors of HTTP/2, also of the copy that net/http bundles with longer names.
fn http2_role(context: &Context<'_, '_>, typ: &Type<'_>) -> Option<raw::Type> {
    let name = typ.name.strip_prefix("http2.").or_else(|| typ.name.strip_prefix("http.http2"))?;
    let field = |name| context.types.fields(typ).into_iter().find(|f| f.name == name);
    match name {
        "noCachedConnError" => role(TypeRole::NothingSent, 0, 0),
        "StreamError" => role(TypeRole::Http2Code, field("Code")?.offset, 0),
        "GoAwayError" => role(TypeRole::Http2Code, field("ErrCode")?.offset, 0),
        "ConnectionError" => role(TypeRole::Http2Code, 0, 0),
        _ => None,
    }
}
