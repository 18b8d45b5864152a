//! The buckets of Go's own profiler: where memory was allocated, where goroutines waited, and who held the
//! locks that others waited for.
//!
//! A bucket is one stack, for allocations also one size. Buckets are never freed and their heads never
//! change, so that a list that is followed once is whole; only their counts move. Each head holds a hash of
//! its stack and size, which is computed anew here: a list that is no list of buckets is refused. Not here:
//! names, sums by function. Source: `runtime/mprof.go`.

use std::collections::HashSet;

use gobin::Global;
use gomem::{Memory, Pages, u64_at};

use crate::Error;
use crate::layout::Layout;

/// Buckets of one list that are read.
const MAX_BUCKETS: usize = 256 << 10;
/// Frames in all of them together.
const MAX_FRAMES: usize = 16 << 20;
/// Frames of one, `maxProfStackDepth`.
const MAX_DEPTH: u64 = 1024;
/// How often counts that change while they are read are read again.
const ROUNDS: usize = 4;
/// How often all is read again as a collection ended meanwhile.
const CYCLES: usize = 4;
/// No rate is larger, and no count.
const MAX_RATE: u64 = 1 << 40;
const MAX_COUNT: u64 = 1 << 48;
/// Where the number of cycles begins anew, `mProfCycleWrap`.
const WRAP: u32 = 3 * (2 << 24);
/// Cycles that are counted before they are published, `len(memRecord{}.future)`.
const FUTURE: usize = 3;

/// A list of buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waits {
    /// Where goroutines waited: `runtime.bbuckets`.
    Blocking,
    /// Who let go of a lock that others waited for: `runtime.xbuckets`.
    Mutexes,
}

/// Where something was sampled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Address of the bucket: the same one for as long as the process lives.
    pub bucket: u64,
    /// Size of the objects; 0 of what is no allocation.
    pub size: u64,
    /// Addresses in the calls, of the file, the innermost first.
    pub stack: Box<[u64]>,
}

/// Samples of one stack and size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allocations {
    /// Where.
    pub site: Site,
    /// Allocations that were sampled until now, those of cycles that are not published, too.
    pub allocated: u64,
    /// Of these, how many were seen to be freed.
    pub freed: u64,
    /// What `runtime.MemProfile` says: those up to the last collection but one.
    pub published: (u64, u64),
}

/// The profile of allocations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllocationProfile {
    /// `runtime.MemProfileRate`: so many bytes there are between two samples; 0 where there are none.
    pub rate: u64,
    /// The profiler's cycle, which each collection ends: what is published is as of its begin.
    pub cycle: u32,
    /// All buckets, the newest first.
    pub buckets: Vec<Allocations>,
    /// Buckets whose counts changed each time that they were read.
    pub changed: usize,
    /// Whether there are more buckets than are read.
    pub cut: bool,
}

/// Waits of one stack.
#[derive(Debug, Clone, PartialEq)]
pub struct Wait {
    /// Where.
    pub site: Site,
    /// How often, as the profiler estimates it.
    pub count: f64,
    /// For how long, in ticks of the processor.
    pub cycles: i64,
}

/// A profile of waits.
#[derive(Debug, Clone, PartialEq)]
pub struct WaitProfile {
    /// The rate that the program has set; 0 where nothing is sampled.
    pub rate: u64,
    /// All buckets, the newest first.
    pub buckets: Vec<Wait>,
    /// Buckets whose counts changed each time that they were read.
    pub changed: usize,
    /// Whether there are more buckets than are read.
    pub cut: bool,
}

/// How many objects and bytes so many samples of a size stand for, as `runtime/pprof` estimates it.
pub fn scaled(samples: u64, size: u64, rate: u64) -> (f64, f64) {
    if samples == 0 || size == 0 {
        return (0.0, 0.0);
    }
    let scale = if rate <= 1 { 1.0 } else { -(-(size as f64) / rate as f64).exp_m1() };
    let objects = samples as f64 / scale;
    (objects, objects * size as f64)
}

