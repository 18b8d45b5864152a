//! What gotap measures of itself, as metrics: spans, losses, traps, queues, processes, its own CPU time
//! and memory. Collected when asked, from any thread. Not here: how they leave.

mod flat;
mod sent;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use export::LiveStats;
use metrics::{Attributes, HistogramPoint, Metric, Point};
use pipeline::{Measured, Pipeline, Place, SharedMeter};
use podwatch::Pods;
use probes::Hits;
use red::Consumer;
use trace::Resource;

use super::active::Active;
use super::host::Host;
use super::overhead::Costs;
use super::own;
use super::placing;
use super::processes::{LeftOut, Processes};
use super::profiling;
use super::runtimes::Runtimes;
use super::summary::{self, Group};
use crate::opened::{monotonic, unix_nanoseconds};
use crate::reader::Shared;
use crate::xray::Slow;

/// For how long a process in which nothing can be traced has run before its Go runtime is read.
const LASTING: Duration = Duration::from_secs(5);
/// After how long without a round the reader counts as stuck.
const STUCK: Duration = Duration::from_secs(10);

/// Everything that is measured.
pub(super) struct Figures {
    /// The agent's own attributes.
    pub(super) resource: Arc<[(String, String)]>,
    hits: Arc<Hits>,
    reader: Arc<Shared>,
    pipeline: Pipeline,
    export: Option<LiveStats>,
    processes: Mutex<Processes>,
    runtimes: Mutex<Runtimes>,
    /// What is counted of operations; `None` where nobody wants to know.
    meter: Option<Arc<SharedMeter>>,
    /// Requests that are being served, where they are counted.
    pub(super) active: Option<Active>,
    /// What is measured of all programs of the host.
    pub(super) host: Host,
    /// Where pods are watched.
    pub(super) pods: Option<Arc<Pods>>,
    /// What the continuous profiles count, where they are taken.
    pub(super) profiles: Option<profiling::Counted>,
    /// What is known of slow requests.
    pub(super) xray: Option<Arc<Slow>>,
    /// What tracing costs each process.
    pub(super) overhead: Option<Arc<Costs>>,
}

impl Figures {
    pub(super) fn new(
        resource: Arc<[(String, String)]>,
        hits: Arc<Hits>,
        reader: Arc<Shared>,
        pipeline: Pipeline,
        export: Option<LiveStats>,
        meter: Option<Arc<SharedMeter>>,
    ) -> Self {
        let processes = Mutex::new(Processes::default());
        let runtimes = Mutex::default();
        Self {
            resource,
            hits,
            reader,
            pipeline,
            export,
            processes,
            runtimes,
            meter,
            active: None,
            host: Host::default(),
            pods: None,
            profiles: None,
            xray: None,
            overhead: None,
        }
    }

    fn processes(&self) -> MutexGuard<'_, Processes> {
        self.processes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A process was attached to, which took so long.
    pub(super) fn attached(&self, pid: u32, resource: Arc<Resource>, took: Duration, place: Place) {
        self.processes().attached(pid, resource, took, place);
    }

    /// More is known of a process than when it was attached to.
    pub(super) fn renamed(&self, pid: u32, resource: Arc<Resource>) {
        self.processes().renamed(pid, resource);
    }

    /// In a process nothing can be traced.
    pub(super) fn found_idle(&self, pid: u32, resource: Arc<Resource>) {
        self.processes().found_idle(pid, resource);
    }

    /// A process could not be attached to.
    pub(super) fn attach_failed(&self) {
        self.processes().failed += 1;
    }

    /// A Go program can't be read.
    pub(super) fn found_unreadable(&self) {
        self.processes().unreadable += 1;
    }

    /// How many of those were found.
    pub(super) fn unreadable(&self) -> u64 {
        self.processes().unreadable
    }

    /// There was no room to remember a process. Gives whether it is the first one.
    pub(super) fn left_out(&self, what: LeftOut) -> bool {
        self.processes().left_out(what)
    }

    /// A process is not observed any more.
    pub(super) fn ended(&self, pid: u32) {
        self.processes().ended(pid);
    }

    /// All processes that ran at the start were looked at.
    pub(super) fn ready(&self) {
        self.processes().ready = true;
    }

