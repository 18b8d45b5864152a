//! One span with everything around it in one flat value, as tests want to compare it.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::{Map, Value};

/// A span as the collector received it. Ids are lower-case hex, empty where absent.
#[derive(Clone, Debug, PartialEq)]
pub struct FlatSpan {
    /// 32 hex digits.
    pub trace_id: String,
    /// 16 hex digits.
    pub span_id: String,
    /// 16 hex digits, or empty for a root span.
    pub parent_span_id: String,
    /// The W3C trace state, or empty.
    pub trace_state: String,
    /// The W3C flags and OTLP's bits for a remote parent.
    pub flags: u64,
    /// The name of the operation.
    pub name: String,
    /// The role of the span.
    pub kind: Kind,
    /// Nanoseconds since 1970.
    pub start: u64,
    /// Nanoseconds since 1970.
    pub end: u64,
    /// Whether the operation succeeded, as far as is said.
    pub status: Status,
    /// The text that goes with the status, or empty.
    pub status_message: String,
    /// The span's attributes as plain JSON values.
    pub attributes: BTreeMap<String, Value>,
    /// The resource's attributes as plain JSON values.
    pub resource: BTreeMap<String, Value>,
    /// The name of the instrumentation scope.
    pub scope: String,
}

impl FlatSpan {
    /// An attribute that is a string.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.attributes.get(key)?.as_str()
    }

    /// An attribute that is an integer.
    pub fn int(&self, key: &str) -> Option<i64> {
        self.attributes.get(key)?.as_i64()
    }

    /// An attribute that is a number with a fraction.
    pub fn double(&self, key: &str) -> Option<f64> {
        self.attributes.get(key)?.as_f64()
    }

    /// The resource's `service.name`.
    pub fn service(&self) -> Option<&str> {
        self.resource.get("service.name")?.as_str()
    }

    /// Whether this span has no parent.
    pub fn is_root(&self) -> bool {
        self.parent_span_id.is_empty()
    }

    /// Whether this span says that it is a direct child of `parent`.
    pub fn is_child_of(&self, parent: &Self) -> bool {
        self.trace_id == parent.trace_id && self.parent_span_id == parent.span_id
    }
}

/// The role of a span, numbered as in OTLP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Not said.
    Unspecified,
    /// Work inside of a process.
    Internal,
    /// The side that receives a request.
    Server,
    /// The side that sends a request.
    Client,
    /// The side that sends a message.
    Producer,
    /// The side that receives a message.
    Consumer,
}

/// The outcome of a span, numbered as in OTLP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Nothing was said.
    Unset,
    /// The program said that all is well.
    Ok,
    /// The operation failed.
    Error,
}

/// Appends the spans of one export; an export of metrics or logs has none.
pub fn flatten(export: &Value, spans: &mut Vec<FlatSpan>) -> Result<()> {
    for resource_spans in items(export, "resourceSpans") {
        let resource = attributes(&resource_spans["resource"])?;
        for scope_spans in items(resource_spans, "scopeSpans") {
            let scope = text(&scope_spans["scope"], "name");
            for span in items(scope_spans, "spans") {
                let flat = flat(span, &resource, &scope)
                    .with_context(|| format!("span {}", text(span, "spanId")))?;
                spans.push(flat);
            }
        }
    }
    Ok(())
}

fn flat(span: &Value, resource: &BTreeMap<String, Value>, scope: &str) -> Result<FlatSpan> {
    Ok(FlatSpan {
        trace_id: text(span, "traceId"),
        span_id: text(span, "spanId"),
        parent_span_id: text(span, "parentSpanId"),
        trace_state: text(span, "traceState"),
        flags: number(span, "flags")?,
        name: text(span, "name"),
        kind: match number(span, "kind")? {
            1 => Kind::Internal,
            2 => Kind::Server,
            3 => Kind::Client,
            4 => Kind::Producer,
            5 => Kind::Consumer,
            _ => Kind::Unspecified,
        },
        start: number(span, "startTimeUnixNano")?,
        end: number(span, "endTimeUnixNano")?,
        status: match number(&span["status"], "code")? {
            1 => Status::Ok,
            2 => Status::Error,
            _ => Status::Unset,
        },
        status_message: text(&span["status"], "message"),
        attributes: attributes(span)?,
        resource: resource.clone(),
        scope: scope.to_owned(),
    })
}

/// The elements of a list; JSON leaves an empty one out.
fn items<'a>(object: &'a Value, key: &str) -> &'a [Value] {
    object[key].as_array().map_or(&[], Vec::as_slice)
}

/// A string; JSON leaves an empty one out.
fn text(object: &Value, key: &str) -> String {
    object[key].as_str().unwrap_or_default().to_owned()
}

/// A number; OTLP's JSON writes 64 bits as a string and leaves 0 out.
fn number(object: &Value, key: &str) -> Result<u64> {
    match &object[key] {
        Value::Null => Ok(0),
        Value::String(digits) => digits.parse().with_context(|| format!("{key} is {digits}")),
        other => other.as_u64().with_context(|| format!("{key} is {other}")),
    }
}

fn attributes(owner: &Value) -> Result<BTreeMap<String, Value>> {
    items(owner, "attributes")
        .iter()
        .map(|pair| Ok((text(pair, "key"), plain(&pair["value"])?)))
        .collect()
}

/// Turns OTLP's `{"intValue": "5"}` into plain JSON.
fn plain(any: &Value) -> Result<Value> {
    let Some((kind, value)) = any.as_object().and_then(|object| object.iter().next()) else {
        return Ok(Value::Null);
    };
    Ok(match kind.as_str() {
        "intValue" => match value {
            Value::String(digits) => {
                digits.parse::<i64>().with_context(|| format!("intValue is {digits}"))?.into()
            }
            number => number.clone(),
        },
        "arrayValue" => items(value, "values").iter().map(plain).collect::<Result<_>>()?,
        "kvlistValue" => {
            let pairs = items(value, "values").iter();
            let object: Result<Map<_, _>> =
                pairs.map(|pair| Ok((text(pair, "key"), plain(&pair["value"])?))).collect();
            Value::Object(object?)
        }
        _ => value.clone(),
    })
}
