//! Processes that start and end: `bpf/host/exec.bpf.c`.

use host::DecodeError;
use host::exec::{Counter, Event, decode};
use libbpf_rs::{Link, Object, OpenObject};

use super::{Ring, attach, counter, load, missed, resize};
use crate::Error;

pub(super) static OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/host_exec.bpf.o"));

/// Programs and their tracepoints. Ends first: what starts from then on has both.
const POINTS: [(&str, &str); 3] = [
    ("exec_exit", "sched_process_exit"),
    ("exec_exec", "sched_process_exec"),
    ("exec_fork", "sched_process_fork"),
];

pub(super) fn open() -> Result<OpenObject, Error> {
    super::open("gotap_exec", OBJECT)
}

/// The programs, attached to the whole host. The kernel detaches them when this is dropped.
pub struct Execs {
    // The buffer before the object whose map it reads.
    ring: Ring<Event>,
    links: Vec<Link>,
    object: Object,
}

/// How many there were, and what no event tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lost {
    /// Programs that were run.
    pub execs: u64,
    /// Processes that ended.
    pub exits: u64,
    /// Forks without an event: their programs are not known when they end.
    pub forks_lost: u64,
    /// Programs without an event, as the ring buffer was full.
    pub execs_lost: u64,
    /// Ends without one.
    pub exits_lost: u64,
    /// Events for which the kernel did not run gotap's program.
    pub not_run: u64,
}

impl Execs {
    /// Loads the programs and attaches them. `buffer` is the size of the ring buffer, a power of two.
    ///
    /// # Errors
    /// [`Error::OldKernel`], [`Error::NoBtf`], [`Error::Denied`] or what libbpf says.
    pub fn attach(buffer: u32) -> Result<Self, Error> {
        let mut open = open()?;
        resize(&mut open, "exec_events", buffer)?;
        let mut object = load(open)?;
        let ring = Ring::open(&object, "exec_events", decode)?;
        let links = POINTS.map(|(name, point)| attach(&mut object, name, point));
        let links = links.into_iter().collect::<Result<_, _>>()?;
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
    pub fn counts(&self) -> Result<Lost, Error> {
        let read = |which: Counter| counter(&self.object, "exec_counts", which as u32);
        Ok(Lost {
            execs: read(Counter::Execs)?,
            exits: read(Counter::Exits)?,
            forks_lost: read(Counter::ForksLost)?,
            execs_lost: read(Counter::ExecsLost)?,
            exits_lost: read(Counter::ExitsLost)?,
            not_run: missed(&self.object),
        })
    }
}
