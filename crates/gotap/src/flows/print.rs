//! Flows and their sums, as text or JSON.

use std::collections::HashMap;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

use host::flows::{Count, Direction, Flow, SIZES};
use probes::host::{Interface, Way};
use serde_json::{Value, json};

use crate::cli::{FlowsArgs, Format};
use crate::output::text::printable;

use super::{Process, Xdp};

/// A flow with the processes at its ends.
pub(super) struct Named {
    pub(super) flow: Flow,
    pub(super) count: Count,
    pub(super) source: Option<Process>,
    pub(super) destination: Option<Process>,
}

/// All that was counted.
pub(super) struct Report<'r> {
    /// The largest first.
    pub(super) flows: Vec<Named>,
    pub(super) totals: &'r HashMap<(u32, Direction), Count>,
    pub(super) xdp: Option<Xdp>,
    /// Where XDP ran, by interface.
    pub(super) modes: Vec<Option<&'static str>>,
    pub(super) before: &'r [Interface],
    pub(super) after: &'r [Interface],
    pub(super) way: Way,
    pub(super) elapsed: Duration,
}

impl Report<'_> {
    /// Prints all of it.
    pub(super) fn print(&self, to: &mut impl Write, args: &FlowsArgs) -> io::Result<()> {
        match args.format {
            Format::Json => self.json(to),
            Format::Text => self.text(to, args.top),
        }
    }

    fn name(&self, ifindex: u32) -> &str {
        self.before.iter().find(|i| i.index == ifindex).map_or("?", |i| i.name.as_str())
    }

    fn total(&self, ifindex: u32, direction: Direction) -> Count {
        self.totals.get(&(ifindex, direction)).copied().unwrap_or_default()
    }

    /// What was in flows that had to make room for others.
    fn evicted(&self) -> Count {
        let (mut all, mut kept) = (Count::default(), Count::default());
        self.totals.values().for_each(|count| all += *count);
        self.flows.iter().for_each(|named| kept += named.count);
        all.beyond(kept)
    }

    /// What the kernel dropped or found broken meanwhile; `None` if the interface is gone.
    fn faults(&self, interface: &Interface) -> Option<(u64, u64)> {
        let now = self.after.iter().find(|i| i.index == interface.index)?;
        let more = |now: u64, before: u64| now.saturating_sub(before);
        Some((more(now.dropped, interface.dropped), more(now.errors, interface.errors)))
    }

    fn json(&self, to: &mut impl Write) -> io::Result<()> {
        for named in &self.flows {
            writeln!(to, "{}", self.flow_json(named))?;
        }
        for (frames, count) in self.xdp.iter().flat_map(|xdp| &xdp.frames) {
            let line = json!({
                "xdp": {
                    "interface": self.name(frames.ifindex),
                    "etherType": frames.ethertype,
                    "protocol": frames.protocol,
                    "size": SIZES.get(usize::from(frames.size)),
                    "packets": count.packets,
                    "bytes": count.bytes,
                }
            });
            writeln!(to, "{line}")?;
        }
        let evicted = self.evicted();
        let summary = json!({
            "seconds": self.elapsed.as_secs_f64(),
            "attached": if self.way == Way::Tcx { "tcx" } else { "socket filter" },
            "flows": self.flows.len(),
            "interfaces": self.before.iter().zip(&self.modes).map(|(interface, mode)| {
                let sum = |direction| counted(&self.total(interface.index, direction));
                let faults = self.faults(interface);
                json!({
                    "name": interface.name,
                    "ingress": sum(Direction::Ingress),
                    "egress": sum(Direction::Egress),
                    "dropped": faults.map(|(dropped, _)| dropped),
                    "errors": faults.map(|(_, errors)| errors),
                    "xdp": mode,
                })
            }).collect::<Vec<_>>(),
            "lost": {
                "evictedPackets": evicted.packets,
                "evictedBytes": evicted.bytes,
                "xdpFrames": self.xdp.as_ref().map_or(0, |xdp| xdp.lost),
            },
        });
        writeln!(to, "{}", json!({ "summary": summary }))
    }

    fn flow_json(&self, named: &Named) -> Value {
        let ends = named.flow.ends.as_ref();
        let mut line = json!({
            "interface": self.name(named.flow.ifindex),
            "direction": word(named.flow.direction),
            "family": ends.map(|e| if e.source.is_ipv4() { "ipv4" } else { "ipv6" }),
            "protocol": ends.map(|e| protocol(e.protocol)),
            "source": ends.map(|e| end(e.source, named.source.as_ref())),
            "destination": ends.map(|e| end(e.destination, named.destination.as_ref())),
        });
        if let (Some(line), Value::Object(count)) = (line.as_object_mut(), counted(&named.count)) {
            line.extend(count);
        }
        line
    }

    fn text(&self, to: &mut impl Write, top: usize) -> io::Result<()> {
        for named in self.flows.iter().take(top) {
            let Named { flow, count, .. } = named;
            let what = match &flow.ends {
                None => "not IP".to_owned(),
                Some(e) => {
                    let source = shown(e.source, named.source.as_ref());
                    let destination = shown(e.destination, named.destination.as_ref());
                    format!("{:<5} {source} → {destination}", protocol(e.protocol))
                }
            };
            let (name, way) = (self.name(flow.ifindex), word(flow.direction));
            let (packets, bytes) = (count.packets, count.bytes);
            writeln!(to, "{bytes:>12} B {packets:>9} packets  {way:<7} {name:<8} {what}")?;
        }
        let mut rest = Count::default();
        self.flows.iter().skip(top).for_each(|named| rest += named.count);
        if rest != Count::default() {
            let n = self.flows.len().saturating_sub(top);
            writeln!(to, "{:>12} B {:>9} packets  in {n} more flows", rest.bytes, rest.packets)?;
        }
        for (interface, mode) in self.before.iter().zip(&self.modes) {
            self.interface_text(to, interface, *mode)?;
        }
        to.flush()?;
        let evicted = self.evicted();
        if evicted.packets > 0 {
            crate::output::note(format!(
                "lost: {} packets with {} bytes were in flows that had to make room (--flows)",
                evicted.packets, evicted.bytes
            ));
        }
        let (n, seconds) = (self.flows.len(), self.elapsed.as_secs_f64());
        let none = if evicted.packets == 0 { ", none lost" } else { "" };
        crate::output::note(format!("{n} flows in {seconds:.1} s{none}"));
        Ok(())
    }

    fn interface_text(
        &self,
        to: &mut impl Write,
        interface: &Interface,
        mode: Option<&str>,
    ) -> io::Result<()> {
        let into = self.total(interface.index, Direction::Ingress);
        let out = self.total(interface.index, Direction::Egress);
        let faults = match self.faults(interface) {
            Some((dropped, errors)) => format!("{dropped} dropped, {errors} errors"),
            None => "it is gone".to_owned(),
        };
        writeln!(
            to,
            "{}: in {} packets with {} B, out {} packets with {} B, {faults}",
            interface.name, into.packets, into.bytes, out.packets, out.bytes
        )?;
        let Some(xdp) = &self.xdp else { return Ok(()) };
        writeln!(to, "  frames that came in, by XDP ({}):", mode.unwrap_or("unknown mode"))?;
        let mut frames: Vec<_> =
            xdp.frames.iter().filter(|(f, _)| f.ifindex == interface.index).collect();
        frames.sort();
        for (f, count) in frames {
            let what = match f.ethertype {
                0x0800 => format!("IPv4 {}", protocol(f.protocol)),
                0x86dd => format!("IPv6 {}", protocol(f.protocol)),
                0x0806 => "ARP".to_owned(),
                other => format!("ethertype {other:#06x}"),
            };
            let size = SIZES.get(usize::from(f.size)).copied().unwrap_or("?");
            let Count { packets, bytes, .. } = count;
            writeln!(to, "{bytes:>14} B {packets:>9} frames of {size:>9} B  {what}")?;
        }
        Ok(())
    }
}

