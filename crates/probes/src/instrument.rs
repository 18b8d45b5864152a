//! What small objects for one process have in common: loading the programs that suit the kernel, attaching
//! one of them to places of an executable, reading its ring buffer and its counters.
//!
//! Not here: what the programs are and what they tell.

use std::cell::RefCell;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::rc::Rc;

use libbpf_rs::{
    Link, MapCore, MapFlags, Object, ObjectBuilder, OpenObject, RingBuffer, RingBufferBuilder,
    UprobeMultiOpts,
};
use wire::DecodeError;

use crate::session::{missing, program};
use crate::{Error, Features};

/// Events that are read at once.
const BATCH: usize = 16_384;
/// How the names of programs end that need no uprobe_multi.
const SINGLE: &str = "_single";

/// Opens an object with the programs that suit this kernel.
pub(crate) fn open(name: &str, bytes: &[u8], features: Features) -> Result<OpenObject, Error> {
    let mut open = ObjectBuilder::default()
        .name(name)
        .and_then(|b| b.open_memory(bytes))
        .map_err(Error::bpf("open BPF object"))?;
    for mut program in open.progs_mut() {
        let single = program.name().to_string_lossy().ends_with(SINGLE);
        program.set_autoload(single != features.uprobe_multi);
    }
    Ok(open)
}

/// A loaded object.
pub(crate) struct Instrument {
    object: Object,
    features: Features,
}

impl Instrument {
    /// Loads one.
    pub(crate) fn load(name: &str, bytes: &[u8], features: Features) -> Result<Self, Error> {
        Self::load_opened(|| open(name, bytes, features), features)
    }

    /// Loads one that is opened in a way of its own.
    pub(crate) fn load_opened(
        open: impl FnOnce() -> Result<OpenObject, Error>,
        features: Features,
    ) -> Result<Self, Error> {
        features.check()?;
        crate::session::quiet_libbpf();
        let object = open()?.load();
        Ok(Self { object: object.map_err(Error::bpf("load BPF programs"))?, features })
    }

    /// Attaches a program to places of a process's executable, given by their offsets in the file. The
    /// kernel takes it away when the links are dropped.
    pub(crate) fn attach(
        &mut self,
        name: &str,
        pid: u32,
        file: &File,
        offsets: &[u64],
    ) -> Result<Vec<Link>, Error> {
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let what = format!("attach to process {pid}");
        let signed = i32::try_from(pid).unwrap_or(-1);
        let offset_of = |offset: &u64| usize::try_from(*offset).unwrap_or(usize::MAX);
        if self.features.uprobe_multi {
            let filter = if self.features.uprobe_multi_pid { signed } else { -1 };
            let offsets = offsets.iter().map(offset_of).collect();
            let options = UprobeMultiOpts { offsets, ..UprobeMultiOpts::default() };
            let link = program(&mut self.object, name)?
                .attach_uprobe_multi_with_opts(filter, &path, "", options);
            return Ok(vec![link.map_err(Error::bpf(what))?]);
        }
        let single = program(&mut self.object, &format!("{name}{SINGLE}"))?;
        let place = |at| single.attach_uprobe(false, signed, &path, offset_of(at));
        offsets.iter().map(|at| place(at).map_err(Error::single(what.as_str()))).collect()
    }

    pub(crate) fn map(&self, name: &str) -> Result<libbpf_rs::Map<'_>, Error> {
        self.object.maps().find(|map| map.name() == name).ok_or_else(|| missing("map", name))
    }

    /// Writes the first value of an array.
    pub(crate) fn write_constants(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        self.map(name)?
            .update(&0u32.to_ne_bytes(), bytes, MapFlags::ANY)
            .map_err(Error::bpf("write process constants"))
    }

    /// A counter of an array.
    pub(crate) fn count(&self, name: &str, index: u32) -> Result<u64, Error> {
        let value = self
            .map(name)?
            .lookup(&index.to_ne_bytes(), MapFlags::ANY)
            .map_err(Error::bpf("read counters"))?;
        let bytes = value.as_deref().and_then(|bytes| bytes.get(..8)?.try_into().ok());
        Ok(bytes.map_or(0, u64::from_ne_bytes))
    }

    /// A counter of an array that each processor has its own of, over all of them.
    pub(crate) fn sum(&self, name: &str, index: u32) -> Result<u64, Error> {
        let values = self
            .map(name)?
            .lookup_percpu(&index.to_ne_bytes(), MapFlags::ANY)
            .map_err(Error::bpf("read counters"))?
            .unwrap_or_default();
        let numbers = values.iter().filter_map(|v| v.get(..8)?.try_into().ok());
        Ok(numbers.map(u64::from_ne_bytes).sum())
    }
}

/// The ring buffer of an object, whose records are decoded.
pub(crate) struct Ring<T> {
    ring: RingBuffer<'static>,
    events: Rc<RefCell<Vec<Result<T, DecodeError>>>>,
}

impl<T: 'static> Ring<T> {
    pub(crate) fn new(
        of: &Instrument,
        name: &str,
        decode: fn(&[u8]) -> Result<T, DecodeError>,
    ) -> Result<Self, Error> {
        let map = of.map(name)?;
        let events = Rc::new(RefCell::new(Vec::new()));
        let gathered = events.clone();
        let mut builder = RingBufferBuilder::new();
        builder
            .add(&map, move |bytes| {
                gathered.borrow_mut().push(decode(bytes));
                0
            })
            .map_err(Error::bpf("open ring buffer"))?;
        let ring = builder.build().map_err(Error::bpf("open ring buffer"))?;
        Ok(Self { ring, events })
    }

    /// The records that are there, in their order, a bounded number.
    pub(crate) fn read(&mut self) -> Result<Vec<Result<T, DecodeError>>, Error> {
        let result = self.ring.consume_raw_n(BATCH);
        if result < 0 {
            let said = libbpf_rs::Error::from_raw_os_error(-result);
            return Err(Error::bpf("read events")(said));
        }
        Ok(self.events.take())
    }
}
