//! The sampler: in which stacks processes are found by a clock of each processor, or how long its threads are
//! off their processors.
//!
//! It has programs and maps of its own, `bpf/sampler.bpf.c`. Not here: what the walker knows of the binary
//! (`plan`) and how the kernel gets that (`tables`), the clocks (`clock`), and what the addresses of stacks are called.

mod clock;
mod plan;
mod tables;

use std::cell::RefCell;
use std::collections::HashMap;
use std::os::fd::{AsRawFd, IntoRawFd};
use std::rc::Rc;

use libbpf_rs::{
    Link, MapCore, MapFlags, Object, ObjectBuilder, OpenObject, RingBuffer, RingBufferBuilder,
};
use wire::{DecodeError, OffThread, SampledCounter, SampledStack, StackCount, ToldSample};
use zerocopy::{FromBytes, IntoBytes};

pub(crate) use plan::DIAL;
pub use plan::SamplerPlan;

use crate::reaper::close;
use crate::serving::{self, ServedMaps};
use crate::session::{missing, program};
use crate::{Error, Features};

pub(crate) static OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/sampler.bpf.o"));

/// Stacks that are read from the ring buffer at once.
const BATCH: usize = 4096;

/// What is sampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Where threads run, so many times in each second of a processor.
    Cpu {
        /// In hertz.
        frequency: u64,
    },
    /// Where threads leave their processors, and for how long.
    OffCpu,
}

impl Kind {
    fn program(self) -> &'static str {
        match self {
            Self::Cpu { .. } => "sample_cpu",
            Self::OffCpu => "sample_off_cpu",
        }
    }
}

/// Opens the object with the program for one kind of samples, or with all of them.
pub(crate) fn open(kind: Option<Kind>) -> Result<OpenObject, Error> {
    let mut open = ObjectBuilder::default()
        .name("gotap_sampler")
        .and_then(|b| b.open_memory(OBJECT))
        .map_err(Error::bpf("open BPF object"))?;
    for mut program in open.progs_mut() {
        let wanted = kind.is_none_or(|kind| program.name() == kind.program());
        program.set_autoload(wanted);
    }
    Ok(open)
}

type Batch<T> = Rc<RefCell<Vec<Result<T, DecodeError>>>>;

/// Bytes of the ring buffer that gets each sample: half a minute of 64 processors at 99 Hz would not
/// fit, but a second of them does eight times.
const TOLD_BYTES: u32 = 2 << 20;

/// Where it stands which requests the process's goroutines serve.
#[derive(Debug, Clone, Copy)]
pub struct Served<'a> {
    /// The tracing programs' maps.
    pub maps: &'a ServedMaps,
    /// The process's number in them.
    pub instance: u32,
}

/// The programs, attached. The kernel detaches them when this is dropped.
pub struct Sampler {
    // The buffer before the object whose map it reads.
    ring: RingBuffer<'static>,
    stacks: Batch<SampledStack>,
    told: Batch<ToldSample>,
    links: Vec<Link>,
    tables: tables::Free,
    object: Object,
}

/// How much a sampler has room for.
#[derive(Debug, Clone, Copy)]
struct Room {
    processes: u32,
    stacks: u32,
    /// Bytes for single samples, if they are wanted.
    told: Option<u32>,
}

/// Different stacks that a sampler of many processes keeps apart until they are forgotten.
pub const STACKS_OF_MANY: u32 = 16_384;

impl Sampler {
    /// Loads the program and starts to sample process `pid`. With `served` each sample is kept, with the request
    /// that it belongs to: see [`Sampler::told`].
    ///
    /// # Errors
    /// [`Error::OldKernel`], [`Error::NoBtf`], [`Error::Denied`], [`Error::Clock`] or what libbpf says.
    pub fn attach(
        features: Features,
        plan: &SamplerPlan,
        pid: u32,
        kind: Kind,
        served: Option<Served<'_>>,
    ) -> Result<Self, Error> {
        let told = served.is_some().then_some(TOLD_BYTES);
        let room = Room { processes: 1, stacks: wire::STACKS, told };
        let mut sampler = Self::load(features, kind, room, served.map(|served| served.maps))?;
        let table = sampler.add_tables(plan)?;
        sampler.add_process(pid, plan, 0, table, served.map(|served| served.instance))?;
        sampler.start(kind)?;
        Ok(sampler)
    }

