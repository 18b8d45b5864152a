//! Events of TCP connections, decoded.

use core::net::{IpAddr, Ipv6Addr, SocketAddr};

use zerocopy::FromBytes;

use crate::{DecodeError, raw};

/// What happened to a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What it was.
    pub kind: Kind,
    /// When, by the monotonic clock.
    pub time_ns: u64,
    /// How long: until it was connected, waited to be accepted, or was open.
    pub duration_ns: Option<u64>,
    /// Whose it is.
    pub process: Option<Process>,
    /// Which side this is.
    pub role: Option<Role>,
    /// The inode of the network namespace.
    pub netns: u32,
    /// This side.
    pub local: SocketAddr,
    /// The other side.
    pub peer: SocketAddr,
    /// What was transferred.
    pub counts: Option<Counts>,
    /// Why it failed or was ended.
    pub error: Fault,
    /// Who ended it at once, if somebody did and it is known.
    pub reset: Option<Reset>,
}

/// The kinds of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Kind {
    /// It was made.
    Connected = 0,
    /// It was taken from a listener.
    Accepted = 1,
    /// It is over.
    Closed = 2,
    /// It could not be made.
    Failed = 3,
    /// Something was sent again.
    Retransmitted = 4,
}

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// The name of its first thread.
    pub comm: String,
}

/// Which side of a connection this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Role {
    /// It connected.
    Client = 1,
    /// It accepted.
    Server = 2,
}

/// What was transferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Bytes of data that were sent, each once.
    pub sent: u64,
    /// Bytes of data that were received in order.
    pub received: u64,
    /// The smoothed round trip time, in microseconds.
    pub rtt_us: Option<u32>,
    /// Segments that were sent again.
    pub retransmits: u32,
}

/// An error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// There was none.
    None,
    /// Nobody knows which.
    Unknown,
    /// The program closed the socket before it was connected.
    GaveUp,
    /// Its number.
    Errno(u32),
}

impl Fault {
    /// Its name, such as `ECONNREFUSED`; a number of Linux that has none here, in words.
    pub fn name(self) -> Option<String> {
        let number = match self {
            Self::None | Self::Unknown => return None,
            Self::GaveUp => return Some("closed".to_owned()),
            Self::Errno(number) => number,
        };
        let found = ERRORS.iter().find(|(known, _)| *known == number);
        Some(found.map_or_else(|| format!("errno {number}"), |(_, name)| (*name).to_owned()))
    }
}

/// Errors of connections, as x86-64 and arm64 number them.
const ERRORS: [(u32, &str); 26] = [
    (1, "EPERM"),
    (4, "EINTR"),
    (9, "EBADF"),
    (11, "EAGAIN"),
    (12, "ENOMEM"),
    (13, "EACCES"),
    (14, "EFAULT"),
    (22, "EINVAL"),
    (32, "EPIPE"),
    (71, "EPROTO"),
    (91, "EPROTOTYPE"),
    (92, "ENOPROTOOPT"),
    (95, "EOPNOTSUPP"),
    (97, "EAFNOSUPPORT"),
    (98, "EADDRINUSE"),
    (99, "EADDRNOTAVAIL"),
    (100, "ENETDOWN"),
    (101, "ENETUNREACH"),
    (102, "ENETRESET"),
    (103, "ECONNABORTED"),
    (104, "ECONNRESET"),
    (105, "ENOBUFS"),
    (110, "ETIMEDOUT"),
    (111, "ECONNREFUSED"),
    (112, "EHOSTDOWN"),
    (113, "EHOSTUNREACH"),
];

/// A connection that was ended at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reset {
    /// By the other side.
    Received,
    /// By this side.
    Sent,
}

/// What the programs count (`enum gt_tcp_counter`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Counter {
    /// Events.
    Events = 0,
    /// Those that did not fit into the ring buffer.
    EventsLost = 1,
    /// Connections that did not fit into the map.
    NotRemembered = 2,
}

