//! The instruments of the whole host: loading their programs, and reading what they tell. Each has
//! an object of its own in `bpf/host` and a file here. Not here: what the events mean (crate `host`).

mod exec;
mod flows;
mod interfaces;
mod tcp;

pub use exec::{Execs, Lost};
pub use flows::{FlowSums, Flows, Way, Xdp, XdpMode};
pub use interfaces::{Interface, interfaces};
pub use tcp::{Tcp, TcpCounts, TcpOptions};

use std::cell::RefCell;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::rc::Rc;

use host::DecodeError;
use libbpf_rs::{
    Link, Map, MapCore, MapFlags, Object, ObjectBuilder, OpenObject, RingBuffer, RingBufferBuilder,
    libbpf_sys,
};

use crate::session::{missing, program};
use crate::{Error, Features};

/// Events that are read at once.
const BATCH: usize = 16_384;

/// What the callback of a ring buffer gathers.
type Batch<T, E> = Rc<RefCell<Vec<Result<T, E>>>>;

/// How an object is opened.
type Open = fn() -> Result<OpenObject, Error>;

/// All objects of the host's instruments, for the verifier's tests: names and how to open them.
pub(crate) const OBJECTS: [(&str, Open); 3] =
    [("host/exec", exec::open), ("host/tcp", tcp::open), ("host/flows", flows::open)];

/// The bytes of these objects, for the tests of their stacks.
#[cfg(test)]
pub(crate) const BYTES: [&[u8]; 3] = [exec::OBJECT, tcp::OBJECT, flows::OBJECT];

fn open(name: &str, bytes: &[u8]) -> Result<OpenObject, Error> {
    ObjectBuilder::default()
        .name(name)
        .and_then(|builder| builder.open_memory(bytes))
        .map_err(Error::bpf("open BPF object"))
}

/// Sets how many entries, or bytes, a map has room for.
pub(crate) fn resize(open: &mut OpenObject, name: &str, size: u32) -> Result<(), Error> {
    let mut map =
        open.maps_mut().find(|map| map.name() == name).ok_or_else(|| missing("map", name))?;
    map.set_max_entries(size).map_err(Error::bpf(format!("resize map {name}")))
}

/// Sets the first constants of a section, in the order in which it has them.
pub(crate) fn set_constants(
    open: &mut OpenObject,
    section: &str,
    values: &[u8],
) -> Result<(), Error> {
    let mut maps = open.maps_mut();
    let found = maps.find(|map| map.name().to_string_lossy().ends_with(section));
    let mut found = found.ok_or_else(|| missing("map", section))?;
    let data = found.initial_value_mut().ok_or_else(|| missing("map", section))?;
    let room = data.get_mut(..values.len()).ok_or_else(|| missing("map", section))?;
    room.copy_from_slice(values);
    Ok(())
}

/// Checks the kernel, and loads.
pub(crate) fn load(open: OpenObject) -> Result<Object, Error> {
    Features::probe().check()?;
    crate::session::quiet_libbpf();
    open.load().map_err(Error::bpf("load BPF programs"))
}

pub(crate) fn map<'o>(object: &'o Object, name: &str) -> Result<Map<'o>, Error> {
    object.maps().find(|map| map.name() == name).ok_or_else(|| missing("map", name))
}

pub(crate) fn attach(object: &mut Object, name: &str, point: &str) -> Result<Link, Error> {
    program(object, name)?
        .attach_raw_tracepoint(point)
        .map_err(Error::bpf(format!("attach to tracepoint {point}")))
}

/// The sum of a counter over all processors.
pub(crate) fn counter(object: &Object, name: &str, index: u32) -> Result<u64, Error> {
    let values = map(object, name)?
        .lookup_percpu(&index.to_ne_bytes(), MapFlags::ANY)
        .map_err(Error::bpf("read counters"))?
        .unwrap_or_default();
    let numbers = values.iter().filter_map(|v| v.get(..8)?.try_into().ok());
    Ok(numbers.map(u64::from_ne_bytes).sum())
}

/// The reading end of a ring buffer.
pub(crate) struct Ring<T, E = DecodeError> {
    buffer: RingBuffer<'static>,
    events: Batch<T, E>,
}

impl<T: 'static, E: 'static> Ring<T, E> {
    pub(crate) fn open(
        object: &Object,
        name: &str,
        decode: fn(&[u8]) -> Result<T, E>,
    ) -> Result<Self, Error> {
        let events: Batch<T, E> = Rc::default();
        let (map, gathered) = (map(object, name)?, events.clone());
        let mut builder = RingBufferBuilder::new();
        builder
            .add(&map, move |bytes| {
                gathered.borrow_mut().push(decode(bytes));
                0
            })
            .map_err(Error::bpf("open ring buffer"))?;
        let buffer = builder.build().map_err(Error::bpf("open ring buffer"))?;
        Ok(Self { buffer, events })
    }

    /// Gives the events that are there, in the order in which they happened, a bounded number. The
    /// kernel wakes nobody for them.
    pub(crate) fn read(&mut self) -> Result<Vec<Result<T, E>>, Error> {
        let result = self.buffer.consume_raw_n(BATCH);
        if result < 0 {
            let said = libbpf_rs::Error::from_raw_os_error(-result);
            return Err(Error::bpf("read events")(said));
        }
        Ok(self.events.take())
    }
}

/// How often the kernel left one of the object's programs out, as the processor ran it already. Kernels
/// before 5.12 do not count it, and do not do it.
pub(crate) fn missed(object: &Object) -> u64 {
    object.progs().map(|program| recursion_misses(program.as_fd())).sum()
}

fn recursion_misses(program: BorrowedFd<'_>) -> u64 {
    let mut info = libbpf_sys::bpf_prog_info::default();
    let mut len = u32::try_from(size_of_val(&info)).unwrap_or(0);
    // SAFETY: the descriptor is open, and the kernel writes at most `len` bytes into `info`, which consists
    // of numbers.
    let failed = unsafe {
        libbpf_sys::bpf_prog_get_info_by_fd(program.as_raw_fd(), &raw mut info, &raw mut len)
    };
    if failed == 0 { info.recursion_misses } else { 0 }
}
