//! The routes of chi, with those of the routers that are mounted in it, and what its own middleware does
//! to paths.

use std::sync::Arc;

use instruments::{Rewriter, RouteLayout};

use super::pattern::Pattern;
use super::routers::{MAX_NODES, MAX_ROUTES};
use super::table::{Changes, Choice, Lookup, Route, Table};
use super::value::Value;

/// Bits of chi's methods. The tenth is TRACE or, where QUERY is known, that.
const CHI_METHODS: [(u64, &[&str]); 10] = [
    (2, &["CONNECT"]),
    (4, &["DELETE"]),
    (8, &["GET"]),
    (16, &["HEAD"]),
    (32, &["OPTIONS"]),
    (64, &["PATCH"]),
    (128, &["POST"]),
    (256, &["PUT"]),
    (512, &["QUERY", "TRACE"]),
    (1024, &["TRACE"]),
];
/// The bit of what only leads to a router that is mounted.
const CHI_STUB: u64 = 1;

/// `tree *node`: routes of methods at each node, and a router if one is mounted there.
pub(super) fn table(layout: &RouteLayout, mux: &Value<'_>, depth: usize) -> Option<Table> {
    let depth = depth.checked_sub(1)?;
    let mut routes = Vec::new();
    let mut stubs = Vec::new();
    let mut open = vec![mux.field("tree")?];
    for _ in 0..MAX_NODES {
        let Some(node) = open.pop() else { break };
        let Some(node) = node.target() else { continue };
        for children in node.field("children")?.elements()? {
            open.extend(children.elements()?);
        }
        let mounted = node.field("subroutes").and_then(|r| r.held()).and_then(|r| r.target());
        let mounted = mounted.and_then(|mux| table(layout, &mux, depth)).map(Arc::new);
        chi_node(&node, mounted, &mut routes, &mut stubs)?;
    }
    // What leads to a mounted router stands beside it: its path alone, and with a slash.
    for mut stub in stubs {
        let all = format!("{}/*", stub.text.trim_end_matches('/'));
        let router = routes.iter().find(|r: &&Route| r.text == all && r.mounted.is_some());
        stub.mounted = router.and_then(|r| r.mounted.clone());
        routes.push(stub);
    }
    routes.truncate(MAX_ROUTES);
    let changes = changes(layout, mux)?;
    Some(Table { choice: Choice::Special, lookup: Lookup::Raw, changes, routes })
}

/// What the router's own middleware does to a path before it is looked up.
fn changes(layout: &RouteLayout, mux: &Value<'_>) -> Option<Changes> {
    let mut out = Changes::default();
    for middleware in mux.field("middlewares")?.elements()? {
        let code = middleware.code();
        let of = |code| layout.rewriters.iter().find(|(at, _)| Some(*at) == code);
        let Some((_, rewriter)) = of(code).or_else(|| of(Some(0))) else { continue };
        match rewriter {
            Rewriter::Nothing => {}
            Rewriter::StripSlashes => out.stripped = true,
            // It takes a last slash off, too.
            Rewriter::CleanPath => (out.cleaned, out.stripped) = (true, true),
            Rewriter::UrlFormat => out.extension = true,
            Rewriter::GetHead => out.head_as_get = true,
            Rewriter::Other => out.unknown = true,
        }
    }
    Some(out)
}

fn chi_node(
    node: &Value<'_>,
    mounted: Option<Arc<Table>>,
    routes: &mut Vec<Route>,
    stubs: &mut Vec<Route>,
) -> Option<()> {
    let endpoints = node.field("endpoints")?.entries()?;
    let is_stub = endpoints.iter().any(|(key, _)| key.number() == Some(CHI_STUB));
    for (key, endpoint) in endpoints {
        let key = key.number()?;
        let endpoint = endpoint.target()?;
        if key == CHI_STUB || endpoint.field("handler")?.address().is_none() {
            continue;
        }
        let text = endpoint.field("pattern")?.text()?;
        let Some(pattern) = Pattern::braces(&text) else { continue };
        let methods = CHI_METHODS.iter().find(|(bit, _)| *bit == key).map(|(_, m)| *m);
        if key.is_power_of_two() && methods.is_none() {
            continue;
        }
        // The newer chi names a route without its last slash.
        let text = if text.len() > 1 { text.trim_end_matches('/').to_owned() } else { text };
        let mut route = Route::new("", text, pattern);
        route.methods = methods.unwrap_or_default().iter().map(|m| (*m).to_owned()).collect();
        route.mounted = mounted.clone();
        let out = if is_stub && mounted.is_none() { &mut *stubs } else { &mut *routes };
        if out.len() < MAX_ROUTES {
            out.push(route);
        }
    }
    Some(())
}
