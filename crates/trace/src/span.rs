//! The span as the rest of gotap knows it. Free of any export format.

use std::sync::Arc;

use compact_str::CompactString;
use wire::{Parent, SpanCore, UnreadSet};

use crate::assemble::ProcessInfo;
use crate::attributes::ValueRef;
use crate::log::SpanContext;
use crate::operation::Operation;

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
    attributes: Vec<(String, Value)>,
    service_name: CompactString,
    service_namespace: CompactString,
    pid: Option<u32>,
}

impl Resource {
    /// Of these attributes, such as `service.name`, in the order in which they are shown.
    pub fn new(attributes: Vec<(String, Value)>) -> Self {
        let find = |key| attributes.iter().find(|(known, _)| known == key).map(|(_, value)| value);
        let text = |key| find(key).and_then(Value::as_str).unwrap_or_default().into();
        let (service_name, service_namespace) = (text("service.name"), text("service.namespace"));
        let pid = match find("process.pid") {
            Some(Value::Int(pid)) => u32::try_from(*pid).ok(),
            _ => None,
        };
        Self { attributes, service_name, service_namespace, pid }
    }

    /// All that is said of it.
    pub fn attributes(&self) -> &[(String, Value)] {
        &self.attributes
    }

    /// The service, or an empty text.
    pub fn service_name(&self) -> &str {
        &self.service_name
    }

    /// The service's namespace, or an empty text.
    pub fn service_namespace(&self) -> &str {
        &self.service_namespace
    }

    /// The process.
    pub fn pid(&self) -> Option<u32> {
        self.pid
    }
}

/// Why a span is sent that sampling left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It failed.
    Error,
    /// It took long.
    Slow,
    /// It took long for its route.
    SlowRoute,
    /// Another one of its trace is kept.
    Trace,
}

impl Kept {
    /// As spans say it.
    pub fn label(self) -> &'static str {
        match self {
            Kept::Error => "error",
            Kept::Slow => "slow",
            Kept::SlowRoute => "slow_route",
            Kept::Trace => "trace",
        }
    }
}

/// A header of a served request that the user asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    /// Its name in lower case.
    pub name: &'static str,
    /// The attribute's name.
    pub key: &'static str,
    /// Its values.
    pub values: Box<[CompactString]>,
}

/// What is said of a span or a log record beside what has a field: a list that only grows, and that only output
/// reads.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Added(Vec<(&'static str, Value)>);

impl From<Vec<(&'static str, Value)>> for Added {
    fn from(all: Vec<(&'static str, Value)>) -> Self {
        Self(all)
    }
}

impl Added {
    /// Adds one attribute.
    pub fn push(&mut self, key: &'static str, value: Value) {
        self.0.push((key, value));
    }

    /// Adds several attributes.
    pub fn extend(&mut self, all: impl IntoIterator<Item = (&'static str, Value)>) {
        self.0.extend(all);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.0.iter().map(|(key, value)| (*key, value))
    }

    fn size(&self) -> usize {
        self.0.capacity() * size_of::<(&str, Value)>()
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
    /// In which way it failed, of few ways.
    pub error_type: Option<CompactString>,
    /// What it tells of.
    pub operation: Operation,
    /// Headers that the user asks for.
    pub headers: Vec<Header>,
    /// What later stages add to it.
    pub added: Added,
    /// The process that answered a call.
    pub answered_by: Option<Arc<Resource>>,
    /// Why it is sent, if sampling left it out.
    pub kept: Option<Kept>,
    /// Other spans that belong to it.
    pub links: Vec<SpanContext>,
    /// How the parent was found.
    pub parent: Parent,
    /// What could not be read.
    pub unread: UnreadSet,
    /// The process.
    pub resource: Arc<Resource>,
}

/// How an operation ended.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ended {
    /// Its status.
    pub status: Status,
    /// What went wrong, by the conventions.
    pub error_type: Option<CompactString>,
}

impl Ended {
    /// In an error of this type, with this message.
    pub fn error(kind: impl Into<CompactString>, message: impl Into<String>) -> Self {
        Self { status: Status::Error(message.into()), error_type: Some(kind.into()) }
    }
}

impl Span {
    /// The span of an operation. `clock_offset` is real time less the kernel's monotonic clock, in nanoseconds.
    #[expect(clippy::too_many_arguments, reason = "the parts of one struct, passed once")]
    pub fn new(
        core: &SpanCore,
        name: impl Into<CompactString>,
        kind: Kind,
        ended: Ended,
        operation: Operation,
        process: &ProcessInfo,
        clock_offset: i64,
    ) -> Self {
        let real = |ns: u64| ns.saturating_add_signed(clock_offset);
        let ids = (core.trace_id, core.span_id);
        let times = (real(core.start_ns), real(core.end_ns.max(core.start_ns)));
        Self {
            parent_span_id: (core.parent != Parent::None).then_some(core.parent_span_id),
            trace_flags: core.trace_flags,
            telemetry: core.telemetry,
            left_out: core.left_out,
            own_trace: core.own_trace,
            status: ended.status,
            error_type: ended.error_type,
            parent: core.parent,
            unread: core.unread,
            ..Self::root(ids, name, kind, times, operation, process.resource.clone())
        }
    }

    /// A span without a parent that did not fail: its trace's id and its own, and when it began and ended, in
    /// nanoseconds since 1970.
    pub fn root(
        (trace_id, span_id): ([u8; 16], [u8; 8]),
        name: impl Into<CompactString>,
        kind: Kind,
        (start_unix_nano, end_unix_nano): (u64, u64),
        operation: Operation,
        resource: Arc<Resource>,
    ) -> Self {
        Self {
            trace_id,
            span_id,
            parent_span_id: None,
            trace_flags: 1,
            telemetry: false,
            left_out: false,
            own_trace: false,
            links: Vec::new(),
            trace_state: String::new(),
            name: name.into(),
            kind,
            start_unix_nano,
            end_unix_nano,
            status: Status::Unset,
            error_type: None,
            operation,
            headers: Vec::new(),
            added: Added::default(),
            answered_by: None,
            kept: None,
            parent: Parent::None,
            unread: UnreadSet::default(),
            resource,
        }
    }

    /// Says that something could not be read, besides what it says already.
    pub(crate) fn add_unread(&mut self, unread: UnreadSet) {
        self.unread = self.unread.and(unread);
    }

    /// Bytes that it takes, its resource aside.
    pub fn size(&self) -> usize {
        const INLINE: usize = 24;
        let text = |len: usize| if len > INLINE { len } else { 0 };
        let message = match &self.status {
            Status::Error(message) => message.len(),
            Status::Unset => 0,
        };
        let mut texts = text(self.name.len()) + self.trace_state.len() + message;
        self.attributes(|_, value| match value {
            ValueRef::Text(value) => texts += text(value.len()),
            ValueRef::Texts(values) => {
                texts += values.iter().map(|text| INLINE + text.len()).sum::<usize>();
            }
            ValueRef::Int(_) | ValueRef::Double(_) => {}
        });
        let lists = self.added.size() + size_of_val(&*self.headers);
        size_of::<Self>() + self.operation.size() + lists + texts
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