impl AllocationProfile {
    /// Reads it.
    ///
    /// # Errors
    /// When the process is gone or may not be read, when the profiler's variables were not found, and
    /// when they contradict themselves.
    pub fn read(memory: &impl Memory, layout: &Layout, bias: u64) -> Result<Self, Error> {
        let reader = Reader::new(memory, layout, bias)?;
        let rate = reader.rate(Global::MemProfileRate)?;
        let (sites, cut) = reader.sites(Global::Mbuckets, 1)?;
        let cycle_len = reader.offset("memRecordCycle.size")?;
        let future = reader.offset("memRecord.future")?;
        let frees = reader.offset("memRecordCycle.frees")?;
        let len = future + FUTURE * cycle_len;
        for _ in 0..CYCLES {
            let before = reader.cycle()?;
            let (records, changed) = reader.records(&sites, len)?;
            if reader.cycle()? != before {
                continue;
            }
            let pair = |record: &[u8], at: usize| {
                let (allocs, frees) = (u64_at(record, at)?, u64_at(record, at + frees)?);
                (allocs < MAX_COUNT && frees < MAX_COUNT).then_some((allocs, frees))
            };
            let mut buckets = Vec::with_capacity(sites.len());
            for (site, record) in sites.iter().zip(&records) {
                let active = pair(record, 0);
                let parts = (0..FUTURE).map(|i| pair(record, future + i * cycle_len));
                let parts: Option<Vec<_>> = parts.collect();
                let (Some(active), Some(parts)) = (active, parts) else {
                    return Err(contradiction("a bucket's counts are absurd"));
                };
                buckets.push(allocations(site, active, &parts, before));
            }
            publish_all_if_none(&mut buckets);
            if reader.rate(Global::MemProfileRate)? != rate {
                return Err(contradiction("MemProfileRate changed while it was read"));
            }
            return Ok(Self { rate, cycle: before, buckets, changed, cut });
        }
        Err(contradiction("collections end faster than the profile can be read; try again"))
    }
}

fn allocations(site: &Site, active: (u64, u64), future: &[(u64, u64)], cycle: u32) -> Allocations {
    let add = |a: (u64, u64), b: &(u64, u64)| (a.0 + b.0, a.1 + b.1);
    let (allocated, freed) = future.iter().fold(active, add);
    // Between the end of a cycle and its publication MemProfile publishes it.
    let ended = future.get(cycle as usize % FUTURE).copied().unwrap_or_default();
    Allocations { site: site.clone(), allocated, freed, published: add(active, &ended) }
}

/// Before the first collection `runtime.MemProfile` publishes all that there is.
fn publish_all_if_none(buckets: &mut [Allocations]) {
    if buckets.iter().all(|bucket| bucket.published == (0, 0)) {
        for bucket in buckets {
            bucket.published = (bucket.allocated, bucket.freed);
        }
    }
}

impl WaitProfile {
    /// Reads it.
    ///
    /// # Errors
    /// As [`AllocationProfile::read`].
    pub fn read(
        memory: &impl Memory,
        layout: &Layout,
        bias: u64,
        which: Waits,
    ) -> Result<Self, Error> {
        let reader = Reader::new(memory, layout, bias)?;
        let (list, kind, rate) = match which {
            Waits::Blocking => (Global::Bbuckets, 2, Global::Blockprofilerate),
            Waits::Mutexes => (Global::Xbuckets, 3, Global::Mutexprofilerate),
        };
        let rate = reader.rate(rate)?;
        let (sites, cut) = reader.sites(list, kind)?;
        let count = reader.offset("blockRecord.count")?;
        let cycles = reader.offset("blockRecord.cycles")?;
        let (records, changed) = reader.records(&sites, count.max(cycles) + 8)?;
        let mut buckets = Vec::with_capacity(sites.len());
        for (site, record) in sites.into_iter().zip(&records) {
            let count = u64_at(record, count).map(f64::from_bits);
            let cycles = u64_at(record, cycles).map(u64::cast_signed);
            let sane = |count: &f64| count.is_finite() && *count >= 0.0;
            let (Some(count), Some(cycles)) = (count.filter(sane), cycles) else {
                return Err(contradiction("a bucket's counts are absurd"));
            };
            buckets.push(Wait { site, count, cycles });
        }
        Ok(Self { rate, buckets, changed, cut })
    }
}

fn contradiction(why: &str) -> Error {
    Error::Profile(why.to_owned())
}

/// What the runtime's own hash of a stack and a size is.
fn hash(stack: &[u64], size: u64) -> u64 {
    let mut h = 0u64;
    for word in stack.iter().chain([&size]) {
        h = h.wrapping_add(*word);
        h = h.wrapping_add(h << 10);
        h ^= h >> 6;
    }
    h = h.wrapping_add(h << 3);
    h ^ (h >> 11)
}

struct Reader<'a, M> {
    memory: &'a M,
    layout: &'a Layout,
    bias: u64,
    /// Bytes of a bucket in front of its stack.
    head: usize,
}

impl<'a, M: Memory> Reader<'a, M> {
    fn new(memory: &'a M, layout: &'a Layout, bias: u64) -> Result<Self, Error> {
        let mut out = Self { memory, layout, bias, head: 0 };
        out.head = out.offset("bucket.size")?;
        Ok(out)
    }

    fn offset(&self, field: &str) -> Result<usize, Error> {
        let found = self.layout.offsets.get(field).and_then(|at| usize::try_from(at).ok());
        found.ok_or_else(|| Error::Profile(format!("{field} is not known of this Go version")))
    }

