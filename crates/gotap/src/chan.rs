//! `gotap chan`: which channels and locks goroutines wait for, read from the process's memory.
//!
//! A channel that nobody waits for is not found this way, and not shown. For how long goroutines wait is in
//! `waits`, how often channels are used, which traps count, in `rates`.

mod hints;
mod rates;
mod stuck;
mod waits;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use goruntime::holders::Senders;
use goruntime::{
    Channel, Hold, Holds, Lock, Missing, Position, Snapshot, Symbols, WaitingOn, holders,
};
use serde_json::{Value, json};

use crate::cli::{ChanArgs, Format};
use crate::goroutines;
use crate::live::Until;
use crate::opened::{Opened, Target, monotonic, plain};
use crate::output::{line, note};
use hints::Again;
use rates::{Counts, Rates};
use waits::Waits;

/// Between looks at what waits, and the share of a processor that looking may take.
const INTERVAL: Duration = Duration::from_millis(10);
const SHARE: f64 = 0.1;
/// Until the second look, where the first one has something to confirm.
const AGAIN: Duration = Duration::from_secs(1);

/// Runs the command.
pub(crate) fn run(args: &ChanArgs) -> Result<()> {
    let opened = Opened::new(args.memory.pid)?;
    let binary = opened.binary()?;
    let types = binary.types();
    let target = opened.target(&binary, &types)?;
    let symbols = Symbols::new(&binary, &types);
    let watched = args.duration.map(|_| watch(args, &target, &symbols)).transpose()?;
    if let Some(watched) = watched.as_ref().filter(|_| !target.process.is_alive()) {
        return ended(args, &target, &symbols, watched);
    }
    let snapshot = take(&target)?;
    target.check()?;
    let held = holders::holds(&target.memory, &target.layout, &symbols, target.bias, &snapshot);
    let held = held.map_err(plain)?;
    let now = monotonic();
    let mut missing = goroutines::missing(&target, &snapshot);
    if held.left_out > 0 {
        let why = format!("{} stacks were not read, as there are too many", held.left_out);
        missing.push(Missing { what: "some holders of locks", why });
    }
    let (snapshot, symbols) = (&snapshot, &symbols);
    let info = binary.build_info();
    let modules = info.main.iter().chain(&info.deps).map(|module| module.path).collect();
    let view = View::new(snapshot, symbols, held, now, missing, modules);
    let again = match view.needs_second_look() {
        true => {
            std::thread::sleep(AGAIN);
            let second = take(&target)?;
            target.check()?;
            Again::new(snapshot, &second)
        }
        false => Again::default(),
    };
    let hints = view.hints(&again);
    match args.memory.format {
        Format::Json => {
            let mut out = view.json(args.memory.pid, &target.service, &hints);
            if let Some((waits, counts)) = &watched {
                out["waits"] = waits.json();
                out["rates"] = counts.as_ref().map_or(Value::Null, |counts| counts.json(symbols));
            }
            line(out)?;
        }
        Format::Text => {
            view.print(&hints)?;
            watched.iter().try_for_each(|watched| print_watched(watched, symbols))?;
        }
    }
    Ok(())
}

/// What was seen while it was looked at.
type Watched<'d> = (Waits<'d>, Option<Counts<'d>>);

fn print_watched(watched: &Watched<'_>, symbols: &Symbols<'_, '_>) -> Result<()> {
    let (waits, counts) = watched;
    let counts = counts.iter().flat_map(|counts| counts.text(symbols));
    Ok(waits.text().into_iter().chain(counts).try_for_each(line)?)
}

/// Of a process that ended before the time was over only that is known.
fn ended(
    args: &ChanArgs,
    target: &Target<'_, '_>,
    symbols: &Symbols<'_, '_>,
    watched: &Watched<'_>,
) -> Result<()> {
    let pid = args.memory.pid;
    match args.memory.format {
        Format::Json => {
            let (waits, counts) = watched;
            line(json!({
                "pid": pid,
                "service": target.service,
                "channels": null,
                "mutexes": null,
                "hints": [],
                "missing": [{"what": "channels and locks", "why": "the process has ended"}],
                "waits": waits.json(),
                "rates": counts.as_ref().map(|counts| counts.json(symbols)),
            }))?;
        }
        Format::Text => print_watched(watched, symbols)?,
    }
    note(format!(
        "process {pid} has ended: which channels and locks were waited for at its end is not known"
    ));
    Ok(())
}

fn take(target: &Target<'_, '_>) -> Result<Snapshot> {
    Snapshot::take(&target.memory, &target.layout, target.binary, target.bias).map_err(plain)
}

