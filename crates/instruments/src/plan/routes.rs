//! Routes of requests that do not name theirs: which routers a binary has, and what the agent must
//! know of its types to read their tables from the process, from the `http.Server` on. The programs
//! only pass the address of the server on.

use std::sync::Arc;

use gobin::{Binary, Shapes, Type};
use wire::raw::{NONE, TELLS_PATHS};

use super::{Ability, Context, Plan};

/// More types of handlers than this are not looked into.
const MAX_HANDLERS: usize = 1024;

/// A router whose table can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Router {
    /// `http.ServeMux`. From Go 1.22 on requests name the pattern, behind which there may be another.
    ServeMux,
    /// github.com/gin-gonic/gin
    Gin,
    /// github.com/go-chi/chi
    Chi,
    /// github.com/gorilla/mux
    Gorilla,
    /// github.com/labstack/echo
    Echo,
    /// github.com/julienschmidt/httprouter
    HttpRouter,
}

/// A middleware that changes what a router looks up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rewriter {
    /// Takes a last slash off.
    StripSlashes,
    /// Removes what `path.Clean` removes.
    CleanPath,
    /// Takes what follows a dot off.
    UrlFormat,
    /// Looks HEAD up as GET where nothing takes it.
    GetHead,
    /// Something that depends on more than its name.
    Other,
    /// Leaves the path alone.
    Nothing,
}

impl Router {
    /// The name in output.
    pub(super) fn label(self) -> &'static str {
        match self {
            Router::ServeMux => "routes:servemux",
            Router::Gin => "routes:gin",
            Router::Chi => "routes:chi",
            Router::Gorilla => "routes:gorilla",
            Router::Echo => "routes:echo",
            Router::HttpRouter => "routes:httprouter",
        }
    }
}

/// Packages with a router, and the name of its type.
const ROUTERS: [(&str, &str, Router); 12] = [
    ("github.com/gin-gonic/gin", "Engine", Router::Gin),
    ("github.com/go-chi/chi", "Mux", Router::Chi),
    ("github.com/go-chi/chi/v2", "Mux", Router::Chi),
    ("github.com/go-chi/chi/v3", "Mux", Router::Chi),
    ("github.com/go-chi/chi/v4", "Mux", Router::Chi),
    ("github.com/go-chi/chi/v5", "Mux", Router::Chi),
    ("github.com/gorilla/mux", "Router", Router::Gorilla),
    ("github.com/labstack/echo", "Echo", Router::Echo),
    ("github.com/labstack/echo/v4", "Echo", Router::Echo),
    ("github.com/labstack/echo/v5", "Echo", Router::Echo),
    ("github.com/julienschmidt/httprouter", "Router", Router::HttpRouter),
    ("net/http", "ServeMux", Router::ServeMux),
];
/// chi's own middleware that changes what its router looks up, by the end of its name.
const REWRITERS: [(&str, Rewriter); 8] = [
    ("StripSlashes", Rewriter::StripSlashes),
    ("CleanPath", Rewriter::CleanPath),
    ("URLFormat", Rewriter::UrlFormat),
    ("GetHead", Rewriter::GetHead),
    ("StripPrefix.func1", Rewriter::Other),
    ("PathRewrite.func1", Rewriter::Other),
    ("PageRoute.func1", Rewriter::Other),
    ("Maybe.func1", Rewriter::Other),
];
const STD: &str = "net/http";
/// What a ServeMux consists of: until Go 1.21, and from then on.
const MUX: [&str; 3] = ["net/http.muxEntry", "net/http.routingNode", "net/http.pattern"];
const MUX_ENTRY: &str = "net/http.entry[";

/// How to read routes from a process. Addresses are those of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteLayout {
    /// Offset of `http.Server.Handler`.
    pub handler: u64,
    /// Address of the variable `http.DefaultServeMux`, 0 unknown.
    pub default_mux: u64,
    /// Type of `http.ServeMux`, 0 for none.
    pub mux: u64,
    /// Structs that are routers.
    pub routers: Vec<(u64, Router)>,
    /// Types with a method `ServeHTTP`.
    pub handlers: Vec<u64>,
    /// Code of middleware, and what it does to paths. What is not among it does what the one at 0 does; nothing
    /// where there is no such.
    pub rewriters: Vec<(u64, Rewriter)>,
    /// The type of gorilla's matchers of methods, 0 for none.
    pub method_matcher: u64,
    /// How these lie in memory, and what of them leads to a table.
    pub shapes: Shapes,
}

/// What a pointer points to; other types are themselves.
fn behind<'d>(context: &Context<'_, 'd>, typ: &Type<'d>) -> Type<'d> {
    context.types.pointee(typ).unwrap_or(*typ)
}

/// A type, and what it points to.
fn both<'d>(context: &Context<'_, 'd>, typ: &Type<'d>) -> [u64; 2] {
    [typ.vaddr, behind(context, typ).vaddr]
}

