//! What the runtime counts by itself: collections, pauses, the heap, and how long goroutines wait for
//! a processor.
//!
//! These stand in variables that only a table by version describes, so each group of them is checked
//! against what must be true, and is missing where it is not. Source: `runtime/mstats.go`,
//! `runtime/mgcpacer.go`, `runtime/histogram.go`.

use gobin::Global;
use gomem::{Memory, u64_at};

use crate::layout::{Layout, Missing};
use crate::{Error, Scheduler};

/// No heap is larger, and no duration in nanoseconds.
const MAX_BYTES: u64 = 1 << 48;
const MAX_NANOSECONDS: u64 = 1 << 62;
/// No collection was earlier, in nanoseconds since 1970: that is in 2006.
const EARLIEST: u64 = 1 << 60;
/// Counts of one bucket.
const MAX_COUNT: u64 = 1 << 48;
/// Collections that the runtime keeps the pauses of.
const PAUSES: u32 = 256;

/// How often durations of a certain length occurred.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Where buckets begin, in nanoseconds, and how often; each ends where the next begins. Those at
    /// the end that are empty are left away.
    pub buckets: Vec<(u64, u64)>,
}

impl Histogram {
    /// Counts of all buckets.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|(_, count)| count).sum()
    }

    /// The beginning of the bucket in which that share of all durations ends.
    pub fn quantile(&self, share: f64) -> Option<u64> {
        let total = self.count();
        let wanted = share * total as f64;
        let mut sum = 0;
        let reached = self.buckets.iter().find(|(_, count)| {
            sum += count;
            sum > 0 && sum as f64 >= wanted
        });
        reached.map(|(from, _)| *from).filter(|_| total > 0)
    }

    /// What was added since `before`.
    pub fn since(&self, before: &Histogram) -> Histogram {
        let old = |from: u64| before.buckets.iter().find(|b| b.0 == from).map_or(0, |b| b.1);
        let buckets = self.buckets.iter().map(|(from, n)| (*from, n.saturating_sub(old(*from))));
        Histogram { buckets: buckets.collect() }
    }

    fn parse(bytes: &[u8], counts: usize) -> Option<Self> {
        // Go 1.20 made it coarser: a quarter of each power of two, from 512 ns on.
        let (bits, first) = if counts > 200 { (4u32, 4u32) } else { (2, 9) };
        let mut buckets = Vec::new();
        for i in 0..counts {
            let count = u64_at(bytes, 8 * i)?;
            if count > MAX_COUNT {
                return None;
            }
            let (power, part) = (u32::try_from(i >> bits).ok()?, (i & ((1 << bits) - 1)) as u64);
            let from = match power.checked_sub(1) {
                None => part << (first - bits),
                Some(n) => (1u64 << (first + n)).checked_add(part << (first + n - bits))?,
            };
            buckets.push((from, count));
        }
        let used = buckets.iter().rposition(|(_, count)| *count > 0).map_or(0, |last| last + 1);
        buckets.truncate(used);
        Some(Self { buckets })
    }
}

/// The runtime's own numbers; what can't be known is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Goroutines that were ever started, the runtime's own included.
    pub created: Option<u64>,
    /// The runtime's own goroutines, as it counts them.
    pub system: Option<u32>,
    /// Collections that were completed.
    pub collections: Option<u32>,
    /// Of these, how many the program asked for.
    pub forced_collections: Option<u32>,
    /// How long collections stopped all goroutines, in all, in nanoseconds.
    pub pause_total: Option<u64>,
    /// The last pauses, the newest first, in nanoseconds; at most 256.
    pub pauses: Vec<u64>,
    /// When the last collection ended, in nanoseconds since 1970.
    pub last_collection: Option<u64>,
    /// Bytes of objects that are live, or were not looked at yet.
    pub heap_live: Option<u64>,
    /// Heap at which the next collection ends; unknown where a memory limit decides.
    pub heap_goal: Option<u64>,
    /// Bytes that the last collection found to be live.
    pub heap_marked: Option<u64>,
    /// Bytes in spans that are used.
    pub heap_in_use: Option<u64>,
    /// Bytes that were given back.
    pub heap_released: Option<u64>,
    /// Bytes that were allocated in all.
    pub allocated: Option<u64>,
    /// Bytes that were freed in all.
    pub freed: Option<u64>,
    /// All memory that the runtime has mapped and may use.
    pub mapped: Option<u64>,
    /// `GOGC`; negative when it is off.
    pub gc_percent: Option<i32>,
    /// `GOMEMLIMIT` in bytes; `None` also without one.
    pub memory_limit: Option<u64>,
    /// How long goroutines waited for mutexes in all, in nanoseconds.
    pub mutex_wait: Option<u64>,
    /// How long goroutines waited for a processor; of one in eight.
    pub scheduling: Option<Histogram>,
    /// How long collections stopped all goroutines.
    pub gc_stops: Option<Histogram>,
    /// How long something else stopped all goroutines.
    pub other_stops: Option<Histogram>,
    /// What is missing, and why.
    pub missing: Vec<Missing>,
}

