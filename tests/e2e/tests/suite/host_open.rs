//! `gotap trace tcp` against the kernel's own table of connections.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use anyhow::{Context, Result, ensure};
use gotap_e2e::live::nothing_lost;
use gotap_e2e::{Live, can_trace};
use serde_json::Value;

/// What was made and has not ended is what the kernel says is open.
#[test]
fn what_is_open_is_what_the_kernel_has_open() -> Result<()> {
    if !can_trace("what_is_open_is_what_the_kernel_has_open") {
        return Ok(());
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let to = listener.local_addr()?;
    let live = Live::start(&["trace", "tcp", "--port", &to.port().to_string()])?;
    let mut open = Vec::new();
    for n in 0..30 {
        let made = TcpStream::connect(to)?;
        let taken = listener.accept()?.0;
        if n % 3 != 0 {
            open.push((made, taken));
        }
    }
    let is_close = |event: &Value| event["event"] == "close" && event["role"] == "client";
    live.wait_for(10, is_close)?;
    let kernel = established(to.port())?;
    let (events, summary) = live.finish()?;
    let mut told = BTreeSet::new();
    for event in events.iter().filter(|event| event["role"] == "client") {
        let port = event["source"]["port"].as_u64().context("a port")?;
        let changed = match event["event"].as_str() {
            Some("connect") => told.insert(port),
            Some("close") => told.remove(&port),
            _ => false,
        };
        ensure!(changed, "{event}");
    }
    ensure!(told.len() == open.len() && told == kernel, "{told:?}, but {kernel:?} are open");
    nothing_lost(&summary)
}

/// Local ports of the connections to this port that are open, from `/proc/net/tcp`.
fn established(port: u16) -> Result<BTreeSet<u64>> {
    let table = std::fs::read_to_string("/proc/net/tcp")?;
    let to = format!(":{port:04X}");
    let ends = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let open =
        ends.filter(|ends| ends.get(2).is_some_and(|peer| peer.ends_with(&to)) && ends[3] == "01");
    let port = |ends: Vec<&str>| u64::from_str_radix(ends[1].rsplit_once(':')?.1, 16).ok();
    open.map(|ends| port(ends).context("a line of /proc/net/tcp")).collect()
}
