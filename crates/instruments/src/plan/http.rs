//! net/http's part of a plan: HTTP/1 server and client, whose start is that of HTTP/2, too.

use gobin::{Place, SiteKind};
use wire::Probe;
use wire::raw::{self, NONE};

use super::{Ability, Context, Plan, Reason, maps};

pub(super) const SERVE: &str = "net/http.serverHandler.ServeHTTP";
const FINISH: &str = "net/http.(*response).finishRequest";
const HIJACK: &str = "net/http.(*response).Hijack";
const CLOSE: &str = "net/http.(*conn).close";
/// What `(*conn).serve` defers: it asks whether a panic is `http.ErrAbortHandler`.
const RECOVER: &str = "net/http.(*conn).serve.func1";
pub(super) const ROUND_TRIP: &str = "net/http.(*Transport).roundTrip";
pub(super) const SEND: &str = "net/http.(*persistConn).roundTrip";
const GET_CONN: &str = "net/http.(*Transport).getConn";
const DIAL_CONN: &str = "net/http.(*Transport).dialConn";
const SELECT: &str = "runtime.selectnbrecv";
/// What makes the error of a request that is refused; one may be inlined, down to what it calls.
const SAYS_WHY: [&str; 3] = ["fmt.Errorf", "fmt.errorf", "net/http.badStringError"];

const REQUEST: &str = "net/http.Request";
const RESPONSE: &str = "net/http.Response";
const SERVER_RESPONSE: &str = "net/http.response";
pub(super) const URL: &str = "net/url.URL";

pub(super) fn plan_server(context: &Context<'_, '_>, plan: &mut Plan) {
    let start = match context.entry(SERVE) {
        Ok(start) => start,
        Err(why) => return plan.miss_start(Ability::HttpServer, why),
    };
    let finish = match context.entry(FINISH) {
        Ok(finish) => finish,
        Err(why) => return plan.miss(Ability::HttpServer, why),
    };
    let known = served_offsets(context, plan);
    let constants = &mut plan.constants;
    constants.resp_written = context.offset(SERVER_RESPONSE, &["written"]);
    constants.resp_status = context.offset(SERVER_RESPONSE, &["status"]);
    constants.abort_handler = context.binary.first_interface(RECOVER).unwrap_or_default().into();
    constants.resp_left = context.offset_of(&[
        (SERVER_RESPONSE, &["didCloseNotify"]),
        (SERVER_RESPONSE, &["closeNotifyTriggered"]),
    ]);
    constants.conn_write_error = context.offset("net/http.conn", &["werr"]);
    if let Err(why) = known {
        return plan.miss(Ability::HttpServer, why);
    }
    if plan.constants.resp_status == NONE {
        let why = "field net/http.response.status was not found";
        return plan.miss(Ability::HttpServer, why);
    }
    plan.add(Probe::HttpServerStart, SERVE, start, true);
    plan.add(Probe::HttpServerFinish, FINISH, finish, true);
    let rare = [
        (Probe::HttpConnClose, CLOSE, "requests whose handlers panic"),
        (Probe::HttpServerHijack, HIJACK, "connections that handlers take over"),
    ];
    for (probe, function, what) in rare {
        match context.entry(function) {
            Ok(site) => plan.add(probe, function, site, false),
            // Where nobody can take one over there is nothing to miss.
            Err(_) if function == HIJACK && context.binary.function(function).is_none() => {}
            Err(why) => plan.miss(Ability::HttpServer, Reason::of_part(what, why)),
        }
    }
    maps::tell(plan, Ability::HttpServer);
    plan.abilities.push(Ability::HttpServer);
}

/// What is read of a request that is served, in HTTP/2 also without net/http's server; or what of it
/// was not found.
pub(super) fn served_offsets(context: &Context<'_, '_>, plan: &mut Plan) -> Result<(), String> {
    request_offsets(context, plan);
    let request = &plan.constants.requests[0];
    all_found(&[
        (request.ctx, "net/http.Request.ctx"),
        (request.header, "net/http.Request.Header"),
        (request.proto_major, "net/http.Request.ProtoMajor"),
    ])
}

/// What is read of a request that is made, in HTTP/2 also without net/http's client.
pub(super) fn called_offsets(context: &Context<'_, '_>, plan: &mut Plan) -> Result<(), String> {
    request_offsets(context, plan);
    client_offsets(context, plan);
    let constants = &plan.constants;
    all_found(&[
        (constants.requests[0].ctx, "net/http.Request.ctx"),
        (constants.requests[0].url, "net/http.Request.URL"),
        (constants.url_host, "net/url.URL.Host"),
        (constants.response_status, "net/http.Response.StatusCode"),
    ])
}

fn all_found(fields: &[(u16, &str)]) -> Result<(), String> {
    match fields.iter().find(|(offset, _)| *offset == NONE) {
        Some((_, field)) => Err(format!("field {field} was not found")),
        None => Ok(()),
    }
}

