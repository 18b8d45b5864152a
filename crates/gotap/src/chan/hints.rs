//! What stands out among channels and locks: who waits for each other, what nobody takes, which lock is kept.
//!
//! Each hint says what was seen and for how long. Idle workers, servers that wait for requests, and a producer
//! that waits for its consumer are no faults, and get none. `stuck` says when nothing of the program can go on.

use std::collections::{BTreeMap, HashMap, HashSet};

use goruntime::holders::{Link, cycles};
use goruntime::{Channel, Goroutine, Hold, Lock, LockKind, Snapshot, WaitingOn};

use super::{View, place_of};

/// So many goroutines behind one lock or channel are worth a word.
const MANY: usize = 10;
/// Who waits for a lock for so long may wait for ever; so does who waits to send, where there are several
/// channels. In nanoseconds.
pub(super) const LONG: u64 = 10_000_000_000;
/// Who waits in a circle for so long, for locks that seem to be held, waits for ever.
const CIRCLE: u64 = 5_000_000_000;
/// A producer that waits for its consumer for so long is worth a word.
const VERY_LONG: u64 = 60_000_000_000;

/// Notes about nil channels: one for each place. Further places are only counted.
const MAX_PLACES: usize = 10;

/// What a second look, a moment later, says of the first.
#[derive(Debug, Default)]
pub(super) struct Again {
    /// Goroutines that wait for the same, and have not run meanwhile.
    still: HashSet<u64>,
    /// Channels without a receiver, and locks, that many wait for again.
    crowded: HashSet<u64>,
}

impl Again {
    pub(super) fn new(first: &Snapshot, second: &Snapshot) -> Self {
        let before: HashMap<u64, &Goroutine> =
            first.goroutines.iter().map(|g| (g.goid, g)).collect();
        let is_still = |g: &&Goroutine| {
            let same = before.get(&g.goid).is_some_and(|then| {
                then.state == g.state && then.stops == g.stops && then.wait_since <= g.wait_since
            });
            same && !g.changed
                && target(second, g) == before.get(&g.goid).and_then(|b| target(first, b))
        };
        let still = second.goroutines.iter().filter(is_still).map(|g| g.goid).collect();
        let channels = second.channels.iter().filter(|c| is_crowded(c)).map(|c| c.address);
        let locks = second.locks.iter().filter(|l| l.waiters.len() >= MANY).map(|l| l.address);
        Self { still, crowded: channels.chain(locks).collect() }
    }
}

/// The address of the one channel or lock that a goroutine waits for.
fn target(snapshot: &Snapshot, goroutine: &Goroutine) -> Option<u64> {
    match goroutine.waiting_on {
        Some(WaitingOn::Channel(n)) => snapshot.channels.get(n as usize).map(|c| c.address),
        Some(WaitingOn::Lock(n)) => snapshot.locks.get(n as usize).map(|lock| lock.address),
        _ => None,
    }
}

/// Whether many wait to send to a channel that is full, and nobody to receive.
fn is_crowded(channel: &Channel) -> bool {
    let is_full = channel.len.is_some() && channel.len == channel.capacity;
    is_full && channel.senders.len() >= MANY && channel.receivers.is_empty()
}

impl View<'_, '_> {
    /// Whether a second look is needed before anything is said.
    pub(super) fn needs_second_look(&self) -> bool {
        let many = |lock: &Lock| lock.kind.is_held() && lock.waiters.len() >= MANY;
        !cycles(self.snapshot, &self.held.holds).is_empty()
            || self.snapshot.channels.iter().any(is_crowded)
            || self.snapshot.locks.iter().any(many)
    }

