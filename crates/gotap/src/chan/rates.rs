//! How often values are sent and received, `select` is entered and locks are waited for, by channel and line:
//! counted by traps for a while, under the overhead budget.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use gobin::Binary;
use goruntime::{Channel, Position, Symbols};
use probes::{Counted, Features, Meter, Metered};
use serde_json::{Value, json};
use wire::MeterFlag;

use super::place_of;
use crate::cli::ChanArgs;
use crate::governor::{Coverage, Watch};
use crate::opened::{Target, plain};

const SEND: u32 = 0;
const RECEIVE: u32 = 1;
const SELECT: u32 = 2;
const LOCK: u32 = 3;

/// Channels and lines that are shown.
const SHOWN: usize = 20;

/// The traps.
pub(super) struct Rates {
    meter: Meter,
    watch: Watch,
}

impl Rates {
    /// Attaches them.
    pub(super) fn begin(args: &ChanArgs, target: &Target<'_, '_>) -> Result<Self> {
        goproc::check_pids()?;
        target.refuse_plugins()?;
        let pid = args.memory.pid;
        let places = match places(target.binary) {
            Ok(places) => places,
            Err(why) => bail!("operations on channels of process {pid} can't be counted: {why}"),
        };
        let features = Features::probe();
        let features =
            if args.no_uprobe_multi { features.without_uprobe_multi() } else { features };
        let mut meter = Meter::load(features, pid, target.file()?, target.bias, &places, None)?;
        let cost = meter.calibrate()?;
        meter.attach()?;
        Ok(Self { meter, watch: Watch::new(pid, args.overhead_budget, cost) })
    }

    /// Looks whether they may stay.
    pub(super) fn look(&mut self) -> Result<()> {
        self.watch.look(&mut self.meter)?;
        Ok(())
    }

    /// Takes them away.
    pub(super) fn finish<'d>(
        mut self,
        target: &Target<'_, '_>,
        symbols: &Symbols<'_, 'd>,
    ) -> Result<Counts<'d>> {
        let coverage = self.watch.coverage();
        self.meter.detach();
        // One may have been loaded meanwhile.
        target.refuse_plugins_unless_ended()?;
        let mut out = Counts {
            seconds: coverage.attached.as_secs_f64().max(1e-9),
            coverage,
            lost: self.meter.lost()?.0,
            channels: BTreeMap::new(),
            lines: BTreeMap::new(),
            read: BTreeMap::new(),
        };
        for one in self.meter.counts()? {
            out.add(&one, target, symbols);
        }
        for address in out.shown() {
            let (memory, layout) = (&target.memory, &target.layout);
            let channel = Channel::read(memory, layout, target.bias, address).map_err(plain)?;
            if let Some(channel) = channel {
                out.read.insert(address, channel);
            }
        }
        Ok(out)
    }
}

fn places(binary: &Binary<'_>) -> Result<Vec<Metered>, String> {
    // A channel's functions are called by one of several small ones, whose callers are meant.
    let channel = [MeterFlag::First, MeterFlag::Outer];
    let all: [(&str, u32, &[MeterFlag]); 4] = [
        ("runtime.chansend", SEND, &channel),
        ("runtime.chanrecv", RECEIVE, &channel),
        ("runtime.selectgo", SELECT, &[]),
        ("runtime.semacquire1", LOCK, &[MeterFlag::Stack]),
    ];
    let mut out = Vec::new();
    for (name, operation, flags) in all {
        // A program without select or locks lacks the function.
        let Some(function) = binary.function(name) else { continue };
        out.push(Metered::entry(binary, &function, operation, flags)?);
    }
    if out.is_empty() { Err("it has no functions for channels".to_owned()) } else { Ok(out) }
}

/// Sends and receives.
#[derive(Debug, Clone, Copy, Default)]
struct Both {
    sent: u64,
    received: u64,
}

/// Operation, function, file and line.
type Line<'d> = (&'static str, &'d str, &'d str, u32);

/// What was counted.
pub(super) struct Counts<'d> {
    coverage: Coverage,
    /// For how long the traps were there.
    seconds: f64,
    lost: u64,
    channels: BTreeMap<u64, Both>,
    lines: BTreeMap<Line<'d>, u64>,
    read: BTreeMap<u64, Channel>,
}

