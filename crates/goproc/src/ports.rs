//! TCP ports that a process listens on, from its sockets and its network namespace's tables.

use std::collections::HashSet;
use std::fs;

use crate::Process;

/// State `TCP_LISTEN` in `/proc/net/tcp`.
const LISTEN: &str = "0A";

/// The TCP ports that `process` listens on, sorted; empty when it can't be told.
pub fn listening_ports(process: Process) -> Vec<u16> {
    let inodes = socket_inodes(process);
    if inodes.is_empty() {
        return Vec::new();
    }
    let mut ports: Vec<u16> = ["net/tcp", "net/tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(process.path(table)).ok())
        .flat_map(|table| table.lines().skip(1).filter_map(listening).collect::<Vec<_>>())
        .filter(|(_, inode)| inodes.contains(inode))
        .map(|(port, _)| port)
        .collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

pub(crate) fn socket_inodes(process: Process) -> HashSet<u64> {
    let Ok(entries) = fs::read_dir(process.path("fd")) else { return HashSet::new() };
    let targets = entries.filter_map(|e| fs::read_link(e.ok()?.path()).ok());
    targets
        .filter_map(|t| t.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok())
        .collect()
}

/// Local port and inode of a listening line of `/proc/net/tcp`.
fn listening(line: &str) -> Option<(u16, u64)> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let port = words.get(1)?.rsplit_once(':')?.1;
    (*words.get(3)? == LISTEN)
        .then(|| Some((u16::from_str_radix(port, 16).ok()?, words.get(9)?.parse().ok()?)))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_listener_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(listening_ports(Process { pid: std::process::id() }).contains(&port));
    }
}