    /// What stands out.
    pub(super) fn hints(&self, again: &Again) -> Vec<String> {
        let mut circular = HashSet::new();
        let mut out = Vec::new();
        for cycle in cycles(self.snapshot, &self.held.holds) {
            // A queue behind a lock may last for a second, too. Where an age is known, it has to be long.
            let waits = |link: &Link<'_, '_>| {
                let goroutine = self.snapshot.goroutines.get(link.goroutine);
                goroutine.is_some_and(|g| {
                    again.still.contains(&g.goid) && self.waited(g).is_none_or(|age| age >= CIRCLE)
                })
            };
            if cycle.iter().all(waits) {
                circular.extend(cycle.iter().map(|link| link.lock));
                out.push(self.deadlock(&cycle));
            }
        }
        if circular.is_empty() {
            out.extend(self.stuck());
        }
        let locks = self.snapshot.locks.iter().enumerate();
        let others = locks.filter(|(i, lock)| lock.kind.is_held() && !circular.contains(i));
        out.extend(others.filter_map(|(i, lock)| self.kept(i, lock, again)));
        out.extend(self.channels().into_iter().filter_map(|channel| self.full(channel, again)));
        out.extend(self.unreceived());
        out.extend(self.mutual());
        out.extend(self.groups());
        out.extend(self.nil());
        out
    }

    /// Goroutines that wait for channels that are nil, by place. A `select` has no channels where all are.
    fn nil(&self) -> Vec<String> {
        let mut places: BTreeMap<(bool, String), usize> = BTreeMap::new();
        for goroutine in self.snapshot.goroutines.iter().filter(|g| !g.changed) {
            let reason = self.snapshot.wait_reason(goroutine).unwrap_or_default();
            let is_empty =
                matches!(&goroutine.waiting_on, Some(WaitingOn::Select(all)) if all.is_empty());
            let selects = is_empty && reason == "select" && self.snapshot.unread_waits == 0;
            if selects || goroutine.waiting_on == Some(WaitingOn::NilChannel) {
                *places.entry((selects, self.place(goroutine))).or_default() += 1;
            }
        }
        let shown = places.iter().take(MAX_PLACES).map(|((selects, at), count)| {
            let what = if *selects { "channels that are all nil" } else { "a channel that is nil" };
            format!("{count} goroutines wait for {what}, for ever: {at}")
        });
        let more = places.len().saturating_sub(MAX_PLACES);
        let more = (more > 0).then(|| format!("the same at {more} more places"));
        shown.chain(more).collect()
    }

    fn goid(&self, index: usize) -> u64 {
        self.snapshot.goroutines.get(index).map_or(0, |g| g.goid)
    }

    /// For how long a goroutine has waited at least.
    pub(super) fn waited(&self, goroutine: &Goroutine) -> Option<u64> {
        self.now.checked_sub(goroutine.wait_since?)
    }

    /// Where a goroutine waits.
    pub(super) fn place(&self, goroutine: &Goroutine) -> String {
        let stack = self.snapshot.stack(goroutine).map(|stack| self.symbols.stack(stack));
        match stack.as_deref().and_then(place_of) {
            Some(at) => format!("{} {}:{}", at.name(), at.file, at.line),
            None => "at a place that is not known".to_owned(),
        }
    }

    fn named(lock: &Lock) -> String {
        format!("the {} at {:#x}", lock.kind.name(), lock.address)
    }

    /// Goroutines that wait for each other's locks.
    fn deadlock(&self, cycle: &[Link<'_, '_>]) -> String {
        let mut parts = Vec::new();
        for (i, link) in cycle.iter().enumerate() {
            // Who waits for this lock is who holds the one before it.
            let waits = cycle[(i + cycle.len() - 1) % cycle.len()].goroutine;
            let Some(goroutine) = self.snapshot.goroutines.get(waits) else { continue };
            let Some(lock) = self.snapshot.locks.get(link.lock) else { continue };
            let holder = if waits == link.goroutine {
                "it".to_owned()
            } else {
                format!("goroutine {}", self.goid(link.goroutine))
            };
            parts.push(format!(
                "goroutine {} waits for {} ({}), which {holder} seems to hold ({} {}:{})",
                goroutine.goid,
                Self::named(lock),
                self.place(goroutine),
                goruntime::printed(link.at.function),
                link.at.file,
                link.at.line,
            ));
        }
        let members = cycle.iter().filter_map(|link| self.snapshot.goroutines.get(link.goroutine));
        let since = members.filter_map(|g| self.waited(g)).min();
        let since = since.map(|age| format!(", for at least {} s", age / 1_000_000_000));
        format!("deadlock{}: {}", since.unwrap_or_default(), parts.join("; "))
    }

