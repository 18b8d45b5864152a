//! The routes of each known router, from its structures in a process's memory. Fields are known by
//! name only: a version that has others gives no routes.

use std::sync::Arc;

use instruments::{RouteLayout, Router};

use super::chi;
use super::find;
use super::gin::Trees;
use super::pattern::Pattern;
use super::servemux::Parsed;
use super::table::{Changes, Choice, Lookup, Route, Table};
use super::value::Value;

/// Routes of one router that are kept.
pub(super) const MAX_ROUTES: usize = 4096;
/// Nodes of a tree that are looked at.
pub(super) const MAX_NODES: usize = 32_768;
/// Bytes of a route's text.
const MAX_TEXT: usize = 1024;
/// Routers in routers that are followed.
const MAX_DEPTH: usize = 8;

/// The routes of a router.
pub(super) fn read(layout: &RouteLayout, router: Router, value: &Value<'_>) -> Option<Table> {
    read_to(layout, router, value, MAX_DEPTH)
}

fn read_to(layout: &RouteLayout, router: Router, value: &Value<'_>, depth: usize) -> Option<Table> {
    let table = |choice, lookup, changes, routes| Table { choice, lookup, changes, routes };
    let none = Changes::default();
    Some(match router {
        Router::ServeMux => {
            let routes = serve_mux(layout, value, depth)?;
            let choice = match old_mux(value) {
                Some(_) => Choice::ServeMux,
                None => Choice::NamedByRequest(
                    routes.iter().map(|route| Parsed::of(&route.text)).collect::<Option<_>>()?,
                ),
            };
            table(choice, Lookup::Escaped, none, routes)
        }
        Router::Gin => gin(value)?,
        Router::HttpRouter => table(Choice::Special, Lookup::Decoded, none, http_router(value)?),
        Router::Echo => table(Choice::SpecialOfHost, Lookup::Raw, none, echo(value)?),
        Router::Chi => chi::table(layout, value, MAX_DEPTH)?,
        Router::Gorilla => {
            let mut routes = Vec::new();
            gorilla(layout, value, MAX_DEPTH, &mut routes)?;
            let says = |name| gorilla_setting(value, name);
            let lookup = if says("useEncodedPath") { Lookup::Escaped } else { Lookup::Decoded };
            table(Choice::First, lookup, Changes { cleaned: !says("skipClean"), ..none }, routes)
        }
    })
}

/// A setting of a router of gorilla, which older versions have in the router itself.
fn gorilla_setting(router: &Value<'_>, name: &str) -> bool {
    let config = router.field("routeConf");
    let field = router.field(name).or_else(|| config.and_then(|config| config.field(name)));
    field.and_then(|field| field.number()) == Some(1)
}

/// `m map[string]muxEntry{h, pattern}` until Go 1.21, then a tree. Other routers may be behind
/// patterns that take all below them.
fn serve_mux(layout: &RouteLayout, mux: &Value<'_>, depth: usize) -> Option<Vec<Route>> {
    let depth = depth.checked_sub(1)?;
    let found = match old_mux(mux) {
        Some(map) => {
            let entries = map.entries()?.into_iter();
            entries.filter_map(|(key, entry)| Some((key.text()?, entry.field("h")?))).collect()
        }
        None => mux_tree(mux.field("tree")?)?,
    };
    let found = found.into_iter().filter(|(text, _)| text.contains('/')).take(MAX_ROUTES);
    let routes = found.map(|(text, handler)| {
        let below = handler.held().filter(|_| text.ends_with('/'));
        let router = below.and_then(|handler| find::within(layout, handler));
        let mounted = router.and_then(|(router, value)| read_to(layout, router, &value, depth));
        let mut route = Route::new("", text, Pattern::Everything);
        route.mounted = mounted.map(Arc::new);
        route
    });
    Some(routes.collect())
}

/// The map of patterns, also in a newer Go that is set to behave like an older one.
fn old_mux<'a>(mux: &Value<'a>) -> Option<Value<'a>> {
    let old = mux.field("mux121").and_then(|old| old.field("m"));
    mux.field("m").or_else(|| old.filter(|map| map.address().is_some()))
}

