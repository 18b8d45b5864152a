//! TCP connections of the host as metrics and, where asked for, as spans.

mod counted;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use host::tcp::{Kind, Role};
use metrics::{Metric, Point};
use pipeline::{Connections as Served, Pipeline};
use probes::host::{Tcp, TcpOptions};
use trace::{Connection, Operation, Resource, Span, Status, Traffic, Value};

use super::series::Series;
use super::{BUFFER, Part};
use crate::live::clock_offset;
use crate::tcp::{Named, Names};
use counted::{Counted, Key, counters, distributions};

/// Open connections that are remembered.
const CONNECTIONS: u32 = 1 << 16;
/// How long the span of a connection waits for those of its requests.
const PATIENCE: Duration = Duration::from_millis(500);
/// Spans that may wait.
const MAX_WAITING: usize = 1 << 14;

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
        let ids = (fastrand::u128(1..).to_be_bytes(), fastrand::u64(1..).to_be_bytes());
        let times = (end.saturating_sub(duration), end);
        let resource = self.resource(named.service.as_ref());
        let status = if error.is_some() { Status::Error(String::new()) } else { Status::Unset };
        Some(Span {
            status,
            error_type: error.map(Into::into),
            ..Span::root(ids, "tcp", kind, times, operation(named), resource)
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
