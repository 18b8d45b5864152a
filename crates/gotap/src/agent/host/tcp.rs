//! TCP connections of the host as metrics and, where asked for, as spans.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use host::tcp::{Kind, Reset, Role};
use metrics::{Attributes, Histogram, HistogramPoint, Metric, Point};
use pipeline::{Connections as Served, Pipeline};
use probes::host::{Tcp, TcpOptions};
use trace::{Added, Connection, Operation, Resource, Span, Status, Traffic, Value};
use wire::{Parent, UnreadSet};

use super::series::Series;
use super::{BUFFER, Part};
use crate::live::clock_offset;
use crate::tcp::{Named, Names};

/// Open connections that are remembered.
const CONNECTIONS: u32 = 1 << 16;
/// How long the span of a connection waits for those of its requests.
const PATIENCE: Duration = Duration::from_millis(500);
/// Spans that may wait.
const MAX_WAITING: usize = 1 << 14;
/// Buckets of how long connections are open, in seconds.
const DURATIONS: &[f64] =
    &[0.001, 0.01, 0.1, 1.0, 10.0, 60.0, 300.0, 1800.0, 3600.0, 21600.0, 86400.0];
/// Buckets of what takes a round trip, in seconds.
const ROUND_TRIPS: &[f64] =
    &[0.00005, 0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 3.0, 10.0];

/// The part.
pub(super) struct Connections {
    tcp: Tcp,
    names: Names,
    by_service: Series<Key, Counted>,
    invalid: u64,
    owner_unknown: u64,
    spans: Option<Spans>,
}

/// Spans of connections that have ended.
pub(super) struct Spans {
    pipeline: Pipeline,
    /// Requests by connection.
    served: Arc<Served>,
    /// The services that spans are of.
    resources: BTreeMap<Option<String>, Arc<Resource>>,
    /// Those whose last request may not have ended yet, or not have been read.
    waiting: VecDeque<(Instant, Named, Span)>,
}

/// What a series belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    service: Option<String>,
    role: Option<Role>,
}

/// What was counted.
#[derive(Debug)]
struct Counted {
    opened: u64,
    failed: BTreeMap<String, u64>,
    handshakes: Histogram,
    open: Histogram,
    round_trips: Histogram,
    sent: u64,
    received: u64,
    retransmits: u64,
    resets_sent: u64,
    resets_received: u64,
}

impl Default for Counted {
    fn default() -> Self {
        Self {
            opened: 0,
            failed: BTreeMap::new(),
            handshakes: Histogram::new(ROUND_TRIPS),
            open: Histogram::new(DURATIONS),
            round_trips: Histogram::new(ROUND_TRIPS),
            sent: 0,
            received: 0,
            retransmits: 0,
            resets_sent: 0,
            resets_received: 0,
        }
    }
}

fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}

impl Counted {
    fn add(&mut self, named: &Named) {
        let event = &named.event;
        match event.kind {
            Kind::Connected => {
                self.opened += 1;
                event.duration_ns.into_iter().for_each(|ns| self.handshakes.record(seconds(ns)));
            }
            Kind::Accepted => self.opened += 1,
            Kind::Failed => {
                // A type that nobody knows is the conventions' word for one.
                let why = event.error.name().unwrap_or_else(|| "_OTHER".into());
                *self.failed.entry(why).or_default() += 1;
            }
            Kind::Closed => {
                event.duration_ns.into_iter().for_each(|ns| self.open.record(seconds(ns)));
            }
            Kind::Retransmitted => return,
        }
        if let Some(counts) = &event.counts {
            self.sent += counts.sent;
            self.received += counts.received;
            self.retransmits += u64::from(counts.retransmits);
            let closed = event.kind == Kind::Closed;
            let trip = counts.rtt_us.filter(|_| closed);
            trip.into_iter().for_each(|us| self.round_trips.record(f64::from(us) / 1e6));
        }
        match event.reset {
            Some(Reset::Sent) => self.resets_sent += 1,
            Some(Reset::Received) => self.resets_received += 1,
            None => {}
        }
    }
}

impl Connections {
    pub(super) fn attach(system_calls: bool, spans: Option<Spans>) -> Result<Self> {
        let (connections, buffer) = (CONNECTIONS, BUFFER);
        let tcp =
            Tcp::attach(TcpOptions { system_calls, retransmits: false, connections, buffer })?;
        // Behind it: what is closed while /proc is read is in it, or is not needed.
        let names = Names::read();
        let by_service = Series::default();
        Ok(Self { tcp, names, by_service, invalid: 0, owner_unknown: 0, spans })
    }