    /// A lock that is not given back, or that many wait for.
    fn kept(&self, index: usize, lock: &Lock, again: &Again) -> Option<String> {
        let age = self.oldest.get(&lock.address).copied().filter(|age| *age >= LONG);
        let count = lock.waiters.len();
        if age.is_none() && !(count >= MANY && again.crowded.contains(&lock.address)) {
            return None;
        }
        let first = self.by_goids(&lock.waiters).into_iter().max_by_key(|g| self.waited(g))?;
        let age = age.map(|age| format!(", one for at least {} s", age / 1_000_000_000));
        Some(format!(
            "{count} wait for {}{} ({}): {}",
            Self::named(lock),
            age.unwrap_or_default(),
            self.place(first),
            self.holder(index),
        ))
    }

    fn holder(&self, lock: usize) -> String {
        let holds: Vec<&Hold<'_>> =
            self.held.holds.iter().filter(|hold| hold.lock == lock).collect();
        let first = holds.first().and_then(|hold| self.snapshot.goroutines.get(hold.goroutine));
        let Some(goroutine) = first else {
            return "who holds it is not known".to_owned();
        };
        let does = self.snapshot.wait_reason(goroutine).unwrap_or(goroutine.state.name());
        let more = if holds.len() > 1 {
            format!(", and {} more seem to", holds.len() - 1)
        } else {
            String::new()
        };
        format!(
            "goroutine {} seems to hold it [{does}] ({}){more}",
            goroutine.goid,
            self.place(goroutine)
        )
    }

    /// A full channel that many wait to send to.
    fn full(&self, channel: &Channel, again: &Again) -> Option<String> {
        if !is_crowded(channel) || !again.crowded.contains(&channel.address) {
            return None;
        }
        let senders: Vec<&Goroutine> = self.senders(channel);
        let through = senders.iter().filter(|g| !again.still.contains(&g.goid)).count();
        let progress = match through {
            0 => "none was received within a second: who receives is gone, or busy".to_owned(),
            n => format!("{n} got through within a second: they send faster than others receive"),
        };
        Some(format!(
            "{} goroutines wait to send to {} ({}), and none waits to receive; {progress}",
            senders.len(),
            self.described(channel),
            senders.first().map(|g| self.place(g)).unwrap_or_default(),
        ))
    }

    fn described(&self, channel: &Channel) -> String {
        let number = |n: Option<u64>| n.map_or_else(|| "?".to_owned(), |n| n.to_string());
        format!(
            "the chan of {} at {:#x}, {} of {} used",
            self.element(channel).unwrap_or("?"),
            channel.address,
            number(channel.len),
            number(channel.capacity),
        )
    }

    fn senders(&self, channel: &Channel) -> Vec<&Goroutine> {
        self.by_goids(&channel.senders)
    }

    fn by_goids(&self, goids: &[u64]) -> Vec<&Goroutine> {
        let numbers = goids.iter().filter_map(|goid| self.by_goid.get(goid));
        numbers.filter_map(|number| self.snapshot.goroutines.get(*number)).collect()
    }

    /// Few that have waited to send for very long, by place: each may have a channel of its own.
    fn unreceived(&self) -> Vec<String> {
        let mut places: HashMap<String, (usize, HashSet<u64>, u64)> = HashMap::new();
        for channel in self.snapshot.channels.iter().filter(|c| c.receivers.is_empty()) {
            if is_crowded(channel) {
                continue;
            }
            for goroutine in self.senders(channel) {
                let Some(age) = self.waited(goroutine).filter(|age| *age >= VERY_LONG) else {
                    continue;
                };
                let (count, channels, oldest) = places.entry(self.place(goroutine)).or_default();
                *count += 1;
                channels.insert(channel.address);
                *oldest = age.max(*oldest);
            }
        }
        let mut all: Vec<_> = places.into_iter().collect();
        all.sort_by(|a, b| b.1.0.cmp(&a.1.0).then(a.0.cmp(&b.0)));
        let text = |(place, (count, channels, oldest)): (String, (usize, HashSet<u64>, u64))| {
            let which = match (channels.len(), channels.iter().next()) {
                (1, Some(address)) => format!("the channel at {address:#x}"),
                (n, _) => format!("{n} channels"),
            };
            format!(
                "{count} wait to send to {which} ({place}), one for at least {} s, and nobody waits to receive",
                oldest / 1_000_000_000
            )
        };
        all.into_iter().map(text).collect()
    }

