//! `gotap flows`: what goes through the host's interfaces, by both ends and direction.
//!
//! Here interfaces are chosen, and flows get the names of the processes at their ends. How they are
//! printed is in `print`, and how they are counted in `probes`.

mod print;

use std::collections::HashMap;
use std::io::{BufWriter, Write, stdout};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Result;
use goproc::{Sockets, Transport};
use host::flows::{Count, Ends, Flow};
use probes::host::{FlowSums, Flows, Interface, Xdp, XdpMode, interfaces};

use crate::cli::{FlowsArgs, XdpChoice};
use crate::config::Invalid;
use crate::live::{PAUSE, Until};
use crate::services::Services;
use print::{Named, Report};

/// Interfaces that are looked at.
const MAX_INTERFACES: usize = 64;
/// At least so long between looks at who has which socket.
const LOOK: Duration = Duration::from_secs(1);
/// And so many times as long as a look takes.
const REST: u32 = 20;
/// Ends of flows whose processes are remembered.
const MAX_NAMES: usize = 1 << 17;

/// Runs the command.
pub(crate) fn run(args: &FlowsArgs) -> Result<()> {
    goproc::check_pids()?;
    let chosen = choose(&args.interfaces)?;
    let mut until = Until::new(args.duration)?;
    let xdp = args.xdp.map(|choice| match choice {
        XdpChoice::Auto => XdpMode::Auto,
        XdpChoice::Native => XdpMode::Native,
        XdpChoice::Generic => XdpMode::Generic,
    });
    let mut flows = Flows::attach(&chosen, args.flows, xdp, args.no_tcx)?;
    let names: Vec<&str> = chosen.iter().map(|interface| interface.name.as_str()).collect();
    crate::output::note(format!("ready, counting flows through {}", names.join(", ")));
    until.begin();
    let mut owners = Owners::default();
    let mut next = Instant::now();
    while !until.is_over() {
        if Instant::now() >= next {
            let began = Instant::now();
            owners.look(&flows.sums()?);
            next = Instant::now() + LOOK.max(began.elapsed() * REST);
        }
        std::thread::sleep(PAUSE);
    }
    let elapsed = until.elapsed();
    // First, so that what is open now is found.
    owners.look(&flows.sums()?);
    let modes: Vec<_> = chosen.iter().map(|interface| flows.xdp_mode(interface.index)).collect();
    flows.detach();
    let sums = flows.sums()?;
    let after = interfaces()?;
    let report = Report {
        flows: owners.named(&sums),
        totals: &sums.totals,
        xdp: if xdp.is_some() { Some(flows.xdp()?) } else { None },
        modes,
        before: &chosen,
        after: &after,
        way: flows.way,
        elapsed,
    };
    let mut output = BufWriter::new(stdout());
    report.print(&mut output, args)?;
    Ok(output.flush()?)
}

/// The interfaces that were named; all that are up if none was.
fn choose(names: &[String]) -> Result<Vec<Interface>> {
    let all = interfaces()?;
    let mut out = Vec::new();
    for name in names {
        let found = all.iter().find(|interface| interface.name == *name);
        let Some(found) = found else {
            let there: Vec<&str> = all.iter().map(|i| i.name.as_str()).collect();
            let there = there.join(", ");
            return Err(Invalid(format!("there is no interface {name:?}, but {there}")).into());
        };
        if found.link_header.is_none() {
            let why = format!("interface {name} is of a kind whose frames gotap does not know");
            return Err(Invalid(why).into());
        }
        if !out.contains(found) {
            out.push(found.clone());
        }
    }
    if !names.is_empty() {
        return Ok(out);
    }
    let up: Vec<Interface> = all.into_iter().filter(|interface| interface.up).collect();
    for unknown in up.iter().filter(|interface| interface.link_header.is_none()) {
        crate::output::note(format!(
            "{} is not counted: its frames are of an unknown kind",
            unknown.name
        ));
    }
    let known = up.into_iter().filter(|interface| interface.link_header.is_some());
    let known: Vec<Interface> = known.collect();
    if known.len() > MAX_INTERFACES {
        let left = known.len() - MAX_INTERFACES;
        crate::output::note(format!(
            "{left} interfaces are not counted: name those that matter (--interface)"
        ));
    }
    Ok(known.into_iter().take(MAX_INTERFACES).collect())
}

/// One end of a flow, with the other one.
type End = (u8, SocketAddr, SocketAddr);

/// A process, and what its service is called.
type Process = (u32, Option<String>);

/// Whose the ends of flows are, as far as somebody had the sockets while it was looked.
#[derive(Default)]
struct Owners {
    known: HashMap<End, Process>,
    services: Services,
}

/// TCP and UDP.
fn transport(protocol: u8) -> Option<Transport> {
    match protocol {
        6 => Some(Transport::Tcp),
        17 => Some(Transport::Udp),
        _ => None,
    }
}

impl Owners {
    /// Finds the processes of ends that have none yet.
    fn look(&mut self, sums: &FlowSums) {
        let ends: Vec<Ends> = sums.flows.iter().filter_map(|(flow, _)| flow.ends).collect();
        let open = |known: &HashMap<End, Process>, ends: &Ends| {
            let both = both(ends);
            transport(ends.protocol).is_some() && both.iter().any(|end| !known.contains_key(end))
        };
        if !ends.iter().any(|ends| open(&self.known, ends)) {
            return;
        }
        let sockets = Sockets::read();
        for end in ends.iter().flat_map(both) {
            if self.known.contains_key(&end) || self.known.len() >= MAX_NAMES {
                continue;
            }
            let (protocol, local, peer) = end;
            let found = transport(protocol).and_then(|t| sockets.owner(t, local, peer));
            if let Some(pid) = found {
                let service = self.services.name(pid, None);
                self.known.insert(end, (pid, service));
            }
        }
    }

    fn named(&self, sums: &FlowSums) -> Vec<Named> {
        let name = |(flow, count): &(Flow, Count)| {
            let [source, destination] = flow
                .ends
                .as_ref()
                .map_or([None, None], |ends| both(ends).map(|end| self.known.get(&end).cloned()));
            Named { flow: *flow, count: *count, source, destination }
        };
        let mut out: Vec<Named> = sums.flows.iter().map(name).collect();
        out.sort_by_key(|named| std::cmp::Reverse((named.count.bytes, named.count.packets)));
        out
    }
}

/// The sender's end, and the receiver's.
fn both(ends: &Ends) -> [End; 2] {
    let (source, destination) = (ends.source, ends.destination);
    [(ends.protocol, source, destination), (ends.protocol, destination, source)]
}
