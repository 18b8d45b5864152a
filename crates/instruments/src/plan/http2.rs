//! HTTP/2's part of a plan: net/http's own implementation, which has moved in Go 1.27, and that of
//! `golang.org/x/net/http2`; a binary may hold a copy of it besides.
//!
//! Starts that HTTP/1 has, too, are in `http`.

use wire::Probe;
use wire::raw;

use super::http::{ROUND_TRIP, SERVE, called_offsets, request_fields, served_offsets, slot};
use super::{Ability, Context, Plan, maps};

/// Where an implementation lies: what stands before a method's receiver, and before a type.
pub(super) struct Copy {
    pub(super) package: &'static str,
    /// net/http's bundled copy has all names with this ahead.
    prefix: &'static str,
}

/// The package that is net/http's own implementation since Go 1.27. It has requests of its own: the one that
/// a handler gets is made from it and kept by nobody.
const INTERNAL: &str = "net/http/internal/http2";

/// net/http's own: bundled until Go 1.26, a package since.
pub(super) const STD: [Copy; 2] =
    [Copy { package: INTERNAL, prefix: "" }, Copy { package: "net/http", prefix: "http2" }];
pub(super) const XNET: Copy = Copy { package: "golang.org/x/net/http2", prefix: "" };

/// In x/net's transport, from the newest: what makes a request, and what it calls for each attempt.
const XNET_CALLS: [(&str, &str); 4] = [
    ("(*Transport).roundTripViaPool", "(*ClientConn).RoundTrip"),
    ("(*Transport).roundTripViaPool", "(*ClientConn).roundTrip"),
    ("(*Transport).RoundTripOpt", "(*ClientConn).roundTrip"),
    ("(*Transport).RoundTripOpt", "(*ClientConn).RoundTrip"),
];

/// What its transport has where it is x/net's own and not a wrapper of net/http's.
const XNET_READS: &str = "(*clientConnReadLoop).run";

impl Copy {
    pub(super) fn method(&self, receiver: &str, method: &str) -> String {
        format!("{}.(*{}{receiver}).{method}", self.package, self.prefix)
    }

    pub(super) fn type_name(&self, name: &str) -> String {
        format!("{}.{}{name}", self.package, self.prefix)
    }
}

pub(super) fn plan(context: &Context<'_, '_>, plan: &mut Plan) {
    plan_servers(context, plan);
    let through_http = plan.abilities.contains(&Ability::HttpClient);
    if through_http {
        plan_client(context, plan);
    }
    plan_direct_client(context, plan, through_http);
}

/// Both implementations; x/net's may serve without net/http's server.
fn plan_servers(context: &Context<'_, '_>, plan: &mut Plan) {
    let own = STD.iter().find(|copy| is_linked(context, copy));
    let served = plan.abilities.contains(&Ability::HttpServer);
    let gives = own.is_some_and(|copy| gives_handlers(context, copy));
    let has_own = is_linked(context, &XNET);
    if !served && (has_own || gives) {
        if let Err(why) = served_offsets(context, plan) {
            return plan.miss(Ability::Http2Server, why);
        }
        maps::tell(plan, Ability::Http2Server);
    }
    let mut serves = false;
    if let Some(copy) = own
        && (served || gives)
    {
        let probes = [Probe::Http2ServerFinish, Probe::Http2ServerPanic];
        serves |= plan_server(context, plan, copy, 0, probes);
        if copy.package == INTERNAL {
            plan.constants.tells |= raw::FREES_REQUESTS;
        }
        if gives {
            plan_given_handlers(context, plan, copy);
        }
    }
    if has_own {
        let probes = [Probe::XnetServerFinish, Probe::XnetServerPanic];
        if let Ok(start) = context.entry(&XNET.method("serverConn", "runHandler"))
            && plan_server(context, plan, &XNET, 1, probes)
        {
            let function = XNET.method("serverConn", "runHandler");
            plan.add(Probe::XnetServerStart, &function, start, true);
            serves = true;
        }
    }
    if serves {
        plan.abilities.push(Ability::Http2Server);
    } else if has_own || gives {
        plan.miss(Ability::Http2Server, format!("no site found in {}", XNET.package));
    } else if context.binary.function(SERVE).is_some() {
        plan.lacks(Ability::Http2Server, "no HTTP/2 server is linked in");
    }
}

pub(super) fn is_linked(context: &Context<'_, '_>, copy: &Copy) -> bool {
    context.binary.function(&copy.method("responseWriter", "handlerDone")).is_some()
}

