//! What the Go runtimes of the observed processes count, read from their memory without a trap: goroutines,
//! heap, collections, scheduler. Not here: what of it is sent where, and where goroutines come from (`origins`).

mod origins;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use anyhow::Result;
use gomem::Remote;
use goproc::{FileId, Process};
use goruntime::{Census, Counters, Layout, Scheduler, SizeClasses};
use metrics::{Histogram, HistogramPoint, Metric, Point};

use crate::opened::{Opened, bias, plain, unix_nanoseconds};
use origins::{Names, Origins};

/// Layouts that are remembered: one a file.
const MAX_LAYOUTS: usize = 256;
/// Bounds of the time that goroutines wait for a processor, in nanoseconds: at each of them begins a
/// bucket of the runtime's own histogram, of every version.
const WAIT_BOUNDS: [u32; 11] = [10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30];
/// The same in seconds.
const WAIT_SECONDS: [f64; 11] = [
    1.024e-6,
    4.096e-6,
    16.384e-6,
    65.536e-6,
    262.144e-6,
    1.048_576e-3,
    4.194_304e-3,
    16.777_216e-3,
    67.108_864e-3,
    268.435_456e-3,
    1.073_741_824,
];

/// A process whose memory can be read.
struct Readable {
    started: Option<u64>,
    /// The same in nanoseconds since 1970: since then the runtime counts.
    since: Option<u64>,
    memory: Remote,
    layout: Arc<Layout>,
    bias: u64,
    file: FileId,
    origins: Origins,
}

/// The processes that are read.
#[derive(Default)]
pub(super) struct Runtimes {
    /// By pid; `None` where it can't be read, which does not change.
    known: HashMap<u32, Option<Readable>>,
    layouts: HashMap<FileId, Option<Arc<Layout>>>,
    /// Names of places, of the same files.
    names: HashMap<FileId, Names>,
}

impl Runtimes {
    /// Reads one process. What can't be read is missing.
    pub(super) fn read(&mut self, pid: u32) -> Vec<Metric> {
        let started = Process { pid }.start_time();
        let same = |one: &Option<Readable>| one.as_ref().is_none_or(|one| one.started == started);
        if !self.known.get(&pid).is_some_and(same) {
            let readable = self.open(pid, started).ok();
            self.known.insert(pid, readable);
        }
        let Some(Some(readable)) = self.known.get_mut(&pid) else { return Vec::new() };
        let names = self.names.entry(readable.file).or_default();
        readable.metrics(pid, names).unwrap_or_default()
    }

    /// Forgets all other processes.
    pub(super) fn retain(&mut self, pids: &HashSet<u32>) {
        self.known.retain(|pid, _| pids.contains(pid));
    }

    fn open(&mut self, pid: u32, started: Option<u64>) -> Result<Readable> {
        let opened = Opened::new(pid)?;
        let binary = opened.binary()?;
        if self.layouts.len() >= MAX_LAYOUTS {
            self.layouts.clear();
            self.names.clear();
        }
        let layout = match self.layouts.get(&opened.file_id()) {
            Some(layout) => layout.clone(),
            None => {
                let layout = Layout::new(&binary, &binary.types()).ok().map(Arc::new);
                self.layouts.insert(opened.file_id(), layout.clone());
                layout
            }
        };
        let Some(layout) = layout else { anyhow::bail!("its runtime is not known") };
        let bias = bias(Process { pid }, binary.image())?;
        let (age, memory) = (opened.age(), Remote::new(Process { pid }));
        let age = age.and_then(|age| u64::try_from(age.as_nanos()).ok());
        let since = age.and_then(|age| unix_nanoseconds().checked_sub(age));
        let (file, origins) = (opened.file_id(), Origins::default());
        Ok(Readable { started, since, memory, layout, bias, file, origins })
    }
}

impl Readable {
    fn metrics(&mut self, pid: u32, names: &mut Names) -> Result<Vec<Metric>> {
        let (memory, layout, bias) = (&self.memory, self.layout.clone(), self.bias);
        let layout = &*layout;
        let scheduler = Scheduler::read(memory, layout, bias).map_err(plain)?;
        let counters = Counters::read(memory, layout, bias, &scheduler).map_err(plain)?;
        let mut out = memory_metrics(&counters);
        out.extend(scheduler_metrics(&scheduler, &counters));
        if let Ok(Some(classes)) = SizeClasses::read(memory, layout, bias) {
            out.push(allocations(&classes));
        }
        let place = (pid, memory, layout, bias);
        if let Some((census, more)) = self.origins.metrics(place, names) {
            out.extend(goroutine_metrics(&census, &counters));
            out.extend(more);
        }
        out.retain(|metric| metric.points() > 0);
        out.iter_mut().for_each(|metric| metric.since = self.since);
        Ok(out)
    }
}

/// One value, if it is known.
fn value(value: Option<u64>) -> Option<Point> {
    value.map(|value| Point::int(value, Vec::new()))
}

