//! Edges of the service graph: calls of one service to one other, or to what has only an address.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use metrics::{Attributes, Histogram, HistogramPoint, Metric, Point, Value};

use crate::class::REQUEST_BOUNDS;

/// What is known of an edge's server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Connection {
    /// It is observed.
    Direct,
    /// It is a database, which is not.
    Database,
    /// It is something else that is not.
    Virtual,
}

impl Connection {
    /// The value of `connection_type`.
    fn label(self) -> &'static str {
        match self {
            Connection::Direct => "",
            Connection::Database => "database",
            Connection::Virtual => "virtual_node",
        }
    }
}

/// The server of an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Node<'a> {
    pub(crate) connection: Connection,
    /// The service, or the database's system.
    pub(crate) name: &'a str,
    /// Of those that are not observed, where it is known.
    pub(crate) address: Option<&'a str>,
    pub(crate) port: Option<u16>,
}

impl Node<'_> {
    /// As it is shown.
    fn text(&self) -> String {
        let mut out = self.name.to_owned();
        let Some(address) = self.address else { return out };
        if !out.is_empty() {
            out.push(' ');
        }
        match self.port {
            Some(port) if address.contains(':') => out.push_str(&format!("[{address}]:{port}")),
            Some(port) => out.push_str(&format!("{address}:{port}")),
            None => out.push_str(address),
        }
        out
    }
}

#[derive(Debug)]
struct Edge {
    hash: u64,
    client: Box<str>,
    connection: Connection,
    name: Box<str>,
    address: Option<Box<str>>,
    port: Option<u16>,
    calls: Calls,
}

#[derive(Debug)]
struct Calls {
    total: u64,
    failed: u64,
    /// As the client and the server measured it.
    seconds: [Histogram; 2],
}

impl Calls {
    fn new() -> Self {
        Self { total: 0, failed: 0, seconds: [(); 2].map(|()| Histogram::new(REQUEST_BOUNDS)) }
    }

    fn add(&mut self, failed: bool, seconds: [f64; 2], times: u64) {
        self.total += times;
        self.failed += if failed { times } else { 0 };
        for (histogram, seconds) in self.seconds.iter_mut().zip(seconds) {
            histogram.record_many(seconds, times);
        }
    }
}

impl Edge {
    fn node(&self) -> Node<'_> {
        let (address, port) = (self.address.as_deref(), self.port);
        Node { connection: self.connection, name: &self.name, address, port }
    }
}

/// All edges, bounded in number.
#[derive(Debug)]
pub(crate) struct Edges {
    edges: HashTable<Edge>,
    hasher: RandomState,
    limit: usize,
    /// Of those that found no room.
    overflow: Option<Calls>,
}

impl Edges {
    pub(crate) fn new(limit: usize) -> Self {
        Self { edges: HashTable::new(), hasher: RandomState::default(), limit, overflow: None }
    }

    /// Counts calls; `seconds` are those of the client and of the server.
    pub(crate) fn record(
        &mut self,
        client: &str,
        server: &Node<'_>,
        failed: bool,
        seconds: [f64; 2],
        times: u64,
    ) {
        let hash = self.hasher.hash_one((client, server));
        let is_it = |edge: &Edge| *edge.client == *client && edge.node() == *server;
        let fits = self.edges.len() + 1 < self.limit;
        let calls = match self.edges.entry(hash, is_it, |edge| edge.hash) {
            Entry::Occupied(known) => &mut known.into_mut().calls,
            Entry::Vacant(vacant) if fits => {
                let edge = Edge {
                    hash,
                    client: client.into(),
                    connection: server.connection,
                    name: server.name.into(),
                    address: server.address.map(Into::into),
                    port: server.port,
                    calls: Calls::new(),
                };
                &mut vacant.insert(edge).into_mut().calls
            }
            Entry::Vacant(_) => self.overflow.get_or_insert_with(Calls::new),
        };
        calls.add(failed, seconds, times);
    }

    /// As metrics, by the names of Tempo and of the Collector's connector.
    pub(crate) fn metrics(&self) -> Vec<Metric> {
        let known = self.edges.iter().map(|edge| (attributes(edge), &edge.calls));
        let all: Vec<_> =
            known.chain(self.overflow.iter().map(|calls| (metrics::overflow(), calls))).collect();
        let counter = |value: fn(&Calls) -> u64| {
            all.iter().map(move |(labels, calls)| Point::int(value(calls), labels.clone()))
        };
        let times = |i: usize| {
            all.iter().map(move |(labels, calls)| {
                HistogramPoint::new(labels.clone(), calls.seconds[i].clone())
            })
        };
        vec![
            Metric::counter(
                "traces_service_graph_request_total",
                "",
                "Calls between two services",
                counter(|calls| calls.total),
            ),
            Metric::counter(
                "traces_service_graph_request_failed_total",
                "",
                "Calls between two services that failed",
                counter(|calls| calls.failed),
            ),
            Metric::histogram(
                "traces_service_graph_request_client",
                "s",
                "How long calls between two services took, as the client sees it",
                times(0),
            ),
            Metric::histogram(
                "traces_service_graph_request_server",
                "s",
                "The same as the server sees it, or else the client",
                times(1),
            ),
        ]
    }
}

fn attributes(edge: &Edge) -> Attributes {
    vec![
        ("client", Value::Text((*edge.client).into())),
        ("server", Value::from(edge.node().text())),
        ("connection_type", edge.connection.label().into()),
    ]
}
