//! The window of a program's own flight recorder (`runtime/trace.FlightRecorder`, since Go 1.25), copied out
//! of its memory.
//!
//! Generations of a trace that are complete never change. The recorder puts a new list of them in the place
//! of the old one, so that a copy is whole if the list is the same one after it as before. What the recorder
//! writes itself starts with its header, and then has all batches in order; so does this. Source:
//! `runtime/trace/flightrecorder.go` and `recorder.go`. Not here: what a trace means.

use gobin::{Binary, Kind, Types};
use gomem::{Memory, u64_at};

use crate::Error;

/// A trace's header begins with this, and is so long.
const MAGIC: &[u8] = b"go 1.";
const HEADER: usize = 16;
/// Words behind an address that code refers to, among which the recorder is looked for.
const WORDS: usize = 16;
/// Functions that refer to the variable that holds the recorder.
const FUNCTIONS: [&str; 4] = [
    "runtime/trace.(*FlightRecorder).Start",
    "runtime/trace.(*FlightRecorder).Stop",
    "runtime/trace.(*traceMultiplexer).subscribeFlightRecorder",
    "runtime/trace.(*traceMultiplexer).startLocked",
];
/// More than these are not read.
const MAX_GENERATIONS: u64 = 1 << 16;
const MAX_BATCHES: u64 = 1 << 20;
const MAX_BATCH: u64 = 1 << 20;
const MAX_BYTES: usize = 1 << 30;
/// How often all is copied again where the recorder went on meanwhile.
const ROUNDS: usize = 8;
/// Batches that are read at a time.
const AT_ONCE: usize = 1024;

/// Why there is no window to copy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoWindow {
    /// The program has no such recorder in it.
    #[error(
        "the program does not use runtime/trace.FlightRecorder, which Go has since 1.25: only a program \
         that starts one itself can be asked for its window"
    )]
    NotLinked,
    /// It has one, and has not started it.
    #[error("the program has started no flight recorder, or has stopped it")]
    NotStarted,
    /// Nothing is complete.
    #[error(
        "the flight recorder was started just now and has nothing complete; try again in 2 seconds"
    )]
    Empty,
}

/// A copy of the window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// The trace, as `WriteTo` of the recorder would have written it.
    pub trace: Vec<u8>,
    /// Complete generations in it, of about a second each.
    pub generations: usize,
}

/// Where the recorder's structures have what is read.
#[derive(Debug)]
struct Shape {
    recorder: u64,
    header: u64,
    ring: u64,
    enabled: u64,
    generation_len: u64,
    number: u64,
    batches: u64,
    batch_len: u64,
    data: u64,
}

impl Shape {
    fn of(types: &Types<'_, '_>) -> Option<Self> {
        let recorder = "runtime/trace.FlightRecorder";
        let generation = "runtime/trace.rawGeneration";
        let batches = types.field_type(generation, "batches")?;
        let batch = types.element(&batches)?;
        // Since Go 1.26 a batch is its bytes.
        let data = match batch.kind {
            Kind::Slice => 0,
            _ => types.fields(&batch).iter().find(|field| field.name == "data")?.offset,
        };
        Some(Self {
            recorder: types.offset("runtime/trace.recorder", &["r"])?,
            header: types.offset(recorder, &["header"])?,
            ring: types.offset(recorder, &["ring"])?,
            enabled: types.offset(recorder, &["enabled"])?,
            generation_len: types.find_struct(generation)?.size,
            number: types.offset(generation, &["gen"])?,
            batches: types.offset(generation, &["batches"])?,
            batch_len: batch.size,
            data,
        })
    }
}

/// A pointer and a length, as a slice begins.
type Slice = (u64, u64);

struct Reader<'a, M> {
    memory: &'a M,
    shape: Shape,
}

/// Copies the window of the flight recorder that the program runs.
///
/// # Errors
/// When the process is gone or may not be read, and when what was read contradicts itself.
pub fn window(
    binary: &Binary<'_>,
    types: &Types<'_, '_>,
    memory: &impl Memory,
    bias: u64,
) -> Result<Result<Window, NoWindow>, Error> {
    let places: Vec<u64> = FUNCTIONS.iter().flat_map(|name| binary.references_of(name)).collect();
    if places.is_empty() {
        return Ok(Err(NoWindow::NotLinked));
    }
    let lost = || Error::Flight("its type descriptors were not found, or are others".to_owned());
    let shape = Shape::of(types).ok_or_else(lost)?;
    let reader = Reader { memory, shape };
    let Some(recorder) = reader.find(&places, bias)? else {
        return Ok(Err(NoWindow::NotStarted));
    };
    for _ in 0..ROUNDS {
        let Some(before) = reader.ring(recorder)? else { return Ok(Err(NoWindow::NotStarted)) };
        if before.1 == 0 {
            return Ok(Err(NoWindow::Empty));
        }
        let first = reader.number(before)?;
        let copied = reader.copy(recorder, before)?;
        // The list is replaced and never changed: if it is still there, so is all that it leads to.
        let is_same = reader.ring(recorder)? == Some(before) && reader.number(before)? == first;
        match copied {
            Some(window) if is_same => return Ok(Ok(window)),
            None if is_same => {
                return Err(Error::Flight("its batches can't be read".to_owned()));
            }
            _ => (),
        }
    }
    Err(Error::Flight("it goes on faster than it can be copied; try again".to_owned()))
}