/// Reads fields of the runtime's variables.
struct Reader<'a, M> {
    memory: &'a M,
    layout: &'a Layout,
    bias: u64,
}

impl<M: Memory> Reader<'_, M> {
    fn address(&self, global: Global, field: &str) -> Option<u64> {
        let offset = self.layout.offsets.get(field)?;
        Some(self.layout.global(global)?.wrapping_add(self.bias).wrapping_add(offset))
    }

    fn word(&self, global: Global, field: &str) -> Result<Option<u64>, Error> {
        match self.address(global, field) {
            Some(address) => Ok(self.memory.word(address)?),
            None => Ok(None),
        }
    }

    fn half(&self, global: Global, field: &str) -> Result<Option<u32>, Error> {
        match self.address(global, field) {
            Some(address) => Ok(self.memory.half(address)?),
            None => Ok(None),
        }
    }

    fn histogram(&self, global: Global, field: &str) -> Result<Option<Histogram>, Error> {
        let counts = self.layout.offsets.get("timeHistogram.underflow").map(|end| end / 8);
        let counts = counts.and_then(|n| usize::try_from(n).ok()).filter(|n| *n <= 4096);
        let (Some(address), Some(counts)) = (self.address(global, field), counts) else {
            return Ok(None);
        };
        let bytes = self.memory.bytes(address, 8 * counts)?;
        Ok(bytes.and_then(|bytes| Histogram::parse(&bytes, counts)))
    }
}

impl Counters {
    /// Reads them. `scheduler` was read just before.
    ///
    /// # Errors
    /// When the process is gone, or may not be read.
    pub fn read(
        memory: &impl Memory,
        layout: &Layout,
        bias: u64,
        scheduler: &Scheduler,
    ) -> Result<Self, Error> {
        let reader = Reader { memory, layout, bias };
        let mut out = Self::default();
        out.collections(&reader)?;
        out.heap(&reader)?;
        out.scheduling(&reader, scheduler)?;
        Ok(out)
    }

    fn miss(&mut self, what: &'static str, why: &str) {
        self.missing.push(Missing { what, why: why.to_owned() });
    }

    fn collections(&mut self, r: &Reader<'_, impl Memory>) -> Result<(), Error> {
        let count = r.half(Global::Memstats, "mstats.numgc")?;
        let cycles = r.half(Global::Work, "workType.cycles")?;
        let forced = r.half(Global::Memstats, "mstats.numforcedgc")?;
        let total = r.word(Global::Memstats, "mstats.pause_total_ns")?;
        // One is counted when a cycle begins, the other one when it ends. Where no table has the
        // latter, the pauses must add up to their sum.
        let has_cycles = r.layout.offsets.get("workType.cycles").is_some();
        let pauses = Self::read_pauses(r, count)?;
        let fits = if has_cycles {
            count.zip(cycles).is_some_and(|(n, c)| c.wrapping_sub(n) <= 1)
        } else {
            let sum = pauses.iter().try_fold(0u64, |sum, pause| sum.checked_add(*pause));
            let is_all = count.is_some_and(|n| n <= PAUSES && pauses.len() == n as usize);
            sum.zip(total)
                .is_some_and(|(sum, total)| if is_all { sum == total } else { sum < total })
        };
        // Each of these is zero until the first collection has ended, and none of them later.
        let ended = r.word(Global::Memstats, "mstats.last_gc_unix")?;
        let is_time = |at: u64| at == 0 || (EARLIEST..MAX_NANOSECONDS).contains(&at);
        let is_zero = [count.map(u64::from), total, ended].map(|n| n == Some(0));
        let agree = fits
            && is_zero.iter().all(|zero| *zero == is_zero[0])
            && ended.is_some_and(is_time)
            && forced.zip(count).is_some_and(|(f, n)| f <= n)
            && total.is_some_and(|total| total < MAX_NANOSECONDS);
        if !agree {
            self.miss("collections", "the runtime's counts of collections contradict each other");
            return Ok(());
        }
        self.collections = count;
        self.forced_collections = forced;
        self.pause_total = total;
        self.pauses = pauses;
        self.last_collection = ended.filter(|at| *at != 0);
        Ok(())
    }

    /// The last pauses, the newest first.
    fn read_pauses(r: &Reader<'_, impl Memory>, count: Option<u32>) -> Result<Vec<u64>, Error> {
        let address = r.address(Global::Memstats, "mstats.pause_ns");
        let (Some(count), Some(address)) = (count, address) else { return Ok(Vec::new()) };
        let Some(ring) = r.memory.bytes(address, 8 * PAUSES as usize)? else {
            return Ok(Vec::new());
        };
        let at = |age: u32| u64_at(&ring, 8 * ((count - 1 - age) % PAUSES) as usize);
        Ok((0..count.min(PAUSES)).filter_map(at).collect())
    }