pub(super) fn plan(context: &Context<'_, '_>, plan: &mut Plan) {
    let handler = context.offset("net/http.Server", &["Handler"]);
    if handler == NONE || !plan.abilities.contains(&Ability::HttpServer) {
        return;
    }
    let request = &plan.constants.requests[0];
    // A module that asks for an older Go gets the old ServeMux from a newer one.
    let settings = context.binary.build_info().setting("DefaultGODEBUG").unwrap_or_default();
    plan.constants.url_path = context.offset(super::http::URL, &["Path"]);
    plan.constants.url_raw_path = context.offset(super::http::URL, &["RawPath"]);
    let named = (request.pattern != NONE || request.pat != NONE)
        && !settings.split(',').any(|setting| setting == "httpmuxgo121=1");
    let found: Vec<_> = ROUTERS
        .iter()
        .filter_map(|(package, name, router)| {
            // The linker leaves out what no handler can lead to.
            context.binary.function(&format!("{package}.(*{name}).ServeHTTP"))?;
            let typ = context.types.find_struct(&format!("{package}.{name}"))?;
            Some((*package, typ.vaddr, *router))
        })
        .collect();
    // Alone it names its patterns itself, but not to a copy of the request that something passed on.
    if found.iter().any(|(.., router)| !named || *router != Router::ServeMux) {
        plan.constants.tells |= TELLS_PATHS;
    }
    for (.., router) in &found {
        // A ServeMux is in every program, and nothing new.
        let ability = Ability::Routes(*router);
        if *router != Router::ServeMux && !plan.abilities.contains(&ability) {
            plan.abilities.push(ability);
        }
    }
    plan.routes = Some(Arc::new(layout(context, handler.into(), &found)));
}

/// Middleware that changes what chi's router looks up: of chi, and what sets `RoutePath` or `RouteMethod` itself.
fn rewriters(context: &Context<'_, '_>, chi: &str) -> Vec<(u64, Rewriter)> {
    let binary = context.binary;
    let mut found = Vec::new();
    for (name, rewriter) in REWRITERS {
        let function = binary.function(&format!("{chi}/middleware.{name}"));
        found.extend(function.map(|function| (function.entry, rewriter)));
    }
    let name = format!("{chi}.Context");
    let Some(typ) = context.types.find_struct(&name) else { return found };
    let texts = ["RoutePath", "RouteMethod"].map(|field| context.types.offset(&name, &[field]));
    let fields: Vec<u64> =
        texts.iter().flatten().flat_map(|at| [*at, at.wrapping_add(8)]).collect();
    let mut types = vec![typ.vaddr];
    types.extend(context.types.pointer_to(&typ).map(|pointer| pointer.vaddr));
    let sources = ["RouteContext", "NewRouteContext"];
    let sources = sources.map(|name| binary.function(&format!("{chi}.{name}")));
    let sources: Vec<_> = sources.into_iter().flatten().collect();
    let its_own = [format!("{chi}."), format!("{chi}/middleware.")];
    let counts = |name: &str| {
        is_of_a_module(binary, name) && !its_own.iter().any(|prefix| name.starts_with(prefix))
    };
    if !binary.assigners(&types, &sources, &fields, counts).is_empty() {
        // Which middleware leads there can't be known: it may be a closure, a method, or several in one.
        let known = |name: &str| name.starts_with(&its_own[1]);
        let known = binary.functions().functions().filter(|function| known(function.name));
        found.extend(known.map(|function| (function.entry, Rewriter::Nothing)));
        found.push((0, Rewriter::Other));
    }
    found
}

/// Whether a function is of the program's own module or of one that it requires, and not of Go itself.
fn is_of_a_module(binary: &Binary<'_>, function: &str) -> bool {
    let (first, rest) = function.split_once('/').unwrap_or((function, ""));
    let own = binary.build_info().main.as_ref().map(|main| main.path).unwrap_or_default();
    function.starts_with("main.")
        || (!rest.is_empty() && first.contains('.'))
        || (!own.is_empty() && function.starts_with(own))
}

/// What must be known where these routers are: package, type and which one it is.
fn layout(
    context: &Context<'_, '_>,
    handler: u64,
    found: &[(&'static str, u64, Router)],
) -> RouteLayout {
    let is_router = |package: &str| found.iter().any(|(p, ..)| *p == package && *p != STD);
    let handlers = context.types.with_methods(&["ServeHTTP"]);
    let handlers: Vec<_> = handlers.iter().take(MAX_HANDLERS).collect();
    // What their interfaces hold: gorilla's matchers, and the router of newer echo.
    let in_use = |router: Router| found.iter().any(|(.., r)| *r == router);
    let held = [(Router::Gorilla, &["Match"][..]), (Router::Echo, &["Route", "Routes"])];
    let held: Vec<_> = held
        .into_iter()
        .filter(|(router, _)| in_use(*router))
        .flat_map(|(_, methods)| context.types.with_methods(methods))
        .filter(|typ| context.types.package(&behind(context, typ)).is_some_and(is_router))
        .collect();
    let mut roots: Vec<u64> = handlers.iter().flat_map(|typ| both(context, typ)).collect();
    roots.extend(held.iter().flat_map(|typ| both(context, typ)));
    roots.extend(found.iter().map(|(_, vaddr, _)| *vaddr));
    let mux = found.iter().find(|(.., router)| *router == Router::ServeMux);
    if mux.is_some() {
        let names = |name: &str| MUX.contains(&name) || name.starts_with(MUX_ENTRY);
        let structs = context.types.structs().filter(|(name, _)| names(name));
        roots.extend(structs.map(|(_, typ)| typ.vaddr));
    }
    let default_mux =
        mux.and_then(|_| context.binary.variable("net/http.DefaultServeMux", super::http::SERVE));
    let chi = found.iter().filter(|(.., router)| *router == Router::Chi);
    let rewriters = chi.flat_map(|(package, ..)| rewriters(context, package));
    let matcher = held.iter().find(|typ| typ.name == "mux.methodMatcher");
    RouteLayout {
        handler,
        default_mux: default_mux.unwrap_or(0),
        mux: mux.map_or(0, |(_, vaddr, _)| *vaddr),
        routers: found.iter().map(|(_, vaddr, router)| (*vaddr, *router)).collect(),
        handlers: handlers.iter().map(|typ| typ.vaddr).collect(),
        rewriters: rewriters.collect(),
        method_matcher: matcher.map_or(0, |typ| typ.vaddr),
        shapes: context.types.shapes(&roots, is_router),
    }
}
