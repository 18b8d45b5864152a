//! TCP connections and their summary, as text or JSON.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

use host::tcp::{Counts, Event, Fault, Kind, Reset, Role};
use probes::host::TcpCounts;
use serde_json::{Value, json};

use crate::output::text::{clock, duration, printable};
use crate::output::{losses, note};

use super::Named;

/// What was printed.
#[derive(Debug, Default)]
pub(super) struct Tally {
    connects: u64,
    accepts: u64,
    closes: u64,
    failures: u64,
    retransmits: u64,
    /// Events whose process is not known.
    owner_unknown: u64,
    /// Processes that ended before their service's name could be read.
    pub(super) services_unknown: u64,
    /// Records that could not be understood.
    pub(super) invalid: u64,
}

impl Tally {
    pub(super) fn add(&mut self, event: &Event, pid: Option<u32>) {
        let count = match event.kind {
            Kind::Connected => &mut self.connects,
            Kind::Accepted => &mut self.accepts,
            Kind::Closed => &mut self.closes,
            Kind::Failed => &mut self.failures,
            Kind::Retransmitted => &mut self.retransmits,
        };
        *count += 1;
        self.owner_unknown += u64::from(pid.is_none());
    }
}

/// Prints to `output`.
pub(super) struct Printer<W> {
    pub(super) output: W,
    json: bool,
}

impl<W: Write> Printer<W> {
    pub(super) fn new(output: W, json: bool) -> Self {
        Self { output, json }
    }

    /// Prints one event. `offset` leads from its clock to nanoseconds since 1970.
    pub(super) fn event(&mut self, named: &Named, offset: u64) -> io::Result<()> {
        let time = named.event.time_ns.wrapping_add(offset);
        if self.json {
            return writeln!(self.output, "{}", to_json(named, time));
        }
        writeln!(self.output, "{}  {}", clock(time), text(named))
    }

    /// Prints what all of them add up to: as the last line of JSON, else on standard error.
    pub(super) fn summary(
        &mut self,
        tally: &Tally,
        counts: &TcpCounts,
        elapsed: Duration,
    ) -> io::Result<()> {
        let lost = [
            ("ringFull", counts.lost, "events are lost, as the ring buffer was full"),
            (
                "notRemembered",
                counts.not_remembered,
                "connections were not remembered, as too many were open (--connections)",
            ),
            ("notRun", counts.not_run, "changes were left out by the kernel"),
            ("invalid", tally.invalid, "events could not be understood"),
        ];
        if self.json {
            let summary = json!({
                "seconds": elapsed.as_secs_f64(),
                "connects": tally.connects,
                "accepts": tally.accepts,
                "closes": tally.closes,
                "failures": tally.failures,
                "retransmits": tally.retransmits,
                "ofUnknownProcess": tally.owner_unknown,
                "servicesUnread": tally.services_unknown,
                "hostEvents": counts.events,
                "lost": losses::to_json(&lost),
            });
            return writeln!(self.output, "{}", json!({ "summary": summary }));
        }
        self.output.flush()?;
        let none = losses::say(&lost);
        note(format!(
            "{} connections made, {} accepted, {} closed, {} failed{none}; {} events of an \
             unknown process",
            tally.connects, tally.accepts, tally.closes, tally.failures, tally.owner_unknown
        ));
        Ok(())
    }
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Connected => "connect",
        Kind::Accepted => "accept",
        Kind::Closed => "close",
        Kind::Failed => "failed",
        Kind::Retransmitted => "retransmit",
    }
}

fn text(named: &Named) -> String {
    let event = &named.event;
    let who = match (&named.service, named.pid) {
        (Some(service), Some(pid)) => format!("{}[{pid}]", printable(service)),
        (_, Some(pid)) => format!("?[{pid}]"),
        _ => "(unknown process)".to_owned(),
    };
    // Of a server this side stands first, too; the arrow says who connected.
    let arrow = match named.role {
        Some(Role::Server) => "←",
        Some(Role::Client) => "→",
        None => "–",
    };
    let mut parts = Vec::new();
    if let Some(lasted) = event.duration_ns.map(duration) {
        parts.push(match event.kind {
            Kind::Connected => format!("in {lasted}"),
            Kind::Accepted => format!("waited {lasted}"),
            _ => format!("after {lasted}"),
        });
    }
    if event.kind == Kind::Failed {
        let error = event.error.name().unwrap_or_else(|| "for an unknown reason".to_owned());
        parts.insert(0, error);
    } else {
        parts.extend(event.counts.as_ref().map(transferred));
        match event.reset {
            Some(Reset::Received) => parts.push("reset by the other side".to_owned()),
            Some(Reset::Sent) => parts.push("reset by this side".to_owned()),
            None => parts.extend(event.error.name()),
        }
    }
    let (kind, parts) = (word(event.kind), parts.join(", "));
    format!("{kind:<7}  {who}  {} {arrow} {}  {parts}", event.local, event.peer)
}

