//! github.com/valyala/fasthttp's part of a plan, and that of fiber, which stands on it. A program with
//! fiber has the sites in fiber's own handler, where the route is known, so that a request costs two
//! traps there, too; of fasthttp's server itself then only those where a connection ends.

use gobin::{Function, Kind, Site, Type};
use wire::Probe;
use wire::raw::{Constant, NONE};

use super::Constants;
use crate::plan::{Ability, Context, Plan, Reason, net};

const PACKAGE: &str = "github.com/valyala/fasthttp";
/// What serves a connection, the newest first.
const SERVES: [&str; 2] = ["(*Server).serveConnCounted", "(*Server).serveConn"];
/// What it calls to write a response: one may be inlined into the other.
const WRITES: [&str; 3] = ["writeResponse", "(*Response).write", "(*Response).Write"];
/// What it defers, by the names that Go's versions give it.
const DEFERRED: [&str; 3] = ["deferwrap1", "func1", "func2"];

/// A version of fiber, and what differs between them.
struct Fiber {
    package: &'static str,
    handler: &'static str,
    /// The structure that its handlers get, behind an interface if `is_interface`.
    context: &'static str,
    is_interface: bool,
}

const FIBERS: [Fiber; 2] = [
    Fiber {
        package: "github.com/gofiber/fiber/v3",
        handler: "(*App).requestHandler",
        context: "DefaultCtx",
        is_interface: true,
    },
    Fiber {
        package: "github.com/gofiber/fiber/v2",
        handler: "(*App).handler",
        context: "Ctx",
        is_interface: false,
    },
];

fn own(name: &str) -> String {
    format!("{PACKAGE}.{name}")
}

pub(super) fn plan(context: &Context<'_, '_>, plan: &mut Plan) {
    let serve = SERVES.iter().map(|name| own(name)).find_map(|name| context.binary.function(&name));
    let Some(serve) = serve else { return };
    let found = match offsets(context) {
        Ok(found) => found,
        Err(field) => {
            return plan
                .miss(Ability::FastHttp, format!("field {field} of fasthttp was not found"));
        }
    };
    plan.own.fasthttp = found;
    let planned = match FIBERS.iter().find(|fiber| fiber.is_linked(context)) {
        Some(fiber) => plan_fiber(context, plan, fiber),
        None => plan_own(context, plan, &serve),
    };
    if let Err(why) = planned {
        return plan.miss(Ability::FastHttp, why);
    }
    plan_ends(context, plan, &serve);
    net::connections(context, plan);
    // Who starts the goroutines that serve one connection after the other.
    if let Some(starts) = context.binary.function(&own("(*workerPool).getCh")) {
        plan.own.fasthttp.workers = starts.entry.into();
        let size = starts.end.saturating_sub(starts.entry);
        plan.own.fasthttp.workers_size = u32::try_from(size).unwrap_or(0);
    } else if context.binary.function(&own("(*workerPool).workerFunc")).is_some() {
        let why = "goroutines that serve connections may pass for a request's: no site found";
        plan.miss(Ability::FastHttp, why);
    }
    plan.abilities.push(Ability::FastHttp);
}

fn plan_own(
    context: &Context<'_, '_>,
    plan: &mut Plan,
    serve: &Function<'_>,
) -> Result<(), Reason> {
    let binary = context.binary;
    let missing = || format!("no site found in {}", serve.name);
    let handler = context.types.offset(&own("Server"), &["Handler"]).ok_or_else(missing)?;
    let (start, slot) = binary.closure_call_site(serve, handler).ok_or_else(missing)?;
    let written = WRITES
        .iter()
        .find_map(|name| binary.branch_site(serve, Some(&binary.function(&own(name))?), 0));
    let finish = written.ok_or_else(missing)?;
    plan.own.fasthttp.ctx_slot = u16::try_from(slot).map_err(|_| missing())?;
    plan.add(Probe::FasthttpServerStart, serve.name, start, true);
    plan.add(Probe::FasthttpServerFinish, serve.name, finish, true);
    Ok(())
}

impl Fiber {
    fn own(&self, name: &str) -> String {
        format!("{}.{name}", self.package)
    }

    fn is_linked(&self, context: &Context<'_, '_>) -> bool {
        context.binary.function(&self.own(self.handler)).is_some()
    }
}

