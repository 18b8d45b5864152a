//! Ring-buffer records as owned events. Those that one instrument alone knows stay bytes: see [`Record`].

use compact_str::ToCompactString;
use zerocopy::FromBytes;

use crate::event::{
    CallEndEvent, Event, HttpEvent, PathEvent, PathPart, Record, Role, RpcEvent, Text, UnreadSet,
};
use crate::names::{CallSite, Content, Outcome, Unread};
use crate::raw;
use crate::record::{
    ADDRESS_UNREAD, TEXT_UNREAD, W3C_FLAGS, address, core, text, texts_unread, view,
};

const EXEC: u16 = 1;
const EXIT: u16 = 2;
const HTTP_SERVER: u16 = 3;
const HTTP_CLIENT: u16 = 4;
const TRACESTATE: u16 = 5;
const HTTP_SERVER_SMALL: u16 = 6;
const HTTP_CLIENT_SMALL: u16 = 7;
const RPC_SERVER: u16 = 8;
const RPC_CLIENT: u16 = 9;
const RPC_STATUS: u16 = 10;
const CALL_END: u16 = 13;
const PATH: u16 = 20;
const MOVED: u16 = 14;
const HEADER: u16 = 15;

const FLAG_TLS: u16 = 1;
const FLAG_RAW_PATH: u16 = 2;
const FLAG_TRACESTATE: u16 = 4;
const FLAG_LINE: u16 = 8;
const FLAG_PEER_ADDRESS: u16 = 16;
/// Times a [`Content`].
const FLAG_CONTENT: u16 = 32;
const FLAG_OPAQUE: u16 = 256;
const FLAG_UNKNOWN_SCHEME: u16 = 512;
const FLAG_PATH_KEPT: u16 = 1024;

const PATH_SENT: u16 = 1;
const PATH_AT_END: u16 = 2;

const FLAG_NO_CODE: u16 = 4;
const FLAG_CONNECT: u16 = 8;

/// Why a record could not be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Fewer bytes than its kind needs.
    #[error("record of {0} bytes is too short")]
    Short(usize),
    /// A kind that this version does not know.
    #[error("record of unknown kind {0}")]
    Kind(u16),
    /// A number outside its range.
    #[error("record with invalid {0}")]
    Field(&'static str),
}

/// Decodes one record, as far as its kind is known here.
///
/// # Errors
/// [`DecodeError`] for records that are short or out of range.
pub fn decode(bytes: &[u8]) -> Result<Event, DecodeError> {
    let header: &raw::Header = view(bytes)?;
    match header.kind {
        EXEC | EXIT => {
            let event: &raw::Lifecycle = view(bytes)?;
            let (pid, time_ns) = (event.header.process, event.time_ns);
            Ok(if header.kind == EXEC {
                Event::Exec { pid, time_ns }
            } else {
                Event::Exit { pid, time_ns }
            })
        }
        HTTP_SERVER => http(&Slots::of(view(bytes)?), Role::Server),
        HTTP_CLIENT => http(&Slots::of(view(bytes)?), Role::Client),
        HTTP_SERVER_SMALL => http(&Slots::of_small(view(bytes)?), Role::Server),
        HTTP_CLIENT_SMALL => http(&Slots::of_small(view(bytes)?), Role::Client),
        RPC_SERVER => Ok(Event::Rpc(Box::new(rpc(view(bytes)?, Role::Server)?))),
        RPC_CLIENT => Ok(Event::Rpc(Box::new(rpc(view(bytes)?, Role::Client)?))),
        PATH => path(bytes),
        CALL_END => Ok(Event::CallEnd(Box::new(call_end(view(bytes)?)?))),
        RPC_STATUS => Ok(Event::RpcStatus(Box::new(rpc(view(bytes)?, Role::Server)?))),
        MOVED => {
            let event: &raw::Moved = view(bytes)?;
            let trace_flags = event.trace_flags & W3C_FLAGS;
            Ok(Event::Moved { from: event.from, to: event.to, trace_flags })
        }
        HEADER => {
            let event: &raw::HeaderValue = view(bytes)?;
            let (span_id, name) = (event.span_id, event.name);
            let value = (event.len != TEXT_UNREAD).then(|| text(&event.text, event.len));
            Ok(Event::Header { span_id, name, value })
        }
        TRACESTATE => {
            let event: &raw::Tracestate = view(bytes)?;
            Ok(Event::Tracestate {
                span_id: event.span_id,
                field: event.field,
                fields: event.fields,
                text: text(&event.text, event.len),
            })
        }
        kind => {
            let instance = header.process;
            Ok(Event::Record(Box::new(Record { kind, instance, bytes: bytes.into() })))
        }
    }
}

