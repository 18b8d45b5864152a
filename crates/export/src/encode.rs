//! OTLP protobuf, written straight into a buffer.
//!
//! This is the hot path: the generated message types need some thirty allocations a span, this code needs none. The tests decode it with the generated types and compare.
//! Field numbers are those of opentelemetry-proto's `trace.proto`, `logs.proto`, `common.proto`, `resource.proto`.

use prost::encoding::{WireType, encode_key, encode_varint};
use trace::{Kind, LogRecord, Resource, Span, Status, ValueRef};

/// Appends one `Span` as field `spans` (2) of `ScopeSpans`.
pub(crate) fn span(span: &Span, out: &mut Vec<u8>) {
    nested(2, out, |out| {
        bytes(1, &span.trace_id, out);
        bytes(2, &span.span_id, out);
        text(3, &span.trace_state, out);
        if let Some(parent) = &span.parent_span_id {
            bytes(4, parent, out);
        }
        bytes(5, span.name.as_bytes(), out);
        varint(6, if span.kind == Kind::Server { 2 } else { 3 }, out);
        fixed64(7, span.start_unix_nano, out);
        fixed64(8, span.end_unix_nano, out);
        span.attributes(|key, value| attribute(9, key, value, out));
        attribute(9, "gotap.parent", ValueRef::Text(span.parent.label()), out);
        for link in &span.links {
            nested(13, out, |out| {
                bytes(1, &link.trace_id, out);
                bytes(2, &link.span_id, out);
                encode_key(6, WireType::ThirtyTwoBit, out);
                out.extend_from_slice(&u32::from(link.trace_flags).to_le_bytes());
            });
        }
        if let Status::Error(message) = &span.status {
            nested(15, out, |out| {
                text(2, message, out);
                varint(3, 2, out);
            });
        }
        encode_key(16, WireType::ThirtyTwoBit, out);
        out.extend_from_slice(&u32::from(span.trace_flags).to_le_bytes());
    });
}

/// Appends one `LogRecord` as field `log_records` (2) of `ScopeLogs`.
pub(crate) fn log(record: &LogRecord, out: &mut Vec<u8>) {
    nested(2, out, |out| {
        fixed64(1, record.time_unix_nano, out);
        if let Some(severity) = record.severity {
            varint(2, severity.number().into(), out);
            text(3, severity.label(), out);
        }
        if let Some(body) = &record.body {
            nested(5, out, |out| bytes(1, body.as_bytes(), out));
        }
        record.attributes(|key, value| attribute(6, key, value, out));
        if let Some(span) = &record.span {
            encode_key(8, WireType::ThirtyTwoBit, out);
            out.extend_from_slice(&u32::from(span.trace_flags).to_le_bytes());
            bytes(9, &span.trace_id, out);
            bytes(10, &span.span_id, out);
        }
        fixed64(11, record.observed_unix_nano, out);
        text(12, record.event_name, out);
    });
}

/// Appends one `ResourceSpans` or `ResourceLogs` (field 1 of the request) around what [`span`] or [`log`] wrote:
/// both are alike.
pub(crate) fn of_resource(resource: &Resource, items: &[u8], out: &mut Vec<u8>) {
    nested(1, out, |out| {
        nested(1, out, |out| {
            for (key, value) in resource.attributes() {
                attribute(1, key, value.as_ref(), out);
            }
        });
        nested(2, out, |out| {
            nested(1, out, |out| {
                bytes(1, b"gotap", out);
                bytes(2, env!("CARGO_PKG_VERSION").as_bytes(), out);
            });
            out.extend_from_slice(items);
        });
    });
}

/// One `KeyValue`. Most of a span's bytes are attributes, and almost all of these are short: lengths of
/// one byte each are known before anything is written.
fn attribute(field: u32, key: &str, value: ValueRef<'_>, out: &mut Vec<u8>) {
    let value = match value {
        ValueRef::Text(value) => value,
        ValueRef::Int(value) => return integer_attribute(field, key, value, out),
        ValueRef::Double(value) => return double_attribute(field, key, value, out),
        ValueRef::Texts(values) => return texts_attribute(field, key, values, out),
    };
    if key.len() + value.len() > 127 - 6 {
        nested(field, out, |out| {
            bytes(1, key.as_bytes(), out);
            nested(2, out, |out| bytes(1, value.as_bytes(), out));
        });
        return;
    }
    let (key_len, value_len) = (key.len() as u8, value.len() as u8);
    out.reserve(128 + 2);
    out.extend_from_slice(&[tag(field), key_len + value_len + 6, tag(1), key_len]);
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(&[tag(2), value_len + 2, tag(1), value_len]);
    out.extend_from_slice(value.as_bytes());
}

