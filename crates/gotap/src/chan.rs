//! `gotap chan`: which channels and locks goroutines wait for, read from the process's memory.
//!
//! A channel that nobody waits for is not found this way, and not shown.

use std::collections::HashMap;

use anyhow::Result;
use goruntime::{Channel, Lock, LockKind, Snapshot, Symbols, WaitingOn};
use serde_json::{Value, json};

use crate::cli::{Format, MemoryArgs};
use crate::opened::{Opened, monotonic, plain};
use crate::output::line;

/// So many goroutines behind one lock are worth a word.
const MANY: usize = 10;

/// Runs the command.
pub(crate) fn run(args: &MemoryArgs) -> Result<()> {
    let opened = Opened::new(args.pid)?;
    let binary = opened.binary()?;
    let types = binary.types();
    let target = opened.target(&binary, &types)?;
    let symbols = Symbols::new(&binary, &types);
    let snapshot = Snapshot::take(&target.memory, &target.layout, &binary, target.bias);
    let snapshot = snapshot.map_err(plain)?;
    target.check()?;
    let mut view = View { snapshot: &snapshot, symbols: &symbols, oldest: HashMap::new() };
    view.note_ages(monotonic());
    match args.format {
        Format::Json => Ok(line(view.json(args.pid, &target.service))?),
        Format::Text => view.print(),
    }
}

struct View<'a, 'd> {
    snapshot: &'a Snapshot,
    symbols: &'a Symbols<'a, 'd>,
    /// For how long somebody has waited for a channel or lock, by its address, in nanoseconds.
    oldest: HashMap<u64, u64>,
}

impl View<'_, '_> {
    fn note_ages(&mut self, now: u64) {
        let snapshot = self.snapshot;
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

    fn seconds(&self, address: u64) -> Option<f64> {
        self.oldest.get(&address).map(|age| *age as f64 / 1e9)
    }

    fn element<'s>(&'s self, channel: &Channel) -> Option<&'s str> {
        channel.len.and_then(|_| self.symbols.type_name(channel.element_type))
    }

    fn json(&self, pid: u32, service: &str) -> Value {
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
        let lock = |lock: &&Lock| {
            json!({
                "kind": lock.kind.name(),
                "address": format!("{:#x}", lock.address),
                "waiters": lock.waiters,
                "oldestWaitSeconds": self.seconds(lock.address),
            })
        };
        json!({
            "pid": pid,
            "service": service,
            "channels": self.channels().iter().map(channel).collect::<Vec<_>>(),
            "mutexes": self.locks().iter().map(lock).collect::<Vec<_>>(),
            "hints": self.hints(),
        })
    }

    /// What stands out.
    fn hints(&self) -> Vec<String> {
        let mut out = Vec::new();
        for channel in self.channels() {
            let (senders, receivers) = (channel.senders.len(), channel.receivers.len());
            if senders >= MANY && receivers == 0 {
                out.push(format!(
                    "{senders} goroutines wait to send to {:#x}, and none waits to receive",
                    channel.address
                ));
            }
            if channel.closed == Some(true) && senders > 0 {
                out.push(format!("{:#x} is closed, and senders wait", channel.address));
            }
        }
        for lock in self.locks().into_iter().filter(|lock| lock.waiters.len() >= MANY) {
            let (count, kind) = (lock.waiters.len(), lock.kind.name());
            if lock.kind != LockKind::WaitGroup {
                out.push(format!("{count} goroutines wait for the {kind} at {:#x}", lock.address));
            }
        }
        let nil = |g: &&goruntime::Goroutine| g.waiting_on == Some(WaitingOn::NilChannel);
        let never = self.snapshot.goroutines.iter().filter(nil).count();
        if never > 0 {
            out.push(format!("{never} goroutines wait for a channel that is nil, for ever"));
        }
        out
    }

    fn print(&self) -> Result<()> {
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
        for lock in self.locks() {
            let (kind, age) = (lock.kind.name(), self.age(lock.address));
            line(format!("{kind} {:#x}, {} wait{age}", lock.address, lock.waiters.len()))?;
        }
        for hint in self.hints() {
            line(format!("note: {hint}"))?;
        }
        if self.snapshot.channels.is_empty() && self.snapshot.locks.is_empty() {
            line("no goroutine waits for a channel or a lock")?;
        }
        Ok(())
    }

    fn age(&self, address: u64) -> String {
        let seconds = self.seconds(address);
        seconds.map(|s| format!(", one for {s:.0} s")).unwrap_or_default()
    }
}