/// Looks again and again.
fn watch<'d>(
    args: &ChanArgs,
    target: &Target<'_, '_>,
    symbols: &Symbols<'_, 'd>,
) -> Result<Watched<'d>> {
    let mut until = Until::new(args.duration)?;
    let mut rates = args.rates.then(|| Rates::begin(args, target)).transpose()?;
    let mut waits = Waits::default();
    if rates.is_some() {
        note(format!("ready, counting operations on channels of {}", args.memory.pid));
    }
    until.begin();
    let mut next = Instant::now();
    while !until.is_over() && target.process.is_alive() {
        if let Some(rates) = &mut rates {
            rates.look()?;
        }
        if Instant::now() < next {
            std::thread::sleep(crate::governor::LOOK);
            continue;
        }
        let (began, used) = (Instant::now(), cpu_time());
        let Ok(snapshot) = take(target) else { break };
        waits.look(&snapshot, symbols, monotonic());
        next = began + cpu_time().saturating_sub(used).div_f64(SHARE).max(INTERVAL);
    }
    waits.finish();
    let counts = rates.map(|rates| rates.finish(target, symbols)).transpose()?;
    Ok((waits, counts))
}

/// The processor time of this command.
fn cpu_time() -> Duration {
    goproc::cpu_time(std::process::id()).unwrap_or_default()
}

/// The line of the program that waits: the first frame that is not the runtime's.
fn place_of<'d>(stack: &[Position<'d>]) -> Option<Position<'d>> {
    stack.iter().find(|frame| !frame.waits_for_caller()).or(stack.first()).copied()
}

struct View<'a, 'd> {
    snapshot: &'a Snapshot,
    symbols: &'a Symbols<'a, 'd>,
    /// Who holds locks, as far as stacks show it.
    held: Holds<'d>,
    /// What can't be known, and why.
    missing: Vec<Missing>,
    /// Import paths of the modules that the program is made of.
    modules: Vec<&'d str>,
    /// When the snapshot was taken, by the monotonic clock.
    now: u64,
    /// For how long somebody has waited for a channel or lock, by its address, in nanoseconds.
    oldest: HashMap<u64, u64>,
    /// Numbers of goroutines by their ids.
    by_goid: HashMap<u64, usize>,
    senders: Senders,
}

impl<'a, 'd> View<'a, 'd> {
    fn new(
        snapshot: &'a Snapshot,
        symbols: &'a Symbols<'a, 'd>,
        held: Holds<'d>,
        now: u64,
        missing: Vec<Missing>,
        modules: Vec<&'d str>,
    ) -> Self {
        let by_goid = snapshot.goroutines.iter().enumerate().map(|(i, g)| (g.goid, i)).collect();
        let (oldest, senders) = (HashMap::new(), Senders::of(snapshot));
        let mut new =
            Self { snapshot, symbols, held, missing, modules, now, oldest, by_goid, senders };
        new.note_ages();
        new
    }
}

impl View<'_, '_> {
    fn note_ages(&mut self) {
        let (snapshot, now) = (self.snapshot, self.now);
        for goroutine in &snapshot.goroutines {
            let Some(age) = goroutine.wait_since.and_then(|since| now.checked_sub(since)) else {
                continue;
            };
            let channels = match &goroutine.waiting_on {
                Some(WaitingOn::Channel(number)) => vec![*number],
                Some(WaitingOn::Select(numbers)) => numbers.to_vec(),
                _ => Vec::new(),
            };
            let channel = |number: &u32| snapshot.channels.get(*number as usize);
            let mut addresses: Vec<u64> =
                channels.iter().filter_map(channel).map(|c| c.address).collect();
            if let Some(WaitingOn::Lock(number)) = &goroutine.waiting_on {
                addresses.extend(snapshot.locks.get(*number as usize).map(|lock| lock.address));
            }
            for address in addresses {
                let oldest = self.oldest.entry(address).or_insert(age);
                *oldest = age.max(*oldest);
            }
        }
    }

    /// Channels, those with most waiters first.
    fn channels(&self) -> Vec<&Channel> {
        let mut all: Vec<_> = self.snapshot.channels.iter().collect();
        all.sort_by_key(|c| std::cmp::Reverse(c.senders.len() + c.receivers.len()));
        all
    }

    fn locks(&self) -> Vec<&Lock> {
        let mut all: Vec<_> = self.snapshot.locks.iter().collect();
        all.sort_by_key(|lock| std::cmp::Reverse(lock.waiters.len()));
        all
    }