    fn add(&mut self, named: &Named) {
        self.owner_unknown += u64::from(named.pid.is_none());
        let key = Key { service: named.service.clone(), role: named.role };
        self.by_service.of(key).add(named);
    }

    fn lost(&self) -> Vec<(&'static str, u64)> {
        let mut lost = vec![("invalid", self.invalid)];
        // What can't be read is missing, not zero.
        if let Ok(counts) = self.tcp.counts() {
            lost.extend([
                ("ring_full", counts.lost),
                ("not_remembered", counts.not_remembered),
                ("not_run", counts.not_run),
            ]);
        }
        lost
    }
}

impl Spans {
    pub(super) fn new(pipeline: Pipeline, served: Arc<Served>) -> Self {
        let (resources, waiting) = (BTreeMap::new(), VecDeque::new());
        Self { pipeline, served, resources, waiting }
    }

    /// Sends those that have waited for long enough, or all.
    fn send(&mut self, all: bool) {
        let mut ready = Vec::new();
        while let Some((_, named, mut span)) =
            self.waiting.pop_front_if(|(since, ..)| all || since.elapsed() >= PATIENCE)
        {
            let pid = named.pid.filter(|_| named.role == Some(Role::Server));
            let found = pid.and_then(|pid| self.served.take(pid, named.event.peer));
            if let Some(found) = found {
                if let Operation::Connection(connection) = &mut span.operation {
                    connection.requests = Some(found.count);
                }
                span.links = found.last.into();
            }
            ready.push(span);
        }
        if !ready.is_empty() {
            self.pipeline.spans(ready);
        }
    }

    /// The span of a connection that has ended and was seen from its beginning; gotap's own have none.
    fn span(&mut self, named: &Named, offset: u64) -> Option<Span> {
        let event = &named.event;
        let duration = event.duration_ns?;
        if !matches!(event.kind, Kind::Closed | Kind::Failed)
            || named.pid == Some(std::process::id())
        {
            return None;
        }
        let kind = match named.role? {
            Role::Client => trace::Kind::Client,
            Role::Server => trace::Kind::Server,
        };
        let end = event.time_ns.wrapping_add(offset);
        let error = match (event.kind, event.error.name()) {
            (Kind::Failed, None) => Some("_OTHER".into()),
            (_, name) => name,
        };
        let failed = error.is_some();
        Some(Span {
            trace_id: fastrand::u128(1..).to_be_bytes(),
            span_id: fastrand::u64(1..).to_be_bytes(),
            parent_span_id: None,
            trace_flags: 1,
            telemetry: false,
            left_out: false,
            own_trace: false,
            links: Vec::new(),
            trace_state: String::new(),
            name: "tcp".into(),
            kind,
            start_unix_nano: end.saturating_sub(duration),
            end_unix_nano: end,
            status: if failed { Status::Error(String::new()) } else { Status::Unset },
            error_type: error.map(Into::into),
            operation: operation(named),
            headers: Vec::new(),
            added: Added::default(),
            answered_by: None,
            kept: None,
            parent: Parent::None,
            unread: UnreadSet::default(),
            resource: self.resource(named.service.as_ref()),
        })
    }

    fn resource(&mut self, service: Option<&String>) -> Arc<Resource> {
        // Names are few; of more than that the next ones are read anew.
        if self.resources.len() > 1000 {
            self.resources.clear();
        }
        let make = || {
            let name = service.cloned().unwrap_or_else(|| "unknown_service".into());
            Arc::new(Resource::new(vec![("service.name".into(), Value::Text(name.into()))]))
        };
        self.resources.entry(service.cloned()).or_insert_with(make).clone()
    }
}

/// What is known of a connection, the requests on it aside.
fn operation(named: &Named) -> Operation {
    let (client, server) = named.ends();
    let traffic = named.event.counts.as_ref().map(|counts| Traffic {
        sent: counts.sent,
        received: counts.received,
        retransmits: counts.retransmits,
        rtt_us: counts.rtt_us,
    });
    let pid = named.pid;
    Operation::Connection(Box::new(Connection { client, server, pid, traffic, requests: None }))
}

