//! What joins both ends of a call between observed processes of a host: where a call has its connection, a
//! trap of its own for each call that is made; and what leads from a request, served or made, to its socket.
//!
//! Not here: how connections are told from each other and what is noted of them (`bpf/join.h`).

use gobin::{Function, GoMinor, Kind, SiteKind, Type};
use wire::Probe;
use wire::raw::{Http2Join, NONE, TypeRole};

use super::http::{ROUND_TRIP, SEND};
use super::http2::{STD, XNET};
use super::types::{behind, role};
use super::{Ability, Context, Plan, http2};

/// Methods that tell a connection.
const CONN_METHODS: [&str; 4] = ["LocalAddr", "RemoteAddr", "SetReadDeadline", "Write"];
const GRPC: &str = "google.golang.org/grpc/internal/transport";
/// What gives a stream its place among those of its connection.
const ASSIGN: &str = "runtime.mapassign_fast32";

pub(super) fn plan(context: &Context<'_, '_>, plan: &mut Plan) {
    if context.options.no_connection_join || (plan.has_sdk && context.options.leaves_sdk_traces) {
        return;
    }
    plan_types(context, plan);
    served(context, plan);
    let before = plan.sites.len();
    if plan.abilities.contains(&Ability::HttpClient) {
        plan_http(context, plan);
    }
    if plan.abilities.contains(&Ability::Http2Client) {
        plan_http2(context, plan);
    }
    if plan.abilities.contains(&Ability::GrpcClient) {
        plan_grpc(context, plan);
    }
    if plan.sites.len() > before {
        plan.abilities.push(Ability::Join);
    }
}

/// Types of connections, from the outermost to that of package net.
fn plan_types(context: &Context<'_, '_>, plan: &mut Plan) {
    let fd = context.types.offset("net.conn", &["fd"]);
    let sysfd = context.types.offset("net.netFD", &["pfd", "Sysfd"]);
    let Some((fd, sysfd)) = fd.zip(sysfd) else { return };
    for name in ["net.TCPConn", "net.conn"] {
        let typ = context.pointer_to(name);
        plan.types.extend(role(TypeRole::Conn, fd, sysfd).filter(|_| typ != 0).map(|r| (typ, r)));
    }
    for typ in context.types.with_methods(&CONN_METHODS) {
        let known = plan.types.iter().any(|(vaddr, _)| *vaddr == typ.vaddr);
        let inner = inner_conn(context, &typ).filter(|_| !known);
        plan.types
            .extend(inner.and_then(|at| role(TypeRole::ConnVia, at, 0)).map(|r| (typ.vaddr, r)));
    }
}

/// Where a structure behind a pointer holds the connection that it stands for: what it embeds, else the only
/// one of its fields.
fn inner_conn<'d>(context: &Context<'_, 'd>, typ: &Type<'d>) -> Option<u64> {
    let target = behind(context, typ);
    if target.vaddr == typ.vaddr {
        return None;
    }
    let is_conn = |typ: u64| {
        context.types.at(typ).is_some_and(|t| t.kind == Kind::Interface && t.name == "net.Conn")
    };
    let fields = context.types.fields(&target);
    let found: Vec<_> = fields.iter().filter(|field| is_conn(field.typ)).collect();
    match found.as_slice() {
        [only] => Some(only.offset),
        several => several.iter().find(|field| field.embedded).map(|field| field.offset),
    }
}

/// What leads from requests that are served to their connections.
fn served(context: &Context<'_, '_>, plan: &mut Plan) {
    let join = &mut plan.constants.join;
    join.response_conn = context.offset("net/http.response", &["conn"]);
    join.conn_rwc = context.offset("net/http.conn", &["rwc"]);
    if join.conn_rwc == NONE {
        join.response_conn = NONE;
    }
    let own = STD.iter().find(|copy| http2::is_linked(context, copy));
    for (index, copy) in [own, Some(&XNET)].into_iter().enumerate() {
        let Some(copy) = copy else { continue };
        let field = |typ, name| context.offset(&copy.type_name(typ), &[name]);
        let ids = (field("stream", "sc"), field("stream", "id"), field("serverConn", "conn"));
        if let (stream_conn, stream_id, server_conn) = ids
            && ![stream_conn, stream_id, server_conn].contains(&NONE)
        {
            join.http2[index] =
                Http2Join { stream_conn, stream_id, server_conn, ..join.http2[index] };
        }
    }
    let stream = [
        (format!("{GRPC}.ServerStream"), &["Stream", "id"][..]),
        (format!("{GRPC}.Stream"), &["id"]),
    ];
    let ids = stream.map(|(name, path)| context.offset(&name, path));
    join.grpc_stream_id = ids.into_iter().find(|offset| *offset != NONE).unwrap_or(NONE);
    if join.grpc_stream_id != NONE {
        join.grpc_server_conn = context.offset(&format!("{GRPC}.http2Server"), &["conn"]);
    }
}