    /// Two channels, where who waits to send to the one has the other one on its stack.
    fn mutual(&self) -> Vec<String> {
        let mut pairs: HashSet<(usize, usize)> = HashSet::new();
        for (goroutine, other) in &self.held.mentions {
            let Some(goroutine) = self.snapshot.goroutines.get(*goroutine) else { continue };
            let Some(WaitingOn::Channel(number)) = goroutine.waiting_on else { continue };
            if number as usize != *other && self.waited(goroutine).is_some_and(|age| age >= LONG) {
                pairs.insert((number as usize, *other));
            }
        }
        let mut both: Vec<_> =
            pairs.iter().filter(|(a, b)| a < b && pairs.contains(&(*b, *a))).collect();
        both.sort_unstable();
        let text = |(a, b): &(usize, usize)| {
            let (a, b) = (self.snapshot.channels.get(*a)?, self.snapshot.channels.get(*b)?);
            if !a.receivers.is_empty() || !b.receivers.is_empty() {
                return None;
            }
            let place = |c| self.senders(c).first().map(|g| self.place(g)).unwrap_or_default();
            Some(format!(
                "goroutines have waited for at least {} s to send to {:#x} ({}) and to {:#x} ({}), nobody waits to \
                 receive, and the stacks of both refer to both channels: if each is to receive what the other \
                 sends, this is a deadlock",
                LONG / 1_000_000_000,
                a.address,
                place(a),
                b.address,
                place(b),
            ))
        };
        both.into_iter().filter_map(text).collect()
    }

    /// Wait groups whose waiter started only goroutines that are blocked, too.
    fn groups(&self) -> Vec<String> {
        let mut out = Vec::new();
        let mut started: HashMap<u64, Vec<&Goroutine>> = HashMap::new();
        for goroutine in self.snapshot.goroutines.iter().filter(|g| !g.system) {
            if let Some(parent) = goroutine.parent {
                started.entry(parent).or_default().push(goroutine);
            }
        }
        for goroutine in &self.snapshot.goroutines {
            let Some(WaitingOn::Lock(number)) = goroutine.waiting_on else { continue };
            let Some(lock) = self.snapshot.locks.get(number as usize) else { continue };
            let is_old = self.waited(goroutine).is_some_and(|age| age >= LONG);
            if lock.kind != LockKind::WaitGroup || !is_old {
                continue;
            }
            let children = started.get(&goroutine.goid).map(Vec::as_slice).unwrap_or_default();
            if !children.is_empty() && children.iter().all(|g| self.is_blocked(g)) {
                out.push(format!(
                    "goroutine {} waits for {} ({}), and so do the {} that it started and that still live, for a lock \
                     or to send: {}",
                    goroutine.goid,
                    Self::named(lock),
                    self.place(goroutine),
                    children.len(),
                    children.first().map(|g| self.place(g)).unwrap_or_default(),
                ));
            }
        }
        out
    }

    /// Whether only another goroutine can wake this one, and none has for long.
    pub(super) fn is_blocked(&self, goroutine: &Goroutine) -> bool {
        let kind = match &goroutine.waiting_on {
            Some(WaitingOn::Lock(n)) => {
                self.snapshot.locks.get(*n as usize).is_some_and(|lock| lock.kind.is_held())
            }
            Some(WaitingOn::Channel(_)) => self.senders.has(goroutine),
            Some(WaitingOn::NilChannel) => true,
            _ => false,
        };
        let is_old = self.waited(goroutine).is_some_and(|age| age >= LONG);
        kind && is_old && !goroutine.changed
    }
}
