//! google.golang.org/grpc's part of a plan, from 1.33 on. What moved between its versions is data
//! here: names of functions, of structures and of fields.

use gobin::{GoMinor, Type};
use wire::Probe;
use wire::raw::{self, NONE, TypeRole};

use crate::plan::{Ability, Context, Plan, maps, net, types};

const HANDLE: &str = "google.golang.org/grpc.(*Server).handleStream";
const FINISH: &str = "google.golang.org/grpc.(*csAttempt).finish";
/// Where an attempt starts, the newer one first, and whether its receiver is the attempt.
const STARTS: [(&str, bool); 2] = [
    ("google.golang.org/grpc.(*csAttempt).getTransport", true),
    ("google.golang.org/grpc.(*clientStream).newAttemptLocked", false),
];
/// Where a transport is given a call's status: from 1.69 on without a capital.
const STATUS: [&str; 2] = ["writeStatus", "WriteStatus"];

const WORKERS: &str = "NumStreamWorkers";
const SERVER: &str = "google.golang.org/grpc.Server";
const CALL: &str = "google.golang.org/grpc.clientStream";
const ATTEMPT: &str = "google.golang.org/grpc.csAttempt";
const CONN: &str = "google.golang.org/grpc.ClientConn";
const TRANSPORT: &str = "google.golang.org/grpc/internal/transport";
const SERVER_STREAM: &str = "google.golang.org/grpc/internal/transport.ServerStream";
const STREAM: &str = "google.golang.org/grpc/internal/transport.Stream";
const STATUS_ERROR: &str = "google.golang.org/grpc/internal/status.Error";
const STATUS_PROTO: &str = "google.golang.org/genproto/googleapis/rpc/status.Status";
const NO_ADDRESS: &str = "a field of gRPC was not found";
const METADATA: &str = "google.golang.org/grpc/metadata.rawMD";
const VALUE: &str = "context.valueCtx";

pub(super) fn plan(context: &Context<'_, '_>, plan: &mut Plan) {
    let linked = |name| context.binary.function(name).is_some();
    let (serves, calls) = (linked(HANDLE), linked(FINISH));
    if serves || calls {
        common(context, plan);
    }
    if serves {
        plan_server(context, plan);
    }
    if calls {
        plan_client(context, plan);
    }
}

/// Its error, which leads to the message of its status.
pub(super) fn error(
    context: &Context<'_, '_>,
    typ: &Type<'_>,
    target: &Type<'_>,
) -> Option<raw::Type> {
    let pointers =
        (typ.name == "*status.Error").then(|| pointers_to_message(context, target))??;
    types::role(TypeRole::GrpcStatus, pointers, 0)
}

/// How many pointers lead from the structure behind gRPC's own error to the message that has the code:
/// none up to 1.32, one up to 1.39, two since. `None` for the other structures that are called so, and
/// where no message is found.
fn pointers_to_message(context: &Context<'_, '_>, typ: &Type<'_>) -> Option<u64> {
    const MOST: u64 = 2;
    let error = context.types.find_struct(STATUS_ERROR)?;
    if error.vaddr != typ.vaddr {
        return None;
    }
    let mut at = error;
    for pointers in 0..=MOST {
        let fields = context.types.fields(&at);
        if fields.iter().any(|field| field.name == "Code") {
            return Some(pointers);
        }
        let [only] = fields.as_slice() else { return None };
        at = context.types.pointee(&context.types.at(only.typ)?)?;
    }
    None
}

/// Whether codes can be read of the errors that calls return.
fn reads_errors(context: &Context<'_, '_>) -> bool {
    let error = context.types.find_struct(STATUS_ERROR);
    error.is_some_and(|error| pointers_to_message(context, &error).is_some())
}

/// What both sides need.
fn common(context: &Context<'_, '_>, plan: &mut Plan) {
    let grpc = &mut plan.own.grpc;
    grpc.status_code = context.offset(STATUS_PROTO, &["Code"]);
    grpc.status_message = context.offset(STATUS_PROTO, &["Message"]);
    net::addresses(context, plan);
}

/// Whether servers of the program may have workers: only by an option, whose closure is linked in
/// then. Since Go 1.21 its name tells also where it was inlined.
fn may_have_workers(context: &Context<'_, '_>) -> bool {
    context.binary.minor() < GoMinor(21)
        || context.binary.functions().functions().any(|function| function.name.contains(WORKERS))
}