/// Plans the ends; gives whether requests of this copy will be seen.
fn plan_server(
    context: &Context<'_, '_>,
    plan: &mut Plan,
    copy: &Copy,
    index: usize,
    [finish, panic]: [Probe; 2],
) -> bool {
    let state = |field| context.offset(&copy.type_name("responseWriterState"), &[field]);
    let offsets = raw::Http2 {
        rws: context.offset(&copy.type_name("responseWriter"), &["rws"]),
        status: state("status"),
        written: state("wroteBytes"),
        stream: state("stream"),
        close_err: context.offset(&copy.type_name("stream"), &["closeErr"]),
        stream_state: context.offset(&copy.type_name("stream"), &["state"]),
        pad: [0; 2],
    };
    let done = copy.method("responseWriter", "handlerDone");
    let Ok(site) = context.entry(&done) else { return false };
    if offsets.rws == raw::NONE || offsets.status == raw::NONE {
        return false;
    }
    plan.constants.http2[index] = offsets;
    plan.add(finish, &done, site, true);
    // Only a handler that panicked gets there.
    let closure = copy.method("serverConn", "runHandler.func1");
    let recovers = context
        .binary
        .function(&closure)
        .zip(context.binary.function("runtime.gorecover"))
        .and_then(|(closure, recover)| context.binary.call_site(&closure, &recover));
    if let Some(site) = recovers {
        plan.add(panic, &closure, site, false);
    }
    true
}

/// Whether x/net hands its handlers to net/http's HTTP/2, as since Go 1.27, where they begin without
/// `serverHandler`.
fn gives_handlers(context: &Context<'_, '_>, copy: &Copy) -> bool {
    // The exported one may have been inlined.
    let wrapped = ["ServeConn", "serveConn"]
        .iter()
        .any(|name| context.binary.function(&XNET.method("Server", name)).is_some());
    copy.prefix.is_empty() && !is_linked(context, &XNET) && wrapped
}

/// Only programs with that wrapper need this trap.
fn plan_given_handlers(context: &Context<'_, '_>, plan: &mut Plan, copy: &Copy) {
    let start = copy.method("serverConn", "runHandler");
    let name = copy.type_name("ServerRequest");
    plan.constants.requests[1] = request_fields(context, &name, "Context");
    match context.entry(&start) {
        Ok(site) if plan.constants.requests[1].method != raw::NONE => {
            plan.add(Probe::Http2StreamStart, &start, site, true);
        }
        _ => plan.miss(Ability::Http2Server, format!("streams of {}: no site found", XNET.package)),
    }
}

/// Calls through net/http end where those of HTTP/1 do, or after the alternate round tripper.
fn plan_client(context: &Context<'_, '_>, plan: &mut Plan) {
    const ALTERNATE: &str = "net/http.(*Transport).alternateRoundTripper";
    let found =
        context.binary.function(ROUND_TRIP).zip(context.binary.function(ALTERNATE)).and_then(
            |(function, callee)| {
                context.binary.sentinel_site(&function, &callee, "net/http.ErrSkipAltProtocol")
            },
        );
    match found {
        Some((site, sentinel, response)) => {
            plan.constants.skip_alternate = sentinel.into();
            plan.constants.alternate_response = slot(Some(response));
            plan.add(Probe::HttpClientAlternate, ROUND_TRIP, site, true);
            plan.abilities.push(Ability::Http2Client);
        }
        None => plan.miss(Ability::Http2Client, format!("no site found in {ROUND_TRIP}")),
    }
}

/// Calls through x/net's own transport, which need not have net/http's around it.
fn plan_direct_client(context: &Context<'_, '_>, plan: &mut Plan, through_http: bool) {
    let function = |name: &str| {
        let name = format!("{}.{name}", XNET.package);
        context.binary.function(&name).map(|found| (name, found))
    };
    let sites = XNET_CALLS.iter().find_map(|(caller, attempt)| {
        let (name, caller) = function(caller)?;
        let done = context.binary.result_site(&caller, &function(attempt)?.1)?;
        let start = context.entry(&name).ok()?;
        Some((name, start, done))
    });
    // Without it in the binary there is nothing to miss.
    if function(XNET_READS).is_none() {
        return;
    }
    let Some((name, start, done)) = sites else {
        return plan.miss(Ability::Http2Client, format!("no site found in {}", XNET.package));
    };
    if !through_http {
        if let Err(why) = called_offsets(context, plan) {
            return plan.miss(Ability::Http2Client, why);
        }
        plan.abilities.push(Ability::Http2Client);
    }
    plan.add(Probe::XnetClientStart, &name, start, true);
    plan.add(Probe::XnetClientDone, &name, done, true);
}
