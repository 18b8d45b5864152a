//! What is counted of connections, by service and side, and the metrics of it. Not here: what connections do (`tcp`).

use std::collections::BTreeMap;

use host::tcp::{Kind, Reset, Role};
use metrics::{Attributes, Histogram, HistogramPoint, Metric, Point};

use crate::tcp::Named;

/// Buckets of how long connections are open, in seconds.
const DURATIONS: &[f64] =
    &[0.001, 0.01, 0.1, 1.0, 10.0, 60.0, 300.0, 1800.0, 3600.0, 21600.0, 86400.0];
/// Buckets of what takes a round trip, in seconds.
const ROUND_TRIPS: &[f64] =
    &[0.00005, 0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 3.0, 10.0];

/// What a series belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) service: Option<String>,
    pub(super) role: Option<Role>,
}

/// What was counted.
#[derive(Debug)]
pub(super) struct Counted {
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
    pub(super) fn add(&mut self, named: &Named) {
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

fn with(attributes: &Attributes, key: &'static str, value: metrics::Value) -> Attributes {
    attributes.iter().cloned().chain([(key, value)]).collect()
}

pub(super) fn counters(all: &[(Attributes, &Counted)]) -> Vec<Metric> {
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

pub(super) fn distributions(all: &[(Attributes, &Counted)]) -> Vec<Metric> {
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