fn seconds(nanoseconds: Option<u64>) -> Option<Point> {
    nanoseconds.map(|n| Point::float(n as f64 / 1e9, Vec::new()))
}

fn memory_metrics(c: &Counters) -> Vec<Metric> {
    let percent = c.gc_percent.and_then(|percent| u64::try_from(percent).ok());
    vec![
        Metric::counter(
            "go.memory.allocated",
            "By",
            "Memory allocated to the heap by the application",
            value(c.allocated),
        ),
        Metric::gauge("go.memory.limit", "By", "Go runtime memory limit", value(c.memory_limit)),
        Metric::gauge(
            "go.memory.gc.goal",
            "By",
            "Heap size target of the cycle",
            value(c.heap_goal),
        ),
        Metric::gauge("go.config.gogc", "%", "GOGC, unless it is off", value(percent)),
        Metric::gauge(
            "gotap.go.heap.live",
            "By",
            "Objects that are live or were not looked at yet",
            value(c.heap_live),
        ),
        Metric::gauge(
            "gotap.go.heap.marked",
            "By",
            "Objects that the last collection found to be live",
            value(c.heap_marked),
        ),
        Metric::gauge(
            "gotap.go.memory.mapped",
            "By",
            "Memory that the runtime has mapped",
            value(c.mapped),
        ),
        Metric::counter(
            "gotap.go.gc.cycles",
            "{cycle}",
            "Collections that were completed",
            value(c.collections.map(u64::from)),
        ),
        Metric::counter(
            "gotap.go.gc.pause.time",
            "s",
            "How long collections stopped all goroutines",
            seconds(c.pause_total),
        ),
    ]
}

fn allocations(classes: &SizeClasses) -> Metric {
    Metric::counter(
        "go.memory.allocations",
        "{allocation}",
        "Count of allocations to the heap by the application",
        value(Some(classes.objects())),
    )
}

fn scheduler_metrics(scheduler: &Scheduler, c: &Counters) -> Vec<Metric> {
    let threads = scheduler.machines.as_ref().map(|all| all.len() as u64);
    let stops = c.gc_stops.as_ref().map(latency);
    let latency = c.scheduling.as_ref().map(latency);
    let points = latency.map(|histogram| HistogramPoint::new(Vec::new(), histogram));
    vec![
        Metric::gauge(
            "go.processor.limit",
            "{thread}",
            "OS threads that can execute Go code at once",
            value(scheduler.max_processors.map(u64::from)),
        ),
        Metric::gauge("gotap.go.threads", "{thread}", "Threads of the runtime", value(threads)),
        Metric::counter(
            "gotap.go.mutex.wait.time",
            "s",
            "How long goroutines waited for mutexes",
            seconds(c.mutex_wait),
        ),
        Metric::histogram(
            "go.schedule.duration",
            "s",
            "How long goroutines waited in the scheduler before they ran; one in eight",
            points,
        ),
        Metric::histogram(
            "gotap.go.gc.pause.duration",
            "s",
            "How long collections stopped all goroutines each time",
            stops.map(|histogram| HistogramPoint::new(Vec::new(), histogram)),
        ),
    ]
}

fn goroutine_metrics(census: &Census, c: &Counters) -> Vec<Metric> {
    let by_state = census.states.iter();
    let by_state = by_state.map(|(state, n)| Point::int(*n, vec![("state", state.name().into())]));
    vec![
        Metric::gauge(
            "go.goroutine.count",
            "{goroutine}",
            "Live goroutines, as runtime.NumGoroutine counts them",
            value(census.count(c)),
        ),
        Metric::gauge(
            "gotap.go.goroutines",
            "{goroutine}",
            "Live goroutines by state, those of the runtime included",
            by_state,
        ),
        Metric::counter(
            "gotap.go.goroutines.created",
            "{goroutine}",
            "Goroutines that were ever started",
            value(c.created),
        ),
    ]
}

/// The runtime's histogram with fewer buckets. It keeps no sum.
fn latency(of: &goruntime::Histogram) -> Histogram {
    let mut counts = vec![0; WAIT_BOUNDS.len() + 1];
    for (from, n) in &of.buckets {
        let bucket = WAIT_BOUNDS.iter().position(|power| *from < 1 << power);
        counts[bucket.unwrap_or(WAIT_BOUNDS.len())] += n;
    }
    Histogram::from_counts(&WAIT_SECONDS, counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_of_the_runtime_fall_into_ours() {
        let buckets = vec![(0, 1), (1023, 2), (1024, 4), (4095, 8), (1 << 30, 16), (1 << 40, 32)];
        let ours = latency(&goruntime::Histogram { buckets });
        assert_eq!(ours.counts(), [3, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 48]);
        assert_eq!((ours.count(), ours.sum()), (63, None));
        for (power, seconds) in WAIT_BOUNDS.iter().zip(WAIT_SECONDS) {
            assert!(((1u64 << power) as f64 / 1e9 - seconds).abs() < 1e-12, "{power}");
        }
    }
}
