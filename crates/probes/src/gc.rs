//! The observer of garbage collections: an event each time that the runtime of one process lets its goroutines
//! run again, `bpf/gc.bpf.c`. That is two traps a collection.
//!
//! Not here: which words of the runtime are read, and what they mean (`goruntime`).

use std::fs::File;

use gobin::{Binary, Site};
use libbpf_rs::Link;
use wire::{Collected, CollectedCounter, DecodeError, GC_WORDS, WorldStart};
use zerocopy::IntoBytes;

use crate::instrument::{Instrument, Ring};
use crate::reaper::close;
use crate::{Error, Features};

pub(crate) static OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/gc.bpf.o"));

/// The function by which goroutines run again, of all versions. It runs on the system stack.
const START: &str = "runtime.startTheWorldWithSema";
/// Since then its arguments say why they were stopped, and since when.
const TELLS_REASON: u16 = 22;

/// The site of the observer in one binary: a pure function of it.
#[derive(Debug, Clone)]
pub struct GcPlan {
    /// Where goroutines run again.
    pub site: Site,
    /// Whether arguments tell why they were stopped.
    pub tells_reason: bool,
}

impl GcPlan {
    /// Makes the plan.
    ///
    /// # Errors
    /// Why collections can't be observed, as a clause.
    pub fn new(binary: &Binary<'_>) -> Result<Self, String> {
        let start =
            binary.function(START).ok_or_else(|| format!("function {START} was not found"))?;
        // It is rare: where nothing else is there, the kernel may step over the instruction.
        let site = binary.entry_site(&start);
        let site = site.ok_or_else(|| format!("no instruction was found in {START}"))?;
        let tells_reason = binary.minor().0 >= TELLS_REASON;
        Ok(Self { site, tells_reason })
    }
}

/// The programs, attached to one process. The kernel detaches them when this is dropped.
pub struct GcObserver {
    // The buffer before the object whose map it reads.
    ring: Ring<WorldStart>,
    links: Vec<Link>,
    instrument: Instrument,
}

impl GcObserver {
    /// Loads the programs and attaches them to process `pid`. `file` is what the plan was made from, and
    /// `words` are addresses in the process.
    ///
    /// # Errors
    /// [`Error::OldKernel`], [`Error::NoBtf`], [`Error::Denied`] or what libbpf says.
    pub fn attach(
        features: Features,
        plan: &GcPlan,
        pid: u32,
        file: &File,
        words: [u64; GC_WORDS],
    ) -> Result<Self, Error> {
        let mut instrument = Instrument::load("gotap_gc", OBJECT, features)?;
        let constants = Collected { tgid: pid, pad: 0, words };
        instrument.write_constants("collected", constants.as_bytes())?;
        let ring = Ring::new(&instrument, "collected_events", wire::decode_world_start)?;
        let links = instrument.attach("world_starts", pid, file, &[plan.site.file_offset])?;
        Ok(Self { ring, links, instrument })
    }

    /// Gives the events that are there, in the order in which they happened.
    ///
    /// # Errors
    /// What libbpf says.
    pub fn read(&mut self) -> Result<Vec<Result<WorldStart, DecodeError>>, Error> {
        self.ring.read()
    }

    /// Takes the probe away; what it saw can still be read.
    pub fn detach(&mut self) {
        close(std::mem::take(&mut self.links));
    }

    /// What was counted.
    ///
    /// # Errors
    /// What libbpf says.
    pub fn count(&self, counter: CollectedCounter) -> Result<u64, Error> {
        self.instrument.count("collected_counts", counter as u32)
    }
}