impl<M: Memory> Reader<'_, M> {
    /// The recorder that is started: what a variable leads to that those functions refer to, and that has
    /// the header of a trace.
    fn find(&self, places: &[u64], bias: u64) -> Result<Option<u64>, Error> {
        for place in places {
            let Some(bytes) = self.memory.bytes(place.wrapping_add(bias), 8 * WORDS)? else {
                continue;
            };
            for at in (0..WORDS).filter_map(|i| u64_at(&bytes, 8 * i)) {
                let pointer = at.checked_add(self.shape.recorder).filter(|_| at != 0);
                let Some(pointer) = pointer else { continue };
                let Some(recorder) = self.memory.word(pointer)? else { continue };
                if self.header(recorder)?.is_some() && self.is_enabled(recorder)? {
                    return Ok(Some(recorder));
                }
            }
        }
        Ok(None)
    }

    fn header(&self, recorder: u64) -> Result<Option<Vec<u8>>, Error> {
        let bytes = self.memory.bytes(recorder.wrapping_add(self.shape.header), HEADER)?;
        let is_header =
            |b: &Vec<u8>| b.starts_with(MAGIC) && b[5..].windows(5).any(|w| w == b"trace");
        Ok(bytes.filter(is_header))
    }

    fn is_enabled(&self, recorder: u64) -> Result<bool, Error> {
        let byte = self.memory.bytes(recorder.wrapping_add(self.shape.enabled), 1)?;
        Ok(byte.is_some_and(|byte| byte == [1]))
    }

    fn slice(&self, address: u64, most: u64) -> Result<Option<Slice>, Error> {
        let Some(bytes) = self.memory.bytes(address, 24)? else { return Ok(None) };
        let words = (u64_at(&bytes, 0), u64_at(&bytes, 8), u64_at(&bytes, 16));
        let (Some(first), Some(len), Some(capacity)) = words else { return Ok(None) };
        Ok((len <= capacity && len <= most).then_some((first, len)))
    }

    /// The list of generations; `None` when the recorder was stopped.
    fn ring(&self, recorder: u64) -> Result<Option<Slice>, Error> {
        if !self.is_enabled(recorder)? {
            return Ok(None);
        }
        let ring = self.slice(recorder.wrapping_add(self.shape.ring), MAX_GENERATIONS)?;
        ring.map(Some).ok_or_else(|| Error::Flight("its generations are absurd".to_owned()))
    }

    /// The number of the first generation.
    fn number(&self, ring: Slice) -> Result<Option<u64>, Error> {
        Ok(self.memory.word(ring.0.wrapping_add(self.shape.number))?)
    }

    /// Header and batches; `None` where something can't be read.
    fn copy(&self, recorder: u64, ring: Slice) -> Result<Option<Window>, Error> {
        let Some(mut trace) = self.header(recorder)? else { return Ok(None) };
        for i in 0..ring.1 {
            let generation = ring.0.wrapping_add(i.wrapping_mul(self.shape.generation_len));
            let batches = generation.wrapping_add(self.shape.batches);
            let Some(batches) = self.slice(batches, MAX_BATCHES)? else { return Ok(None) };
            if !self.batches(batches, &mut trace)? {
                return Ok(None);
            }
        }
        let generations = usize::try_from(ring.1).unwrap_or(usize::MAX);
        Ok(Some(Window { trace, generations }))
    }

    fn batches(&self, (first, count): Slice, trace: &mut Vec<u8>) -> Result<bool, Error> {
        let mut left: Vec<_> = (0..count)
            .map(|i| {
                let batch = first.wrapping_add(i.wrapping_mul(self.shape.batch_len));
                (batch.wrapping_add(self.shape.data), 16)
            })
            .collect();
        while !left.is_empty() {
            let rest = left.split_off(left.len().min(AT_ONCE));
            let heads = self.memory.gather(&left)?;
            let mut places = Vec::with_capacity(left.len());
            for i in 0..left.len() {
                let words = heads.get(i).map(|head| (u64_at(head, 0), u64_at(head, 8)));
                let Some((Some(data), Some(len))) = words else { return Ok(false) };
                let Some(len) = usize::try_from(len).ok().filter(|n| *n as u64 <= MAX_BATCH) else {
                    return Ok(false);
                };
                places.push((data, len));
            }
            for (data, len) in places {
                if trace.len().saturating_add(len) > MAX_BYTES {
                    return Err(Error::Flight("it is larger than a gigabyte".to_owned()));
                }
                let start = trace.len();
                trace.resize(start + len, 0);
                if !self.memory.read(data, &mut trace[start..])? {
                    return Ok(false);
                }
            }
            left = rest;
        }
        Ok(true)
    }
}
