//! The span as the rest of gotap knows it. Free of any export format.

use std::sync::Arc;

use compact_str::CompactString;
use wire::{Parent, SpanCore, Unread, UnreadSet};

use crate::assemble::ProcessInfo;
use crate::log::SpanContext;

/// Value of an attribute.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Text known at compile time.
    Static(&'static str),
    /// Text.
    Text(CompactString),
    /// Integer.
    Int(i64),
    /// A number with a fraction.
    Double(f64),
    /// Several texts.
    Texts(Box<[CompactString]>),
}

impl Value {
    /// The text, when it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Static(text) => Some(text),
            Value::Text(text) => Some(text),
            Value::Int(_) | Value::Double(_) | Value::Texts(_) => None,
        }
    }
}

/// OpenTelemetry span kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A request that was served.
    Server,
    /// A request that was made.
    Client,
}

impl Kind {
    /// Lower-case name.
    pub fn label(self) -> &'static str {
        match self {
            Kind::Server => "server",
            Kind::Client => "client",
        }
    }
}

/// OpenTelemetry span status.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Status {
    /// Nothing to say.
    #[default]
    Unset,
    /// It failed; the text may be empty.
    Error(String),
}

/// The process that spans come from.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Resource {
    /// Attributes such as `service.name`, in the order in which they are shown.
    pub attributes: Vec<(String, Value)>,
}

impl Resource {
    /// One attribute.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.attributes.iter().find(|(k, _)| k == key).map(|(_, v)| v)
    }

    /// `service.name`, or an empty text.
    pub fn service_name(&self) -> &str {
        self.get("service.name").and_then(Value::as_str).unwrap_or_default()
    }
}

/// One finished operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// W3C trace id.
    pub trace_id: [u8; 16],
    /// Span id.
    pub span_id: [u8; 8],
    /// Id of the parent.
    pub parent_span_id: Option<[u8; 8]>,
    /// W3C trace flags.
    pub trace_flags: u8,
    /// Whether it delivers telemetry, or belongs to what does: a back end would get it for each delivery.
    pub telemetry: bool,
    /// Whether gotap's own sampling left its trace out, and no caller's.
    pub left_out: bool,
    /// Whether gotap began the trace with a served request, and it may yet turn out to be another one.
    pub own_trace: bool,
    /// W3C tracestate as received; empty without one.
    pub trace_state: String,
    /// Low-cardinality name.
    pub name: CompactString,
    /// Kind.
    pub kind: Kind,
    /// Nanoseconds since 1970.
    pub start_unix_nano: u64,
    /// Nanoseconds since 1970.
    pub end_unix_nano: u64,
    /// Status.
    pub status: Status,
    /// Semantic-convention attributes.
    pub attributes: Vec<(&'static str, Value)>,
    /// Other spans that belong to it.
    pub links: Vec<SpanContext>,
    /// How the parent was found.
    pub parent: Parent,
    /// What could not be read, which `gotap.unread` names.
    pub unread: UnreadSet,
    /// The process.
    pub resource: Arc<Resource>,
}

impl Span {
    #[expect(clippy::too_many_arguments, reason = "the parts of one struct, passed once")]
    pub(crate) fn new(
        core: &SpanCore,
        name: impl Into<CompactString>,
        kind: Kind,
        status: Status,
        attributes: Vec<(&'static str, Value)>,
        process: &ProcessInfo,
        clock_offset: i64,
    ) -> Self {
        let real = |ns: u64| ns.saturating_add_signed(clock_offset);
        let mut span = Self {
            trace_id: core.trace_id,
            span_id: core.span_id,
            parent_span_id: (core.parent != Parent::None).then_some(core.parent_span_id),
            trace_flags: core.trace_flags,
            telemetry: core.telemetry,
            left_out: core.left_out,
            own_trace: core.own_trace,
            links: Vec::new(),
            trace_state: String::new(),
            name: name.into(),
            kind,
            start_unix_nano: real(core.start_ns),
            end_unix_nano: real(core.end_ns.max(core.start_ns)),
            status,
            attributes,
            parent: core.parent,
            unread: UnreadSet::default(),
            resource: process.resource.clone(),
        };
        span.add_unread(core.unread);
        span
    }

    /// Says that something could not be read, besides what it says already.
    pub(crate) fn add_unread(&mut self, unread: UnreadSet) {
        const KEY: &str = "gotap.unread";
        if unread.is_empty() {
            return;
        }
        self.unread = self.unread.and(unread);
        self.attributes.retain(|(key, _)| *key != KEY);
        let labels: Vec<_> = self.unread.iter().map(Unread::label).collect();
        self.attributes.push((KEY, Value::Text(labels.join(",").into())));
    }

    /// One attribute.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.attributes.iter().find(|(k, _)| *k == key).map(|(_, v)| v)
    }

    /// What others name it by.
    pub fn context(&self) -> SpanContext {
        let Self { trace_id, span_id, trace_flags, .. } = *self;
        SpanContext { trace_id, span_id, trace_flags }
    }

    /// Whether the trace is to be recorded, as who began it decided.
    pub fn is_sampled(&self) -> bool {
        self.trace_flags & 1 == 1
    }
}
