//! Calls by connect, which are requests of `net/http`: whether a program can serve or make any. Their
//! content types are sent along then, and which procedures there are is known, so that other requests are not taken
//! for calls. Sites of their own are only where a call ends: where a handler's connection gets to know
//! how, and where a client's has read all that there is, failed, or is closed.

use std::sync::Arc;

use gobin::{Arch, Function, Place, Site, Type};
use wire::raw::{self, NO_REGISTER, NONE, TELLS_CONTENT, TypeRole};
use wire::{CallSite, Probe};

use super::Constants;
use crate::plan::{Ability, Context, Plan, maps, types};
use crate::sql::plan::WORDS;

/// By its names, the newest first.
const MODULES: [&str; 2] = ["connectrpc.com/connect", "github.com/bufbuild/connect-go"];
/// What serves and what makes calls.
const FUNCTIONS: [&str; 2] = ["(*Handler).ServeHTTP", "(*duplexHTTPCall).makeRequest"];

/// What gets to know how a call ended, one for each protocol.
const ENDS: [&str; 3] = [
    "(*grpcHandlerConn).Close",
    "(*connectUnaryHandlerConn).Close",
    "(*connectStreamingHandlerConn).Close",
];

/// Offsets of the code and of the error within connect's own error, if `typ` is that.
fn error_fields(context: &Context<'_, '_>, typ: &Type<'_>) -> Option<(u64, u64)> {
    let mut names = MODULES.iter().map(|module| format!("{module}.Error"));
    let name = names.find(|name| {
        context.types.find_struct(name).is_some_and(|found| found.vaddr == typ.vaddr)
    })?;
    let offset = |field| context.types.offset(&name, &[field]);
    Some((offset("code")?, offset("err")?))
}

/// Its error, whose code the programs read.
pub(super) fn error(
    context: &Context<'_, '_>,
    typ: &Type<'_>,
    target: &Type<'_>,
) -> Option<raw::Type> {
    let (code, inner) = (typ.name == "*connect.Error").then(|| error_fields(context, target))??;
    types::role(TypeRole::ConnectError, code, inner)
}

pub(super) fn plan(context: &Context<'_, '_>, plan: &mut Plan) {
    let linked = |module: &str, function: &str| {
        context.binary.function(&format!("{module}.{function}")).is_some()
    };
    let has_calls = MODULES.iter().any(|module| FUNCTIONS.iter().any(|f| linked(module, f)));
    let able = |plan: &Plan, [one, other]: [Ability; 2]| {
        plan.abilities.contains(&one) || plan.abilities.contains(&other)
    };
    // Either side may be HTTP/2 of golang.org/x/net alone.
    let serves = able(plan, [Ability::HttpServer, Ability::Http2Server]);
    let calls = able(plan, [Ability::HttpClient, Ability::Http2Client]);
    let has_requests = serves || calls;
    if has_calls && has_requests {
        if !maps::are_known(plan) {
            return plan
                .miss(Ability::HttpServer, "calls by connect: the layout of maps was not found");
        }
        plan.constants.tells |= TELLS_CONTENT;
        plan.procedures = Arc::new(context.binary.procedures());
    }
    if calls {
        for module in MODULES {
            clients(context, plan, module);
        }
    }
    if serves {
        servers(context, plan);
    }
}

/// Where the calls end that a handler serves.
fn servers(context: &Context<'_, '_>, plan: &mut Plan) {
    let is_linked = |name: &str| context.binary.function(name).is_some();
    let before = plan.sites.len();
    let mut incomplete = false;
    for name in MODULES.iter().flat_map(|m| ENDS.map(|end| format!("{m}.{end}"))) {
        match context.entry(&name) {
            Ok(site) => plan.add(Probe::ConnectServerEnd, &name, site, true),
            Err(_) => incomplete |= is_linked(&name),
        }
    }
    let handles = MODULES.iter().any(|module| is_linked(&format!("{module}.{}", FUNCTIONS[0])));
    if incomplete || (handles && plan.sites.len() == before) {
        plan.miss(Ability::HttpServer, "codes of served calls by connect: no site found");
    }
}

