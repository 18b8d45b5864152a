//! The goroutine tracker: an event for each goroutine of one process that is created or ends.
//!
//! It has programs and maps of its own, `bpf/tracker.bpf.c`, which are quick to load. Not here: where
//! the sites are (`tracker_plan`), and what the events add up to.

use std::cell::RefCell;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::rc::Rc;

use libbpf_rs::{
    Link, MapCore, MapFlags, Object, ObjectBuilder, OpenObject, RingBuffer, RingBufferBuilder,
    UprobeMultiOpts,
};
use wire::{DecodeError, Lifecycle, TrackedCounter, TrackedEvent};
use zerocopy::IntoBytes;

use crate::session::{missing, program};
use crate::{Error, Features, TrackerPlan};

pub(crate) static OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/tracker.bpf.o"));

/// Events that are read at once.
const BATCH: usize = 16_384;
/// How the names of programs end that need no uprobe_multi.
const SINGLE: &str = "_single";

/// Opens the object with the programs that suit this kernel.
pub(crate) fn open(features: Features) -> Result<OpenObject, Error> {
    let mut open = ObjectBuilder::default()
        .name("gotap_tracker")
        .and_then(|b| b.open_memory(OBJECT))
        .map_err(Error::bpf("open BPF object"))?;
    for mut program in open.progs_mut() {
        let single = program.name().to_string_lossy().ends_with(SINGLE);
        program.set_autoload(single != features.uprobe_multi);
    }
    Ok(open)
}

/// What the programs counted of one kind, created or ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TrackerCounts {
    /// All that there were.
    pub seen: u64,
    /// Of these, those without an event because the ring buffer was full.
    pub ring_full: u64,
    /// Of these, those without an event because their number could not be read.
    pub unread: u64,
}

/// What the callback of the ring buffer gathers.
type Batch = Rc<RefCell<Vec<Result<TrackedEvent, DecodeError>>>>;

/// The programs, attached to one process. The kernel detaches them when this is dropped.
pub struct Tracker {
    // The buffer before the object whose map it reads.
    ring: RingBuffer<'static>,
    events: Batch,
    created: Option<Link>,
    exited: Option<Link>,
    object: Object,
    features: Features,
    plan: TrackerPlan,
    pid: u32,
    file: File,
}

impl Tracker {
    /// Loads the programs and attaches them to process `pid`. `file` is what the plan was made from.
    ///
    /// # Errors
    /// [`Error::OldKernel`], [`Error::NoBtf`], [`Error::Denied`] or what libbpf says.
    pub fn attach(
        features: Features,
        plan: &TrackerPlan,
        pid: u32,
        file: &File,
    ) -> Result<Self, Error> {
        features.check()?;
        crate::session::quiet_libbpf();
        let object = open(features)?.load().map_err(Error::bpf("load BPF programs"))?;
        let constants = plan.constants(pid);
        map(&object, "tracked")?
            .update(&0u32.to_ne_bytes(), constants.as_bytes(), MapFlags::ANY)
            .map_err(Error::bpf("write process constants"))?;
        let events = Rc::new(RefCell::new(Vec::new()));
        let ring = ring(&object, events.clone())?;
        let file = file.try_clone().map_err(Error::File)?;
        let plan = plan.clone();
        let mut out =
            Self { ring, events, created: None, exited: None, object, features, plan, pid, file };
        out.put_back()?;
        Ok(out)
    }

    /// Attaches the programs again that were taken away.
    ///
    /// # Errors
    /// What libbpf says.
    pub fn put_back(&mut self) -> Result<(), Error> {
        // Exits first: what is created from then on has both.
        self.exited = Some(self.link("tracked_exited", self.plan.exited.file_offset)?);
        self.created = Some(self.link("tracked_created", self.plan.created.file_offset)?);
        Ok(())
    }

    fn link(&mut self, name: &str, offset: u64) -> Result<Link, Error> {
        let (pid, features) = (self.pid, self.features);
        let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        let what = format!("attach to process {pid}");
        let (signed, offset) = (i32::try_from(pid).unwrap_or(-1), offset_of(offset));
        if features.uprobe_multi {
            let filter = if features.uprobe_multi_pid { signed } else { -1 };
            let options = UprobeMultiOpts { offsets: vec![offset], ..UprobeMultiOpts::default() };
            program(&mut self.object, name)?
                .attach_uprobe_multi_with_opts(filter, &path, "", options)
                .map_err(Error::bpf(what))
        } else {
            program(&mut self.object, &format!("{name}{SINGLE}"))?
                .attach_uprobe(false, signed, &path, offset)
                .map_err(Error::single(what))
        }
    }

    /// Gives the events that are there, in the order in which they happened, a bounded number. The
    /// kernel wakes nobody for them.
    ///
    /// # Errors
    /// What libbpf says.
    pub fn read(&mut self) -> Result<Vec<Result<TrackedEvent, DecodeError>>, Error> {
        let result = self.ring.consume_raw_n(BATCH);
        if result < 0 {
            let said = libbpf_rs::Error::from_raw_os_error(-result);
            return Err(Error::bpf("read events")(said));
        }
        Ok(self.events.take())
    }

    /// Takes the probes away; what they saw can still be read.
    pub fn detach(&mut self) {
        self.created = None;
        self.exited = None;
    }

    /// What was counted of a kind, over all processors.
    ///
    /// # Errors
    /// What libbpf says.
    pub fn counts(&self, kind: Lifecycle) -> Result<TrackerCounts, Error> {
        let read = |counter: TrackedCounter| -> Result<u64, Error> {
            let values = map(&self.object, "tracked_counts")?
                .lookup_percpu(&counter.index(kind).to_ne_bytes(), MapFlags::ANY)
                .map_err(Error::bpf("read counters"))?
                .unwrap_or_default();
            let numbers = values.iter().filter_map(|v| v.get(..8)?.try_into().ok());
            Ok(numbers.map(u64::from_ne_bytes).sum())
        };
        Ok(TrackerCounts {
            seen: read(TrackedCounter::Seen)?,
            ring_full: read(TrackedCounter::RingFull)?,
            unread: read(TrackedCounter::Unread)?,
        })
    }
}

fn map<'o>(object: &'o Object, name: &str) -> Result<libbpf_rs::Map<'o>, Error> {
    object.maps().find(|map| map.name() == name).ok_or_else(|| missing("map", name))
}

fn ring(object: &Object, events: Batch) -> Result<RingBuffer<'static>, Error> {
    let map = map(object, "tracked_events")?;
    let mut builder = RingBufferBuilder::new();
    builder
        .add(&map, move |bytes| {
            events.borrow_mut().push(wire::decode_tracked(bytes));
            0
        })
        .map_err(Error::bpf("open ring buffer"))?;
    builder.build().map_err(Error::bpf("open ring buffer"))
}

fn offset_of(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}
