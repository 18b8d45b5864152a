//! What decoders of all records need: views of bytes, spans, texts and addresses.

use core::net::{IpAddr, SocketAddr};

use compact_str::CompactString;
use zerocopy::FromBytes;

use crate::event::{SpanCore, Text, UnreadSet};
use crate::names::{Outcome, Parent, Unread};
use crate::{DecodeError, raw};

/// Length of a text that could not be read.
pub const TEXT_UNREAD: u16 = 0xffff;
/// The same of an address.
pub const ADDRESS_UNREAD: u8 = 0xff;
/// The flags that W3C has given a meaning.
pub(crate) const W3C_FLAGS: u8 = 3;
const TRACE_LEFT_OUT: u8 = 0x20;
const TRACE_OWN: u8 = 0x40;
const TRACE_TELEMETRY: u8 = 0x80;

/// The bytes as a structure of the contract, at any alignment, and what follows it.
///
/// # Errors
/// [`DecodeError::Short`].
pub fn read<T: FromBytes>(bytes: &[u8]) -> Result<(T, &[u8]), DecodeError> {
    T::read_from_prefix(bytes).map_err(|_| DecodeError::Short(bytes.len()))
}

/// The same without a copy, of what the kernel has aligned.
pub(crate) fn view<T: FromBytes + zerocopy::Immutable + zerocopy::KnownLayout>(
    bytes: &[u8],
) -> Result<&T, DecodeError> {
    T::ref_from_prefix(bytes).map(|(value, _)| value).map_err(|_| DecodeError::Short(bytes.len()))
}

/// What all operations have.
///
/// # Errors
/// [`DecodeError::Field`] for a number out of range.
pub fn core(span: &raw::Span) -> Result<SpanCore, DecodeError> {
    Ok(SpanCore {
        start_ns: span.start_ns,
        end_ns: span.end_ns,
        goid: span.goid,
        trace_id: span.trace_id,
        span_id: span.span_id,
        parent_span_id: span.parent_span_id,
        trace_flags: span.trace_flags & W3C_FLAGS,
        telemetry: span.trace_flags & TRACE_TELEMETRY != 0,
        left_out: span.trace_flags & TRACE_LEFT_OUT != 0,
        own_trace: span.trace_flags & TRACE_OWN != 0,
        parent: Parent::from_number(span.parent.into()).ok_or(DecodeError::Field("parent"))?,
        outcome: Outcome::from_number(span.outcome.into()).ok_or(DecodeError::Field("outcome"))?,
        resend: span.resend,
        unread: UnreadSet::from_bits(span.unread),
    })
}

/// Those of the texts with these lengths that could not be read.
pub fn texts_unread(texts: &[(Unread, u16)]) -> UnreadSet {
    texts.iter().fold(UnreadSet::default(), |all, (what, len)| all.with(*what, *len == TEXT_UNREAD))
}

/// The operating system's error, if that is what the error consists of. None has the number 0, which is
/// what one has that could not be read.
pub fn errno(role: u8, number: u64) -> Option<u32> {
    let number = u32::try_from(number).ok().filter(|number| *number != 0);
    number.filter(|_| role == raw::TypeRole::Errno as u8)
}

/// An IPv4 address in IPv6's form is the former.
pub fn address(bytes: &[u8; 16], len: u8, port: u16) -> Option<SocketAddr> {
    let ip = match len {
        4 => IpAddr::from([bytes[0], bytes[1], bytes[2], bytes[3]]),
        16 => IpAddr::from(*bytes).to_canonical(),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// The first `len` bytes of `slot`; a longer `len` means that the target's string was cut, and
/// [`TEXT_UNREAD`] that it could not be read.
pub fn text(slot: &[u8], len: u16) -> Text {
    if len == TEXT_UNREAD {
        return Text::default();
    }
    let len = usize::from(len);
    let truncated = len > slot.len();
    let bytes = &slot[..len.min(slot.len())];
    // A cut in the middle of a character is no invalid byte of the target's.
    let value = match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(e) if truncated && e.error_len().is_none() => {
            CompactString::from_utf8_lossy(&bytes[..e.valid_up_to()])
        }
        Err(_) => CompactString::from_utf8_lossy(bytes),
    };
    Text { value, truncated }
}
