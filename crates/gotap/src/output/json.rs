//! Spans and log records as JSON, one a line: ids in lower-case hex and times as decimal strings, as in OTLP/JSON,
//! but attributes and resource as flat objects.

use serde_json::{Map, Value, json};
use trace::{LogRecord, Resource, Span, Status, ValueRef};

/// One span as a line without its end.
pub(crate) fn json_line(span: &Span) -> String {
    let status = match &span.status {
        Status::Unset => json!({"code": "unset"}),
        Status::Error(message) if message.is_empty() => json!({"code": "error"}),
        Status::Error(message) => json!({"code": "error", "message": message}),
    };
    let mut attributes = Map::new();
    span.attributes(|key, value| drop(attributes.insert(key.to_owned(), json_value(value))));
    let mut line = json!({
        "traceId": hex(&span.trace_id),
        "spanId": hex(&span.span_id),
        "parentSpanId": span.parent_span_id.map(|id| hex(&id)).unwrap_or_default(),
        "traceState": span.trace_state,
        "flags": span.trace_flags,
        "name": span.name.as_str(),
        "kind": span.kind.label(),
        "startTimeUnixNano": span.start_unix_nano.to_string(),
        "endTimeUnixNano": span.end_unix_nano.to_string(),
        "status": status,
        "attributes": attributes,
        "resource": resource(&span.resource),
        "parent": span.parent.label(),
    });
    if let (false, Some(object)) = (span.links.is_empty(), line.as_object_mut()) {
        let links = span
            .links
            .iter()
            .map(|link| json!({"traceId": hex(&link.trace_id), "spanId": hex(&link.span_id)}));
        object.insert("links".into(), links.collect());
    }
    line.to_string()
}

/// One log record as a line without its end; `body` tells it from a span.
pub(crate) fn log_line(record: &LogRecord) -> String {
    let mut attributes = Map::new();
    record.attributes(|key, value| drop(attributes.insert(key.to_owned(), json_value(value))));
    let line = json!({
        "timeUnixNano": record.time_unix_nano.to_string(),
        "severity": record.severity.map(trace::Severity::label),
        "body": record.body,
        "traceId": record.span.map(|span| hex(&span.trace_id)).unwrap_or_default(),
        "spanId": record.span.map(|span| hex(&span.span_id)).unwrap_or_default(),
        "attributes": attributes,
        "resource": resource(&record.resource),
    });
    line.to_string()
}

fn resource(resource: &Resource) -> Map<String, Value> {
    resource.attributes().iter().map(|(k, v)| (k.clone(), json_value(v.as_ref()))).collect()
}

/// An attribute's value.
fn json_value(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Text(text) => json!(text),
        ValueRef::Int(number) => json!(number),
        ValueRef::Double(number) => json!(number),
        ValueRef::Texts(texts) => texts.iter().map(|text| text.as_str()).collect(),
    }
}

/// Lower-case hex.
fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |n: u8| char::from(DIGITS[usize::from(n & 15)]);
    bytes.iter().flat_map(|b| [digit(b >> 4), digit(*b)]).collect()
}
