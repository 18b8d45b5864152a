//! `gotap trace tcp`: connections of the whole host, made, accepted, closed and failed.
//!
//! Here events are read, given names, chosen and counted. How they are printed is in `print`, the
//! names of processes in `services`, and how the kernel is asked in `probes`.

mod print;

use std::io::{BufWriter, Stdout, Write, stdout};
use std::net::SocketAddr;

use anyhow::Result;
use glob::Pattern;
use goproc::{Process, Sockets};
use host::tcp::{self, Event, Kind, Role};
use probes::host::{Tcp, TcpOptions};

use crate::cli::{Format, TcpArgs};
use crate::config::Invalid;
use crate::live::{Until, clock_offset};
use crate::services::Services;
use print::{Printer, Tally};

/// Runs the command.
pub(crate) fn run(args: &TcpArgs) -> Result<()> {
    let chosen = Choice::new(args)?;
    goproc::check_pids()?;
    let mut until = Until::new(args.duration)?;
    let tcp = Tcp::attach(TcpOptions {
        system_calls: !args.no_syscalls,
        retransmits: args.retransmits,
        connections: args.connections,
        buffer: args.buffer,
    })?;
    let names = Names::read();
    crate::output::note("ready, tracing TCP connections");
    until.begin();
    let printer = Printer::new(BufWriter::new(stdout()), args.format == Format::Json);
    let mut tracing = Tracing { tcp, names, chosen, printer, tally: Tally::default() };
    until.read(|| tracing.read())?;
    tracing.tcp.detach();
    while tracing.read()? {}
    let counts = tracing.tcp.counts()?;
    tracing.tally.services_unknown = tracing.names.services.unknown;
    tracing.printer.summary(&tracing.tally, &counts, until.elapsed())?;
    Ok(tracing.printer.output.flush()?)
}

struct Tracing {
    tcp: Tcp,
    names: Names,
    chosen: Choice,
    printer: Printer<BufWriter<Stdout>>,
    tally: Tally,
}

/// An event with what is known beside it.
pub(crate) struct Named {
    pub(crate) event: Event,
    pub(crate) pid: Option<u32>,
    pub(crate) service: Option<String>,
    pub(crate) role: Option<Role>,
}

impl Named {
    /// The end that connected, and the one that accepted; this side first where nobody knows.
    pub(crate) fn ends(&self) -> (SocketAddr, SocketAddr) {
        let (local, peer) = (self.event.local, self.event.peer);
        if self.role == Some(Role::Server) { (peer, local) } else { (local, peer) }
    }
}

impl Tracing {
    /// Gives whether there were events.
    fn read(&mut self) -> Result<bool> {
        let events = self.tcp.read()?;
        let more = !events.is_empty();
        let offset = clock_offset();
        for event in events {
            let Ok(event) = event else {
                self.tally.invalid += 1;
                continue;
            };
            let named = self.names.of(event);
            if self.chosen.has(&named) {
                self.tally.add(&named.event, named.pid);
                self.printer.event(&named, offset)?;
            }
        }
        if more {
            self.printer.output.flush()?;
        }
        Ok(more)
    }
}

/// Says whose connections are.
pub(crate) struct Names {
    /// The connections that were open before.
    before: Sockets,
    pub(crate) services: Services,
}

impl Names {
    /// Reads which connections are open. To be called when new ones are seen already.
    pub(crate) fn read() -> Self {
        Self { before: Sockets::read(), services: Services::default() }
    }

    /// An event with what is known beside it.
    pub(crate) fn of(&mut self, event: Event) -> Named {
        let netns = event.netns.into();
        // What is older than gotap has no owner or role in the kernel's map.
        let older = event.duration_ns.is_none() && event.kind != Kind::Accepted;
        let pid = event.process.as_ref().map(|process| process.pid);
        let found = || self.before.owner_in(netns, event.local, event.peer).filter(|_| older);
        let pid = pid.or_else(found);
        let role = event.role.or_else(|| self.role_before(netns, &event));
        if event.kind == Kind::Closed {
            self.before.forget(netns, event.local, event.peer);
        }
        let comm = event.process.as_ref().map(|tcp::Process { comm, .. }| comm.as_str());
        let service = pid.and_then(|pid| self.services.name(pid, comm));
        Named { event, pid, service, role }
    }

    /// Which side this is of a connection that is older than gotap: whether its port is one that
    /// something listens on.
    fn role_before(&self, netns: u64, event: &Event) -> Option<Role> {
        self.before.owner_in(netns, event.local, event.peer)?;
        let listens = self.before.listens(netns, event.local);
        Some(if listens { Role::Server } else { Role::Client })
    }
}

/// Which events are printed. Those of one kind are alternatives; all kinds must hold.
struct Choice {
    pids: Vec<u32>,
    names: Vec<Pattern>,
    ports: Vec<u16>,
}

impl Choice {
    fn new(args: &TcpArgs) -> Result<Self> {
        for pid in &args.pids {
            let process = Process { pid: *pid };
            process.check_is_no_thread()?;
            if process.start_time().is_none() {
                return Err(goproc::Error::NoSuchProcess(*pid).into());
            }
        }
        let compile =
            |g: &String| Pattern::new(g).map_err(|e| Invalid(format!("pattern {g:?}: {e}")).into());
        let names = args.names.iter().map(compile).collect::<Result<_>>()?;
        Ok(Self { pids: args.pids.clone(), names, ports: args.ports.clone() })
    }

    fn has(&self, named: &Named) -> bool {
        let by_pid = self.pids.is_empty() || named.pid.is_some_and(|pid| self.pids.contains(&pid));
        let ports = [named.event.local.port(), named.event.peer.port()];
        let by_port = self.ports.is_empty() || ports.iter().any(|port| self.ports.contains(port));
        by_pid && by_port && (self.names.is_empty() || self.has_name(named))
    }

    fn has_name(&self, named: &Named) -> bool {
        let comm = named.event.process.as_ref().map(|process| process.comm.as_str());
        let mut names = [comm, named.service.as_deref()].into_iter().flatten();
        names.any(|name| self.names.iter().any(|pattern| pattern.matches(name)))
    }
}
