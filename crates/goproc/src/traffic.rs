//! How much the TCP connections of a network namespace have received, asked of the kernel
//! (`sock_diag`): the program whose they are notices nothing. Not here: what was received.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::thread;

use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::Process;
use crate::ports::socket_inodes;

/// Answers that are read, of some hundred sockets each: who has more is not asked further.
const MAX_ANSWERS: usize = 512;

/// Numbers of `linux/netlink.h`, `linux/sock_diag.h` and `linux/inet_diag.h`.
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const REQUEST_DUMP: u16 = 0x301;
const INET_DIAG_INFO: u16 = 2;
const TCP_ESTABLISHED: u32 = 1;
const HEADER: usize = 16;
const MESSAGE: usize = 72;
/// `tcpi_bytes_received` of `struct tcp_info`.
const BYTES_RECEIVED: usize = 128;

/// What an open connection has received since it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// The port on this side.
    pub port: u16,
    /// Bytes.
    pub bytes: u64,
}

/// What the open TCP connections of a process have received, by the numbers of their sockets.
///
/// # Errors
/// When the process is gone, or its network namespace may not be entered.
pub fn received(process: Process) -> io::Result<HashMap<u64, Received>> {
    let inodes = socket_inodes(process);
    if inodes.is_empty() {
        return Ok(HashMap::new());
    }
    let namespace = process.path("ns/net");
    let all = if std::fs::read_link(&namespace)? == std::fs::read_link("/proc/self/ns/net")? {
        dump()?
    } else {
        let namespace = File::open(namespace)?;
        // A thread changes its own namespace and no other's.
        let asking = thread::Builder::new().name("gotap-traffic".into()).spawn(move || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
            dump()
        })?;
        asking.join().map_err(|_| io::Error::other("the thread panicked"))??
    };
    Ok(all.into_iter().filter(|(inode, _)| inodes.contains(inode)).collect())
}

/// All established connections of this thread's network namespace.
fn dump() -> io::Result<HashMap<u64, Received>> {
    let mut out = HashMap::new();
    for family in [AddressFamily::INET, AddressFamily::INET6] {
        let socket = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::DGRAM,
            SocketFlags::CLOEXEC,
            Some(netlink::SOCK_DIAG),
        )?;
        let kernel = SocketAddrNetlink::new(0, 0);
        rustix::net::sendto(&socket, &request(family), SendFlags::empty(), &kernel)?;
        read(&socket, &mut out)?;
    }
    Ok(out)
}

/// `struct nlmsghdr` and `struct inet_diag_req_v2`.
fn request(family: AddressFamily) -> Vec<u8> {
    const TCP: u8 = 6;
    const LENGTH: u32 = 72;
    let mut out = Vec::from(LENGTH.to_ne_bytes());
    out.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    out.extend(REQUEST_DUMP.to_ne_bytes());
    out.extend([0; 8]);
    // Small numbers, both.
    out.extend([family.as_raw() as u8, TCP, 1 << (INET_DIAG_INFO - 1), 0]);
    out.extend((1u32 << TCP_ESTABLISHED).to_ne_bytes());
    out.resize(LENGTH as usize, 0);
    out
}

fn read(socket: &OwnedFd, out: &mut HashMap<u64, Received>) -> io::Result<()> {
    let mut buffer = vec![0u8; 32 << 10];
    for _ in 0..MAX_ANSWERS {
        let (n, _) = rustix::net::recv(socket, &mut buffer[..], RecvFlags::empty())?;
        let mut rest = buffer.get(..n).unwrap_or_default();
        while let Some(length) = u32_at(rest, 0) {
            let length = length as usize;
            let (kind, message) = (u16_at(rest, 4), rest.get(HEADER..length));
            let (Some(kind), Some(message)) = (kind, message) else { break };
            match kind {
                NLMSG_DONE => return Ok(()),
                NLMSG_ERROR => return Err(io::Error::other("the kernel does not tell of sockets")),
                SOCK_DIAG_BY_FAMILY => out.extend(connection(message)),
                _ => {}
            }
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
    }
    Ok(())
}

/// `struct inet_diag_msg`, and its attributes.
fn connection(message: &[u8]) -> Option<(u64, Received)> {
    let port = u16::from_be_bytes(message.get(4..6)?.try_into().ok()?);
    let inode = u32_at(message, 68)?;
    let mut rest = message.get(MESSAGE..)?;
    loop {
        let (length, kind) = (usize::from(u16_at(rest, 0)?), u16_at(rest, 2)?);
        let value = rest.get(4..length)?;
        if kind == INET_DIAG_INFO {
            let bytes = value.get(BYTES_RECEIVED..BYTES_RECEIVED + 8)?.try_into().ok()?;
            return Some((inode.into(), Received { port, bytes: u64::from_ne_bytes(bytes) }));
        }
        rest = rest.get(length.next_multiple_of(4)..)?;
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn what_a_connection_received_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        let of_port = || {
            let all = received(Process { pid: std::process::id() }).unwrap();
            all.into_values().find(|received| received.port == port).unwrap().bytes
        };
        assert_eq!(of_port(), 0);
        client.write_all(&[7; 1000]).unwrap();
        server.read_exact(&mut [0; 1000]).unwrap();
        assert_eq!(of_port(), 1000);
        drop((client, server));
        let all = received(Process { pid: std::process::id() }).unwrap();
        assert!(all.into_values().all(|received| received.port != port));
    }

    #[test]
    fn answers_that_are_cut_tell_nothing() {
        for length in 0..MESSAGE + 4 {
            assert_eq!(connection(&vec![0xff; length]), None);
        }
        assert_eq!(connection(&[0; MESSAGE + 8]), None);
    }
}
