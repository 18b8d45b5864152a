//! Who calls whom: edges between services, in the metrics of Tempo and of the Collector's service graph.
//!
//! A call and the request that it became are one edge where the request's parent is the call. What of a call
//! is served elsewhere is a virtual node, named by its address. A request whose call is not seen has no edge:
//! who made it is not known. Not here: how parents are found.

use std::collections::VecDeque;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use metrics::{Metric, Point};
use trace::{Endpoint, Kind, Operation, Resource, Span, Status};

use crate::edge::{Connection, Edges, Node};

/// How long one end of a call waits for the other, in nanoseconds. Both are on this host.
const PATIENCE: u64 = 2_000_000_000;
/// Ends of calls that may wait, unless fewer are wanted.
pub const MAX_GRAPH_CALLS: usize = 32_768;
/// Edges that there may be, with the one of those that find no room.
const MAX_EDGES: usize = 2000;

/// One end of a call.
#[derive(Debug)]
struct Half {
    resource: Arc<Resource>,
    seconds: f64,
    failed: bool,
    times: u64,
    /// Where a call went; `None` for requests that were served.
    peer: Option<Endpoint>,
    /// When it came, by the clock of [`Graph::tick`].
    came: u64,
}

/// The edges, and ends of calls that wait for the other one.
#[derive(Debug)]
pub(crate) struct Graph {
    max_waiting: usize,
    edges: Edges,
    /// By the id of the call's span.
    waiting: HashMap<[u8; 8], Half, RandomState>,
    order: VecDeque<[u8; 8]>,
    now: u64,
    since: u64,
    /// Requests whose calls were not seen, by service.
    unpaired: HashMap<Box<str>, u64, RandomState>,
    /// Ends that were given up as too many waited.
    dropped: u64,
}

impl Graph {
    /// `since` is now, in nanoseconds since 1970.
    pub(crate) fn new(since: u64, max_waiting: usize) -> Self {
        Self {
            max_waiting: max_waiting.max(1),
            edges: Edges::new(MAX_EDGES),
            waiting: HashMap::default(),
            order: VecDeque::new(),
            now: 0,
            since,
            unpaired: HashMap::default(),
            dropped: 0,
        }
    }

    /// Takes a span that stands for so many.
    pub(crate) fn record(&mut self, span: &Span, seconds: f64, times: u64) {
        let failed = matches!(span.status, Status::Error(_));
        if let Operation::Database(query) = &span.operation {
            let node = Node {
                connection: Connection::Database,
                name: query.system,
                address: query.server.address.as_deref(),
                port: query.server.port,
            };
            let client = span.resource.service_name();
            return self.edges.record(client, &node, failed, [seconds; 2], times);
        }
        let peer = match span.kind {
            Kind::Client => Some(span.operation.server().cloned().unwrap_or_default()),
            Kind::Server => None,
        };
        let id = match (span.kind, span.parent_span_id) {
            (Kind::Client, _) => span.span_id,
            (Kind::Server, Some(parent)) => parent,
            (Kind::Server, None) => return self.count_unpaired(&span.resource, times),
        };
        let half =
            Half { resource: span.resource.clone(), seconds, failed, times, peer, came: self.now };
        match self.waiting.remove(&id) {
            Some(other) if other.peer.is_some() != half.peer.is_some() => self.pair(&half, &other),
            // A call that was served twice, as a proxy may do.
            Some(other) => {
                self.waiting.insert(id, other);
                self.give_up(&half);
            }
            None => self.wait(id, half),
        }
    }

    /// Gives up what has waited for long enough. `now_ns` is by a clock that is not set.
    pub(crate) fn tick(&mut self, now_ns: u64) {
        self.now = now_ns;
        while let Some(id) = self.order.front() {
            match self.waiting.get(id) {
                Some(half) if now_ns.saturating_sub(half.came) < PATIENCE => return,
                Some(_) => {
                    if let Some(half) = self.waiting.remove(id) {
                        self.give_up(&half);
                    }
                }
                // It was paired.
                None => {}
            }
            self.order.pop_front();
        }
    }

    /// What is known, as metrics.
    pub(crate) fn metrics(&self) -> Vec<Metric> {
        let mut out = self.edges.metrics();
        let unpaired = self.unpaired.iter().map(|(service, n)| {
            Point::int(*n, vec![("server", metrics::Value::Text((**service).into()))])
        });
        out.push(Metric::counter(
            "traces_service_graph_unpaired_spans_total",
            "",
            "Requests that were served and have no edge, as who made them is not known",
            unpaired,
        ));
        out.push(Metric::counter(
            "traces_service_graph_dropped_spans_total",
            "",
            "Ends of calls that have no edge, as too many waited for the other end",
            [Point::int(self.dropped, Vec::new())],
        ));
        out.iter_mut().for_each(|metric| metric.since = Some(self.since));
        out
    }

    fn wait(&mut self, id: [u8; 8], half: Half) {
        while self.order.len() >= self.max_waiting
            && let Some(oldest) = self.order.pop_front()
        {
            // It may yet have found its other end: no edge is better than a wrong one.
            self.dropped += self.waiting.remove(&oldest).map_or(0, |half| half.times);
        }
        self.order.push_back(id);
        self.waiting.insert(id, half);
    }

    fn pair(&mut self, one: &Half, other: &Half) {
        let (client, server) = if one.peer.is_some() { (one, other) } else { (other, one) };
        let name = server.resource.service_name();
        let node = Node { connection: Connection::Direct, name, address: None, port: None };
        let failed = client.failed || server.failed;
        let seconds = [client.seconds, server.seconds];
        self.edges.record(client.resource.service_name(), &node, failed, seconds, client.times);
    }

    /// The other end is not seen.
    fn give_up(&mut self, half: &Half) {
        let Some(peer) = &half.peer else {
            return self.count_unpaired(&half.resource, half.times);
        };
        let address = peer.address.as_deref();
        let node = Node { connection: Connection::Virtual, name: "", address, port: peer.port };
        if address.is_none() {
            // Where it went is not known.
            self.dropped += half.times;
            return;
        }
        let client = half.resource.service_name();
        self.edges.record(client, &node, half.failed, [half.seconds; 2], half.times);
    }

    fn count_unpaired(&mut self, resource: &Resource, times: u64) {
        let service = resource.service_name();
        let fits = self.unpaired.len() < MAX_EDGES;
        match self.unpaired.get_mut(service) {
            Some(n) => *n += times,
            None if fits => drop(self.unpaired.insert(service.into(), times)),
            None => {}
        }
    }
}

#[cfg(test)]
#[path = "graph_tests.rs"]
mod tests;
