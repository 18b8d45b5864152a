//! A log record, as OpenTelemetry's data model has it. Not here: where its text comes from, and how it is sent.

use std::sync::Arc;

use crate::{Added, Resource, ValueRef};

/// How bad it is, by the names of OpenTelemetry's ranges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Finer than debugging.
    Trace,
    /// For debugging.
    Debug,
    /// That something happened.
    Info,
    /// Not an error, but more than information.
    Warn,
    /// An error.
    Error,
    /// The program ends.
    Fatal,
}

impl Severity {
    /// The name of the range.
    pub fn label(self) -> &'static str {
        match self {
            Self::Trace => "TRACE",
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
        }
    }

    /// The first number of the range.
    pub fn number(self) -> u8 {
        match self {
            Self::Trace => 1,
            Self::Debug => 5,
            Self::Info => 9,
            Self::Warn => 13,
            Self::Error => 17,
            Self::Fatal => 21,
        }
    }
}

/// Which span was active when a record was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanContext {
    /// W3C trace id.
    pub trace_id: [u8; 16],
    /// Span id.
    pub span_id: [u8; 8],
    /// W3C trace flags.
    pub trace_flags: u8,
}

/// One record.
#[derive(Debug, Clone, PartialEq)]
pub struct LogRecord {
    /// When it was written.
    pub time_unix_nano: u64,
    /// When gotap read of it.
    pub observed_unix_nano: u64,
    /// How bad it is, where that is known.
    pub severity: Option<Severity>,
    /// Of an event: its name, else empty.
    pub event_name: &'static str,
    /// The text; `None` where it is not sent or could not be read.
    pub body: Option<String>,
    /// The standard stream that it was written to.
    pub stream: Option<&'static str>,
    /// What else is said of it.
    pub added: Added,
    /// The span that was active.
    pub span: Option<SpanContext>,
    /// Whose it is.
    pub resource: Arc<Resource>,
}

impl LogRecord {
    /// Gives all attributes to `out`, in the order in which they are shown.
    pub fn attributes(&self, mut out: impl FnMut(&'static str, ValueRef<'_>)) {
        if let Some(stream) = self.stream {
            out("log.iostream", ValueRef::Text(stream));
        }
        self.added.iter().for_each(|(key, value)| out(key, value.as_ref()));
    }
}
