//! The instruments of the whole host: programs that start and end, connections,
//! flows.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use gotap_e2e::Live;
use gotap_e2e::live::nothing_lost;
use gotap_kernel_tests::GOTAP;
use serde_json::{Value, json};

/// How many programs are run.
const PROGRAMS: usize = 20;

/// A program that ends at once, with what its arguments were and how it ended.
pub(crate) fn exec() -> Result<()> {
    let live = Live::start(&["trace", "exec"])?;
    let mut pids = Vec::new();
    for _ in 0..PROGRAMS {
        let mut command = Command::new(GOTAP);
        command.args(["no-such-verb", "--password=hunter2"]).stderr(Stdio::null());
        let mut child = command.spawn().context("start a program")?;
        pids.push(child.id());
        ensure!(child.wait()?.code() == Some(2), "it knows the verb");
    }
    let last = pids.last().copied().context("a process")?;
    live.wait_for(1, |line| line["event"] == "exit" && line["pid"] == last)?;
    let (events, summary) = live.finish()?;
    nothing_lost(&summary)?;
    let argv = json!([GOTAP, "no-such-verb", "--password=***"]);
    for pid in pids {
        let own: Vec<&Value> = events.iter().filter(|event| event["pid"] == pid).collect();
        let [exec, exit] = own.as_slice() else { anyhow::bail!("{pid}: {own:?}") };
        ensure!(exec["event"] == "exec" && exit["event"] == "exit", "{own:?}");
        for event in [exec, exit] {
            ensure!(event["executable"] == GOTAP && event["argv"] == argv, "{own:?}");
            ensure!(event["ppid"] == std::process::id() && event["uid"] == 0, "{own:?}");
            ensure!(event["cgroup"] == "/" && event["container"].is_null(), "{own:?}");
        }
        ensure!(exit["exitCode"] == 2 && exit["lifetimeNanos"].as_u64() > Some(0), "{own:?}");
    }
    Ok(())
}

/// A connection of the guest's own, with exact bytes at both ends, and one that is refused.
pub(crate) fn tcp() -> Result<()> {
    let me = std::process::id();
    for (address, family) in [("127.0.0.1:0", "ipv4"), ("[::1]:0", "ipv6")] {
        let listener = TcpListener::bind(address)?;
        let (to, port) = (listener.local_addr()?, listener.local_addr()?.port().to_string());
        let live = Live::start(&["trace", "tcp", "--port", &port])?;
        let mut client = TcpStream::connect(to)?;
        let (mut accepted, _) = listener.accept()?;
        client.write_all(&[1; 5000])?;
        accepted.read_exact(&mut [0; 5000])?;
        accepted.write_all(&[2; 77])?;
        client.read_exact(&mut [0; 77])?;
        drop(client);
        ensure!(accepted.read(&mut [0])? == 0, "there is more");
        drop((accepted, listener));
        ensure!(TcpStream::connect(to).is_err(), "somebody listens");
        live.wait_for(1, |event| event["event"] == "failed")?;
        let (events, summary) = live.finish()?;
        nothing_lost(&summary)?;
        let of = |kind: &str, role: &str| {
            let found = events.iter().find(|e| e["event"] == kind && e["role"] == role);
            found.with_context(|| format!("{kind} of a {role}: {events:#?}"))
        };
        ensure!(events.len() == 5, "{events:#?}");
        for event in &events {
            ensure!(event["pid"] == me && event["family"] == family, "{event}");
            ensure!(event["destination"]["port"] == to.port(), "{event}");
        }
        let (client, server) = (of("close", "client")?, of("close", "server")?);
        ensure!(client["bytesSent"] == 5000 && client["bytesReceived"] == 77, "{client}");
        ensure!(server["bytesSent"] == 77 && server["bytesReceived"] == 5000, "{server}");
        ensure!(of("connect", "client")?["durationNanos"].as_u64() > Some(0), "{events:#?}");
        ensure!(of("accept", "server")?["source"] == client["source"], "{events:#?}");
        ensure!(of("failed", "client")?["error"] == "ECONNREFUSED", "{events:#?}");
    }
    Ok(())
}

/// Datagrams and a stream through the loopback interface, each byte once in each direction; by tcx where
/// the kernel has it, and by a socket's filter. XDP sees them come in.
pub(crate) fn flows() -> Result<()> {
    for more in [&[][..], &["--no-tcx"]] {
        let arguments = ["flows", "--interface", "lo", "--xdp", "generic"];
        let live = Live::start(&[&arguments, more].concat())?;
        let receiver = UdpSocket::bind("127.0.0.1:0")?;
        let sender = UdpSocket::bind("127.0.0.1:0")?;
        for _ in 0..10 {
            sender.send_to(&[1; 100], receiver.local_addr()?)?;
        }
        let listener = TcpListener::bind("[::1]:0")?;
        let mut client = TcpStream::connect(listener.local_addr()?)?;
        let (mut accepted, _) = listener.accept()?;
        client.write_all(&[2; 50_000])?;
        accepted.read_exact(&mut [0; 50_000])?;
        let (lines, summary) = live.finish()?;
        nothing_lost(&summary)?;
        for direction in ["ingress", "egress"] {
            for (from, to, payload) in [
                (sender.local_addr()?, receiver.local_addr()?, 1000),
                (client.local_addr()?, listener.local_addr()?, 50_000),
            ] {
                let is_it = |line: &&Value| {
                    line["direction"] == direction
                        && line["source"]["port"] == from.port()
                        && line["destination"]["port"] == to.port()
                };
                let flow = lines.iter().find(is_it).with_context(|| format!("{lines:#?}"))?;
                ensure!(flow["payloadBytes"] == payload, "{flow}");
                ensure!(flow["source"]["pid"] == std::process::id(), "{flow}");
                if from.is_ipv4() {
                    ensure!(flow["packets"] == 10 && flow["bytes"] == 1280, "{flow}");
                }
            }
        }
        let udp = lines.iter().find(|line| line["xdp"]["protocol"] == 17);
        let udp = udp.with_context(|| format!("frames: {lines:#?}"))?;
        ensure!(udp["xdp"]["packets"] == 10 && udp["xdp"]["bytes"] == 1420, "{udp}");
    }
    Ok(())
}
