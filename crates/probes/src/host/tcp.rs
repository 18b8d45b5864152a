//! TCP connections: `bpf/host/tcp.bpf.c`.

use host::DecodeError;
use host::tcp::{Counter, Event, decode};
use libbpf_rs::{Link, Object, OpenObject};

use super::{Ring, attach, counter, load, missed, resize, set_constants};
use crate::Error;

pub(super) static OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/host_tcp.bpf.o"));

const STATE: (&str, &str) = ("tcp_state", "inet_sock_set_state");
/// What needs [`TcpOptions::system_calls`]. The state last: what it leaves to the others has them.
const SYSTEM_CALLS: [(&str, &str); 2] =
    [("tcp_syscall", "sys_exit"), ("tcp_destroyed", "tcp_destroy_sock")];
const RETRANSMITS: (&str, &str) = ("tcp_retransmit", "tcp_retransmit_skb");

pub(super) fn open() -> Result<OpenObject, Error> {
    super::open("gotap_tcp", OBJECT)
}

/// What is looked at.
#[derive(Debug, Clone, Copy)]
pub struct TcpOptions {
    /// Whether to look at the ends of system calls: the process that accepted a connection is then
    /// known at once, and why a connection failed before anything was sent. It slows down every system call
    /// of the host a little.
    pub system_calls: bool,
    /// Whether there is an event for each retransmission.
    pub retransmits: bool,
    /// Open connections that are remembered.
    pub connections: u32,
    /// Size of the ring buffer, a power of two.
    pub buffer: u32,
}

/// The programs, attached to the whole host. The kernel detaches them when this is dropped.
pub struct Tcp {
    // The buffer before the object whose map it reads.
    ring: Ring<Event>,
    links: Vec<Link>,
    object: Object,
}

/// How many events there were, and what is lost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TcpCounts {
    /// Events.
    pub events: u64,
    /// Those that are lost, as the ring buffer was full.
    pub lost: u64,
    /// Connections that were not remembered, as too many were open.
    pub not_remembered: u64,
    /// Changes for which the kernel did not run gotap's program.
    pub not_run: u64,
}

impl Tcp {
    /// Loads the programs and attaches them.
    ///
    /// # Errors
    /// [`Error::OldKernel`], [`Error::NoBtf`], [`Error::Denied`] or what libbpf says.
    pub fn attach(options: TcpOptions) -> Result<Self, Error> {
        let mut open = open()?;
        resize(&mut open, "tcp_events", options.buffer)?;
        resize(&mut open, "tcp_conns", options.connections)?;
        let mut points = Vec::new();
        if options.system_calls {
            points.extend(SYSTEM_CALLS);
        } else {
            // `with_syscalls` is the only constant of the object.
            set_constants(&mut open, ".rodata", &[0])?;
        }
        points.extend(options.retransmits.then_some(RETRANSMITS));
        points.push(STATE);
        for mut program in open.progs_mut() {
            let wanted = points.iter().any(|(name, _)| program.name() == *name);
            program.set_autoload(wanted);
        }
        let mut object = load(open)?;
        let ring = Ring::open(&object, "tcp_events", decode)?;
        let links = points.into_iter().map(|(name, point)| attach(&mut object, name, point));
        let links = links.collect::<Result<_, _>>()?;
        Ok(Self { ring, links, object })
    }

    /// Gives the events that are there, in the order in which they happened, a bounded number.
    ///
    /// # Errors
    /// What libbpf says.
    pub fn read(&mut self) -> Result<Vec<Result<Event, DecodeError>>, Error> {
        self.ring.read()
    }

    /// Detaches; what was seen can still be read.
    pub fn detach(&mut self) {
        self.links.clear();
    }

    /// What was counted.
    ///
    /// # Errors
    /// What libbpf says.
    pub fn counts(&self) -> Result<TcpCounts, Error> {
        let read = |which: Counter| counter(&self.object, "tcp_counts", which as u32);
        Ok(TcpCounts {
            events: read(Counter::Events)?,
            lost: read(Counter::EventsLost)?,
            not_remembered: read(Counter::NotRemembered)?,
            not_run: missed(&self.object),
        })
    }
}