/// Clients' connections of those protocols that have streams.
const CLIENTS: [&str; 2] = ["grpcClientConn", "connectStreamingClientConn"];
/// What makes errors of gRPC's trailers, which may stand among the headers, and which word of its
/// arguments has them.
const FOR_TRAILERS: (&str, usize) = ("grpcErrorForTrailer", 2);

/// The stack pointer's number among x86's registers.
const RSP: u8 = 4;

/// Where the calls end that a client makes. All is kept in the call (`duplexHTTPCall`), to which a
/// connection leads.
fn clients(context: &Context<'_, '_>, plan: &mut Plan, module: &str) {
    let call = format!("{module}.duplexHTTPCall");
    let response = context.offset(&call, &["response"]);
    if response == NONE {
        return;
    }
    let clients = Clients { context, module, response };
    // Registers have their numbers on x86-64 alone.
    let known = (context.binary.image().arch() == Arch::Amd64)
        .then(|| clients.told().or_else(|| clients.returned()));
    let Some((ends, failures)) = known.flatten() else {
        return plan.miss(Ability::HttpClient, "codes of calls by connect: no site found");
    };
    let error = context.pointer_to(&format!("{module}.Error"));
    let eof = context.binary.variable("io.EOF", "io.(*LimitedReader).Read");
    let (true, Some(eof)) = (error != 0, eof) else {
        return plan.miss(Ability::HttpClient, "codes of calls by connect: no error found");
    };
    let closed = CLIENTS.iter().filter_map(|conn| clients.closed(conn));
    for (name, site, found) in ends.into_iter().chain(closed) {
        plan.add_described(Probe::ConnectClientEnd, &name, site, found);
    }
    for (name, site, found) in failures.into_iter().chain(clients.without_body()) {
        plan.add_rare(Probe::ConnectClientEnd, &name, site, found);
    }
    plan.call_ends = true;
    let connect = &mut plan.own.connect;
    if !connect.error.is_known() {
        *connect = Constants { error: error.into(), eof: eof.into() };
    }
}

/// A site with connect's own error in a slot: of the error's two words only the second is.
fn in_slot(site: raw::Site, slot: u32) -> Option<raw::Site> {
    let error_slot = u16::try_from(slot.checked_sub(8)?).ok()?;
    Some(raw::Site { error_slot, flags: raw::SITE_OWN_ERROR, ..site })
}

/// The same with it in the first result register.
fn in_register(site: raw::Site) -> raw::Site {
    raw::Site { error: [NO_REGISTER, WORDS[0]], flags: raw::SITE_OWN_ERROR, ..site }
}

/// A site of a client, by the function that it is in.
type End = (String, Site, raw::Site);

struct Clients<'a, 'b, 'c> {
    context: &'a Context<'b, 'c>,
    module: &'a str,
    response: u16,
}

