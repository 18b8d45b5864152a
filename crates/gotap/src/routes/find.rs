//! From a `http.Server` to the router that handles its requests: its handler, or what that wraps.

use gobin::Shape;
use instruments::{RouteLayout, Router};

use super::value::{Reader, Value};

/// Handlers in handlers that are looked into.
const MAX_DEPTH: usize = 4;
/// Values of one depth that are looked at.
const MAX_VALUES: usize = 256;

/// The router of the server at an address.
pub(super) fn router<'a>(
    layout: &RouteLayout,
    reader: &'a Reader<'a>,
    bias: u64,
    server: u64,
) -> Option<(Router, Value<'a>)> {
    let handler = server.checked_add(layout.handler)?;
    if reader.word(handler)? == 0 {
        // Without a handler it is http.DefaultServeMux.
        let variable = Some(layout.default_mux).filter(|va| *va != 0)?.wrapping_add(bias);
        return Some((Router::ServeMux, reader.at(reader.word(variable)?, layout.mux)?));
    }
    within(layout, reader.interface_at(handler)?)
}

/// The router that a handler is or wraps.
pub(super) fn within<'a>(layout: &RouteLayout, handler: Value<'a>) -> Option<(Router, Value<'a>)> {
    let mut level = vec![handler];
    for _ in 0..=MAX_DEPTH {
        let (routers, next) = look_at(layout, level);
        // Which one of several gets a request can't be known.
        match routers.as_slice() {
            [] => level = next,
            [(_, router, value)] => return Some((*router, value.clone())),
            _ => return None,
        }
    }
    None
}

/// The routers among values, by address, and what the others hold.
fn look_at<'a>(
    layout: &RouteLayout,
    values: Vec<Value<'a>>,
) -> (Vec<(u64, Router, Value<'a>)>, Vec<Value<'a>>) {
    let mut routers: Vec<(u64, Router, Value<'a>)> = Vec::new();
    let mut next = Vec::new();
    for value in values.into_iter().take(MAX_VALUES) {
        let (address, target) = if value.is_pointer() {
            let Some(target) = value.target() else { continue };
            (value.address().unwrap_or(0), target)
        } else {
            (0, value)
        };
        let known = layout.routers.iter().find(|(typ, _)| *typ == target.typ);
        match known {
            Some((_, router)) if !routers.iter().any(|(at, ..)| *at == address) => {
                routers.push((address, *router, target));
            }
            Some(_) => {}
            None => next.extend(leads(layout, &target)),
        }
    }
    (routers, next)
}

/// Handlers that a handler's structure holds, in interfaces, behind pointers or by value.
fn leads<'a>(layout: &RouteLayout, value: &Value<'a>) -> Vec<Value<'a>> {
    let mut out = Vec::new();
    let mut open = value.fields();
    while let Some(field) = open.pop() {
        if out.len() + open.len() > MAX_VALUES {
            break;
        }
        let shape = layout.shapes.get(field.typ).map(|(_, shape)| shape);
        let is_router = layout.routers.iter().any(|(typ, _)| *typ == field.typ);
        match shape {
            Some(Shape::Struct(_)) if is_router => out.push(field),
            Some(Shape::Struct(_)) => open.extend(field.fields()),
            Some(Shape::Pointer(_)) if layout.handlers.contains(&field.typ) => out.push(field),
            Some(Shape::Interface { .. }) => {
                let held = field.held();
                out.extend(held.filter(|held| layout.handlers.contains(&held.typ)));
            }
            _ => {}
        }
    }
    out
}
