//! A span as `gotap trace --format json` prints it.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// One line of output. Ids are lower-case hex, empty where absent.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// 32 hex digits.
    pub trace_id: String,
    /// 16 hex digits.
    pub span_id: String,
    /// 16 hex digits, or empty.
    pub parent_span_id: String,
    /// The W3C trace state, or empty.
    pub trace_state: String,
    /// The W3C trace flags.
    pub flags: u64,
    /// The name of the operation.
    pub name: String,
    /// `server` or `client`.
    pub kind: String,
    /// Nanoseconds since 1970.
    pub start: u64,
    /// Nanoseconds since 1970.
    pub end: u64,
    /// `unset` or `error`.
    pub status: String,
    /// The text that goes with an error, or empty.
    pub message: String,
    /// The span's attributes.
    pub attributes: BTreeMap<String, Value>,
    /// The attributes of its process.
    pub resource: BTreeMap<String, Value>,
    /// How the parent was found.
    pub parent: String,
}

impl Span {
    /// Reads one line, and checks the form of what every span has.
    pub fn parse(line: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(line).with_context(|| format!("line {line:?}"))?;
        let text = |key: &str| -> Result<String> {
            let found = value[key].as_str().with_context(|| format!("{key} in {line}"))?;
            Ok(found.to_owned())
        };
        let number = |key: &str| -> Result<u64> {
            text(key)?.parse().with_context(|| format!("{key} in {line}"))
        };
        let map = |key: &str| -> Result<BTreeMap<String, Value>> {
            let found = value[key].as_object().with_context(|| format!("{key} in {line}"))?;
            Ok(found.iter().map(|(key, value)| (key.clone(), value.clone())).collect())
        };
        let span = Self {
            trace_id: text("traceId")?,
            span_id: text("spanId")?,
            parent_span_id: text("parentSpanId")?,
            trace_state: text("traceState")?,
            flags: value["flags"].as_u64().with_context(|| format!("flags in {line}"))?,
            name: text("name")?,
            kind: text("kind")?,
            start: number("startTimeUnixNano")?,
            end: number("endTimeUnixNano")?,
            status: value["status"]["code"].as_str().context("status.code")?.to_owned(),
            message: value["status"]["message"].as_str().unwrap_or_default().to_owned(),
            attributes: map("attributes")?,
            resource: map("resource")?,
            parent: text("parent")?,
        };
        let (trace, own, parent) = (&span.trace_id, &span.span_id, &span.parent_span_id);
        ensure!(is_id(trace, 32) && is_id(own, 16), "bad ids in {line}");
        ensure!(parent.is_empty() || is_id(parent, 16), "bad parent in {line}");
        ensure!(parent.is_empty() == (span.parent == "none"), "parent without a reason in {line}");
        ensure!(span.flags & 1 == 1, "a span of a trace that is not sampled: {line}");
        ensure!(span.start <= span.end, "it ends before it starts: {line}");
        Ok(span)
    }

    /// An attribute that is a text.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.attributes.get(key)?.as_str()
    }

    /// An attribute that is a number.
    pub fn int(&self, key: &str) -> Option<i64> {
        self.attributes.get(key)?.as_i64()
    }

    /// Whether it is the span of a request that was served.
    pub fn is_server(&self) -> bool {
        self.kind == "server"
    }

    /// Whether it is the span of a request that was made.
    pub fn is_client(&self) -> bool {
        self.kind == "client"
    }

    /// Whether this span says that it is a direct child of `parent`.
    pub fn is_child_of(&self, parent: &Self) -> bool {
        self.trace_id == parent.trace_id && self.parent_span_id == parent.span_id
    }

    /// Sorts spans by when their traces began, and leaves those of one trace in the order of their
    /// ends: an answer may be read, and the next request sent, before the server is done with it.
    pub fn sort_by_trace(spans: &mut [Self]) {
        let mut began: HashMap<String, u64> = HashMap::new();
        for span in spans.iter() {
            let start = began.entry(span.trace_id.clone()).or_insert(span.start);
            *start = span.start.min(*start);
        }
        spans.sort_by_key(|span| began.get(&span.trace_id).copied());
    }

    /// The first few of these spans, each on a short line, for messages.
    pub fn list(spans: &[Self]) -> String {
        let line = |span: &Self| {
            let target: String = span.target().chars().take(60).collect();
            let (kind, name, parent, trace) =
                (&span.kind, &span.name, &span.parent, &span.trace_id);
            format!("  {kind} {name:?} {target:?} parent {parent}, trace {trace}")
        };
        spans.iter().take(40).map(line).collect::<Vec<_>>().join("\n")
    }

    /// The server's path, or the client's URL.
    pub fn target(&self) -> &str {
        self.text("url.path").or_else(|| self.text("url.full")).unwrap_or_default()
    }
}

fn is_id(text: &str, digits: usize) -> bool {
    text.len() == digits
        && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        && text.bytes().any(|b| b != b'0')
}
