//! Routes before Go 1.22, whose requests do not name the pattern that matched: which ServeMux a
//! server has, and how to read its patterns from the process.

use super::{Ability, Context, Plan};
use wire::raw::NONE;

const MUX: &str = "net/http.ServeMux";

/// Where the patterns of a `http.ServeMux` are: `m` is a `map[string]muxEntry`, an `hmap` of buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MuxLayout {
    /// Address in the file of the variable `http.DefaultServeMux`, 0 unknown.
    pub default_mux: u64,
    /// Offset of the map in a ServeMux.
    pub map: u64,
    /// Size of a `muxEntry`.
    pub entry_size: u64,
}

pub(super) fn plan(context: &Context<'_, '_>, plan: &mut Plan) {
    let request = &plan.constants.requests[0];
    let named = request.pattern != NONE || request.pat != NONE;
    if named || !plan.abilities.contains(&Ability::HttpServer) {
        return;
    }
    let pointer = pointer_type(context);
    let handler = context.offset("net/http.Server", &["Handler"]);
    let entry_size = context.types.find_struct("net/http.muxEntry").map(|t| t.size);
    let (Some(pointer), Some(map), Some(entry_size)) =
        (pointer, context.types.offset(MUX, &["m"]), entry_size)
    else {
        return;
    };
    if handler == NONE {
        return;
    }
    plan.constants.serve_mux = pointer;
    plan.constants.server_handler = handler;
    let default_mux = context.binary.first_reference(super::http::SERVE).unwrap_or(0);
    plan.mux = Some(MuxLayout { default_mux, map, entry_size });
}

/// The type descriptor of `*http.ServeMux`.
fn pointer_type(context: &Context<'_, '_>) -> Option<u64> {
    let mux = context.types.find_struct(MUX)?.vaddr;
    let handlers = context.types.with_methods(&["ServeHTTP", "HandleFunc"]);
    let is_pointer =
        |t: &&gobin::Type<'_>| context.types.pointee(t).is_some_and(|p| p.vaddr == mux);
    Some(handlers.iter().find(is_pointer)?.vaddr)
}
