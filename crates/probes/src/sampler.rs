//! The sampler: in which stacks a process is found by a clock of each processor, or how long its threads are
//! off their processors.
//!
//! It has programs and maps of its own, `bpf/sampler.bpf.c`. Not here: what the walker knows of the binary
//! (`plan`), the clocks (`clock`), and what the addresses of stacks are called.

mod clock;
mod plan;

use std::cell::RefCell;
use std::collections::HashMap;
use std::os::fd::{AsRawFd, IntoRawFd};
use std::rc::Rc;

use libbpf_rs::{
    Link, MapCore, MapFlags, Object, ObjectBuilder, OpenObject, RingBuffer, RingBufferBuilder,
};
use wire::{DecodeError, OffThread, SampledCounter, SampledStack, StackCount, ToldSample};
use zerocopy::{FromBytes, Immutable, IntoBytes};

pub use plan::SamplerPlan;

use crate::serving::{self, ServedMaps};
use crate::session::{missing, program};
use crate::{Error, Features};

pub(crate) static OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/sampler.bpf.o"));

/// Stacks that are read from the ring buffer at once.
const BATCH: usize = 4096;
/// Entries that are written into a map at once.
const ENTRIES: usize = 1 << 16;

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

/// Bytes of the ring buffer in which each sample is told: half a minute of 64 processors at 99 Hz would not
/// fit, but a second of them does ten times.
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
    object: Object,
}

impl Sampler {
    /// Loads the program and starts to sample process `pid`. With `served` each sample is told, with the request
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
        features.check()?;
        crate::session::quiet_libbpf();
        let mut open = open(Some(kind))?;
        match served {
            Some(served) => served.maps.share(&mut open)?,
            None => serving::share_none(&mut open)?,
        }
        for mut map in open.maps_mut() {
            let entries = match map.name().to_str() {
                Some("stack_rows") => plan.rows.len(),
                Some("stack_index") => plan.index.len(),
                Some("off_threads") if kind != Kind::OffCpu => 1,
                Some("told_samples") if served.is_some() => TOLD_BYTES as usize,
                _ => continue,
            };
            let entries = u32::try_from(entries).unwrap_or(u32::MAX).max(1);
            map.set_max_entries(entries).map_err(Error::bpf("size maps"))?;
        }
        let mut object = open.load().map_err(Error::bpf("load BPF programs"))?;
        fill(&object, "stack_rows", &plan.rows)?;
        fill(&object, "stack_index", &plan.index)?;
        map(&object, "sampled")?
            .update(
                &0u32.to_ne_bytes(),
                plan.constants(pid, served.map(|s| s.instance)).as_bytes(),
                MapFlags::ANY,
            )
            .map_err(Error::bpf("write process constants"))?;
        let stacks = Rc::new(RefCell::new(Vec::new()));
        let told = Rc::new(RefCell::new(Vec::new()));
        let ring = ring(&object, stacks.clone(), told.clone())?;
        let program = program(&mut object, kind.program())?;
        let mut links = Vec::new();
        match kind {
            Kind::OffCpu => {
                links.push(program.attach().map_err(Error::bpf("attach to the scheduler"))?);
            }
            Kind::Cpu { frequency } => {
                for cpu in clock::online()? {
                    let Some(clock) = clock::open(cpu, frequency)? else { continue };
                    let link = program.attach_perf_event(clock.as_raw_fd());
                    links.push(link.map_err(Error::bpf(format!("attach to processor {cpu}")))?);
                    // The link closes it.
                    let _ = clock.into_raw_fd();
                }
            }
        }
        Ok(Self { ring, stacks, told, links, object })
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

    /// The samples that were told up to the last [`Sampler::read`].
    pub fn told(&self) -> Vec<Result<ToldSample, DecodeError>> {
        self.told.take()
    }

    /// Stops; what was sampled can still be read.
    pub fn detach(&mut self) {
        self.links.clear();
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

/// Writes a list into an array, whole.
fn fill<T: IntoBytes + Immutable>(object: &Object, name: &str, values: &[T]) -> Result<(), Error> {
    let map = map(object, name)?;
    for (number, chunk) in values.chunks(ENTRIES).enumerate() {
        let first = u32::try_from(number * ENTRIES).unwrap_or(u32::MAX);
        let count = u32::try_from(chunk.len()).unwrap_or(0);
        let keys: Vec<u8> = (first..first + count).flat_map(u32::to_ne_bytes).collect();
        map.update_batch(&keys, chunk.as_bytes(), count, MapFlags::ANY, MapFlags::ANY)
            .map_err(Error::bpf(format!("write map {name}")))?;
    }
    Ok(())
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