/// Offsets of `http.Request`, which both sides need.
fn request_offsets(context: &Context<'_, '_>, plan: &mut Plan) {
    plan.constants.requests[0] = request_fields(context, REQUEST, "ctx");
    plan.constants.pattern_str = context.offset("net/http.pattern", &["str"]);
    plan.constants.response_request = context.offset(RESPONSE, &["Request"]);
}

/// Offsets of a structure with the fields of `http.Request`, whose context is in `ctx`.
pub(super) fn request_fields(context: &Context<'_, '_>, name: &str, ctx: &str) -> raw::Request {
    let field = |field| context.offset(name, &[field]);
    // Larger ones are read in part; all that is wanted stands in the first 320 bytes so far.
    let size = context.types.find_struct(name).map_or(0, |t| t.size.min(320));
    raw::Request {
        size: u16::try_from(size).unwrap_or(0),
        method: field("Method"),
        url: field("URL"),
        proto_major: field("ProtoMajor"),
        proto_minor: field("ProtoMinor"),
        header: field("Header"),
        content_length: field("ContentLength"),
        host: field("Host"),
        remote_addr: field("RemoteAddr"),
        request_uri: field("RequestURI"),
        tls: field("TLS"),
        ctx: field(ctx),
        pattern: field("Pattern"),
        pat: field("pat"),
        response: field("Response"),
        body: field("Body"),
    }
}

pub(super) fn plan_client(context: &Context<'_, '_>, plan: &mut Plan) {
    let function = |name| context.binary.function(name);
    let start = match context.entry(ROUND_TRIP) {
        Ok(start) => start,
        Err(why) => return plan.miss_start(Ability::HttpClient, why),
    };
    let Some(round_trip) = function(ROUND_TRIP) else { return };
    let done = function(SEND).and_then(|send| context.binary.result_site(&round_trip, &send));
    let Some(done) = done else {
        return plan.miss(Ability::HttpClient, format!("no site found in {ROUND_TRIP}"));
    };
    if let Err(why) = called_offsets(context, plan) {
        return plan.miss(Ability::HttpClient, why);
    }
    plan.add(Probe::HttpClientStart, ROUND_TRIP, start, true);
    plan.add(Probe::HttpClientDone, ROUND_TRIP, done, true);
    if context.binary.is_unoptimised() {
        // HTTP/2 on a new connection.
        let send = function(SEND);
        match send.and_then(|send| context.binary.other_result_site(&round_trip, &send)) {
            Some(other) => plan.add(Probe::HttpClientDone, ROUND_TRIP, other, true),
            None => plan.miss(Ability::HttpClient, "HTTP/2 on new connections: no site found"),
        }
    }
    let failed =
        |callee, result| context.binary.nonzero_site(&round_trip, &function(callee)?, result);
    match failed(GET_CONN, 1) {
        Some((site, [error, data])) => {
            plan.constants.no_conn_error = slot(error);
            plan.constants.no_conn_error_data = slot(data);
            plan.add(Probe::HttpClientNoConn, ROUND_TRIP, site, false);
        }
        None => plan.miss(Ability::HttpClient, "calls that get no connection: no site found"),
    }
    if let Some((site, _)) = failed(SELECT, 0)
        && site.kind != SiteKind::SingleStep
    {
        plan.add(Probe::HttpClientCtxDone, ROUND_TRIP, site, false);
    }
    // It says why it refuses a request, and returns.
    for says in SAYS_WHY.into_iter().filter_map(function) {
        for site in context.binary.call_sites(&round_trip, &says) {
            plan.add(Probe::HttpClientRefused, ROUND_TRIP, site, false);
        }
    }
    if let Some(dial) = function(DIAL_CONN) {
        plan.constants.dial_conn = dial.entry.into();
        plan.constants.dial_conn_size = dial.end - dial.entry;
    }
    plan.abilities.push(Ability::HttpClient);
}

/// The stack slot of a value, [`NONE`] while it is in its register.
pub(super) fn slot(place: Option<Place>) -> u16 {
    match place {
        Some(Place::Stack(slot)) => u16::try_from(slot).unwrap_or(NONE),
        _ => NONE,
    }
}

fn client_offsets(context: &Context<'_, '_>, plan: &mut Plan) {
    let constants = &mut plan.constants;
    constants.url_scheme = context.offset(URL, &["Scheme"]);
    constants.url_host = context.offset(URL, &["Host"]);
    constants.url_path = context.offset(URL, &["Path"]);
    constants.url_raw_path = context.offset(URL, &["RawPath"]);
    constants.url_opaque = context.offset(URL, &["Opaque"]);
    if context.options.query_strings {
        constants.url_raw_query = context.offset(URL, &["RawQuery"]);
    }
    constants.response_status = context.offset(RESPONSE, &["StatusCode"]);
    constants.response_header = context.offset(RESPONSE, &["Header"]);
    constants.response_content_length = context.offset(RESPONSE, &["ContentLength"]);
    constants.response_proto_major = context.offset(RESPONSE, &["ProtoMajor"]);
    constants.response_proto_minor = context.offset(RESPONSE, &["ProtoMinor"]);
}