fn plan_server(context: &Context<'_, '_>, plan: &mut Plan) {
    let status = |receiver: &str| {
        let names = STATUS.map(|name| format!("{TRANSPORT}.(*{receiver}).{name}"));
        names.into_iter().find_map(|name| context.entry(&name).ok().map(|site| (name, site)))
    };
    let (Ok(start), Some((end, site))) = (context.entry(HANDLE), status("http2Server")) else {
        return plan.miss(Ability::GrpcServer, format!("no site found for {HANDLE} or its end"));
    };
    let stream = |field: &'static str| {
        context.offset_of(&[(SERVER_STREAM, &["Stream", field]), (STREAM, &[field])])
    };
    // From 1.69 to 1.76 a pointer, and not the structure itself.
    let inner = || match context.offset(SERVER_STREAM, &["Stream", "method"]) {
        NONE => context.offset(SERVER_STREAM, &["Stream"]),
        _ => NONE,
    };
    let transport = |new: &'static str, old: &'static str| {
        let name = format!("{TRANSPORT}.http2Server");
        context.offset_of(&[(&name, &["peer", new]), (&name, &[old])])
    };
    let grpc = &mut plan.own.grpc;
    if may_have_workers(context) {
        grpc.server_workers = context.offset(SERVER, &["opts", "numServerWorkers"]);
    }
    grpc.stream_inner = inner();
    grpc.stream_method = stream("method");
    grpc.stream_ctx = stream("ctx");
    grpc.stream_state = stream("state");
    grpc.transport_peer = transport("Addr", "remoteAddr");
    grpc.transport_local = transport("LocalAddr", "localAddr");
    grpc.server_number = context.offset(&format!("{TRANSPORT}.http2Server"), &["connectionID"]);
    let module = context.binary.module();
    if let Ok(size) = u32::try_from(module.edata.saturating_sub(module.data)) {
        (grpc.data, grpc.data_size) = (module.data.into(), size);
    }
    let key = context.types.find_struct("google.golang.org/grpc/metadata.mdIncomingKey");
    grpc.incoming_key = key.map_or(0, |typ| typ.vaddr).into();
    let needed = [
        (grpc.stream_method, "Stream.method"),
        (grpc.stream_ctx, "Stream.ctx"),
        (grpc.status_code, "Status.Code"),
    ];
    if let Some((_, field)) = needed.iter().find(|(offset, _)| *offset == NONE) {
        return plan.miss(Ability::GrpcServer, format!("field {field} of gRPC was not found"));
    }
    // The program reads all of it at once.
    if ["key", "val"].map(|field| context.offset(VALUE, &[field])) != [16, 32] {
        return plan.miss(Ability::GrpcServer, format!("{VALUE} is laid out in an unknown way"));
    }
    if grpc.transport_peer == NONE {
        plan.miss(Ability::GrpcServer, format!("addresses of peers: {NO_ADDRESS}"));
    }
    plan.add(Probe::GrpcServerStart, HANDLE, start, true);
    plan.add(Probe::GrpcServerStatus, &end, site, true);
    if let Some((end, site)) = status("serverHandlerTransport") {
        let name = format!("{TRANSPORT}.serverHandlerTransport");
        plan.own.grpc.handler_transport = context.pointer_to(&name).into();
        plan.add(Probe::GrpcHandlerStatus, &end, site, true);
    }
    maps::tell(plan, Ability::GrpcServer);
    plan.abilities.push(Ability::GrpcServer);
}

fn plan_client(context: &Context<'_, '_>, plan: &mut Plan) {
    let start = STARTS
        .iter()
        .find_map(|(name, attempt)| context.entry(name).ok().map(|site| (*name, site, *attempt)));
    let (Some((name, start, starts_attempt)), Ok(end)) = (start, context.entry(FINISH)) else {
        return plan.miss(Ability::GrpcClient, "no site found where gRPC's attempts start and end");
    };
    let attempt = |new: &'static str, old: &'static str| {
        context.offset_of(&[(ATTEMPT, &[new]), (ATTEMPT, &[old])])
    };
    let grpc = &mut plan.own.grpc;
    grpc.starts_attempt = starts_attempt.into();
    grpc.attempt_call = context.offset(ATTEMPT, &["cs"]);
    grpc.attempt_transport = attempt("transport", "t");
    grpc.attempt_stream = attempt("transportStream", "s");
    grpc.attempt_ctx = context.offset(ATTEMPT, &["ctx"]);
    // The program reads both at once. Without them calls stay in gotap's traces.
    if ["md", "added"].map(|field| context.offset(METADATA, &[field])) == [0, 8] {
        let key = context.types.find_struct("google.golang.org/grpc/metadata.mdOutgoingKey");
        grpc.outgoing_key = key.map_or(0, |typ| typ.vaddr).into();
    }
    grpc.attempt_transparent = context.offset(ATTEMPT, &["allowTransparentRetry"]);
    grpc.call_ctx = context.offset(CALL, &["ctx"]);
    grpc.call_hdr = context.offset(CALL, &["callHdr"]);
    grpc.call_cc = context.offset(CALL, &["cc"]);
    grpc.call_finished = context.offset(CALL, &["finished"]);
    grpc.hdr_method = context.offset(&format!("{TRANSPORT}.CallHdr"), &["Method"]);
    grpc.cc_target = context.offset(CONN, &["target"]);
    grpc.client_peer = context.offset(&format!("{TRANSPORT}.http2Client"), &["remoteAddr"]);
    grpc.client_number = context.offset(&format!("{TRANSPORT}.http2Client"), &["connectionID"]);
    let needed = [
        (grpc.attempt_call, "csAttempt.cs"),
        (grpc.attempt_transport, "csAttempt.transport"),
        (grpc.attempt_stream, "csAttempt.transportStream"),
        (grpc.call_ctx, "clientStream.ctx"),
        (grpc.call_hdr, "clientStream.callHdr"),
        (grpc.call_finished, "clientStream.finished"),
        (grpc.hdr_method, "CallHdr.Method"),
        (grpc.status_code, "Status.Code"),
    ];
    if let Some((_, field)) = needed.iter().find(|(offset, _)| *offset == NONE) {
        return plan.miss(Ability::GrpcClient, format!("field {field} of gRPC was not found"));
    }
    // Without them each call that fails would look like one that did not.
    if !reads_errors(context) {
        return plan.miss(Ability::GrpcClient, "codes of this gRPC's errors can't be read");
    }
    let addresses =
        [(grpc.cc_target, "addresses that are dialled"), (grpc.client_peer, "addresses of peers")];
    if !grpc.outgoing_key.is_known() {
        plan.miss(Ability::GrpcClient, format!("traces that metadata tells: {NO_ADDRESS}"));
    }
    for (_, what) in addresses.iter().filter(|(offset, _)| *offset == NONE) {
        plan.miss(Ability::GrpcClient, format!("{what}: {NO_ADDRESS}"));
    }
    plan.add(Probe::GrpcClientStart, name, start, true);
    plan.add(Probe::GrpcClientFinish, FINISH, end, true);
    plan.abilities.push(Ability::GrpcClient);
}
