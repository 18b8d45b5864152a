//! Calls by connect, which are requests of `net/http`: whether a program can serve or make any. Their
//! content types are told then, and which procedures there are, so that other requests are not taken
//! for calls. No site is theirs.

use std::sync::Arc;

use super::{Ability, Context, Plan};

/// By its names, the newest first.
const MODULES: [&str; 2] = ["connectrpc.com/connect", "github.com/bufbuild/connect-go"];
/// What serves and what makes calls.
const FUNCTIONS: [&str; 2] = ["(*Handler).ServeHTTP", "(*duplexHTTPCall).makeRequest"];

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
}
