//! Spans become series, by process. Not here: which of them are sent as spans.

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use metrics::{Exemplar, Metric, Point};
use trace::{Operation, Resource, Span};

use crate::class::{Class, Groups};
use crate::graph::Graph;
use crate::process::{Process, Room};
use crate::series::Measured;

/// Series of all processes together, unless fewer are wanted.
pub const MAX_SERIES: usize = 50_000;
/// How long the series of a process that has ended stay, in nanoseconds, so that its last operations are
/// collected; and how long if somebody has not collected them yet.
const KEPT: u64 = 60_000_000_000;
const KEPT_AT_MOST: u64 = 15 * KEPT;
/// Processes that have ended whose series stay.
const MAX_ENDED: usize = 512;

/// What is measured.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Which sorts of operations.
    pub groups: Groups,
    /// Series that a metric of a process may have. One of them is that of operations which find no room.
    pub cardinality_limit: usize,
    /// Whether exponential buckets are wanted, too.
    pub exponential: bool,
    /// Whether edges between services are made.
    pub service_graph: bool,
    /// Whether a call that is an HTTP request counts only as a call.
    pub each_once: bool,
    /// Series of all processes together.
    pub max_series: usize,
    /// Calls that may wait for their other end, for the edges.
    pub max_graph_calls: usize,
    /// Who collects.
    pub consumers: Vec<Consumer>,
}

impl Default for Settings {
    /// All sorts of operations and no edges, within the usual bounds, for nobody.
    fn default() -> Self {
        Self {
            groups: Groups::ALL,
            cardinality_limit: 2000,
            exponential: false,
            service_graph: false,
            each_once: false,
            max_series: MAX_SERIES,
            max_graph_calls: crate::MAX_GRAPH_CALLS,
            consumers: Vec::new(),
        }
    }
}

/// Somebody who collects, at times of his own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consumer {
    /// What is sent.
    Push,
    /// Prometheus.
    Pull,
    /// What is shown.
    View,
}

/// Counts operations.
#[derive(Debug)]
pub struct Meter {
    groups: Groups,
    each_once: bool,
    room: Room,
    /// By address: the `Arc` in the value keeps it from being used again.
    processes: HashMap<usize, Process, RandomState>,
    instances: HashMap<u32, usize, RandomState>,
    consumers: u8,
    graph: Option<Graph>,
    /// Operations of processes that are not known.
    unknown: u64,
    /// Processes that ended and were forgotten before everybody had collected their last operations.
    uncollected: u64,
}

impl Meter {
    /// One that knows no process. `now_unix_nano` is now.
    pub fn new(settings: &Settings, now_unix_nano: u64) -> Self {
        let room = Room {
            hasher: RandomState::default(),
            per_metric: settings.cardinality_limit.max(1),
            total: settings.max_series,
            used: 0,
            exponential: settings.exponential,
            overflowed: [0; Class::ALL.len()],
        };
        let consumers = settings.consumers.iter().fold(0, |all, one| all | 1 << *one as u8);
        let (processes, instances) = (HashMap::default(), HashMap::default());
        let graph =
            settings.service_graph.then(|| Graph::new(now_unix_nano, settings.max_graph_calls));
        let (groups, each_once) = (settings.groups, settings.each_once);
        let (unknown, uncollected) = (0, 0);
        Self {
            groups,
            each_once,
            room,
            processes,
            instances,
            consumers,
            graph,
            unknown,
            uncollected,
        }
    }

    /// Spans of a process will come from now on.
    pub fn add_process(&mut self, instance: u32, resource: &Arc<Resource>, now_unix_nano: u64) {
        let address = address(resource);
        self.instances.insert(instance, address);
        let process = self.processes.entry(address);
        // One whose probes were taken away for a while is the same one.
        let new = || Process::new(resource.clone(), now_unix_nano);
        process.or_insert_with(new).ended = None;
    }

    /// No more spans of a process will come. `now_ns` is by a clock that is not set.
    pub fn remove_process(&mut self, instance: u32, now_ns: u64) {
        let Some(address) = self.instances.remove(&instance) else { return };
        if self.instances.values().any(|other| *other == address) {
            return;
        }
        let Some(process) = self.processes.get_mut(&address) else { return };
        process.ended = Some(now_ns);
        if !process.has_any() {
            self.processes.remove(&address);
        }
        let ended = self.processes.iter().filter_map(|(address, p)| Some((p.ended?, *address)));
        let ended: Vec<_> = ended.collect();
        if ended.len() > MAX_ENDED
            && let Some((_, oldest)) = ended.into_iter().min()
        {
            self.forget(oldest);
        }
    }

