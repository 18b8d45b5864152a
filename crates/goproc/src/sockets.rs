//! The TCP and UDP sockets of all processes, and whose they are, in all network namespaces in which a
//! process is. Read from `/proc`: a picture of one moment.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::{Process, pids};

/// Sockets that are kept.
const MAX: usize = 1 << 18;

/// State `TCP_LISTEN`.
const LISTEN: u8 = 10;

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// Whose a socket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// This process alone has it.
    Process(u32),
    /// Several processes have it.
    Several,
    /// No process has it: it waits to be accepted, or was closed.
    Nobody,
}

impl Owner {
    /// The process, if it is known.
    pub fn pid(self) -> Option<u32> {
        match self {
            Self::Process(pid) => Some(pid),
            Self::Several | Self::Nobody => None,
        }
    }

    /// Whose two sockets are that can't be told apart.
    fn and(self, other: Self) -> Self {
        if self == other { self } else { Self::Several }
    }
}

/// A socket's addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Ends {
    transport: Transport,
    local: SocketAddr,
    peer: SocketAddr,
}

/// Ports that are listened on: in which namespace, at which address.
type Listener = (u64, Transport, IpAddr, u16);

/// All sockets.
#[derive(Debug, Default)]
pub struct Sockets {
    connected: HashMap<(u64, Ends), Owner>,
    /// The same, whatever the namespace.
    anywhere: HashMap<Ends, Owner>,
    listening: HashMap<Listener, Owner>,
    /// Which namespaces have an address.
    addresses: HashMap<IpAddr, Vec<u64>>,
    /// Sockets that did not fit.
    pub not_kept: u64,
}

impl Sockets {
    /// Reads them.
    pub fn read() -> Self {
        let mut out = Self::default();
        let owners = owners();
        let mut seen = HashSet::new();
        for pid in pids().unwrap_or_default() {
            let process = Process { pid };
            let Some(netns) = netns_of(process).filter(|netns| seen.insert(*netns)) else {
                continue;
            };
            out.read_namespace(process, netns, &owners);
        }
        out
    }

    fn read_namespace(&mut self, process: Process, netns: u64, owners: &HashMap<u64, Owner>) {
        for (table, transport) in [
            ("net/tcp", Transport::Tcp),
            ("net/tcp6", Transport::Tcp),
            ("net/udp", Transport::Udp),
            ("net/udp6", Transport::Udp),
        ] {
            let text = fs::read_to_string(process.path(table)).unwrap_or_default();
            for row in text.lines().skip(1).filter_map(row) {
                let owner = owners.get(&row.inode).copied().unwrap_or(Owner::Nobody);
                self.add(netns, transport, &row, owner);
            }
        }
        let trie = fs::read_to_string(process.path("net/fib_trie")).unwrap_or_default();
        let six = fs::read_to_string(process.path("net/if_inet6")).unwrap_or_default();
        for address in local_v4(&trie).chain(six.lines().filter_map(local_v6)) {
            let namespaces = self.addresses.entry(address).or_default();
            if !namespaces.contains(&netns) {
                namespaces.push(netns);
            }
        }
    }

    fn add(&mut self, netns: u64, transport: Transport, row: &Row, owner: Owner) {
        if self.connected.len() + self.listening.len() >= MAX {
            self.not_kept += 1;
            return;
        }
        if row.state == LISTEN || (transport == Transport::Udp && row.peer.port() == 0) {
            let key = (netns, transport, row.local.ip(), row.local.port());
            let merged = self.listening.get(&key).map_or(owner, |other| other.and(owner));
            self.listening.insert(key, merged);
            return;
        }
        let ends = Ends { transport, local: row.local, peer: row.peer };
        self.connected.insert((netns, ends), owner);
        let merged = self.anywhere.get(&ends).map_or(owner, |other| other.and(owner));
        self.anywhere.insert(ends, merged);
    }

    /// Whose connection this is, in one namespace.
    pub fn owner_in(&self, netns: u64, local: SocketAddr, peer: SocketAddr) -> Option<u32> {
        let ends = Ends { transport: Transport::Tcp, local, peer };
        self.connected.get(&(netns, ends))?.pid()
    }

    /// Forgets a TCP connection that is over: its addresses may become another one's.
    pub fn forget(&mut self, netns: u64, local: SocketAddr, peer: SocketAddr) {
        let ends = Ends { transport: Transport::Tcp, local, peer };
        self.connected.remove(&(netns, ends));
        self.anywhere.remove(&ends);
    }

    /// Whether something listens on this TCP port in a namespace.
    pub fn listens(&self, netns: u64, local: SocketAddr) -> bool {
        self.listeners(netns, Transport::Tcp, local).next().is_some()
    }

    /// Whose the socket at `local` is that talks to `peer`, in whichever namespace, if that is one
    /// process without doubt.
    pub fn owner(&self, transport: Transport, local: SocketAddr, peer: SocketAddr) -> Option<u32> {
        if let Some(owner) = self.anywhere.get(&Ends { transport, local, peer }) {
            return owner.pid();
        }
        let namespaces = self.addresses.get(&local.ip())?;
        let all = namespaces.iter().flat_map(|netns| self.listeners(*netns, transport, local));
        all.reduce(Owner::and)?.pid()
    }

    /// Listeners for an address: at it, and at all addresses.
    fn listeners(
        &self,
        netns: u64,
        transport: Transport,
        local: SocketAddr,
    ) -> impl Iterator<Item = Owner> {
        let any = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
        let (own, rest) = (local.ip(), any);
        let places = std::iter::once(own).chain(rest.into_iter().filter(move |any| *any != own));
        places.filter_map(move |at| {
            self.listening.get(&(netns, transport, at, local.port())).copied()
        })
    }
}

