//! Flows through interfaces, decoded from the maps in which they are counted.

use core::net::SocketAddr;
use core::ops::AddAssign;

use zerocopy::{FromBytes, IntoBytes};

use crate::{raw, tcp::address};

/// What goes one way between two ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Flow {
    /// The interface.
    pub ifindex: u32,
    /// Which way.
    pub direction: Direction,
    /// Both ends; `None` if it is not IP.
    pub ends: Option<Ends>,
}

/// Both ends of a flow of IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ends {
    /// The protocol in IP.
    pub protocol: u8,
    /// Who sends. The port is 0 where there is none.
    pub source: SocketAddr,
    /// Who receives.
    pub destination: SocketAddr,
}

/// Directions, as the interface sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Direction {
    /// Into the host.
    Ingress = 0,
    /// Out of it.
    Egress = 1,
}

/// How much there was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord)]
pub struct Count {
    /// Packets, as they are on the wire.
    pub packets: u64,
    /// Bytes of IP with its headers; of other frames all.
    pub bytes: u64,
    /// Bytes behind the headers of TCP, UDP and ICMP.
    pub payload: u64,
}

impl Count {
    /// How much more this is.
    pub fn beyond(self, other: Self) -> Self {
        Self {
            packets: self.packets.saturating_sub(other.packets),
            bytes: self.bytes.saturating_sub(other.bytes),
            payload: self.payload.saturating_sub(other.payload),
        }
    }
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.payload += other.payload;
    }
}

/// Frames that came in, by sort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Frames {
    /// The interface.
    pub ifindex: u32,
    /// The protocol of the frame.
    pub ethertype: u16,
    /// The protocol in IP; 0 if it is not IP.
    pub protocol: u8,
    /// Which of [`SIZES`].
    pub size: u8,
}

/// Classes of sizes of frames, in bytes.
pub const SIZES: [&str; 7] =
    ["0-64", "65-127", "128-255", "256-511", "512-1023", "1024-1518", "1519-"];

fn direction(number: u32) -> Option<Direction> {
    match number {
        0 => Some(Direction::Ingress),
        1 => Some(Direction::Egress),
        _ => None,
    }
}

/// Decodes the key of a flow.
pub fn flow(bytes: &[u8]) -> Option<Flow> {
    let raw = raw::FlowKey::read_from_bytes(bytes).ok()?;
    let end = |ip, port| SocketAddr::new(address(ip), port);
    let ends = (raw.version != 0).then(|| Ends {
        protocol: raw.protocol,
        source: end(raw.source, raw.source_port),
        destination: end(raw.destination, raw.destination_port),
    });
    Some(Flow { ifindex: raw.ifindex, direction: direction(raw.direction.into())?, ends })
}

/// Decodes the key of the sum of an interface and direction.
pub fn total(bytes: &[u8]) -> Option<(u32, Direction)> {
    let raw = raw::FlowTotalKey::read_from_bytes(bytes).ok()?;
    Some((raw.ifindex, direction(raw.direction)?))
}

/// Decodes the key of frames.
pub fn frames(bytes: &[u8]) -> Option<Frames> {
    let raw = raw::XdpKey::read_from_bytes(bytes).ok()?;
    let (ethertype, protocol, size) = (raw.ethertype, raw.protocol, raw.size);
    Some(Frames { ifindex: raw.ifindex, ethertype, protocol, size })
}

/// Decodes a count, of one processor.
pub fn count(bytes: &[u8]) -> Option<Count> {
    let (raw, _) = raw::FlowCount::read_from_prefix(bytes).ok()?;
    Some(Count { packets: raw.packets, bytes: raw.bytes, payload: raw.payload })
}

/// The key of an interface's sum.
pub fn total_key(ifindex: u32, direction: Direction) -> [u8; 8] {
    let raw = raw::FlowTotalKey { ifindex, direction: direction as u32 };
    raw.as_bytes().try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flows_are_decoded() {
        let mut source = [0; 16];
        source[10..].copy_from_slice(&[0xff, 0xff, 10, 0, 0, 1]);
        let raw = raw::FlowKey {
            ifindex: 3,
            source_port: 5000,
            destination_port: 80,
            direction: 1,
            version: 4,
            protocol: 6,
            pad: 0,
            source,
            destination: source,
        };
        let read = flow(raw.as_bytes()).unwrap();
        let ends = read.ends.unwrap();
        assert_eq!((read.ifindex, read.direction, ends.protocol), (3, Direction::Egress, 6));
        assert_eq!(ends.source.to_string(), "10.0.0.1:5000");
        let other = raw::FlowKey { version: 0, ..raw };
        assert_eq!(flow(other.as_bytes()).unwrap().ends, None);
        assert_eq!(flow(&raw.as_bytes()[1..]), None);
        let odd = raw::FlowKey { direction: 7, ..raw };
        assert_eq!(flow(odd.as_bytes()), None);
        assert_eq!(total(&total_key(9, Direction::Egress)), Some((9, Direction::Egress)));
    }
}
