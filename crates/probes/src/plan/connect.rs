//! Calls by connect, which are requests of `net/http`: whether a program can serve or make any. Their
//! content types are told then, and which procedures there are, so that other requests are not taken
//! for calls. The one site of theirs is where a handler's connection is told how the call ended.

use std::sync::Arc;

use gobin::Type;
use wire::Probe;

use super::{Ability, Context, Plan};

/// By its names, the newest first.
const MODULES: [&str; 2] = ["connectrpc.com/connect", "github.com/bufbuild/connect-go"];
/// What serves and what makes calls.
const FUNCTIONS: [&str; 2] = ["(*Handler).ServeHTTP", "(*duplexHTTPCall).makeRequest"];

/// Who is told how a call ended, one for each protocol.
const ENDS: [&str; 3] = [
    "(*grpcHandlerConn).Close",
    "(*connectUnaryHandlerConn).Close",
    "(*connectStreamingHandlerConn).Close",
];

/// Offsets of the code and of the error within connect's own error, if `typ` is that.
pub(super) fn error_fields(context: &Context<'_, '_>, typ: &Type<'_>) -> Option<(u64, u64)> {
    let mut names = MODULES.iter().map(|module| format!("{module}.Error"));
    let name = names.find(|name| {
        context.types.find_struct(name).is_some_and(|found| found.vaddr == typ.vaddr)
    })?;
    let offset = |field| context.types.offset(&name, &[field]);
    Some((offset("code")?, offset("err")?))
}

pub(super) fn plan(context: &Context<'_, '_>, plan: &mut Plan) {
    let linked = |module: &str, function: &str| {
        context.binary.function(&format!("{module}.{function}")).is_some()
    };
    let has_calls = MODULES.iter().any(|module| FUNCTIONS.iter().any(|f| linked(module, f)));
    let has_requests =
        [Ability::HttpServer, Ability::HttpClient].iter().any(|a| plan.abilities.contains(a));
    if has_calls && has_requests {
        plan.constants.typed = 1;
        plan.procedures = Arc::new(context.binary.procedures());
    }
    if !plan.abilities.contains(&Ability::HttpServer) {
        return;
    }
    for name in MODULES.iter().flat_map(|m| ENDS.map(|end| format!("{m}.{end}"))) {
        if let Ok(site) = context.entry(&name) {
            plan.add(Probe::ConnectServerEnd, &name, site, true);
        }
    }
}