    /// Loads the program and starts to sample processes that are added. Each sample is kept.
    ///
    /// # Errors
    /// As above.
    pub fn of_many(features: Features, frequency: u64, maps: &ServedMaps) -> Result<Self, Error> {
        let kind = Kind::Cpu { frequency };
        let processes = wire::SAMPLED_PROCESSES;
        let room = Room { processes, stacks: STACKS_OF_MANY, told: Some(TOLD_BYTES) };
        let mut sampler = Self::load(features, kind, room, Some(maps))?;
        sampler.start(kind)?;
        Ok(sampler)
    }

    fn load(
        features: Features,
        kind: Kind,
        room: Room,
        maps: Option<&ServedMaps>,
    ) -> Result<Self, Error> {
        features.check()?;
        crate::session::quiet_libbpf();
        let mut open = open(Some(kind))?;
        match maps {
            Some(maps) => maps.share(&mut open)?,
            None => serving::share_none(&mut open)?,
        }
        for mut map in open.maps_mut() {
            let entries = match map.name().to_str() {
                Some("sampled") => room.processes,
                Some("stack_counts") => room.stacks,
                Some("off_threads") if kind != Kind::OffCpu => 1,
                Some("told_samples") => match room.told {
                    Some(bytes) => bytes,
                    None => continue,
                },
                _ => continue,
            };
            map.set_max_entries(entries).map_err(Error::bpf("size maps"))?;
        }
        let object = open.load().map_err(Error::bpf("load BPF programs"))?;
        let stacks = Rc::new(RefCell::new(Vec::new()));
        let told = Rc::new(RefCell::new(Vec::new()));
        let ring = ring(&object, stacks.clone(), told.clone())?;
        let tables = tables::Free::default();
        Ok(Self { ring, stacks, told, links: Vec::new(), tables, object })
    }

    fn start(&mut self, kind: Kind) -> Result<(), Error> {
        let program = program(&mut self.object, kind.program())?;
        match kind {
            Kind::OffCpu => {
                let link = program.attach().map_err(Error::bpf("attach to the scheduler"))?;
                self.links.push(link);
            }
            Kind::Cpu { frequency } => {
                for cpu in clock::online()? {
                    let Some(clock) = clock::open(cpu, frequency)? else { continue };
                    let link = program.attach_perf_event(clock.as_raw_fd());
                    let what = format!("attach to processor {cpu}");
                    self.links.push(link.map_err(Error::bpf(what))?);
                    // The link closes it.
                    let _ = clock.into_raw_fd();
                }
            }
        }
        Ok(())
    }

    /// Samples a process of a file whose tables were added. `target` is unlike that of all others before;
    /// its stacks have it. With an instance, samples name the requests that they belong to.
    ///
    /// # Errors
    /// What libbpf says, as when there are [`wire::SAMPLED_PROCESSES`] already.
    pub fn add_process(
        &self,
        pid: u32,
        plan: &SamplerPlan,
        target: u32,
        table: u32,
        instance: Option<u32>,
    ) -> Result<(), Error> {
        let constants = plan.constants(target, table, instance);
        map(&self.object, "sampled")?
            .update(&pid.to_ne_bytes(), constants.as_bytes(), MapFlags::ANY)
            .map_err(Error::bpf("write process constants"))
    }

    /// Samples a process no more.
    pub fn remove_process(&self, pid: u32) {
        // It is not there if it was never added.
        let removed = map(&self.object, "sampled").map(|map| map.delete(&pid.to_ne_bytes()));
        drop(removed);
    }