/// Decodes a record.
///
/// # Errors
/// [`DecodeError`], if it is none.
pub fn decode(bytes: &[u8]) -> Result<Event, DecodeError> {
    let short = DecodeError::Short(bytes.len());
    let (raw, _) = raw::TcpEvent::read_from_prefix(bytes).map_err(|_| short)?;
    let is = |flag: u32| raw.flags & flag != 0;
    let kind = match raw.kind {
        0 => Kind::Connected,
        1 => Kind::Accepted,
        2 => Kind::Closed,
        3 => Kind::Failed,
        4 => Kind::Retransmitted,
        other => return Err(DecodeError::Kind(other)),
    };
    let role = match raw.role {
        1 => Some(Role::Client),
        2 => Some(Role::Server),
        _ => None,
    };
    let error = match raw.error {
        _ if is(raw::TCP_GAVE_UP) => Fault::GaveUp,
        0 if kind == Kind::Failed || (kind == Kind::Closed && !is(raw::TCP_HAS_ERROR)) => {
            Fault::Unknown
        }
        0 => Fault::None,
        number => Fault::Errno(number),
    };
    let reset = if is(raw::TCP_RESET_RECEIVED) {
        Some(Reset::Received)
    } else {
        is(raw::TCP_RESET_SENT).then_some(Reset::Sent)
    };
    let process = || Process { pid: raw.pid, comm: crate::comm(&raw.comm) };
    Ok(Event {
        kind,
        time_ns: raw.time_ns,
        duration_ns: is(raw::TCP_HAS_DURATION).then_some(raw.duration_ns),
        process: (raw.pid != 0).then(process),
        role,
        netns: raw.netns,
        local: SocketAddr::new(address(raw.local), raw.local_port),
        peer: SocketAddr::new(address(raw.peer), raw.peer_port),
        counts: is(raw::TCP_HAS_COUNTS).then_some(Counts {
            sent: raw.bytes_sent,
            received: raw.bytes_received,
            rtt_us: (raw.rtt_us != 0).then_some(raw.rtt_us),
            retransmits: raw.retransmits,
        }),
        error,
        reset,
    })
}

/// An address of IPv6, or one of IPv4 that is mapped into it.
pub(crate) fn address(bytes: [u8; 16]) -> IpAddr {
    Ipv6Addr::from(bytes).to_canonical()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use zerocopy::IntoBytes;

    use super::*;

    fn raw() -> raw::TcpEvent {
        let mut local = [0; 16];
        local[10..].copy_from_slice(&[0xff, 0xff, 10, 0, 0, 1]);
        let mut comm = [0; 16];
        comm[..4].copy_from_slice(b"shop");
        raw::TcpEvent {
            kind: 2,
            flags: raw::TCP_HAS_COUNTS | raw::TCP_HAS_ERROR | raw::TCP_RESET_RECEIVED,
            time_ns: 9,
            duration_ns: 5,
            bytes_sent: 100,
            bytes_received: 200,
            pid: 77,
            rtt_us: 0,
            retransmits: 3,
            error: 104,
            netns: 4_026_531_840,
            role: 1,
            local_port: 40_000,
            peer_port: 80,
            pad: 0,
            local,
            peer: [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
            comm,
        }
    }

    #[test]
    fn a_connection_is_decoded() {
        let event = decode(raw().as_bytes()).unwrap();
        assert_eq!(event.local.to_string(), "10.0.0.1:40000");
        assert_eq!(event.peer.to_string(), "[2001:db8::1]:80");
        assert_eq!(event.process, Some(Process { pid: 77, comm: "shop".into() }));
        let counts = event.counts.unwrap();
        assert_eq!((counts.sent, counts.received, counts.retransmits), (100, 200, 3));
        assert_eq!((counts.rtt_us, event.duration_ns), (None, None));
        assert_eq!(event.reset, Some(Reset::Received));
        assert_eq!(event.error.name().as_deref(), Some("ECONNRESET"));
    }

    #[test]
    fn what_is_not_known_is_missing() {
        let nobody = raw::TcpEvent { pid: 0, role: 0, flags: 0, error: 0, ..raw() };
        let event = decode(nobody.as_bytes()).unwrap();
        assert_eq!((event.process, event.role, event.counts), (None, None, None));
        assert_eq!(event.error, Fault::Unknown);
        let closed = raw::TcpEvent { flags: raw::TCP_HAS_ERROR, error: 0, ..raw() };
        assert_eq!(decode(closed.as_bytes()).unwrap().error, Fault::None);
        let gave_up = raw::TcpEvent { kind: 3, flags: raw::TCP_GAVE_UP, error: 0, ..raw() };
        assert_eq!(decode(gave_up.as_bytes()).unwrap().error.name().as_deref(), Some("closed"));
        let unknown = raw::TcpEvent { kind: 3, flags: 0, error: 0, ..raw() };
        assert_eq!(decode(unknown.as_bytes()).unwrap().error.name(), None);
        assert_eq!(Fault::Errno(250).name().as_deref(), Some("errno 250"));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }
    }
}