    fn heap(&mut self, r: &Reader<'_, impl Memory>) -> Result<(), Error> {
        let word = |field| r.word(Global::GcController, field);
        let percent = r.half(Global::GcController, "gcControllerState.gcPercent")?;
        let percent = percent.map(u32::cast_signed);
        let limit = word("gcControllerState.memoryLimit")?;
        let live = word("gcControllerState.heapLive")?;
        let in_use = word("gcControllerState.heapInUse")?;
        let mapped = word("gcControllerState.mappedReady")?;
        let (allocated, freed) =
            (word("gcControllerState.totalAlloc")?, word("gcControllerState.totalFree")?);
        // Go 1.18 has neither a limit nor these sums.
        let has_limit = r.layout.offsets.get("gcControllerState.memoryLimit").is_some();
        let sane = live.is_some_and(|n| n < MAX_BYTES)
            && percent.is_some_and(|n| (-1..1 << 24).contains(&n))
            && (!has_limit
                || (mapped.is_some_and(|n| n > 0 && n < MAX_BYTES)
                    && in_use.zip(mapped).is_some_and(|(used, all)| used <= all)
                    && allocated.zip(freed).is_some_and(|(a, f)| f <= a)
                    && limit.is_some_and(|n| n > 0 && n <= i64::MAX.cast_unsigned())));
        if !sane {
            self.miss("the heap", "the runtime's sizes of the heap contradict each other");
            return Ok(());
        }
        self.heap_live = live;
        self.gc_percent = percent;
        self.heap_in_use = in_use;
        self.mapped = mapped;
        self.allocated = allocated;
        self.freed = freed;
        self.memory_limit = limit.filter(|n| *n != i64::MAX.cast_unsigned());
        self.heap_marked = word("gcControllerState.heapMarked")?.filter(|n| *n < MAX_BYTES);
        self.heap_released = word("gcControllerState.heapReleased")?.filter(|n| *n < MAX_BYTES);
        let goal = word("gcControllerState.gcPercentHeapGoal")?.filter(|n| *n < MAX_BYTES);
        self.heap_goal = goal.filter(|_| has_limit && self.memory_limit.is_none());
        if !has_limit {
            self.miss("most sizes of the heap", "the runtime keeps them since Go 1.19");
        } else if self.memory_limit.is_some() {
            let why =
                "with GOMEMLIMIT the runtime computes it when it needs it, and does not keep it";
            self.miss("the goal of the heap", why);
        } else if self.heap_goal.is_none() {
            self.miss("the goal of the heap", "there is none: GOGC is off");
        }
        Ok(())
    }

    fn scheduling(
        &mut self,
        r: &Reader<'_, impl Memory>,
        scheduler: &Scheduler,
    ) -> Result<(), Error> {
        let listed = match r.layout.global(Global::Allglen) {
            Some(address) => r.memory.word(address.wrapping_add(r.bias))?,
            None => None,
        };
        let system = scheduler.system;
        let given = match r.layout.global(Global::Sched) {
            Some(address) => r.memory.bytes(address.wrapping_add(r.bias), 8)?,
            None => None,
        };
        let given = given.and_then(|bytes| u64_at(&bytes, 0));
        let fits = system.is_some()
            && given.zip(listed).is_some_and(|(given, all)| given >= all.min(1) && given < 1 << 60);
        if !fits {
            self.miss("scheduling", "the scheduler's numbers contradict each other");
            return Ok(());
        }
        self.system = system;
        let unused = scheduler.unused_ids;
        self.created = given.zip(unused).and_then(|(given, unused)| given.checked_sub(unused));
        let wait = r.word(Global::Sched, "schedt.totalMutexWaitTime")?;
        self.mutex_wait = wait.filter(|n| *n < MAX_NANOSECONDS);
        self.scheduling = r.histogram(Global::Sched, "schedt.timeToRun")?;
        self.gc_stops = match r.histogram(Global::Sched, "schedt.stwTotalTimeGC")? {
            Some(stops) => Some(stops),
            None => r.histogram(Global::Memstats, "mstats.gcPauseDist")?,
        };
        self.other_stops = r.histogram(Global::Sched, "schedt.stwTotalTimeOther")?;
        // Each collection stops all goroutines twice, and may be in between.
        let stops = self.gc_stops.as_ref().map(Histogram::count);
        let cycles = self.collections.map(u64::from);
        let fits = |(stops, n): (u64, u64)| stops <= 2 * n + 64 && stops + 64 >= n;
        if stops.is_some() && !stops.zip(cycles).is_some_and(fits) {
            self.gc_stops = None;
            self.other_stops = None;
            self.miss("stops", "there are not as many as there were collections");
        }
        Ok(())
    }
}