/// An HTTP record of either size.
struct Slots<'a> {
    head: &'a raw::HttpHead,
    method: &'a [u8],
    peer: &'a [u8],
    host: &'a [u8],
    user_agent: &'a [u8],
    route: &'a [u8],
    text: &'a [u8],
    target: &'a [u8],
}

impl<'a> Slots<'a> {
    fn of(event: &'a raw::Http) -> Self {
        Self {
            head: &event.head,
            method: &event.method,
            peer: &event.peer,
            host: &event.host,
            user_agent: &event.user_agent,
            route: &event.route,
            text: &event.text,
            target: &event.target,
        }
    }

    fn of_small(event: &'a raw::HttpSmall) -> Self {
        Self {
            head: &event.head,
            method: &event.method,
            peer: &event.peer,
            host: &event.host,
            user_agent: &event.user_agent,
            route: &event.route,
            text: &[],
            target: &event.target,
        }
    }
}

fn http(slots: &Slots<'_>, role: Role) -> Result<Event, DecodeError> {
    let event = slots.head;
    let mut span = core(&event.span)?;
    span.unread = span.unread.and(unread_of(event));
    let unread = span.unread;
    let known = |what| !unread.has(what);
    let answered = span.outcome == Outcome::Done;
    let has = |flag| event.flags & flag != 0;
    let (method, target) = if has(FLAG_LINE) {
        request_line(slots)
    } else {
        (text(slots.method, event.method_len), text(slots.target, event.target_len))
    };
    // A server's route and a client's query have the same slot.
    let mut route = text(slots.route, event.route_len);
    let query = if role == Role::Client { std::mem::take(&mut route) } else { Text::default() };
    Ok(Event::Http(Box::new(HttpEvent {
        instance: event.header.process,
        role,
        span,
        request_size: u64::try_from(event.request_size).ok(),
        response_size: u64::try_from(event.response_size).ok().filter(|_| known(Unread::Size)),
        status: Some(event.status).filter(|status| *status != 0 && known(Unread::Status)),
        version: (event.proto_major, event.proto_minor),
        tls: has(FLAG_TLS),
        known_scheme: !has(FLAG_UNKNOWN_SCHEME),
        raw_path: has(FLAG_RAW_PATH),
        opaque: has(FLAG_OPAQUE),
        tracestate: has(FLAG_TRACESTATE),
        path_kept: has(FLAG_PATH_KEPT),
        content: Content::from_number(u32::from(event.flags / FLAG_CONTENT % 8))
            .unwrap_or(Content::Other),
        error_type: if role == Role::Client && !answered { event.subject } else { 0 },
        response: if role == Role::Client && answered { event.subject } else { 0 },
        server: if role == Role::Server { event.subject } else { 0 },
        errno: event.errno,
        method,
        target,
        host: text(slots.host, event.host_len),
        peer: peer(slots),
        user_agent: text(slots.user_agent, event.user_agent_len),
        route,
        query,
        error_text: text(slots.text, event.text_len),
    })))
}

/// The texts of an HTTP record that could not be read.
fn unread_of(event: &raw::HttpHead) -> UnreadSet {
    let peer_unread = if event.flags & FLAG_PEER_ADDRESS == 0 {
        event.peer_len == TEXT_UNREAD
    } else {
        event.peer_len == ADDRESS_UNREAD.into()
    };
    let line = event.flags & FLAG_LINE != 0 && event.target_len == TEXT_UNREAD;
    let unread = texts_unread(&[
        (Unread::Method, event.method_len),
        (Unread::Target, event.target_len),
        (Unread::Host, event.host_len),
        (Unread::UserAgent, event.user_agent_len),
        (Unread::Route, event.route_len),
        (Unread::Message, event.text_len),
    ]);
    // Of a request line both parts are read at once.
    unread.with(Unread::Method, line).with(Unread::Peer, peer_unread)
}