impl Clients<'_, '_, '_> {
    fn name(&self, function: &str) -> String {
        format!("{}.{function}", self.module)
    }

    /// A site at which the call is the receiver, in its register.
    fn site(&self, operation: CallSite) -> raw::Site {
        raw::Site {
            operation: operation as u8,
            base: WORDS[0],
            db_field: self.response,
            ..raw::Site::ABSENT
        }
    }

    /// Before 1.13 the call gets each error.
    fn told(&self) -> Option<(Vec<End>, Vec<End>)> {
        let name = self.name("(*duplexHTTPCall).SetError");
        let site = self.context.entry(&name).ok()?;
        let found = raw::Site { error: [WORDS[1], WORDS[2]], ..self.site(CallSite::Ended) };
        Some((vec![(name, site, found)], Vec::new()))
    }

    /// Since then its request's body is closed where a connection returns an error, the end of a stream
    /// among them, and where it fails itself.
    fn returned(&self) -> Option<(Vec<End>, Vec<End>)> {
        let binary = self.context.binary;
        let close = binary.function(&self.name("(*duplexHTTPCall).CloseWrite"))?;
        let (mut ends, failures) = (Vec::new(), self.failures(&close)?);
        for conn in CLIENTS {
            let receive = self.name(&format!("(*{conn}).Receive"));
            // A program without calls of that sort has not got it.
            let Some(function) = binary.function(&receive) else { continue };
            let found = binary.returning_sites(&function, &close);
            if found.is_empty() {
                return None;
            }
            for (site, slot) in found {
                let found = in_slot(self.site(CallSite::Ended), slot)?;
                ends.push((receive.clone(), site, found));
            }
        }
        Some((ends, failures))
    }

    /// Where a request fails, or its answer does not please, before anything is received. The error is in
    /// the call.
    fn failures(&self, close: &Function<'_>) -> Option<Vec<End>> {
        let binary = self.context.binary;
        let name = self.name("(*duplexHTTPCall).makeRequest");
        let function = binary.function(&name)?;
        let mut sites = binary.call_sites(&function, close);
        if sites.is_empty() {
            // Before 1.15 it was small enough to be inlined.
            sites = binary.call_sites(&function, &binary.function("io.(*pipe).closeWrite")?);
        }
        let found = raw::Site {
            base: RSP,
            base_slot: u16::try_from(binary.receiver_slot(&function)?).ok()?,
            error_field: self.context.offset(&self.name("duplexHTTPCall"), &["responseErr"]),
            ..self.site(CallSite::Ended)
        };
        let known = found.error_field != NONE && !sites.is_empty();
        known.then(|| sites.into_iter().map(|site| (name.clone(), site, found)).collect())
    }

    /// Where gRPC's trailers are looked for among the headers, as nothing else came. Before 1.19 that
    /// was done when the headers came, which tells of failures; then all is returned as it is.
    fn without_body(&self) -> Vec<End> {
        let receive = self.name("(*grpcClientConn).Receive");
        let found = self.context.binary.function(&receive).and_then(|function| {
            let conn = self.name(CLIENTS[0]);
            let of_conn = raw::Site {
                base: RSP,
                base_slot: u16::try_from(self.context.binary.receiver_slot(&function)?).ok()?,
                key_field: self.context.offset(&conn, &["duplexCall"]),
                ..self.site(CallSite::Ended)
            };
            let header = self.context.offset(&conn, &["responseHeader"]);
            (of_conn.key_field != NONE).then(|| match self.tested(&function, header) {
                Some(site) => vec![(site, in_register(of_conn))],
                None => self.kept(&function, of_conn),
            })
        });
        let found = found.unwrap_or_default().into_iter();
        found.map(|(site, found)| (receive.clone(), site, found)).collect()
    }

    fn tested(&self, receive: &Function<'_>, header: u16) -> Option<Site> {
        let (callee, word) = FOR_TRAILERS;
        let callee = self.context.binary.function(&self.name(callee))?;
        self.context.binary.branch_after_field(receive, &callee, word, header.into())
    }

    /// The error is where it is returned from elsewhere, too.
    fn kept(&self, receive: &Function<'_>, site: raw::Site) -> Vec<(Site, raw::Site)> {
        let binary = self.context.binary;
        let names = ["(*duplexHTTPCall).SetError", "(*duplexHTTPCall).CloseWrite"];
        let told = names.iter().filter_map(|name| binary.function(&self.name(name)));
        let slots: Vec<u32> = told
            .flat_map(|callee| binary.returning_sites(receive, &callee))
            .map(|(_, slot)| slot)
            .collect();
        let found = binary.plain_return_sites(receive, &slots).into_iter();
        let described = |place| match place {
            Place::Register => Some(in_register(site)),
            Place::Stack(slot) => in_slot(site, slot),
        };
        found.filter_map(|(at, place)| Some((at, described(place)?))).collect()
    }

    /// Where the caller wants no more of what a connection may yet receive.
    fn closed(&self, conn: &str) -> Option<End> {
        let name = self.name(&format!("(*{conn}).CloseResponse"));
        let site = self.context.entry(&name).ok()?;
        let key_field = self.context.offset(&self.name(conn), &["duplexCall"]);
        let found = raw::Site { key_field, ..self.site(CallSite::Closed) };
        (key_field != NONE).then_some((name, site, found))
    }
}