    /// Whether it is.
    pub(super) fn is_ready(&self) -> bool {
        self.processes().ready
    }

    /// Whether events are being read.
    pub(super) fn is_healthy(&self) -> bool {
        self.reader.read().beat.elapsed() < STUCK
    }

    /// Everything, as of now.
    pub(super) fn collect(&self, by: Consumer) -> Measured {
        let time_unix_nano = unix_nanoseconds();
        let metrics = self.own();
        let processes = self.of_processes(by);
        Measured { metrics, processes, time_unix_nano }
    }

    /// What gotap measures of itself, and of all programs of the host.
    pub(super) fn own(&self) -> Vec<Metric> {
        let mut metrics = self.spans();
        metrics.extend(self.traps());
        let (counts, fill) = {
            let shown = self.reader.read();
            (shown.counts, shown.fill)
        };
        metrics.extend(sent::logs(&counts));
        metrics.extend(sent::queues(&fill, &self.pipeline));
        metrics.extend(self.export.iter().flat_map(sent::delivery));
        metrics.extend(self.targets());
        metrics.extend(own::metrics());
        metrics.extend(self.host.metrics());
        metrics.extend(self.pods.iter().flat_map(|pods| placing::metrics(pods)));
        metrics.extend(self.profiles.iter().flat_map(profiling::Counted::metrics));
        metrics.extend(self.overhead.iter().flat_map(|costs| costs.metrics()));
        metrics.extend(self.xray.iter().flat_map(|slow| slow.metrics()));
        if let Some(meter) = &self.meter {
            let meter = meter.lock();
            metrics.extend(of_meter(&meter));
            metrics.extend(meter.service_graph());
        }
        metrics
    }

    /// The operations and the Go runtimes of processes.
    fn of_processes(&self, by: Consumer) -> Vec<(Arc<Resource>, Vec<Metric>)> {
        let mut processes = self.runtimes();
        let mut add = |resource: Arc<Resource>, more: Vec<Metric>| match processes
            .iter_mut()
            .find(|(known, _)| Arc::ptr_eq(known, &resource))
        {
            Some((_, metrics)) => metrics.extend(more),
            None => processes.push((resource, more)),
        };
        if let Some(meter) = &self.meter {
            let operations = meter.lock().collect(by, monotonic());
            operations.into_iter().for_each(|(resource, of)| add(resource, of));
        }
        if let Some(active) = &self.active {
            let observed = self.processes().placed();
            for (pid, metric) in active.metrics() {
                if let Some(resource) = observed.get(&pid) {
                    add(resource.clone(), vec![metric]);
                }
            }
        }
        processes
    }

    /// The same of those that are observed now, with their ids.
    pub(super) fn observed(&self) -> Vec<(u32, Arc<Resource>, Vec<Metric>)> {
        let mut all = self.of_processes(Consumer::View);
        let observed = self.processes().observed.clone();
        let mut metrics = |resource: &Arc<Resource>| {
            let at = all.iter().position(|(known, _)| Arc::ptr_eq(known, resource));
            at.map(|at| all.swap_remove(at).1).unwrap_or_default()
        };
        observed.into_iter().map(|(pid, r)| (pid, r.clone(), metrics(&r))).collect()
    }

    /// What Go's runtime counts in each observed process.
    fn runtimes(&self) -> Vec<(Arc<Resource>, Vec<Metric>)> {
        let mut observed = self.processes().placed();
        observed.extend(self.lasting().into_iter().map(|(pid, (_, resource))| (pid, resource)));
        let mut runtimes = self.runtimes.lock().unwrap_or_else(PoisonError::into_inner);
        runtimes.retain(&observed.keys().copied().collect());
        let all = observed.into_iter().map(|(pid, resource)| (resource, runtimes.read(pid)));
        all.filter(|(_, metrics)| !metrics.is_empty()).collect()
    }

    /// Those in which nothing can be traced. Many are over at once, as compilers are, and left out.
    pub(super) fn lasting(&self) -> Vec<(u32, (Instant, Arc<Resource>))> {
        let idle = self.processes().idle.clone().into_iter();
        idle.filter(|(_, (since, _))| since.elapsed() >= LASTING).collect()
    }