fn plan_http(context: &Context<'_, '_>, plan: &mut Plan) {
    let function = |name| context.binary.function(name);
    let site = function(ROUND_TRIP)
        .zip(function(SEND))
        .and_then(|(caller, send)| context.binary.call_site(&caller, &send));
    let conn = context.offset("net/http.persistConn", &["conn"]);
    match site.filter(|_| conn != NONE) {
        Some(site) => {
            plan.constants.join.persist_conn = conn;
            plan.add(Probe::HttpClientJoin, ROUND_TRIP, site, true);
        }
        None => plan.miss(Ability::Join, format!("HTTP/1: no site found in {ROUND_TRIP}")),
    }
}

/// HTTP/2 writes on a goroutine that it starts for each call: who started it is known since Go 1.21.
fn plan_http2(context: &Context<'_, '_>, plan: &mut Plan) {
    let own = STD.iter().find(|copy| context.binary.function(&write_headers(copy)).is_some());
    let copies = [(own, Probe::Http2ClientJoin, 0), (Some(&XNET), Probe::XnetClientJoin, 1)];
    for (copy, probe, index) in copies {
        let Some(copy) = copy else { continue };
        let function = write_headers(copy);
        let Ok(site) = context.entry(&function) else { continue };
        if context.binary.minor() < GoMinor(21) {
            plan.miss(Ability::Join, "HTTP/2 before Go 1.21: whose call a stream is can't be read");
            return;
        }
        let field = |typ, name| context.offset(&copy.type_name(typ), &[name]);
        let stream = |name| field("clientStream", name);
        let found = Http2Join {
            call_conn: stream("cc"),
            call_ctx: stream("ctx"),
            call_id: stream("ID"),
            client_conn: field("ClientConn", "tconn"),
            ..plan.constants.join.http2[index]
        };
        if [found.call_conn, found.call_ctx, found.call_id, found.client_conn].contains(&NONE) {
            plan.miss(Ability::Join, format!("HTTP/2: a field of {} was not found", copy.package));
            continue;
        }
        plan.constants.join.http2[index] = found;
        plan.add(probe, &function, site, true);
    }
}

fn write_headers(copy: &http2::Copy) -> String {
    copy.method("clientStream", "encodeAndWriteHeaders")
}

/// Where a stream gets its id, on the caller's goroutine, since gRPC 1.49.
fn plan_grpc(context: &Context<'_, '_>, plan: &mut Plan) {
    let prefix = format!("{GRPC}.(*http2Client).NewStream.func");
    let Some(assign) = context.binary.function(ASSIGN) else {
        return plan.miss(Ability::Join, format!("gRPC: {ASSIGN} is not there"));
    };
    let closures = context.binary.functions().functions();
    let sites: Vec<(Function<'_>, gobin::Site)> = closures
        .filter(|function| function.name.starts_with(&prefix))
        .flat_map(|f| context.binary.call_sites(&f, &assign).into_iter().map(move |s| (f, s)))
        .collect();
    let conn = context.offset(&format!("{GRPC}.http2Client"), &["conn"]);
    match sites.as_slice() {
        [(function, site)]
            if conn != NONE && plan.own.grpc.starts_attempt != 0 && site.kind == SiteKind::Call =>
        {
            plan.constants.join.grpc_client_conn = conn;
            let name = function.name.to_owned();
            plan.add(Probe::GrpcClientJoin, &name, *site, true);
        }
        _ => {
            plan.miss(Ability::Join, "gRPC before 1.49: where a call gets its stream is not known")
        }
    }
}