    /// Who seems to hold locks, by the locks' addresses.
    fn holds(&self) -> HashMap<u64, Vec<&Hold<'_>>> {
        let mut out: HashMap<u64, Vec<&Hold<'_>>> = HashMap::new();
        for hold in &self.held.holds {
            if let Some(lock) = self.snapshot.locks.get(hold.lock) {
                out.entry(lock.address).or_default().push(hold);
            }
        }
        out
    }

    /// Who seems to hold a lock, and where it will unlock it.
    fn holders(&self, holds: Option<&Vec<&Hold<'_>>>) -> Vec<Value> {
        let holder = |hold: &&Hold<'_>| {
            json!({
                "goid": self.snapshot.goroutines.get(hold.goroutine).map(|g| g.goid),
                "function": goruntime::printed(hold.at.function),
                "file": hold.at.file,
                "line": hold.at.line,
                "shared": hold.shared,
            })
        };
        holds.into_iter().flatten().map(holder).collect()
    }

    fn seconds(&self, address: u64) -> Option<f64> {
        self.oldest.get(&address).map(|age| *age as f64 / 1e9)
    }

    fn element<'s>(&'s self, channel: &Channel) -> Option<&'s str> {
        channel.len.and_then(|_| self.symbols.type_name(channel.element_type))
    }

    fn json(&self, pid: u32, service: &str, hints: &[String]) -> Value {
        let channel = |c: &&Channel| {
            let is_read = c.len.is_some();
            json!({
                "address": format!("{:#x}", c.address),
                "elementType": self.element(c),
                "len": c.len,
                "cap": c.capacity,
                "closed": c.closed,
                "senders": is_read.then_some(&c.senders),
                "receivers": is_read.then_some(&c.receivers),
                "oldestWaitSeconds": self.seconds(c.address),
            })
        };
        let holds = self.holds();
        let lock = |lock: &&Lock| {
            json!({
                "kind": lock.kind.name(),
                "address": format!("{:#x}", lock.address),
                "waiters": lock.waiters,
                "holders": Some(self.holders(holds.get(&lock.address)))
                    .filter(|holders| !holders.is_empty() || self.held.left_out == 0),
                "oldestWaitSeconds": self.seconds(lock.address),
            })
        };
        let missing = self.missing.iter().map(|m| json!({"what": m.what, "why": m.why}));
        // Where they can't be read, that there are none is not known.
        let known = |list: Vec<Value>, what: &str| {
            let is_missing = list.is_empty() && self.missing.iter().any(|m| m.what == what);
            (!is_missing).then_some(list)
        };
        json!({
            "pid": pid,
            "service": service,
            "channels": known(self.channels().iter().map(channel).collect(), "channels"),
            "mutexes": known(self.locks().iter().map(lock).collect(), "locks"),
            "hints": hints,
            "missing": missing.collect::<Vec<_>>(),
        })
    }

    fn print(&self, hints: &[String]) -> Result<()> {
        for channel in self.channels() {
            let number = |n: Option<u64>| n.map_or_else(|| "?".to_owned(), |n| n.to_string());
            let age = self.age(channel.address);
            line(format!(
                "chan of {} {:#x}, {} of {} used{}, {} send and {} receive{age}",
                self.element(channel).unwrap_or("?"),
                channel.address,
                number(channel.len),
                number(channel.capacity),
                if channel.closed == Some(true) { ", closed" } else { "" },
                channel.senders.len(),
                channel.receivers.len(),
            ))?;
        }
        let holds = self.holds();
        for lock in self.locks() {
            let (kind, age) = (lock.kind.name(), self.age(lock.address));
            let holds = match self.holders(holds.get(&lock.address)).as_slice() {
                [] => String::new(),
                [one] => format!(", goroutine {} seems to hold it", one["goid"]),
                all => format!(", {} seem to hold it to read", all.len()),
            };
            line(format!("{kind} {:#x}, {} wait{age}{holds}", lock.address, lock.waiters.len()))?;
        }
        for hint in hints {
            line(format!("note: {hint}"))?;
        }
        for missing in &self.missing {
            line(format!("not known: {}: {}", missing.what, missing.why))?;
        }
        let kinds = ["channels", "locks", "wait reasons", "some channels and locks"];
        let is_missing = |m: &Missing| kinds.contains(&m.what);
        let is_empty = self.snapshot.channels.is_empty() && self.snapshot.locks.is_empty();
        if is_empty && !self.missing.iter().any(is_missing) {
            line("no goroutine waits for a channel or a lock")?;
        }
        Ok(())
    }

    fn age(&self, address: u64) -> String {
        let seconds = self.seconds(address);
        seconds.map(|s| format!(", one for {s:.0} s")).unwrap_or_default()
    }
}