    /// Those that are observed.
    pub(super) fn resources(&self) -> HashMap<u32, Arc<Resource>> {
        self.processes().observed.clone()
    }

    fn spans(&self) -> Vec<Metric> {
        // What can't be read is missing, not zero.
        let Ok(counters) = self.hits.counters() else { return Vec::new() };
        let counts = self.reader.read().counts;
        let counted = summary::counted(&counts, &counters);
        let of = |groups: &[Group]| -> Vec<Point> {
            let chosen = counted.iter().filter(|one| groups.contains(&one.group));
            chosen
                .map(|one| Point::int(one.n, vec![("reason", one.label.clone().into())]))
                .collect()
        };
        vec![
            Metric::counter(
                "gotap.spans",
                "{span}",
                "Spans that were made",
                [Point::int(counts.spans, Vec::new())],
            ),
            Metric::counter(
                "gotap.drops",
                "{operation}",
                "Operations that happened and have no span",
                of(&[Group::Lost]),
            ),
            Metric::counter(
                "gotap.spans.incomplete",
                "{span}",
                "Spans that may lack something",
                of(&[Group::Incomplete]),
            ),
            Metric::counter(
                "gotap.spans.not_recorded",
                "{span}",
                "Operations whose spans are left out for a good reason",
                of(&[Group::LeftOut, Group::AtAttach]),
            ),
            Metric::counter(
                "gotap.processes.late",
                "{event}",
                "Starts and ends of processes that were found late",
                of(&[Group::Processes]),
            ),
        ]
    }

    fn traps(&self) -> Vec<Metric> {
        let Ok(by_process) = self.hits.by_process() else { return Vec::new() };
        let names = &self.processes().observed;
        let points = by_process.iter().filter_map(|process| {
            let name = names.get(&process.pid)?;
            let hits = process.hits.iter().filter(|(_, n)| *n > 0);
            Some(hits.map(|(probe, n)| {
                let mut attributes = target(process.pid, name.service_name());
                attributes.push(("probe", probe.label().into()));
                Point::int(*n, attributes)
            }))
        });
        let description = "Hits of probes in the processes that are observed";
        vec![Metric::counter("gotap.traps", "{hit}", description, points.flatten())]
    }

    fn targets(&self) -> Vec<Metric> {
        let processes = self.processes();
        let histogram = processes.attach.clone();
        let one = |n: u64| [Point::int(n, Vec::new())];
        let left_out = LeftOut::ALL.into_iter().zip(processes.left_out);
        let left_out =
            left_out.map(|(what, n)| Point::int(n, vec![("reason", what.label().into())]));
        vec![
            Metric::gauge(
                "gotap.targets",
                "{process}",
                "Processes that are observed",
                one(processes.observed.len() as u64),
            ),
            Metric::counter(
                "gotap.attach.failures",
                "{process}",
                "Processes that could not be attached to",
                one(processes.failed),
            ),
            Metric::counter(
                "gotap.programs.unreadable",
                "{program}",
                "Programs built with Go that can't be read, and in which nothing is seen",
                one(processes.unreadable),
            ),
            Metric::counter(
                "gotap.processes.left_out",
                "{process}",
                "Processes that there was no room to remember",
                left_out,
            ),
            Metric::histogram(
                "gotap.attach.duration",
                "s",
                "How long attaching to a process took",
                [HistogramPoint::new(Vec::new(), histogram)],
            ),
        ]
    }
}

pub(super) fn target(pid: u32, name: &str) -> Attributes {
    vec![("service", name.to_owned().into()), ("pid", pid.to_string().into())]
}

/// What the meter of operations does not have as it should.
fn of_meter(meter: &red::Meter) -> [Metric; 3] {
    let one = |n: u64| [Point::int(n, Vec::new())];
    [
        Metric::counter(
            "gotap.metrics.overflow",
            "{operation}",
            "Operations that are counted without their attributes, as a metric had too many series",
            meter.overflowed(),
        ),
        Metric::counter(
            "gotap.metrics.drops",
            "{operation}",
            "Operations that are in no metric, as their process was not known",
            one(meter.unknown()),
        ),
        Metric::counter(
            "gotap.metrics.uncollected",
            "{process}",
            "Processes that ended and were forgotten before their last metrics were collected",
            one(meter.uncollected()),
        ),
    ]
}