    /// Counts an operation. `times` is for how many it stands: more than one where others of the same sort
    /// were left out. Of spans of processes that are not known only the number is.
    pub fn record(&mut self, span: &Span, times: u64) {
        let Some(process) = self.processes.get_mut(&address(&span.resource)) else {
            self.unknown += times;
            return;
        };
        let took = span.end_unix_nano.saturating_sub(span.start_unix_nano);
        let seconds = took as f64 / 1e9;
        let size = |size: Option<u64>| size.filter(|_| self.groups.body_sizes).map(|n| n as f64);
        let exemplar = span.is_sampled().then_some(Exemplar {
            value: seconds,
            time_unix_nano: span.end_unix_nano,
            trace_id: span.trace_id,
            span_id: span.span_id,
        });
        if let Some(graph) = &mut self.graph {
            graph.record(span, seconds, times);
        }
        for class in Class::of(span, self.groups, self.each_once).into_iter().flatten() {
            let sizes = match (class, &span.operation) {
                (Class::HttpServer | Class::HttpClient, Operation::Http(http)) => {
                    [size(http.request_size), size(http.response_size)]
                }
                _ => [None, None],
            };
            let measured = Measured { seconds, sizes, times, exemplar };
            process.record(class, span, &measured, &mut self.room);
        }
    }

    /// The metrics of each process that has any. Those of processes that have ended are given for some time.
    /// `now_ns` is by the same clock as in [`Meter::remove_process`].
    pub fn collect(&mut self, by: Consumer, now_ns: u64) -> Vec<(Arc<Resource>, Vec<Metric>)> {
        let consumers = self.consumers;
        let is_over = |process: &Process| {
            process.ended.is_some_and(|ended| {
                let age = now_ns.saturating_sub(ended);
                age > KEPT && process.seen_by & consumers == consumers || age > KEPT_AT_MOST
            })
        };
        let over = self.processes.iter().filter(|(_, process)| is_over(process));
        let over: Vec<_> = over.map(|(address, _)| *address).collect();
        over.into_iter().for_each(|address| self.forget(address));
        let mut out = Vec::new();
        for process in self.processes.values_mut() {
            if process.ended.is_some() {
                process.seen_by |= 1 << by as u8;
            }
            let metrics = process.metrics();
            if !metrics.is_empty() {
                out.push((process.resource.clone(), metrics));
            }
        }
        out
    }

    /// Calls that wait for their other end have waited for longer. `now_ns` is by a clock that is not set.
    pub fn tick(&mut self, now_ns: u64) {
        if let Some(graph) = &mut self.graph {
            graph.tick(now_ns);
        }
    }

    /// The edges between services. They belong to no process.
    pub fn service_graph(&self) -> Vec<Metric> {
        self.graph.as_ref().map(Graph::metrics).unwrap_or_default()
    }

    /// Operations that found no room for a series of their own, by metric.
    pub fn overflowed(&self) -> impl Iterator<Item = Point> {
        let by_class = Class::ALL.into_iter().zip(self.room.overflowed);
        let points = by_class.filter(|(class, _)| self.groups.contains(*class));
        points.map(|(class, n)| Point::int(n, vec![("metric", class.duration().name.into())]))
    }

    /// Operations of processes that were not known: they are in no metric.
    pub fn unknown(&self) -> u64 {
        self.unknown
    }

    /// Processes whose last operations not everybody has collected.
    pub fn uncollected(&self) -> u64 {
        self.uncollected
    }

    fn forget(&mut self, address: usize) {
        if let Some(process) = self.processes.remove(&address) {
            self.room.used -= process.len();
            let missed = process.seen_by & self.consumers != self.consumers;
            self.uncollected += u64::from(missed && process.has_any());
        }
    }
}

fn address(resource: &Arc<Resource>) -> usize {
    Arc::as_ptr(resource) as usize
}

#[cfg(test)]
#[path = "meter_tests.rs"]
mod tests;