    /// Forgets which stacks were seen: they are given again when they are met next, and count from 0.
    ///
    /// # Errors
    /// What libbpf says.
    pub fn forget_stacks(&self) -> Result<(), Error> {
        let map = map(&self.object, "stack_counts")?;
        let all: Vec<_> = map.keys().collect();
        for key in all {
            // It may be gone.
            let _ = map.delete(&key);
        }
        Ok(())
    }

    /// Gives the stacks that are new since the last call; some may come twice.
    ///
    /// # Errors
    /// What libbpf says.
    pub fn read(&mut self) -> Result<Vec<Result<SampledStack, DecodeError>>, Error> {
        let result = self.ring.consume_raw_n(BATCH);
        if result < 0 {
            let said = libbpf_rs::Error::from_raw_os_error(-result);
            return Err(Error::bpf("read stacks")(said));
        }
        Ok(self.stacks.take())
    }

    /// The single samples up to the last [`Sampler::read`].
    pub fn told(&self) -> Vec<Result<ToldSample, DecodeError>> {
        self.told.take()
    }

    /// Stops; what was sampled can still be read.
    pub fn detach(&mut self) {
        close(std::mem::take(&mut self.links));
    }

    /// How often each stack was seen, by its hash.
    ///
    /// # Errors
    /// What libbpf says.
    pub fn stacks(&self) -> Result<HashMap<u64, StackCount>, Error> {
        entries(&self.object, "stack_counts", u64::from_ne_bytes)
    }

    /// The threads that are off their processors, by their ids.
    ///
    /// # Errors
    /// What libbpf says.
    pub fn off_threads(&self) -> Result<HashMap<u32, OffThread>, Error> {
        entries(&self.object, "off_threads", u32::from_ne_bytes)
    }

    /// What was counted, over all processors.
    ///
    /// # Errors
    /// What libbpf says.
    pub fn count(&self, counter: SampledCounter) -> Result<u64, Error> {
        let values = map(&self.object, "sampled_counts")?
            .lookup_percpu(&(counter as u32).to_ne_bytes(), MapFlags::ANY)
            .map_err(Error::bpf("read counters"))?
            .unwrap_or_default();
        let numbers = values.iter().filter_map(|v| v.get(..8)?.try_into().ok());
        Ok(numbers.map(u64::from_ne_bytes).sum())
    }
}

fn map<'o>(object: &'o Object, name: &str) -> Result<libbpf_rs::Map<'o>, Error> {
    object.maps().find(|map| map.name() == name).ok_or_else(|| missing("map", name))
}

fn entries<K: Eq + std::hash::Hash, V: FromBytes, const N: usize>(
    object: &Object,
    name: &str,
    key: impl Fn([u8; N]) -> K,
) -> Result<HashMap<K, V>, Error> {
    let map = map(object, name)?;
    let mut out = HashMap::new();
    for bytes in map.keys() {
        let Ok(known) = <[u8; N]>::try_from(bytes.as_slice()) else { continue };
        let value =
            map.lookup(&bytes, MapFlags::ANY).map_err(Error::bpf("read what was counted"))?;
        if let Some((value, _)) = value.as_deref().and_then(|v| V::read_from_prefix(v).ok()) {
            out.insert(key(known), value);
        }
    }
    Ok(out)
}

fn ring(
    object: &Object,
    stacks: Batch<SampledStack>,
    told: Batch<ToldSample>,
) -> Result<RingBuffer<'static>, Error> {
    let (new, samples) = (map(object, "new_stacks")?, map(object, "told_samples")?);
    let mut builder = RingBufferBuilder::new();
    builder
        .add(&new, move |bytes| {
            stacks.borrow_mut().push(wire::decode_sampled(bytes));
            0
        })
        .map_err(Error::bpf("open ring buffer"))?;
    builder
        .add(&samples, move |bytes| {
            told.borrow_mut().push(ToldSample::decode(bytes));
            0
        })
        .map_err(Error::bpf("open ring buffer"))?;
    builder.build().map_err(Error::bpf("open ring buffer"))
}