fn integer_attribute(field: u32, key: &str, value: i64, out: &mut Vec<u8>) {
    nested(field, out, |out| {
        bytes(1, key.as_bytes(), out);
        nested(2, out, |out| varint(3, value.cast_unsigned(), out));
    });
}

fn double_attribute(field: u32, key: &str, value: f64, out: &mut Vec<u8>) {
    nested(field, out, |out| {
        bytes(1, key.as_bytes(), out);
        nested(2, out, |out| {
            encode_key(4, WireType::SixtyFourBit, out);
            out.extend_from_slice(&value.to_le_bytes());
        });
    });
}

fn texts_attribute(field: u32, key: &str, values: &[impl AsRef<str>], out: &mut Vec<u8>) {
    nested(field, out, |out| {
        bytes(1, key.as_bytes(), out);
        // An ArrayValue (5) of values.
        let array = |out: &mut Vec<u8>| {
            for value in values {
                nested(1, out, |out| bytes(1, value.as_ref().as_bytes(), out));
            }
        };
        nested(2, out, |out| nested(5, out, array));
    });
}

/// The key of a field that has a length, of those below 16.
const fn tag(field: u32) -> u8 {
    (field << 3) as u8 | WireType::LengthDelimited as u8
}

/// A message, whose length is known only once it is written: two bytes are kept for it, and moved
/// apart in the rare case that they are too few.
fn nested(field: u32, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    encode_key(field, WireType::LengthDelimited, out);
    let start = out.len();
    out.extend_from_slice(&[0, 0]);
    write(out);
    let len = out.len() - start - 2;
    if len < 1 << 14 {
        // A length below 128 may be written in two bytes too: decoders accept that.
        out[start] = (len & 0x7f) as u8 | 0x80;
        out[start + 1] = (len >> 7) as u8;
        return;
    }
    let mut length = Vec::with_capacity(5);
    encode_varint(len as u64, &mut length);
    out.splice(start..start + 2, length);
}

fn bytes(field: u32, value: &[u8], out: &mut Vec<u8>) {
    encode_key(field, WireType::LengthDelimited, out);
    length(value.len(), out);
    out.extend_from_slice(value);
}

fn length(len: usize, out: &mut Vec<u8>) {
    match u8::try_from(len) {
        Ok(len @ ..=127) => out.push(len),
        _ => encode_varint(len as u64, out),
    }
}

fn text(field: u32, value: &str, out: &mut Vec<u8>) {
    if !value.is_empty() {
        bytes(field, value.as_bytes(), out);
    }
}

fn varint(field: u32, value: u64, out: &mut Vec<u8>) {
    encode_key(field, WireType::Varint, out);
    encode_varint(value, out);
}

