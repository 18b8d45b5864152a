//! Goroutines that may never end: what grew between two snapshots, what can never go on, and what
//! waits for a channel that only one side waits for.
//!
//! These are suspicions with their reasons. A pool of idle workers looks alike but does not grow.

use std::collections::{HashMap, HashSet};

use crate::group::{Group, Key, group, key};
use crate::{Goroutine, Snapshot, StackState, State, WaitingOn};

/// Who waits for longer is old, in nanoseconds.
const OLD: u64 = 60_000_000_000;
/// So many goroutines of one sort that wait on one side of their channels are worth a word.
const MANY: usize = 10;

/// A sort of goroutines that may leak.
#[derive(Debug, Clone, PartialEq)]
pub struct Suspect {
    /// The goroutines, in the last snapshot.
    pub group: Group,
    /// How many more there are each minute; `None` without an earlier snapshot.
    pub growth_per_minute: Option<f64>,
    /// How long the one that waits longest has waited at least, in nanoseconds.
    pub age: Option<u64>,
    /// Why it is suspected.
    pub why: Vec<String>,
}

/// What earlier snapshots said of a sort of goroutines: by what it is, not by its numbers there.
type Sort<'s> = (State, Option<u8>, Option<&'s [u64]>, u64);

fn sort<'s>(snapshot: &'s Snapshot, goroutine: &Goroutine) -> Sort<'s> {
    let (state, reason, _, created_at): Key = key(goroutine);
    (state, reason, snapshot.stack(goroutine), created_at)
}

/// Searches `last`. `first` was taken `nanoseconds` before it; `now` is the monotonic clock's.
pub fn suspects(last: &Snapshot, first: Option<(&Snapshot, u64)>, now: u64) -> Vec<Suspect> {
    let mut before: HashMap<Sort<'_>, HashSet<u64>> = HashMap::new();
    if let Some((snapshot, _)) = first {
        for goroutine in &snapshot.goroutines {
            before.entry(sort(snapshot, goroutine)).or_default().insert(goroutine.goid);
        }
    }
    let waits = |g: &Goroutine| {
        !g.system && !g.changed && matches!(g.state, State::Waiting | State::Leaked)
    };
    let mut out: Vec<Suspect> = group(last, waits)
        .into_iter()
        .filter_map(|group| {
            let example = last.goroutines.get(*group.members.first()?)?;
            let known = first.map(|(_, time)| (before.get(&sort(last, example)), time));
            suspect(last, group, known, now)
        })
        .collect();
    out.sort_by(|a, b| {
        let growth = |s: &Suspect| s.growth_per_minute.unwrap_or(0.0);
        growth(b).total_cmp(&growth(a)).then(b.group.members.len().cmp(&a.group.members.len()))
    });
    out
}

fn suspect(
    last: &Snapshot,
    group: Group,
    before: Option<(Option<&HashSet<u64>>, u64)>,
    now: u64,
) -> Option<Suspect> {
    let members: Vec<&Goroutine> =
        group.members.iter().filter_map(|i| last.goroutines.get(*i)).collect();
    let example = *members.first()?;
    let age = members.iter().filter_map(|g| now.checked_sub(g.wait_since?)).max();
    let mut why = Vec::new();
    if example.state == State::Leaked {
        why.push("Go's own search for leaks found that it can never go on".to_owned());
    }
    let reason = last.wait_reason(example).unwrap_or_default();
    let is_first = example.goid == 1;
    if reason == "select (no cases)" && !is_first {
        why.push("a select without cases never ends".to_owned());
    }
    if example.waiting_on == Some(WaitingOn::NilChannel) {
        why.push("a channel that is nil never becomes ready".to_owned());
    }
    let one_sided = one_sided(last, &members);
    let growth_per_minute = before.map(|(known, time)| {
        let was = known.map_or(0, HashSet::len);
        (members.len() as f64 - was as f64) * 60e9 / time.max(1) as f64
    });
    if let Some((known, _)) = before
        && growth_per_minute.is_some_and(|growth| growth > 0.0)
        && matches!(example.stack, StackState::Known(_))
    {
        let ids: HashSet<u64> = members.iter().map(|g| g.goid).collect();
        let was = known.map_or(0, HashSet::len);
        let ended = known.map_or(0, |known| known.difference(&ids).count());
        if ended * 10 <= was {
            let more = members.len() - was.min(members.len());
            why.push(format!("{more} more than at first, and {ended} of the {was} of then ended"));
        }
    }
    // An old goroutine alone is no suspicion, nor is one that waits for work; many such are.
    let is_old = age.is_some_and(|age| age >= OLD);
    if let Some(text) = one_sided
        && (!why.is_empty()
            || (is_old && (text.starts_with("wait to send") || members.len() >= MANY)))
    {
        why.push(text);
    }
    (!why.is_empty()).then_some(Suspect { group, growth_per_minute, age, why })
}

/// What is said of channels that only one side waits for.
fn one_sided(snapshot: &Snapshot, members: &[&Goroutine]) -> Option<String> {
    let mut channels = HashSet::new();
    for goroutine in members {
        match &goroutine.waiting_on {
            Some(WaitingOn::Channel(number)) => channels.insert(*number),
            _ => return None,
        };
    }
    let all: Vec<_> = channels.iter().filter_map(|n| snapshot.channels.get(*n as usize)).collect();
    let is_read = |c: &&crate::Channel| c.len.is_some();
    if all.len() < channels.len() || !all.iter().all(is_read) {
        return None;
    }
    let which =
        if all.len() == 1 { "one channel".to_owned() } else { format!("{} channels", all.len()) };
    if all.iter().all(|c| c.receivers.is_empty() && !c.senders.is_empty()) {
        return Some(format!("wait to send to {which} that nobody waits to receive from"));
    }
    if all.iter().all(|c| c.senders.is_empty() && !c.receivers.is_empty() && c.len == Some(0)) {
        return Some(format!("wait to receive from {which} that nobody waits to send to"));
    }
    None
}