/// `routingNode{pattern *pattern, handler, children mapping, multiChild, emptyChild}`; a mapping is
/// a slice of entries while it is small, and else a map.
fn mux_tree<'a>(root: Value<'a>) -> Option<Vec<(String, Value<'a>)>> {
    let mut out = Vec::new();
    let mut open = vec![root];
    for _ in 0..MAX_NODES {
        let Some(node) = open.pop() else { return Some(out) };
        if let Some(pattern) = node.field("pattern").and_then(|p| p.target()) {
            out.push((pattern.field("str")?.text()?, node.field("handler")?));
        }
        let mapping = node.field("children")?;
        let entries = mapping.field("s")?.elements()?.into_iter();
        let mut children: Vec<_> = entries.filter_map(|entry| entry.field("value")).collect();
        children.extend(mapping.field("m")?.entries()?.into_iter().map(|(_, child)| child));
        children.extend(["multiChild", "emptyChild"].iter().filter_map(|name| node.field(name)));
        open.extend(children.iter().filter_map(|child| child.target()));
    }
    None
}

/// gin has settings for what it looks up.
fn gin(engine: &Value<'_>) -> Option<Table> {
    let says = |name| engine.field(name).and_then(|f| f.number()) == Some(1);
    let lookup = if says("UseEscapedPath") {
        Lookup::Escaped
    } else if says("UseRawPath") {
        Lookup::Raw
    } else {
        Lookup::Decoded
    };
    let changes = Changes { cleaned: says("RemoveExtraSlash"), ..Changes::default() };
    let choice = Choice::Gin(Trees::read(engine)?);
    Some(Table { choice, lookup, changes, routes: Vec::new() })
}

/// `trees map[string]*node`; a route's path is that of all nodes that lead to it.
fn http_router(router: &Value<'_>) -> Option<Vec<Route>> {
    let mut out = Vec::new();
    for (method, root) in router.field("trees")?.entries()? {
        let method = method.text()?;
        walk(root, |node, path| {
            if node.field("handle").is_some_and(|h| h.address().is_some()) {
                push(&mut out, &method, path.to_owned());
            }
        })?;
    }
    Some(out)
}

/// Adds a route with colons, where it can be understood.
fn push(out: &mut Vec<Route>, method: &str, text: String) {
    let slash = if text.starts_with('/') { "" } else { "/" };
    if let Some(pattern) = Pattern::colons(&format!("{slash}{text}"))
        && out.len() < MAX_ROUTES
    {
        out.push(Route::new(method, text, pattern));
    }
}

/// Looks at the nodes of a tree, each with the paths of all that lead to it.
fn walk(root: Value<'_>, mut look: impl FnMut(&Value<'_>, &str)) -> Option<()> {
    let mut open = vec![(root, String::new())];
    for _ in 0..MAX_NODES {
        let Some((pointer, above)) = open.pop() else { return Some(()) };
        let Some(node) = pointer.target() else { continue };
        let path = above + &node.field("path")?.text()?;
        look(&node, &path);
        if path.len() <= MAX_TEXT {
            let children = node.field("children")?.elements()?;
            open.extend(children.into_iter().map(|child| (child, path.clone())));
        }
    }
    None
}

/// `router *Router`, later an interface; the router has a map or a slice of routes, and there may be
/// routers for single hosts.
fn echo(echo: &Value<'_>) -> Option<Vec<Route>> {
    let router = echo.field("router")?;
    let router = router.held().unwrap_or(router).target()?;
    let mut out = Vec::new();
    echo_routes(&router, None, &mut out)?;
    for (host, router) in echo.field("routers").and_then(|r| r.entries()).unwrap_or_default() {
        echo_routes(&router.target()?, host.text().as_deref(), &mut out)?;
    }
    Some(out)
}

fn echo_routes(router: &Value<'_>, host: Option<&str>, out: &mut Vec<Route>) -> Option<()> {
    let routes = router.field("routes")?;
    let routes = match routes.entries() {
        Some(entries) => entries.iter().filter_map(|(_, route)| route.target()).collect(),
        None => routes.elements()?,
    };
    for route in routes {
        let method = route.field("Method")?.text()?;
        let method = if method == "echo_route_any" { "" } else { &method };
        let before = out.len();
        push(out, method, route.field("Path")?.text()?);
        out.iter_mut().skip(before).for_each(|route| route.host = host.map(str::to_owned));
    }
    let of_host = |route: &Route| route.host.as_deref() == host;
    let all: Vec<_> = out.iter().filter(|r| of_host(r)).map(|r| without_names(&r.text)).collect();
    for route in out.iter_mut().filter(|route| of_host(route)) {
        // A last parameter below which there is no other route takes slashes, too.
        let text = without_names(&route.text);
        if !all.iter().any(|other| other.len() > text.len() && other.starts_with(&text)) {
            route.pattern.take_remainder();
        }
    }
    Some(())
}