fn fixed64(field: u32, value: u64, out: &mut Vec<u8>) {
    encode_key(field, WireType::SixtyFourBit, out);
    out.extend_from_slice(&value.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
    use prost::Message;
    use trace::{Added, Http, Value, synthetic};

    use super::*;

    fn sample(path: &str) -> Span {
        let http = Http { url: Some(path.into()), status: Some(404), ..Http::default() };
        let mut added = Added::default();
        added.extend([("x.int", Value::Int(-1)), ("gotap.xray.io", Value::Double(0.25))]);
        Span {
            links: vec![trace::SpanContext { trace_id: [1; 16], span_id: [2; 8], trace_flags: 1 }],
            trace_state: "a=b".into(),
            name: "GET /x".into(),
            kind: Kind::Client,
            start_unix_nano: 1 << 60,
            end_unix_nano: (1 << 60) + 5,
            status: Status::Error("broken".into()),
            operation: synthetic::http(http),
            added,
            resource: Arc::new(Resource::new(vec![
                ("service.name".into(), Value::Text("shop".into())),
                ("container.image.tags".into(), Value::Texts(["1.4".into(), "x".into()].into())),
            ])),
            ..synthetic::span(0xab, 0xcd, Some(0xef))
        }
    }

    fn decoded(span_: &Span) -> ExportTraceServiceRequest {
        let (mut spans, mut request) = (Vec::new(), Vec::new());
        span(span_, &mut spans);
        of_resource(&span_.resource, &spans, &mut request);
        ExportTraceServiceRequest::decode(&request[..]).unwrap()
    }

    #[test]
    fn the_generated_types_read_it_back() {
        let original = sample("http://h/");
        let request = decoded(&original);
        let resource = &request.resource_spans[0];
        let attributes = &resource.resource.as_ref().unwrap().attributes;
        assert_eq!(attributes[0].key, "service.name");
        let Some(Any::ArrayValue(tags)) = attributes[1].value.clone().unwrap().value else {
            panic!("{attributes:?}")
        };
        let tags: Vec<_> = tags.values.into_iter().map(|tag| tag.value.unwrap()).collect();
        assert_eq!(tags, ["1.4", "x"].map(|tag| Any::StringValue(tag.into())));
        let scope = &resource.scope_spans[0];
        assert_eq!(scope.scope.as_ref().unwrap().name, "gotap");
        let span = &scope.spans[0];
        assert_eq!(span.trace_id, original.trace_id);
        assert_eq!(span.parent_span_id, original.parent_span_id.unwrap());
        assert_eq!((span.kind, span.flags), (3, 1));
        assert_eq!((span.trace_state.as_str(), span.name.as_str()), ("a=b", "GET /x"));
        assert_eq!(span.end_time_unix_nano - span.start_time_unix_nano, 5);
        let link = &span.links[0];
        assert_eq!((&link.trace_id[..], &link.span_id[..]), (&[1; 16][..], &[2; 8][..]));
        assert_eq!((span.links.len(), link.flags), (1, 1));
        assert_eq!(span.status.as_ref().unwrap().code, 2);
        assert_eq!(span.status.as_ref().unwrap().message, "broken");
        let value = |i: usize| span.attributes[i].value.clone().unwrap().value.unwrap();
        assert_eq!(value(0), Any::StringValue("http://h/".into()));
        assert_eq!((value(1), value(2)), (Any::IntValue(404), Any::IntValue(-1)));
        assert_eq!(value(3), Any::DoubleValue(0.25));
        assert_eq!(value(4), Any::StringValue("context".into()));
    }

    #[test]
    fn the_generated_types_read_log_records_back() {
        let resource = sample("x").resource;
        let span = trace::SpanContext { trace_id: [1; 16], span_id: [2; 8], trace_flags: 1 };
        let record = LogRecord {
            time_unix_nano: 5,
            observed_unix_nano: 6,
            severity: Some(trace::Severity::Warn),
            event_name: "e",
            body: Some(String::new()),
            stream: Some("stdout"),
            added: Added::default(),
            span: Some(span),
            resource: resource.clone(),
        };
        let (mut records, mut request) = (Vec::new(), Vec::new());
        log(&record, &mut records);
        log(&LogRecord { body: None, span: None, ..record }, &mut records);
        of_resource(&resource, &records, &mut request);
        let request = ExportLogsServiceRequest::decode(&request[..]).unwrap();
        let scope = &request.resource_logs[0].scope_logs[0];
        let [first, second] = &scope.log_records[..] else { panic!("{scope:?}") };
        assert_eq!((first.time_unix_nano, first.observed_time_unix_nano), (5, 6));
        assert_eq!((first.severity_number, first.severity_text.as_str()), (13, "WARN"));
        assert_eq!((first.event_name.as_str(), first.flags), ("e", 1));
        // An empty text is one; none is none.
        let body = first.body.as_ref().unwrap().value.as_ref().unwrap();
        assert_eq!((body, &second.body), (&Any::StringValue(String::new()), &None));
        assert_eq!((&first.trace_id[..], &first.span_id[..]), (&[1; 16][..], &[2; 8][..]));
        assert!(second.trace_id.is_empty() && second.flags == 0);
        assert_eq!(first.attributes[0].key, "log.iostream");
    }

    #[test]
    fn long_messages_get_long_lengths() {
        let long = "x".repeat(20_000);
        let request = decoded(&sample(&long));
        let value = request.resource_spans[0].scope_spans[0].spans[0].attributes[0].value.clone();
        assert_eq!(value.unwrap().value.unwrap(), Any::StringValue(long));
    }
}
