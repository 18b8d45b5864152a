//! What observed programs write to their logs while they serve requests: `bpf/logs.bpf.c`, an object of its own, which
//! shares the maps of requests with the tracing programs. No trap, and nothing of the programs is touched. Not here:
//! what the lines say.

use libbpf_rs::{Link, MapCore, MapFlags, MapHandle, Object, ObjectBuilder, OpenObject};
use wire::{DecodeError, LogCounter, LogLine, LogStream, Logging, decode_log};
use zerocopy::IntoBytes;

use crate::Error;
use crate::host::{Ring, attach, counter, load, map, missed, resize, set_constants};
use crate::serving::ServedMaps;

pub(crate) static OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/logs.bpf.o"));

/// Which lines are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogOptions {
    /// From where.
    pub streams: Vec<LogStream>,
    /// Bytes of each text; more than [`wire::LOG_TEXT_LONG`] are not read.
    pub text: u32,
    /// Size of the ring buffer, a power of two.
    pub buffer: u32,
}

/// What was counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogCounts {
    /// Writes of observed processes to where lines are wanted from.
    pub writes: u64,
    /// Those by goroutines that work for no request.
    pub no_span: u64,
    /// Those that are lost, as the ring buffer was full.
    pub ring_full: u64,
    /// Those whose text could not be read.
    pub text_unread: u64,
    /// Those that are lost, as it could not be read which goroutine wrote.
    pub goroutine_unread: u64,
    /// System calls for which the kernel did not run gotap's program.
    pub not_run: u64,
}

/// The program, attached. The kernel detaches it when this is dropped.
pub struct Logs {
    // The buffer before the object whose map it reads.
    ring: Ring<LogLine, DecodeError>,
    _link: Link,
    object: Object,
}

/// The processes whose lines are looked at, for any thread.
#[derive(Debug)]
pub struct LogProcesses(MapHandle);

impl LogOptions {
    /// All that can be wanted.
    pub(crate) fn all() -> Self {
        let streams = vec![LogStream::Stdout, LogStream::Stderr, LogStream::File];
        Self { streams, text: wire::LOG_TEXT_LONG, buffer: 4096 }
    }
}

/// Opens the object, with its constants and the size of its ring buffer.
pub(crate) fn open(options: &LogOptions) -> Result<OpenObject, Error> {
    let mut open = ObjectBuilder::default()
        .name("gotap_logs")
        .and_then(|b| b.open_memory(OBJECT))
        .map_err(Error::bpf("open BPF object"))?;
    resize(&mut open, "log_lines", options.buffer)?;
    let streams = options.streams.iter().fold(0u32, |bits, s| bits | 1 << *s as u16);
    set_constants(&mut open, ".rodata", [streams, options.text].as_bytes())?;
    Ok(open)
}

impl Logs {
    /// Loads the program and attaches it. It looks at no process yet.
    ///
    /// # Errors
    /// [`Error::OldKernel`], [`Error::NoBtf`], [`Error::Denied`] or what libbpf says.
    pub fn attach(options: &LogOptions, served: &ServedMaps) -> Result<Self, Error> {
        let mut open = open(options)?;
        served.share(&mut open)?;
        let mut object = load(open)?;
        let ring = Ring::open(&object, "log_lines", decode_log)?;
        let link = attach(&mut object, "log_written", "sys_exit")?;
        Ok(Self { ring, _link: link, object })
    }

    /// The processes that it looks at.
    ///
    /// # Errors
    /// What libbpf says.
    pub fn processes(&self) -> Result<LogProcesses, Error> {
        let map = MapHandle::try_from(&map(&self.object, "logging")?);
        Ok(LogProcesses(map.map_err(Error::bpf("open map logging"))?))
    }

    /// Gives the lines that are there, a bounded number.
    ///
    /// # Errors
    /// What libbpf says.
    pub fn read(&mut self) -> Result<Vec<Result<LogLine, DecodeError>>, Error> {
        self.ring.read()
    }

    /// What was counted.
    ///
    /// # Errors
    /// What libbpf says.
    pub fn counts(&self) -> Result<LogCounts, Error> {
        let read = |which: LogCounter| counter(&self.object, "log_counts", which as u32);
        Ok(LogCounts {
            writes: read(LogCounter::Writes)?,
            no_span: read(LogCounter::NoSpan)?,
            ring_full: read(LogCounter::RingFull)?,
            text_unread: read(LogCounter::TextUnread)?,
            goroutine_unread: read(LogCounter::GUnread)?,
            not_run: missed(&self.object),
        })
    }
}

impl LogProcesses {
    /// From now on the lines of a process are looked at.
    ///
    /// # Errors
    /// What libbpf says, also where there is no room.
    pub fn add(&self, pid: u32, constants: &Logging) -> Result<(), Error> {
        let added = self.0.update(&pid.to_ne_bytes(), constants.as_bytes(), MapFlags::ANY);
        added.map_err(Error::bpf("write process constants"))
    }

    /// The lines of a process are not looked at any more.
    pub fn remove(&self, pid: u32) {
        // It was not added where its lines can't be told.
        let _ = self.0.delete(&pid.to_ne_bytes());
    }
}