/// The inode of a process's network namespace.
pub fn netns_of(process: Process) -> Option<u64> {
    let link = fs::read_link(process.path("ns/net")).ok()?;
    link.to_str()?.strip_prefix("net:[")?.strip_suffix(']')?.parse().ok()
}

/// Which process has which socket.
fn owners() -> HashMap<u64, Owner> {
    let mut out: HashMap<u64, Owner> = HashMap::new();
    for pid in pids().unwrap_or_default() {
        for inode in crate::ports::socket_inodes(Process { pid }) {
            let own = Owner::Process(pid);
            let merged = out.get(&inode).map_or(own, |other| other.and(own));
            out.insert(inode, merged);
        }
    }
    out
}

/// A line of `/proc/net/tcp` or one of its like.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    local: SocketAddr,
    peer: SocketAddr,
    state: u8,
    inode: u64,
}

fn row(line: &str) -> Option<Row> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let (local, peer) = (socket_address(words.next()?)?, socket_address(words.next()?)?);
    let state = u8::from_str_radix(words.next()?, 16).ok()?;
    let inode = words.nth(5)?.parse().ok()?;
    Some(Row { local, peer, state, inode })
}

/// `0100007F:1F90`: the kernel's words as numbers of this machine.
fn socket_address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let word = |at: usize| {
        let digits = address.get(at..at + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    let ip = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for (i, part) in bytes.chunks_exact_mut(4).enumerate() {
                part.copy_from_slice(&word(8 * i)?);
            }
            Ipv6Addr::from(bytes).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

/// Own addresses in `/proc/net/fib_trie`: a line with the address, and behind it `/32 host LOCAL`.
fn local_v4(trie: &str) -> impl Iterator<Item = IpAddr> {
    let pairs = trie.lines().zip(trie.lines().skip(1));
    let own = pairs.filter(|(_, next)| next.trim() == "/32 host LOCAL");
    own.filter_map(|(line, _)| line.trim().strip_prefix("|-- ")?.parse().ok())
}

/// The address of a line of `/proc/net/if_inet6`.
fn local_v6(line: &str) -> Option<IpAddr> {
    let number = u128::from_str_radix(line.split_ascii_whitespace().next()?, 16).ok()?;
    Some(IpAddr::V6(Ipv6Addr::from(number)))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream, UdpSocket};

    use super::*;

    #[test]
    fn own_sockets_are_found() {
        let me = std::process::id();
        let netns = netns_of(Process { pid: me }).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (ends, there) = (client.local_addr().unwrap(), listener.local_addr().unwrap());
        let any = UdpSocket::bind("0.0.0.0:0").unwrap();
        let sockets = Sockets::read();
        assert_eq!(sockets.owner_in(netns, ends, there), Some(me));
        assert_eq!(sockets.owner(Transport::Tcp, ends, there), Some(me));
        // Nobody has accepted it.
        assert_eq!(sockets.owner_in(netns, there, ends), None);
        assert!(sockets.listens(netns, there) && !sockets.listens(netns, ends));
        let udp = SocketAddr::new(there.ip(), any.local_addr().unwrap().port());
        assert_eq!(sockets.owner(Transport::Udp, udp, ends), Some(me));
        assert_eq!(sockets.owner(Transport::Tcp, udp, ends), None);
    }

    #[test]
    fn lines_of_both_families_are_read() {
        let four = "   0: 0100007F:1F90 0200000A:0050 01 00000000:00000000 00:00000000 00000000  1000        0 4242 1";
        let read = row(four).unwrap();
        assert_eq!((read.local.to_string().as_str(), read.state), ("127.0.0.1:8080", 1));
        assert_eq!((read.peer.to_string().as_str(), read.inode), ("10.0.0.2:80", 4242));
        let mapped = socket_address("0000000000000000FFFF00000100007F:0050").unwrap();
        assert_eq!(mapped.to_string(), "127.0.0.1:80");
        let six = socket_address("B80D0120000000000000000001000000:0050").unwrap();
        assert_eq!(six.to_string(), "[2001:db8::1]:80");
        for bad in ["", "x", "1: 0:0 0:0", "0100007F", "1: 0100007F:1F90 0200000A:0050 01"] {
            assert_eq!(row(bad), None, "{bad}");
        }
    }

    #[test]
    fn own_addresses_are_read() {
        let trie = "Local:\n  +-- 0.0.0.0/0 2 0 2\n     |-- 10.1.0.0\n        /24 link UNICAST\n     \
                    |-- 10.1.0.7\n        /32 host LOCAL\n     |-- 10.1.0.255\n        \
                    /32 link BROADCAST\n";
        let own: Vec<String> = local_v4(trie).map(|a| a.to_string()).collect();
        assert_eq!(own, ["10.1.0.7"]);
        let six = local_v6("00000000000000000000000000000001 01 80 10 80       lo").unwrap();
        assert_eq!(six.to_string(), "::1");
    }

    #[test]
    fn sockets_that_can_not_be_told_apart_are_nobodys() {
        let mut sockets = Sockets::default();
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let (local, peer) = (address("10.0.0.1:5000"), address("10.0.0.2:80"));
        let row = Row { local, peer, state: 1, inode: 0 };
        sockets.add(1, Transport::Tcp, &row, Owner::Process(7));
        assert_eq!(sockets.owner(Transport::Tcp, local, peer), Some(7));
        sockets.add(2, Transport::Tcp, &row, Owner::Process(8));
        assert_eq!(sockets.owner(Transport::Tcp, local, peer), None);
        assert_eq!(sockets.owner_in(2, local, peer), Some(8));
    }
}
