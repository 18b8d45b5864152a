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

/// A wait for a lock, a wait group or the like: which, its stack would tell.
const UNKNOWN_WAIT: &str = "unknown wait";

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
        let mut out = Counts::new(coverage, self.meter.lost()?);
        for one in self.meter.counts()? {
            let addresses = if one.stack.is_empty() { vec![one.caller] } else { one.stack.clone() };
            let calls = addresses.iter().map(|a| a.wrapping_sub(target.bias).wrapping_sub(1));
            out.add(&one, &symbols.stack(&calls.collect::<Vec<_>>()));
        }
        for address in out.shown() {
            let (memory, layout) = (&target.memory, &target.layout);
            let channel = Channel::read(memory, layout, target.bias, address);
            // Of a process that has ended what its channels were is not known any more.
            if channel.is_err() && !target.process.is_alive() {
                break;
            }
            if let Some(channel) = channel.map_err(plain)? {
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

/// Operation and place; `None` where no function of the program is known to be the caller.
type Line<'d> = (&'static str, Option<Place<'d>>);

/// A line of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place<'d> {
    function: &'d str,
    /// `None` where the program has no lines.
    at: Option<(&'d str, u32)>,
}

impl<'d> Place<'d> {
    fn of(stack: &[Position<'d>]) -> Option<Self> {
        let frame = place_of(stack)?;
        let at = Some((frame.file, frame.line)).filter(|(file, _)| !file.is_empty());
        Some(Self { function: frame.function, at })
    }

    fn text(&self) -> String {
        let name = goruntime::printed(self.function);
        match self.at {
            Some((file, line)) => format!("{name}  {file}:{line}"),
            None => name.into_owned(),
        }
    }
}

/// What was counted.
pub(super) struct Counts<'d> {
    coverage: Coverage,
    /// For how long the traps were there.
    seconds: f64,
    /// Operations that found no room, and those whose stack is not known.
    lost: (u64, u64),
    channels: BTreeMap<u64, Both>,
    lines: BTreeMap<Line<'d>, u64>,
    read: BTreeMap<u64, Channel>,
}

impl<'d> Counts<'d> {
    fn new(coverage: Coverage, lost: (u64, u64)) -> Self {
        let seconds = coverage.attached.as_secs_f64().max(1e-9);
        let (channels, lines, read) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { coverage, seconds, lost, channels, lines, read }
    }

    /// Adds a count; `stack` has the frames of its calls, or of its caller alone.
    fn add(&mut self, one: &Counted, stack: &[Position<'d>]) {
        let operation = match one.operation {
            SEND => "send",
            RECEIVE => "receive",
            SELECT => "select",
            // The caller alone is always one of the runtime's, whoever waits.
            _ if one.stack.len() < 2 => UNKNOWN_WAIT,
            _ => lock(stack),
        };
        if matches!(one.operation, SEND | RECEIVE) && one.value != 0 {
            let both = self.channels.entry(one.value).or_default();
            if one.operation == SEND { both.sent += one.count } else { both.received += one.count }
        }
        *self.lines.entry((operation, Place::of(stack))).or_default() += one.count;
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
        let lines = self.busiest_lines().into_iter().map(|((operation, place), n)| {
            let at = place.and_then(|place| place.at);
            json!({
                "operation": operation,
                "function": place.map(|place| goruntime::printed(place.function)),
                "file": at.map(|(file, _)| file),
                "line": at.map(|(_, line)| line),
                "count": n,
                "perSecond": self.rate(n),
            })
        });
        let (lost, stacks) = self.lost;
        json!({
            "channels": channels.collect::<Vec<_>>(),
            "lines": lines.collect::<Vec<_>>(),
            "moreChannels": self.channels.len().saturating_sub(SHOWN),
            "moreLines": self.lines.len().saturating_sub(SHOWN),
            "lost": lost,
            "lostStacks": stacks,
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
        for ((operation, place), n) in self.busiest_lines() {
            let place = place.map_or_else(|| "(no stack was kept)".to_owned(), |p| p.text());
            out.push(format!("{:>12.1} {operation:<14} {place}", self.rate(n)));
        }
        out.extend(self.notes().into_iter().map(|note| format!("note: {note}")));
        out
    }

    /// What limits what is shown.
    fn notes(&self) -> Vec<String> {
        let mut out = Vec::new();
        let more = [(self.channels.len(), "channels"), (self.lines.len(), "lines")];
        let more = more.into_iter().filter(|(count, _)| *count > SHOWN);
        out.extend(more.map(|(n, what)| format!("{} further {what} are not shown", n - SHOWN)));
        let (operations, stacks) = self.lost;
        if operations > 0 {
            let why = "there are too many different channels, lines and stacks";
            out.push(format!("{operations} operations are missing: {why}"));
        }
        if stacks > 0 {
            out.push(format!(
                "{stacks} waits for locks have their caller alone, which does not tell what they waited for: there \
                 are too many stacks"
            ));
        }
        out.extend(self.coverage.warning());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::governor::Budget;

    fn frame(function: &'static str) -> Position<'static> {
        Position { function, file: "/src/a.go", line: 7, start_line: 1, inlined: false }
    }

    fn counted(operation: u32, stack: &[u64]) -> Counted {
        let caller = stack.first().copied().unwrap_or(0);
        Counted { operation, value: 0, caller, stack: stack.to_vec(), count: 3, amount: 0 }
    }

    fn counts(lost: (u64, u64)) -> Counts<'static> {
        let coverage = Coverage {
            budget: Budget::Unlimited,
            cost: 0.0,
            elapsed: std::time::Duration::from_secs(1),
            attached: std::time::Duration::from_secs(1),
            windows: 1,
            pauses: 0,
            hits: 3,
            taken: None,
        };
        Counts::new(coverage, lost)
    }

    #[test]
    fn a_wait_whose_stack_was_lost_is_of_no_kind() {
        let mut all = counts((0, 3));
        let caller = frame("sync.runtime_SemacquireMutex");
        all.add(&counted(LOCK, &[]), &[caller]);
        all.add(&counted(LOCK, &[0x10]), &[caller]);
        let stack = [caller, frame("internal/sync.(*Mutex).lockSlow"), frame("main.work")];
        all.add(&counted(LOCK, &[0x10, 0x20, 0x30]), &stack);
        let place = |function| Some(Place { function, at: Some(("/src/a.go", 7)) });
        let lines = [
            (("mutex wait", place("main.work")), 3),
            ((UNKNOWN_WAIT, place("sync.runtime_SemacquireMutex")), 6),
        ];
        assert_eq!(all.lines, lines.into());
        assert!(all.notes()[0].starts_with("3 waits for locks have their caller alone"));
        assert!(counts((0, 0)).notes().is_empty());
        assert!(counts((5, 0)).notes()[0].starts_with("5 operations are missing"));
    }

    #[test]
    fn a_caller_that_was_not_read_is_no_place() {
        let mut all = counts((0, 0));
        all.add(&counted(SEND, &[]), &[]);
        let unnamed = Position { file: "", line: 0, ..frame("main.send") };
        all.add(&counted(SELECT, &[]), &[unnamed]);
        let unread = all.lines.keys().next().copied();
        assert_eq!(unread, Some(("select", Some(Place { function: "main.send", at: None }))));
        assert_eq!(all.lines.keys().nth(1), Some(&("send", None)));
        assert_eq!(unread.and_then(|(_, place)| place).map(|p| p.text()), Some("main.send".into()));
    }
}
