//! Joins events with what is known of their process.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use compact_str::format_compact;
use wire::{CallEndEvent, DecodeError, Event, HttpEvent, Record};

use crate::connect;
use crate::database::Databases;
use crate::headers;
use crate::http;
use crate::http2;
use crate::messages::Messages;
use crate::moved::Moved;
use crate::operation::Operation;
use crate::paths::Clusters;
use crate::pending::{Call, PendingCalls};
use crate::route::Paths;
use crate::rpc;
use crate::span::{Kind, Resource, Span};
use crate::tracestate::Fields;
use crate::waiting::Waiting;

/// What may wait for its span, or for its end, of each sort; the request may still run for long.
pub const MAX_PENDING: usize = 8192;

/// The same of paths, which are long; a request's own event comes right behind.
const MAX_PATHS: usize = 256;

/// A request whose route is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Routed<'a> {
    /// Address of the `http.Server` that served it.
    pub server: u64,
    /// Method as sent.
    pub method: &'a str,
    /// Host as sent, with the port if there was any.
    pub authority: &'a str,
    /// Host without the port.
    pub host: &'a str,
    /// Path, decoded.
    pub path: &'a str,
    /// Path as sent, where Go would escape `path` in another way; else empty.
    pub raw_path: &'a str,
    /// What Go's `EscapedPath` gives.
    pub escaped: &'a str,
    /// The pattern that the request names itself, empty for none.
    pub pattern: &'a str,
}

/// Finds which route of a process's router a request took, for those that do not say it themselves,
/// or that name a pattern behind which there may be another router.
pub trait Routes: std::fmt::Debug + Send + Sync {
    /// The route as the router has it; `None` for requests that took none, or none that is known.
    fn route(&self, request: &Routed<'_>) -> Option<String>;
}

/// What must be known of a process to make spans of its events.
#[derive(Debug, Clone, Default)]
pub struct ProcessInfo {
    /// Resource of its spans.
    pub resource: Arc<Resource>,
    /// Names of error types by the address of their descriptor in the process.
    pub type_names: Arc<HashMap<u64, String>>,
    /// Routes of requests that do not name theirs.
    pub routes: Option<Arc<dyn Routes>>,
    /// Databases that it uses.
    pub databases: Option<Arc<dyn Databases>>,
    /// Remote procedures that it knows: each starts with `/package.Service/Method`.
    pub procedures: Arc<BTreeSet<String>>,
    /// Whether it tells where calls by connect end that it makes, so that their spans wait for it.
    pub call_ends: bool,
}

/// Makes the spans of the records of one kind, which one instrument alone knows.
#[derive(Debug, Clone, Copy)]
pub struct Maker {
    /// The kind.
    pub kind: u16,
    /// Makes the span of a record, given what is known of its process and the clock offset.
    pub span: fn(&[u8], &ProcessInfo, i64) -> Result<Span, DecodeError>,
}

/// Turns events into spans.
#[derive(Debug, Default)]
pub struct Assembler {
    makers: Vec<Maker>,
    processes: HashMap<u32, ProcessInfo>,
    tracestates: Waiting<Fields>,
    paths: Waiting<Paths>,
    rpc: Waiting<rpc::Addition>,
    headers: Waiting<headers::Values>,
    /// Headers of requests that spans have.
    header_names: headers::Names,
    /// Spans of calls that were answered and go on.
    pending: PendingCalls,
    /// Those that nothing more can be known of.
    evicted: Vec<Span>,
    /// Which texts of errors leave.
    messages: Messages,
    /// Clusters of paths by service, where they are wanted.
    clusters: Option<HashMap<String, Clusters>>,
    /// Whether spans have query strings.
    queries: bool,
    /// Traces that gotap began and that are the program's.
    moved: Moved,
    unknown_process: u64,
    undecodable: u64,
    invalid_tracestate: u64,
}

impl Assembler {
    /// One that knows no process.
    pub fn new() -> Self {
        let mut new = Self::default();
        new.hold_at_most(MAX_PENDING);
        new
    }

    /// Makes spans of the records of these kinds, too, from now on.
    pub fn add_makers(&mut self, makers: impl IntoIterator<Item = Maker>) {
        self.makers.extend(makers);
    }