impl<'d> Counts<'d> {
    fn add(&mut self, one: &Counted, target: &Target<'_, '_>, symbols: &Symbols<'_, 'd>) {
        let caller = one.caller;
        let addresses = if one.stack.is_empty() { vec![caller] } else { one.stack.clone() };
        let calls = addresses.iter().map(|a| a.wrapping_sub(target.bias).wrapping_sub(1));
        let stack = symbols.stack(&calls.collect::<Vec<_>>());
        let operation = match one.operation {
            SEND => "send",
            RECEIVE => "receive",
            SELECT => "select",
            _ => lock(&stack),
        };
        if matches!(one.operation, SEND | RECEIVE) && one.value != 0 {
            let both = self.channels.entry(one.value).or_default();
            if one.operation == SEND { both.sent += one.count } else { both.received += one.count }
        }
        let place = place_of(&stack);
        let (function, file, line) = place.map_or(("", "", 0), |p| (p.function, p.file, p.line));
        *self.lines.entry((operation, function, file, line)).or_default() += one.count;
    }

    /// The busiest channels.
    fn shown(&self) -> Vec<u64> {
        let mut all: Vec<_> = self.channels.iter().collect();
        all.sort_by_key(|(_, both)| std::cmp::Reverse(both.sent + both.received));
        all.into_iter().map(|(address, _)| *address).take(SHOWN).collect()
    }

    fn busiest_lines(&self) -> Vec<(Line<'d>, u64)> {
        let mut all: Vec<_> = self.lines.iter().map(|(line, n)| (*line, *n)).collect();
        all.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        all.truncate(SHOWN);
        all
    }

    fn rate(&self, count: u64) -> f64 {
        count as f64 / self.seconds
    }

    pub(super) fn json(&self, symbols: &Symbols<'_, '_>) -> Value {
        let channels = self.shown().into_iter().map(|address| {
            let both = self.channels.get(&address).copied().unwrap_or_default();
            let channel = self.read.get(&address);
            json!({
                "address": format!("{address:#x}"),
                "elementType": channel.and_then(|c| symbols.type_name(c.element_type)),
                "len": channel.and_then(|c| c.len),
                "cap": channel.and_then(|c| c.capacity),
                "sends": both.sent,
                "receives": both.received,
                "sendsPerSecond": self.rate(both.sent),
                "receivesPerSecond": self.rate(both.received),
            })
        });
        let lines =
            self.busiest_lines().into_iter().map(|((operation, function, file, line), n)| {
                json!({
                    "operation": operation, "function": goruntime::printed(function), "file": file,
                    "line": line, "count": n, "perSecond": self.rate(n),
                })
            });
        json!({
            "channels": channels.collect::<Vec<_>>(),
            "lines": lines.collect::<Vec<_>>(),
            "lost": self.lost,
            "overhead": self.coverage.json(),
        })
    }

    pub(super) fn text(&self, symbols: &Symbols<'_, '_>) -> Vec<String> {
        let mut out = vec![format!("\n{:>12} {:>12}  channel", "sends/s", "receives/s")];
        for address in self.shown() {
            let both = self.channels.get(&address).copied().unwrap_or_default();
            let channel = self.read.get(&address);
            let kind = channel.and_then(|c| symbols.type_name(c.element_type)).unwrap_or("?");
            let room = channel.and_then(|c| Some(format!(", {} of {} used", c.len?, c.capacity?)));
            out.push(format!(
                "{:>12.1} {:>12.1}  chan of {kind} {address:#x}{}",
                self.rate(both.sent),
                self.rate(both.received),
                room.unwrap_or_default(),
            ));
        }
        out.push(format!("\n{:>12} {:<14} where", "a second", "operation"));
        for ((operation, function, file, line), n) in self.busiest_lines() {
            let name = goruntime::printed(function);
            out.push(format!("{:>12.1} {operation:<14} {name}  {file}:{line}", self.rate(n)));
        }
        if self.lost > 0 {
            out.push(format!("note: {} operations are missing: too many channels", self.lost));
        }
        out.extend(self.coverage.warning().map(|warning| format!("note: {warning}")));
        out
    }
}

/// What was waited for, by the functions that waited.
fn lock(stack: &[Position<'_>]) -> &'static str {
    let own = stack.iter().take_while(|frame| frame.waits_for_caller());
    let names: Vec<&str> = own.map(|frame| frame.function).collect();
    let has = |part: &str| names.iter().any(|name| name.contains(part));
    if has("(*RWMutex)") {
        "rwmutex wait"
    } else if has("(*Mutex)") {
        "mutex wait"
    } else if has("(*WaitGroup)") {
        "waitgroup wait"
    } else {
        "semaphore wait"
    }
}