    fn address(&self, global: Global) -> Result<u64, Error> {
        let found = self.layout.global(global).map(|address| address.wrapping_add(self.bias));
        let lost = || Error::Profile(format!("{} was not found in the code", global.symbol()));
        found.ok_or_else(lost)
    }

    fn rate(&self, global: Global) -> Result<u64, Error> {
        let rate = self.memory.word(self.address(global)?)?;
        let sane = rate.filter(|rate| *rate < MAX_RATE);
        sane.ok_or_else(|| Error::Profile(format!("{} is absurd", global.symbol())))
    }

    /// The profiler's cycle; since Go 1.19 a flag stands in its lowest bit.
    fn cycle(&self) -> Result<u32, Error> {
        let value = self.memory.half(self.address(Global::MProfCycle)?)?;
        let shift = u32::from(self.layout.has_cycle_flag);
        let cycle = value.map(|value| value >> shift).filter(|cycle| *cycle < WRAP);
        // Each collection begins one.
        let collections = self.layout.offsets.get("mstats.numgc");
        let collections = match collections.zip(self.address(Global::Memstats).ok()) {
            Some((offset, address)) => self.memory.half(address.wrapping_add(offset))?,
            None => None,
        };
        let fits = |cycle: &u32| {
            collections.is_some_and(|n| (n % WRAP).wrapping_sub(*cycle).wrapping_add(1) <= 2)
        };
        cycle
            .filter(fits)
            .ok_or_else(|| contradiction("its cycle contradicts the number of collections"))
    }

    /// The heads of a list's buckets, and whether there are more than are read.
    fn sites(&self, list: Global, kind: u64) -> Result<(Vec<Site>, bool), Error> {
        let fields = ["allnext", "typ", "hash", "objectSize", "nstk"];
        let mut at = [0; 5];
        for (at, field) in at.iter_mut().zip(fields) {
            *at = self.offset(&format!("bucket.{field}"))?;
        }
        let mut pages = Pages::new(self.memory);
        let (mut out, mut seen, mut frames) = (Vec::new(), HashSet::new(), 0usize);
        let first = self.memory.word(self.address(list)?)?;
        let mut next = first.ok_or_else(|| contradiction("its list can't be read"))?;
        let mut head = vec![0; self.head];
        while next != 0 {
            if out.len() >= MAX_BUCKETS || frames >= MAX_FRAMES {
                return Ok((out, true));
            }
            if !seen.insert(next) || !pages.read(next, &mut head)? {
                return Err(contradiction("the list of its buckets leads to nothing"));
            }
            let [link, typ, wanted, size, depth] = at.map(|at| u64_at(&head, at).unwrap_or(0));
            if typ != kind || depth > MAX_DEPTH {
                return Err(contradiction("the list of its buckets has something else in it"));
            }
            let mut bytes = vec![0; usize::try_from(8 * depth).unwrap_or(0)];
            let is_read = pages.read(next.wrapping_add(self.head as u64), &mut bytes)?;
            let stack = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word));
            let stack: Vec<u64> = stack.collect();
            if !is_read || hash(&stack, size) != wanted {
                return Err(contradiction("the hash of a bucket is not that of its stack"));
            }
            frames += stack.len();
            // Of a return address the call is the byte before.
            let stack = stack.iter().map(|pc| pc.wrapping_sub(self.bias).wrapping_sub(1));
            out.push(Site { bucket: next, size, stack: stack.collect() });
            next = link;
        }
        Ok((out, false))
    }

    /// The counts of each bucket, read until they are the same twice; and of how many they never were.
    fn records(&self, sites: &[Site], len: usize) -> Result<(Vec<Vec<u8>>, usize), Error> {
        let place = |site: &Site| {
            let stack = 8 * site.stack.len() as u64;
            (site.bucket.wrapping_add(self.head as u64).wrapping_add(stack), len)
        };
        let mut out = vec![Vec::new(); sites.len()];
        let mut pending: Vec<usize> = (0..sites.len()).collect();
        for _ in 0..ROUNDS {
            let places: Vec<_> = pending.iter().map(|i| place(&sites[*i])).collect();
            let read = self.memory.gather(&places)?;
            let mut changed = Vec::new();
            for (at, i) in pending.into_iter().enumerate() {
                let lost = || contradiction("a bucket's counts can't be read");
                let bytes = read.get(at).ok_or_else(lost)?;
                if out[i] != bytes {
                    changed.push(i);
                    out[i] = bytes.to_vec();
                }
            }
            pending = changed;
            if pending.is_empty() {
                break;
            }
        }
        Ok((out, pending.len()))
    }
}

#[cfg(test)]
#[path = "buckets_tests.rs"]
mod tests;