    /// Lets so many parts of spans and spans wait, of each sort, from now on.
    pub fn hold_at_most(&mut self, pending: usize) {
        let pending = pending.max(1);
        (self.tracestates.max, self.rpc.max, self.headers.max) = (pending, pending, pending);
        self.paths.max = pending.min(MAX_PATHS);
        self.pending.hold_at_most(pending);
        self.moved.hold_at_most(pending);
    }

    /// Guesses routes of requests that have none from their paths, from now on.
    pub fn cluster_paths(&mut self) {
        self.clusters = Some(HashMap::new());
    }

    /// Lets all texts of errors leave, from now on, also those that may quote data.
    pub fn error_messages(&mut self) {
        self.messages.all = true;
    }

    /// Tells the query strings of requests, with the secrets that the conventions list redacted.
    pub fn query_strings(&mut self) {
        self.queries = true;
    }

    /// Tells these headers of served requests, by the names with which the kernel side was given them.
    pub fn request_headers(&mut self, names: &[String]) {
        self.header_names = headers::Names::new(names);
    }

    /// Makes process `instance` known.
    pub fn add_process(&mut self, instance: u32, info: ProcessInfo) {
        self.processes.insert(instance, info);
    }

    /// What is known of process `instance` is this from now on; of the spans that it has open, too.
    pub fn set_resource(&mut self, instance: u32, resource: &Arc<Resource>) {
        if let Some(info) = self.processes.get_mut(&instance) {
            info.resource = resource.clone();
        }
    }

    /// Forgets process `instance`, after its last event; gives the spans of calls that it left open.
    pub fn remove_process(&mut self, instance: u32) -> Vec<Span> {
        self.processes.remove(&instance);
        let open = self.messages.all_checked(self.pending.remove_all(Some(instance)));
        self.moved.pass_all(open, 0)
    }

    /// The spans of calls that have waited for long enough. `now_ns` is by the kernel's monotonic clock.
    pub fn tick(&mut self, now_ns: u64) -> Vec<Span> {
        let mut out = std::mem::take(&mut self.evicted);
        out.extend(self.pending.expired(now_ns));
        let out = self.messages.all_checked(out);
        self.moved.pass_all(out, now_ns)
    }

    /// The spans of all calls that are open still, as nothing more will be known of them.
    pub fn finish(&mut self) -> Vec<Span> {
        let mut out = std::mem::take(&mut self.evicted);
        out.extend(self.pending.remove_all(None));
        let out = self.messages.all_checked(out);
        self.moved.pass_all(out, u64::MAX)
    }

    /// Spans that were dropped because nothing is known of their process.
    pub fn unknown_process(&self) -> u64 {
        self.unknown_process
    }

    /// Records of unknown kind, and those that were damaged.
    pub fn undecodable(&self) -> u64 {
        self.undecodable
    }

    /// Inbound tracestates that were dropped, as they are no valid lists.
    pub fn invalid_tracestate(&self) -> u64 {
        self.invalid_tracestate
    }

    /// Requests whose headers were forgotten before their spans came, as too many waited.
    pub fn forgotten_headers(&self) -> u64 {
        self.headers.forgotten
    }

    /// Traces that the program turned out to have begun itself after their spans were sent.
    pub fn split_traces(&self) -> u64 {
        self.moved.split()
    }

    /// Takes one event; gives the span that it completes, or that waits no longer. `clock_offset` is
    /// real time less the kernel's monotonic clock, in nanoseconds.
    pub fn on_event(&mut self, event: Event, clock_offset: i64) -> Option<Span> {
        let span = self.completed(event, clock_offset)?;
        let ended_ns = span.end_unix_nano.saturating_add_signed(clock_offset.saturating_neg());
        let span = self.messages.checked(span);
        self.moved.pass(span, ended_ns)
    }

    fn completed(&mut self, event: Event, clock_offset: i64) -> Option<Span> {
        match event {
            Event::Moved { from, to, trace_flags } => {
                self.moved.note(from, to, trace_flags);
                None
            }
            Event::Http(event) if http2::is_nothing_sent(&event) => None,
            Event::Http(event) => self.on_http(&event, clock_offset),
            Event::CallEnd(event) => self.on_call_end(&event),
            Event::Rpc(event) => {
                let process = self.process(event.instance)?;
                let span = rpc::span(*event, process, clock_offset);
                let span = self.with_headers(span, true);
                Some(self.with_tracestate(span))
            }
            Event::Record(record) => self.on_record(&record, clock_offset),
            Event::RpcStatus(event) => {
                self.rpc.insert(event.span.span_id, rpc::Addition::of(&event));
                None
            }
            Event::Path(event) => {
                self.paths.entry(event.span_id).add(*event);
                None
            }
            Event::Header { span_id, name, value } => {
                self.headers.entry(span_id).add(name, value);
                None
            }
            Event::Tracestate { span_id, field, fields, text } => {
                match self.tracestates.values.get_mut(&span_id) {
                    Some(known) => known.add(field, &text),
                    None => self.tracestates.insert(span_id, Fields::first(field, fields, &text)),
                }
                None
            }
            Event::Exec { .. } | Event::Exit { .. } => None,
        }
    }