fn rpc(event: &raw::Rpc, role: Role) -> Result<RpcEvent, DecodeError> {
    let has = |flag| event.flags & flag != 0;
    let mut span = core(&event.span)?;
    let peer_unread = [event.peer_len, event.local_len].contains(&ADDRESS_UNREAD);
    let unread = texts_unread(&[
        (Unread::Method, event.method_len),
        (Unread::Target, event.target_len),
        (Unread::Message, event.message_len),
    ]);
    span.unread = span.unread.and(unread).with(Unread::Peer, peer_unread);
    let known = !has(FLAG_NO_CODE) && !span.unread.has(Unread::Status);
    Ok(RpcEvent {
        instance: event.header.process,
        role,
        span,
        code: known.then_some(event.code),
        connect: has(FLAG_CONNECT),
        error_type: event.subject,
        peer: address(&event.peer, event.peer_len, event.peer_port),
        local: address(&event.local, event.local_len, event.local_port),
        method: text(&event.method, event.method_len),
        target: text(&event.target, event.target_len),
        message: text(&event.message, event.message_len),
    })
}

fn path(bytes: &[u8]) -> Result<Event, DecodeError> {
    let (event, rest) =
        raw::Path::ref_from_prefix(bytes).map_err(|_| DecodeError::Short(bytes.len()))?;
    let size = usize::from(event.header.size).saturating_sub(size_of::<raw::Path>());
    let part = match event.part {
        PATH_SENT => PathPart::Sent,
        PATH_AT_END => PathPart::AtEnd { raw_len: event.raw_len },
        _ => return Err(DecodeError::Field("part")),
    };
    let mut text = text(&rest[..size.min(rest.len())], event.len);
    text.truncated |= event.len == TEXT_UNREAD;
    Ok(Event::Path(Box::new(PathEvent { span_id: event.span_id, part, text })))
}

fn call_end(event: &raw::CallEnd) -> Result<CallEndEvent, DecodeError> {
    let site = CallSite::from_number(event.site.into()).ok_or(DecodeError::Field("site"))?;
    let message = texts_unread(&[(Unread::Message, event.message_len)]);
    let unread = UnreadSet::from_bits(event.unread).and(message);
    let closed = site == CallSite::Closed;
    Ok(CallEndEvent {
        instance: event.header.process,
        end_ns: event.end_ns,
        response: event.response,
        code: (!closed && !unread.has(Unread::Status)).then_some(event.code),
        unread,
        closed,
        error_type: event.subject,
        message: text(&event.message, event.message_len),
    })
}

/// The peer's address and port, which fasthttp's requests have as numbers.
fn peer(slots: &Slots<'_>) -> Text {
    if slots.head.flags & FLAG_PEER_ADDRESS == 0 {
        return text(slots.peer, slots.head.peer_len);
    }
    let found = slots.peer.split_first_chunk::<16>().and_then(|(ip, rest)| {
        let (port, _) = rest.split_first_chunk::<2>()?;
        address(ip, u8::try_from(slots.head.peer_len).ok()?, u16::from_le_bytes(*port))
    });
    found.map_or_else(Text::default, |peer| Text {
        value: peer.to_compact_string(),
        truncated: false,
    })
}

/// Method and target where they came in one piece, as they stand in the request line.
fn request_line(slots: &Slots<'_>) -> (Text, Text) {
    if slots.head.target_len == TEXT_UNREAD {
        return (Text::default(), Text::default());
    }
    let method_len = slots.head.method_len;
    let method = usize::from(method_len).min(slots.target.len());
    let rest = slots.target.get(method + 1..).unwrap_or_default();
    let rest_len = slots.head.target_len.saturating_sub(method_len.saturating_add(1));
    (text(&slots.target[..method], method_len), text(rest, rest_len))
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