fn counted(count: &Count) -> Value {
    json!({ "packets": count.packets, "bytes": count.bytes, "payloadBytes": count.payload })
}

fn word(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "ingress",
        Direction::Egress => "egress",
    }
}

/// Names of IP's protocols.
fn protocol(number: u8) -> String {
    let name = match number {
        1 => "icmp",
        2 => "igmp",
        4 => "ipip",
        6 => "tcp",
        17 => "udp",
        41 => "ipv6",
        47 => "gre",
        50 => "esp",
        58 => "icmp6",
        132 => "sctp",
        other => return other.to_string(),
    };
    name.to_owned()
}

fn end(address: SocketAddr, process: Option<&Process>) -> Value {
    let port = Some(address.port()).filter(|port| *port != 0);
    json!({
        "address": address.ip().to_string(),
        "port": port,
        "pid": process.map(|(pid, _)| pid),
        "service": process.and_then(|(_, service)| service.as_deref()),
    })
}

fn shown(address: SocketAddr, process: Option<&Process>) -> String {
    let place = if address.port() == 0 { address.ip().to_string() } else { address.to_string() };
    match process {
        Some((pid, service)) => {
            format!("{place} {}[{pid}]", printable(service.as_deref().unwrap_or("?")))
        }
        None => place,
    }
}