    /// A record that an instrument knows, or none does.
    fn on_record(&mut self, record: &Record, clock_offset: i64) -> Option<Span> {
        let Some(maker) = self.makers.iter().find(|maker| maker.kind == record.kind).copied()
        else {
            self.undecodable += 1;
            return None;
        };
        let process = self.process(record.instance)?;
        let made = (maker.span)(&record.bytes, process, clock_offset);
        self.undecodable += u64::from(made.is_err());
        made.ok()
    }

    fn on_http(&mut self, event: &HttpEvent, clock_offset: i64) -> Option<Span> {
        let queries = self.queries;
        let paths = self.paths.take(event.span.span_id).unwrap_or_default();
        let process = self.process(event.instance)?;
        let mut span = http::span(event, &paths, process, clock_offset, queries);
        let (key, call_ends) = ((event.instance, event.response), process.call_ends);
        let goes_on = connect::goes_on(event, &span).filter(|_| call_ends);
        if let Some(call) = self.rpc.take(span.span_id) {
            call.add_to(&mut span);
        } else if let Some(clusters) = &mut self.clusters {
            guess_route(clusters, &mut span);
        }
        let span = self.with_headers(span, false);
        let span = self.with_tracestate(span);
        if call_ends && event.response != 0 {
            // Where it lies no other response does any more: that call was never ended.
            self.evicted.extend(self.pending.remove(key).map(|call| call.span));
        }
        let Some(how) = goes_on else { return Some(span) };
        let call = Call { span, answered_ns: event.span.end_ns };
        self.pending.insert(key, call, how).map(|call| call.span)
    }

    fn on_call_end(&mut self, event: &CallEndEvent) -> Option<Span> {
        let key = (event.instance, event.response);
        let process = self.processes.get(&event.instance)?;
        let call = self.pending.end(key, !event.closed)?;
        Some(connect::end(call, event, process))
    }

    /// What is known of a process; counts the event if that is nothing.
    fn process(&mut self, instance: u32) -> Option<&ProcessInfo> {
        let found = self.processes.get(&instance);
        if found.is_none() {
            self.unknown_process += 1;
        }
        found
    }

    fn with_headers(&mut self, mut span: Span, rpc: bool) -> Span {
        if let Some(values) = self.headers.take(span.span_id) {
            self.header_names.add_to(&mut span, values, rpc);
        }
        span
    }

    fn with_tracestate(&mut self, mut span: Span) -> Span {
        if let Some(fields) = self.tracestates.take(span.span_id) {
            match fields.list() {
                Some(list) => span.trace_state = list,
                None => self.invalid_tracestate += 1,
            }
        }
        span
    }
}

/// Services whose paths are clustered; of others, routes are not guessed.
const MAX_SERVICES: usize = 1024;

/// Gives a served request without a route the cluster of its path.
fn guess_route(clusters: &mut HashMap<String, Clusters>, span: &mut Span) {
    let Operation::Http(http) = &mut span.operation else { return };
    let is_named = http.route.is_some() || http.call.as_ref().is_some_and(|c| c.method.is_some());
    if span.kind != Kind::Server || is_named {
        return;
    }
    // A path that was cut may end within a segment.
    let path = http.path.as_deref();
    let Some(path) = path.filter(|p| p.starts_with('/') && !p.ends_with('…')) else { return };
    let service = span.resource.service_name();
    if clusters.len() >= MAX_SERVICES && !clusters.contains_key(service) {
        return;
    }
    let found = !matches!(http.status, Some(404 | 405));
    let Some(route) = clusters.entry(service.to_owned()).or_default().of(path, found) else {
        return;
    };
    span.name = format_compact!("{} {route}", span.name);
    http.route = Some(route.into());
}