fn plan_fiber(context: &Context<'_, '_>, plan: &mut Plan, fiber: &Fiber) -> Result<(), Reason> {
    let (handler, release) = (fiber.own(fiber.handler), fiber.own("(*App).ReleaseCtx"));
    let start = context.entry(&handler)?;
    let (end, finish, closure) = fiber_end(context, &handler, release)?;
    let field = |of: &str, name| match context.offset(&fiber.own(of), &[name]) {
        NONE => Err(format!("field {of}.{name} of {} was not found", fiber.package)),
        found => Ok(found),
    };
    let found = &mut plan.own.fasthttp;
    found.fiber_route = field(fiber.context, "route")?;
    found.fiber_ctx = field(fiber.context, "fasthttp")?;
    found.route_path = field("Route", "Path")?;
    found.route_use = field("Route", "use")?;
    found.fiber_iface = fiber.is_interface.into();
    found.fiber_closure = closure.into();
    plan.add(Probe::FasthttpServerStart, &handler, start, true);
    plan.add(Probe::FasthttpServerFinish, &end, finish, true);
    Ok(())
}

/// Where fiber gives its context back: the function for that or, if it is inlined there, what is
/// deferred. Whether it is the latter comes along.
fn fiber_end(
    context: &Context<'_, '_>,
    handler: &str,
    release: String,
) -> Result<(String, Site, bool), Reason> {
    let binary = context.binary;
    let closures = DEFERRED.iter().map(|name| format!("{handler}.{name}"));
    let closure = closures.into_iter().find_map(|name| binary.function(&name));
    let inlined = closure.as_ref().filter(|closure| {
        let callee = binary.function(&release);
        callee.is_none_or(|callee| binary.call_site(closure, &callee).is_none())
    });
    match inlined {
        Some(closure) => Ok((closure.name.to_owned(), context.entry(closure.name)?, true)),
        None => Ok((release.clone(), context.entry(&release)?, false)),
    }
}

/// Where a connection ends, off the hot path: where it is taken over, and in what is deferred, also
/// when the handler panics.
fn plan_ends(context: &Context<'_, '_>, plan: &mut Plan, serve: &Function<'_>) {
    let binary = context.binary;
    // Assembly may have a wrapper of the same name.
    let table = binary.functions();
    let newproc = (0..table.len()).filter_map(|i| table.function(i));
    let mut newproc = newproc.filter(|function| function.name == "runtime.newproc");
    match newproc.find_map(|function| binary.call_site(serve, &function)) {
        Some(site) => plan.add(Probe::FasthttpServerHijack, serve.name, site, false),
        None => {
            let why = "connections that handlers take over: no site found";
            plan.miss(Ability::FastHttp, why);
        }
    }
    // The other closure of an older Go starts what takes a connection over.
    let hijacks = binary.function(&own("hijackConnHandler"));
    let deferred = DEFERRED.iter().filter_map(|name| {
        let function = binary.function(&format!("{}.{name}", serve.name))?;
        let hijacks = hijacks.is_some_and(|callee| binary.call_site(&function, &callee).is_some());
        if hijacks { None } else { Some((function.name, binary.early_site(&function)?)) }
    });
    match deferred.into_iter().next() {
        Some((name, site)) => plan.add(Probe::FasthttpConnClose, name, site, false),
        None => {
            let why = "requests whose handlers panic: no site found";
            plan.miss(Ability::FastHttp, why);
        }
    }
}

/// The offset of a field of a header. Until 1.5x the fields of each header are its own, later those of a structure
/// that both embed.
fn in_either(context: &Context<'_, '_>, outer: &str, field: &str) -> u16 {
    match context.offset(&own(outer), &[field]) {
        NONE => context.offset(&own(outer), &["header", field]),
        found => found,
    }
}

/// Offsets in a request's header of what is read of it in one piece: method, URI, protocol, host, user agent, length.
fn copied(context: &Context<'_, '_>) -> [u16; 6] {
    let in_header = |field| context.offset(&own("RequestHeader"), &[field]);
    let proto = match in_header("proto") {
        NONE => in_either(context, "RequestHeader", "protocol"),
        found => found,
    };
    [
        in_header("method"),
        in_header("requestURI"),
        proto,
        in_header("host"),
        in_header("userAgent"),
        in_either(context, "RequestHeader", "contentLength"),
    ]
}