/// A route with colons, without the names of its parameters.
fn without_names(text: &str) -> String {
    let mut out = String::new();
    let mut named = false;
    for char in text.chars() {
        named &= char != '/';
        if !named {
            out.push(char);
        }
        named |= char == ':';
    }
    out
}

/// What gorilla's expressions are for.
const GORILLA_PATH: u64 = 0;
const GORILLA_HOST: u64 = 1;
const GORILLA_PREFIX: u64 = 2;

/// `routes []*Route`, in the order in which they are tried; a router in it is one of the matchers.
fn gorilla(
    layout: &RouteLayout,
    router: &Value<'_>,
    depth: usize,
    out: &mut Vec<Route>,
) -> Option<()> {
    let depth = depth.checked_sub(1)?;
    for route in router.field("routes")?.elements()? {
        let route = route.target()?;
        let handled = route.field("handler")?.address().is_some();
        if route.field("buildOnly")?.number()? != 0 || out.len() >= MAX_ROUTES {
            continue;
        }
        let (mut found, sub) = gorilla_route(layout, &route)?;
        match sub {
            Some(sub) => gorilla(layout, &sub, depth, out)?,
            // It ends the search and answers that nothing was found.
            None if !handled => found.text.clear(),
            None => {}
        }
        if !matches!(&route.field("matchers"), Some(m) if has_router(layout, m)) {
            out.push(found);
        }
    }
    Some(())
}

fn has_router(layout: &RouteLayout, matchers: &Value<'_>) -> bool {
    let matchers = matchers.elements().unwrap_or_default();
    matchers.iter().any(|m| m.held().is_some_and(|m| is_gorilla(layout, &m)))
}

fn is_gorilla(layout: &RouteLayout, matcher: &Value<'_>) -> bool {
    let target = matcher.target();
    target.is_some_and(|t| layout.routers.contains(&(t.typ, Router::Gorilla)))
}

/// A route, and the router that it leads to.
fn gorilla_route<'a>(
    layout: &RouteLayout,
    route: &Value<'a>,
) -> Option<(Route, Option<Value<'a>>)> {
    let mut found = Route::new("", String::new(), Pattern::Everything);
    let mut sub = None;
    if let Some(path) = route.field("regexp")?.field("path")?.target() {
        found.text = path.field("template")?.text()?;
        let prefix = path.field("regexpType")?.number()? == GORILLA_PREFIX;
        let slash = path.field("options").and_then(|o| o.field("strictSlash"));
        let slash = slash.and_then(|s| s.number()) == Some(1) && found.text.ends_with('/');
        found.pattern = Pattern::expression(&found.text, prefix, slash)?;
    }
    for matcher in route.field("matchers")?.elements()? {
        let Some(matcher) = matcher.held() else {
            found.certain = false;
            continue;
        };
        if matcher.typ == layout.method_matcher {
            let methods = matcher.elements()?;
            found.methods = methods.iter().filter_map(|m| m.text()).collect();
        } else if is_gorilla(layout, &matcher) {
            sub = matcher.target();
        } else {
            gorilla_matcher(&matcher, &mut found);
        }
    }
    Some((found, sub))
}

/// What the others say: that of the path is known already, a host may be given.
fn gorilla_matcher(matcher: &Value<'_>, found: &mut Route) {
    let target = matcher.target();
    let field = |name: &str| target.as_ref().and_then(|t| t.field(name));
    let kind = field("regexpType").and_then(|kind| kind.number());
    let template = field("template").and_then(|text| text.text()).unwrap_or_default();
    match kind {
        Some(GORILLA_PATH | GORILLA_PREFIX) => {}
        Some(GORILLA_HOST) if !template.contains('{') => found.host = Some(template),
        _ => found.certain = false,
    }
}