fn transferred(counts: &Counts) -> String {
    let rtt = counts.rtt_us.map(|rtt| format!(", rtt {}", duration(u64::from(rtt) * 1000)));
    let again = match counts.retransmits {
        0 => String::new(),
        n => format!(", {n} retransmits"),
    };
    let (sent, received) = (counts.sent, counts.received);
    format!("sent {sent} B, received {received} B{}{again}", rtt.unwrap_or_default())
}

fn to_json(named: &Named, time: u64) -> Value {
    let event = &named.event;
    let (source, destination) = named.ends();
    // Of one that was just made there is nothing to count.
    let counts = event.counts.filter(|_| event.kind != Kind::Failed);
    let tried = event.counts.filter(|_| event.kind == Kind::Failed);
    let role = named.role.map(|role| match role {
        Role::Client => "client",
        Role::Server => "server",
    });
    let reset = event.reset.map(|reset| match reset {
        Reset::Received => "received",
        Reset::Sent => "sent",
    });
    let errno = match event.error {
        Fault::Errno(number) => Some(number),
        _ => None,
    };
    json!({
        "event": word(event.kind),
        "pid": named.pid,
        "service": named.service,
        "name": event.process.as_ref().map(|process| &process.comm),
        "role": role,
        "family": if event.peer.is_ipv4() { "ipv4" } else { "ipv6" },
        "source": end(source),
        "destination": end(destination),
        "networkNamespace": event.netns,
        "timeUnixNano": time,
        "durationNanos": event.duration_ns,
        "bytesSent": counts.map(|counts| counts.sent),
        "bytesReceived": counts.map(|counts| counts.received),
        "rttMicros": counts.and_then(|counts| counts.rtt_us),
        "retransmits": counts.or(tried).map(|counts| counts.retransmits),
        "error": event.error.name(),
        "errno": errno,
        "reset": reset,
    })
}

fn end(address: SocketAddr) -> Value {
    // A socket has no port before it sends, and no address.
    let port = Some(address.port()).filter(|port| *port != 0);
    let ip = Some(address.ip()).filter(|ip| !ip.is_unspecified());
    json!({ "address": ip.map(|ip| ip.to_string()), "port": port })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(role: Option<Role>, kind: Kind) -> Named {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let event = Event {
            kind,
            time_ns: 0,
            duration_ns: Some(1_230_000),
            process: None,
            role,
            netns: 1,
            local: address("10.0.0.1:40000"),
            peer: address("10.0.0.2:80"),
            counts: Some(Counts { sent: 5, received: 7, rtt_us: Some(90), retransmits: 1 }),
            error: if kind == Kind::Failed { Fault::Errno(111) } else { Fault::None },
            reset: None,
        };
        Named { event, pid: Some(7), service: Some("shop".into()), role }
    }

    #[test]
    fn events_are_lines() {
        let close = text(&named(Some(Role::Server), Kind::Closed));
        let expected = "close    shop[7]  10.0.0.1:40000 ← 10.0.0.2:80  after 1.23ms, sent 5 B, \
                        received 7 B, rtt 90.0µs, 1 retransmits";
        assert_eq!(close, expected);
        let failed = text(&named(Some(Role::Client), Kind::Failed));
        assert!(failed.ends_with("10.0.0.1:40000 → 10.0.0.2:80  ECONNREFUSED, after 1.23ms"));
    }

    #[test]
    fn the_source_is_who_connected() {
        let json = |role| to_json(&named(role, Kind::Closed), 1);
        let server = json(Some(Role::Server));
        assert_eq!(
            (&server["source"]["port"], &server["destination"]["port"]),
            (&json!(80), &json!(40000))
        );
        assert_eq!(json(Some(Role::Client))["source"]["port"], 40000);
        let unknown = json(None);
        assert_eq!((&unknown["source"]["port"], &unknown["role"]), (&json!(40000), &Value::Null));
        let failed = to_json(&named(Some(Role::Client), Kind::Failed), 1);
        assert!(failed["bytesSent"].is_null() && failed["error"] == "ECONNREFUSED", "{failed}");
    }
}
