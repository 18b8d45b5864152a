//! The network interfaces of this process's network namespace, asked of the kernel by ioctl: `/sys` may
//! be that of another namespace.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its number.
    pub index: u32,
    /// Whether it is up.
    pub up: bool,
    /// The length of the link's header; `None` if it is of a kind that is not known.
    pub link_header: Option<u32>,
    /// Received frames that the kernel dropped or found broken, since it is there.
    pub dropped: u64,
    /// Frames with errors.
    pub errors: u64,
}

/// Numbers of `linux/if_arp.h`: which have a header as Ethernet has, and which have none.
const LIKE_ETHERNET: [u16; 2] = [1, 772];
const WITHOUT_HEADER: [u16; 4] = [0xfffe, 768, 769, 776];

/// All interfaces.
///
/// # Errors
/// When they can't be listed.
pub fn interfaces() -> io::Result<Vec<Interface>> {
    let text = fs::read_to_string("/proc/self/net/dev")?;
    // SAFETY: no pointers are passed.
    let socket = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    if socket < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is ours and open.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    let lines = text.lines().skip(2);
    // One that goes meanwhile is none.
    Ok(lines.filter_map(|line| one(&socket, line)).collect())
}

/// The interface of a line of `/proc/net/dev`.
fn one(socket: &OwnedFd, line: &str) -> Option<Interface> {
    let (name, numbers) = line.trim().rsplit_once(':')?;
    let numbers: Vec<u64> =
        numbers.split_ascii_whitespace().map_while(|n| n.parse().ok()).collect();
    let (errors, dropped) = (*numbers.get(2)?, *numbers.get(3)?);
    let index = asked(socket, name, libc::SIOCGIFINDEX)?;
    let flags = asked(socket, name, libc::SIOCGIFFLAGS)?;
    let kind = asked(socket, name, libc::SIOCGIFHWADDR)?;
    // SAFETY: these requests fill in these fields, which are numbers.
    let (index, flags, kind) = unsafe {
        (
            index.ifr_ifru.ifru_ifindex,
            flags.ifr_ifru.ifru_flags,
            kind.ifr_ifru.ifru_hwaddr.sa_family,
        )
    };
    let link_header = if LIKE_ETHERNET.contains(&kind) {
        Some(14)
    } else {
        WITHOUT_HEADER.contains(&kind).then_some(0)
    };
    let up = i32::from(flags) & libc::IFF_UP != 0;
    let index = u32::try_from(index).ok()?;
    Some(Interface { name: name.to_owned(), index, up, link_header, dropped, errors })
}

fn asked(socket: &OwnedFd, name: &str, request: libc::Ioctl) -> Option<libc::ifreq> {
    // SAFETY: all zeros is a valid ifreq, whose fields are numbers.
    let mut asked: libc::ifreq = unsafe { std::mem::zeroed() };
    // A NUL stays at the end.
    let room = asked.ifr_name.len() - 1;
    if name.len() > room {
        return None;
    }
    for (to, from) in asked.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from.cast_signed();
    }
    // SAFETY: the request is an ifreq, which these ioctls read and write.
    let failed = unsafe { libc::ioctl(socket.as_raw_fd(), request, &raw mut asked) };
    (failed == 0).then_some(asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_is_one_like_ethernet() {
        let all = interfaces().unwrap();
        let lo = all.iter().find(|interface| interface.name == "lo").unwrap();
        assert_eq!((lo.index, lo.link_header), (1, Some(14)));
    }
}