impl Part for Connections {
    fn read(&mut self) -> Result<bool> {
        let events = self.tcp.read()?;
        let more = !events.is_empty();
        let offset = clock_offset();
        for event in events {
            let Ok(event) = event else {
                self.invalid += 1;
                continue;
            };
            let named = self.names.of(event);
            self.add(&named);
            if let Some(spans) = &mut self.spans
                && let Some(span) = spans.span(&named, offset)
            {
                // More than may wait are sent without their requests.
                if spans.waiting.len() >= MAX_WAITING {
                    spans.pipeline.spans(vec![span]);
                } else {
                    spans.waiting.push_back((Instant::now(), named, span));
                }
            }
        }
        if let Some(spans) = &mut self.spans {
            spans.send(false);
        }
        Ok(more)
    }

    fn finish(&mut self) {
        if let Some(spans) = &mut self.spans {
            spans.send(true);
        }
    }

    fn metrics(&self) -> Vec<Metric> {
        let all = self.by_service.all(|key| {
            let service = key.service.clone().map(|name| ("service", name.into()));
            let role = key.role.map(|role| {
                ("role", if role == Role::Client { "client" } else { "server" }.into())
            });
            service.into_iter().chain(role).collect()
        });
        let mut lost = self.lost();
        lost.push(("owner_unknown", self.owner_unknown));
        let forgotten = self.spans.as_ref().map(|spans| spans.served.forgotten());
        lost.extend(forgotten.map(|n| ("requests_forgotten", n)));
        let lost = lost.into_iter();
        let lost = lost.map(|(why, n)| Point::int(n, vec![("reason", why.into())]));
        let mut metrics = counters(&all);
        metrics.extend(distributions(&all));
        metrics.push(Metric::counter(
            "gotap.tcp.lost",
            "{event}",
            "What happened to connections and is not counted, or not with its process or requests",
            lost,
        ));
        metrics
    }
}

fn with(attributes: &Attributes, key: &'static str, value: metrics::Value) -> Attributes {
    attributes.iter().cloned().chain([(key, value)]).collect()
}

fn counters(all: &[(Attributes, &Counted)]) -> Vec<Metric> {
    let one = |value: fn(&Counted) -> u64| {
        all.iter().map(move |(of, counted)| Point::int(value(counted), of.clone()))
    };
    let two = |key, names: [&'static str; 2], values: fn(&Counted) -> [u64; 2]| {
        all.iter().flat_map(move |(of, counted)| {
            let points = names.into_iter().zip(values(counted));
            points.map(move |(name, n)| Point::int(n, with(of, key, name.into())))
        })
    };
    let failed = all.iter().flat_map(|(of, counted)| {
        let points = counted.failed.iter();
        points.map(move |(why, n)| Point::int(*n, with(of, "error.type", why.clone().into())))
    });
    vec![
        Metric::counter(
            "gotap.tcp.connections",
            "{connection}",
            "Connections that were made or accepted",
            one(|counted| counted.opened),
        ),
        Metric::counter(
            "gotap.tcp.failures",
            "{connection}",
            "Connections that could not be made",
            failed,
        ),
        Metric::counter(
            "gotap.tcp.io",
            "By",
            "Data that connections carried which have ended",
            two("network.io.direction", ["transmit", "receive"], |c| [c.sent, c.received]),
        ),
        Metric::counter(
            "gotap.tcp.retransmits",
            "{segment}",
            "Segments that were sent again, of connections that have ended",
            one(|counted| counted.retransmits),
        ),
        Metric::counter(
            "gotap.tcp.resets",
            "{connection}",
            "Connections that one side ended at once",
            two("network.io.direction", ["transmit", "receive"], |c| {
                [c.resets_sent, c.resets_received]
            }),
        ),
    ]
}

fn distributions(all: &[(Attributes, &Counted)]) -> Vec<Metric> {
    let one = |histogram: fn(&Counted) -> &Histogram| {
        all.iter().filter_map(move |(of, counted)| {
            let histogram = histogram(counted);
            let is_empty = histogram.counts().iter().all(|n| *n == 0);
            (!is_empty).then(|| HistogramPoint::new(of.clone(), histogram.clone()))
        })
    };
    vec![
        Metric::histogram(
            "gotap.tcp.connect.duration",
            "s",
            "How long making a connection took",
            one(|counted| &counted.handshakes),
        ),
        Metric::histogram(
            "gotap.tcp.connection.duration",
            "s",
            "How long connections were open that have ended",
            one(|counted| &counted.open),
        ),
        Metric::histogram(
            "gotap.tcp.rtt",
            "s",
            "Smoothed round trip times at the ends of connections",
            one(|counted| &counted.round_trips),
        ),
    ]
}
