//! The contract of what programs write to their logs: the twin of `bpf/logs.h`.
//!
//! Not here: what the lines say.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::DecodeError;

/// Most bytes of a text that are kept (`GT_LOG_LONG`).
pub const LOG_TEXT_LONG: u32 = 4096;
/// Bytes of a text that are kept where only its start matters (`GT_LOG_SHORT`).
pub const LOG_TEXT_SHORT: u32 = 512;
/// Processes that are looked at (`GT_LOG_PROCESSES`).
pub const LOG_PROCESSES: u32 = 4096;

/// Where a line is written (`enum gt_log_stream`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum LogStream {
    /// File descriptor 1.
    Stdout = 1,
    /// File descriptor 2.
    Stderr = 2,
    /// A file that was opened for appending.
    File = 3,
}

/// What is counted (`enum gt_log_counter`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum LogCounter {
    /// Writes of observed processes to where lines are wanted from.
    Writes = 0,
    /// By goroutines that work for no request.
    NoSpan = 1,
    /// There was no room in the ring buffer.
    RingFull = 2,
    /// Texts that could not be read.
    TextUnread = 3,
    /// It could not be read which goroutine wrote.
    GUnread = 4,
}

/// The constants of a process (`struct gt_logging`).
#[expect(missing_docs, reason = "bpf/logs.h and bpf/span_of.h say what each is")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Logging {
    pub tls_g: i64,
    pub dial_conn: u64,
    pub dial_conn_size: u64,
    pub instance: u32,
    pub g_m: u16,
    pub m_curg: u16,
    pub g_goid: u16,
    pub g_parent_goid: u16,
    pub g_gopc: u16,
    pub pad: u16,
}

/// `struct gt_log`.
#[derive(Debug, Clone, Copy, FromBytes, Immutable, KnownLayout, IntoBytes)]
#[repr(C)]
struct Log {
    time_ns: u64,
    goid: u64,
    length: u64,
    span_id: u64,
    trace_id: [u8; 16],
    instance: u32,
    text_len: u32,
    stream: u16,
    trace_flags: u8,
    unread: u8,
    pad: u32,
}

/// A write to a log, by a goroutine that works for a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// The process.
    pub instance: u32,
    /// When it was written, by the monotonic clock.
    pub time_ns: u64,
    /// The request's trace, as far as the kernel side knows it.
    pub trace_id: [u8; 16],
    /// The request's span.
    pub span_id: [u8; 8],
    /// W3C trace flags.
    pub trace_flags: u8,
    /// Where it was written.
    pub stream: LogStream,
    /// The goroutine's number.
    pub goid: u64,
    /// Bytes that were written.
    pub length: u64,
    /// The start of what was written; `None` if it could not be read.
    pub text: Option<Vec<u8>>,
}

/// Decodes a record of the ring buffer.
///
/// # Errors
/// [`DecodeError`], if it is none.
pub fn decode_log(bytes: &[u8]) -> Result<LogLine, DecodeError> {
    let short = || DecodeError::Short(bytes.len());
    let (raw, rest) = Log::read_from_prefix(bytes).map_err(|_| short())?;
    let stream = match raw.stream {
        1 => LogStream::Stdout,
        2 => LogStream::Stderr,
        3 => LogStream::File,
        other => return Err(DecodeError::Kind(other)),
    };
    let text = rest.get(..raw.text_len as usize).ok_or_else(short)?;
    Ok(LogLine {
        instance: raw.instance,
        time_ns: raw.time_ns,
        trace_id: raw.trace_id,
        span_id: raw.span_id.to_ne_bytes(),
        trace_flags: raw.trace_flags,
        stream,
        goid: raw.goid,
        length: raw.length,
        text: (raw.unread == 0).then(|| text.to_vec()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(text_len: u32, stream: u16) -> Vec<u8> {
        let raw = Log {
            time_ns: 1,
            goid: 2,
            length: 9,
            span_id: 3,
            trace_id: [4; 16],
            instance: 5,
            text_len,
            stream,
            trace_flags: 1,
            unread: 0,
            pad: 0,
        };
        [raw.as_bytes(), b"textmore"].concat()
    }

    #[test]
    fn what_was_read_is_decoded_and_nothing_behind_it() {
        let line = decode_log(&record(4, 2)).unwrap();
        assert_eq!((line.text.as_deref(), line.stream), (Some(&b"text"[..]), LogStream::Stderr));
        assert_eq!((line.goid, line.length, line.instance), (2, 9, 5));
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(decode_log(&record(9, 1)).is_err());
        assert!(decode_log(&record(u32::MAX, 1)).is_err());
        assert!(decode_log(&record(4, 7)).is_err());
        assert!(decode_log(&record(4, 1)[..63]).is_err());
    }
}