/// Offsets in fasthttp's structures, or which field is not found.
fn offsets(context: &Context<'_, '_>) -> Result<Constants, String> {
    let in_ctx = |path: &[&str]| context.offset(&own("RequestCtx"), path);
    let request = in_ctx(&["Request", "Header"]);
    let response = |path: &[&str]| context.offset(&own("Response"), path);
    let response_header = response(&["Header"]);
    let length = in_either(context, "ResponseHeader", "contentLength");
    let copied = copied(context);
    let pair = |field| context.offset(&own("argsKV"), &[field]);
    let size = context.types.find_struct(&own("argsKV")).map_or(0, |typ| typ.size);
    let named = [
        (request, "RequestCtx.Request.Header"),
        (copied[0], "RequestHeader.method"),
        (copied[1], "RequestHeader.requestURI"),
        (in_ctx(&["connID"]), "RequestCtx.connID"),
        (in_ctx(&["connRequestNum"]), "RequestCtx.connRequestNum"),
        (in_ctx(&["Response"]), "RequestCtx.Response"),
        (response_header, "Response.Header"),
        (context.offset(&own("ResponseHeader"), &["statusCode"]), "ResponseHeader.statusCode"),
        (length, "ResponseHeader.contentLength"),
    ];
    if let Some((_, field)) = named.iter().find(|(offset, _)| *offset == NONE) {
        return Err((*field).to_owned());
    }
    // What is read in one piece, from the first of these to the last one's length.
    let known = || copied.iter().copied().filter(|offset| *offset != NONE);
    let (first, last) = (known().min().unwrap_or(0), known().max().unwrap_or(0));
    let [method, uri, proto, host, user_agent, content_length] =
        copied.map(|offset| if offset == NONE { NONE } else { offset - first });
    let behind = |outer: u16, inner: u16| if inner == NONE { NONE } else { outer + inner };
    Ok(Constants {
        conn_id: in_ctx(&["connID"]),
        conn_requests: in_ctx(&["connRequestNum"]),
        conn: in_ctx(&["c"]),
        tls: in_ctx(&["Request", "isTLS"]),
        timeout_response: in_ctx(&["timeoutResponse"]),
        response: in_ctx(&["Response"]),
        header: request + first,
        header_size: last - first + 16,
        method,
        uri,
        proto,
        host,
        user_agent,
        content_length,
        headers: behind(request, in_either(context, "RequestHeader", "h")),
        pair_size: u16::try_from(size).unwrap_or(0),
        pair_value: pair("value"),
        status: behind(response_header, context.offset(&own("ResponseHeader"), &["statusCode"])),
        response_length: behind(response_header, length),
        body_stream: response(&["bodyStream"]),
        body: response(&["body"]),
        body_raw: response(&["bodyRaw"]),
        // What counts connections by address wraps them.
        counted: context.pointer_to(&own("perIPConn")).into(),
        counted_tls: context.pointer_to(&own("perIPTLSConn")).into(),
        counted_conn: context.offset(&own("perIPConn"), &["Conn"]),
        counted_tls_conn: context.offset(&own("perIPTLSConn"), &["Conn"]),
        body_bytes: context.offset("github.com/valyala/bytebufferpool.ByteBuffer", &["B"]),
        ..Constants::ABSENT
    })
}

/// Where a context has the `RequestCtx` that it stands for, as fiber 3's has; `NONE` for that itself.
pub(crate) fn request_context(context: &Context<'_, '_>, typ: &Type<'_>) -> Option<u16> {
    let wanted = context.types.find_struct(&own("RequestCtx"))?;
    if typ.vaddr == wanted.vaddr {
        return Some(NONE);
    }
    u16::try_from(pointer_in(context, typ, wanted.vaddr, 3)?).ok()
}

/// Offset of a pointer to the struct `wanted` in a struct, or in what it embeds by value.
fn pointer_in(context: &Context<'_, '_>, typ: &Type<'_>, wanted: u64, depth: u8) -> Option<u64> {
    if typ.kind != Kind::Struct {
        return None;
    }
    context.types.fields(typ).iter().find_map(|field| {
        let inner = context.types.at(field.typ)?;
        match inner.kind {
            Kind::Pointer => {
                (context.types.pointee(&inner)?.vaddr == wanted).then_some(field.offset)
            }
            Kind::Struct if field.embedded && depth > 0 => {
                Some(field.offset + pointer_in(context, &inner, wanted, depth - 1)?)
            }
            _ => None,
        }
    })
}
