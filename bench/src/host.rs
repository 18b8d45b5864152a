//! What looking at the whole host takes: the time of the BPF programs for each connection, packet and program that
//! is run, as the kernel counts it. Only what is done here counts where it can be told apart; else what other
//! processes do meanwhile is in the averages, too.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use gotap_testkit::process::Running;
use probes::{LoadedProgram, RunTimes, loaded_programs};
use serde::Serialize;

use crate::scenario;

const CONNECTIONS: u32 = 5_000;
const PACKETS: u32 = 200_000;
const PROGRAMS: u32 = 300;

/// What is measured: a name, arguments of gotap, what is done, how often, and whether the time of each run counts
/// or that of all runs for one of them.
struct Case {
    name: &'static str,
    arguments: &'static [&'static str],
    work: fn() -> Result<()>,
    times: u32,
    /// The programs that count; all that gotap loaded if there is none.
    only: &'static [&'static str],
    each_run: bool,
}

const TCP: &[&str] = &["trace", "tcp", "--format", "json"];
const FLOWS: &[&str] = &["flows", "--interface", "lo", "--format", "json"];
const XDP: &[&str] = &["flows", "--interface", "lo", "--xdp", "generic", "--format", "json"];
const EXEC: &[&str] = &["trace", "exec", "--format", "json"];

const CASES: [Case; 5] = [
    Case {
        name: "a TCP connection, both of its ends",
        arguments: TCP,
        work: connect,
        times: CONNECTIONS,
        only: &["tcp_state", "tcp_destroyed"],
        each_run: false,
    },
    Case {
        name: "a system call of any program, with `trace tcp`",
        arguments: TCP,
        work: connect,
        times: CONNECTIONS,
        only: &["tcp_syscall"],
        each_run: true,
    },
    Case {
        name: "a packet at tcx",
        arguments: FLOWS,
        work: send,
        times: PACKETS,
        only: &[],
        each_run: true,
    },
    Case {
        name: "a frame at XDP, generic",
        arguments: XDP,
        work: send,
        times: PACKETS,
        only: &["flow_xdp"],
        each_run: true,
    },
    Case {
        name: "a program that is run and ends",
        arguments: EXEC,
        work: run_programs,
        times: PROGRAMS,
        only: &[],
        each_run: false,
    },
];

/// What came out.
#[derive(Debug, Serialize)]
struct Measured {
    name: &'static str,
    runs: u64,
    nanoseconds: f64,
}

/// Measures, prints the table, which it gives, and writes host.json.
pub(crate) fn run(gotap: &Path, out: &Path) -> Result<String> {
    let _times = RunTimes::count().context("let the kernel count the time of BPF programs")?;
    let measured: Vec<_> = CASES.iter().map(|case| measure(gotap, case)).collect::<Result<_>>()?;
    let mut table = String::from("| what | runs | time of BPF programs |\n|---|---:|---:|\n");
    for Measured { name, runs, nanoseconds } in &measured {
        table += &format!("| {name} | {runs} | {nanoseconds:.0} ns |\n");
    }
    println!("{table}");
    let path = out.join("host.json");
    std::fs::write(&path, serde_json::to_string_pretty(&measured)?)?;
    println!("written: {}", path.display());
    Ok(table)
}

fn measure(gotap: &Path, case: &Case) -> Result<Measured> {
    let known: Vec<u32> = loaded_programs()?.iter().map(|program| program.id).collect();
    let mut process = Running::start(gotap, case.arguments, &[])?;
    process.wait_for_error("gotap: ready", scenario::READY)?;
    let loaded = || -> Result<Vec<LoadedProgram>> {
        let mut all = loaded_programs()?;
        all.retain(|program| !known.contains(&program.id));
        all.retain(|p| case.only.is_empty() || case.only.contains(&p.name.as_str()));
        Ok(all)
    };
    let before: HashMap<u32, LoadedProgram> = loaded()?.into_iter().map(|p| (p.id, p)).collect();
    (case.work)().with_context(|| case.name)?;
    // What the kernel does behind the last one.
    std::thread::sleep(Duration::from_millis(200));
    let (mut runs, mut nanoseconds) = (0, 0);
    for program in loaded()? {
        let Some(was) = before.get(&program.id) else { continue };
        runs += program.runs - was.runs;
        nanoseconds += program.nanoseconds - was.nanoseconds;
    }
    process.stop()?;
    ensure!(runs >= u64::from(case.times), "{}: the programs ran {runs} times", case.name);
    let of = if case.each_run { runs } else { u64::from(case.times) };
    Ok(Measured { name: case.name, runs, nanoseconds: nanoseconds as f64 / of as f64 })
}

fn connect() -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    for _ in 0..CONNECTIONS {
        let mut made = TcpStream::connect(address)?;
        let (mut taken, _) = listener.accept()?;
        made.write_all(b"ping")?;
        taken.read_exact(&mut [0; 4])?;
    }
    Ok(())
}

fn send() -> Result<()> {
    let (from, to) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
    let address = to.local_addr()?;
    // Each is seen twice: going out, and coming in. What does not fit into the socket is dropped behind that.
    for _ in 0..PACKETS {
        from.send_to(b"ping", address)?;
    }
    Ok(())
}

fn run_programs() -> Result<()> {
    for _ in 0..PROGRAMS {
        ensure!(Command::new("/bin/true").status()?.success(), "/bin/true failed");
    }
    Ok(())
}
