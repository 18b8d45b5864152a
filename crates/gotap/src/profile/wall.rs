//! `gotap profile wall`: what goroutines do and wait for, by looking at all of them again and again. They are
//! read from the process's memory: there is no trap, and it is not stopped.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use goruntime::{Goroutine, Snapshot, StackState, Symbols};
use profile::{Location, Profile, Sample, ValueType};

use super::naming::{frame, main_mapping, plain as no_code};
use super::wait::End;
use super::{Collected, Context};
use crate::cli::WallArgs;
use crate::opened::{plain, unix_nanoseconds};

/// Reading takes at most this part of the time.
const SHARE: u32 = 20;
/// Different stacks that are counted.
const MAX_STACKS: usize = 1 << 16;

/// What goroutines that are alike have in common.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    state: &'static str,
    reason: Box<str>,
    stack: Option<Box<[u64]>>,
}

/// What was seen.
#[derive(Default)]
pub(super) struct Seen {
    /// How often, and for how long.
    sums: HashMap<Key, (u64, Duration)>,
    snapshots: u64,
    failed: u64,
    /// Goroutines that could not be read, or found no room.
    unreadable: u64,
    full: u64,
}

pub(super) fn collect(context: &Context<'_, '_, '_>, args: &WallArgs) -> Result<Collected> {
    let target = context.target;
    let stop = context.stop;
    let (began, started) = (unix_nanoseconds(), Instant::now());
    let mut seen = Seen::default();
    let mut next = started;
    let mut last = started;
    let mut first = None;
    let end = stop.wait(target.process, context.args.duration(), None, || {
        let now = Instant::now();
        if now >= next {
            let taken = Snapshot::take(&target.memory, &target.layout, target.binary, target.bias);
            match taken {
                // Each stands for the time since the one before.
                Ok(snapshot) => {
                    seen.add(&snapshot, now.duration_since(last), args.system);
                    last = now;
                    first = first.or(Some(now));
                }
                // One that ends can't be read any more; what is wrong else shows at the first look.
                Err(error) if seen.snapshots == 0 => return Err(plain(error)),
                Err(_) => seen.failed += 1,
            }
            next = now + args.interval.max(now.elapsed() * SHARE);
        }
        Ok(format!("{} looks", seen.snapshots))
    })?;
    if end != End::Exited {
        target.check()?;
    }
    // Before the first look nothing is known, and nothing after the last one.
    let seen_for = last.duration_since(first.unwrap_or(last));
    let seconds = seen_for.as_secs_f64();
    let mut profile = empty(args.interval);
    profile.time = i64::try_from(began).unwrap_or(0);
    profile.duration = nanoseconds(seen_for);
    profile.mappings.push(main_mapping(target));
    seen.fill(&mut profile, context.symbols, target.bias);
    if seen.snapshots < 2 {
        bail!("process {}: its goroutines were seen once; profile longer", context.args.pid);
    }
    let total = profile.total(1) as f64 / 1e9;
    let what = format!(
        "{total:.2} s of goroutines in {seconds:.1} s ({:.1} of them), {} looks",
        total / seconds.max(1e-9),
        seen.snapshots
    );
    let mut notes = seen.notes();
    notes.extend(end.note(seconds));
    Ok(Collected { profile, seconds, what, notes })
}

fn nanoseconds(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

/// A profile without samples, of looks so far apart.
pub(super) fn empty(interval: Duration) -> Profile {
    let wall = ValueType::new("wall", "nanoseconds");
    let mut out = Profile::new(vec![ValueType::new("samples", "count"), wall.clone()]);
    out.period = Some((wall, nanoseconds(interval)));
    out
}

impl Seen {
    /// Adds what was seen to a profile.
    pub(super) fn fill<'d>(&self, profile: &mut Profile, symbols: &Symbols<'_, 'd>, bias: u64) {
        let mut order: Vec<_> = self.sums.iter().collect();
        order.sort_by(|a, b| (b.1, &a.0.stack, &a.0.reason).cmp(&(a.1, &b.0.stack, &b.0.reason)));
        for (key, (count, time)) in order {
            let stack = stack(symbols, bias, profile, key);
            let labels = [("state", key.state), ("wait_reason", &*key.reason)];
            let values = vec![i64::try_from(*count).unwrap_or(i64::MAX), nanoseconds(*time)];
            let labels = labels.map(|(name, text)| (name.to_owned(), text.to_owned())).to_vec();
            profile.samples.push(Sample { stack, values, labels });
        }
    }

    /// Forgets what was seen, and goes on. Gives how often a goroutine could not be read, and found no room.
    pub(super) fn clear(&mut self) -> (u64, u64) {
        self.sums.clear();
        (std::mem::take(&mut self.unreadable), std::mem::take(&mut self.full))
    }

    /// Adds a look, which stands for the time since the one before; the first one for nothing.
    pub(super) fn add(&mut self, snapshot: &Snapshot, time: Duration, system: bool) {
        self.snapshots += 1;
        self.unreadable += snapshot.unreadable as u64;
        for goroutine in snapshot.goroutines.iter().filter(|g| system || !g.system) {
            let key = key(snapshot, goroutine);
            if self.sums.len() >= MAX_STACKS && !self.sums.contains_key(&key) {
                self.full += 1;
                continue;
            }
            let sum = self.sums.entry(key).or_default();
            // Before the first look nothing is known.
            if self.snapshots > 1 {
                *sum = (sum.0 + 1, sum.1 + time);
            }
        }
        self.sums.retain(|_, (count, _)| *count > 0);
    }

    fn notes(&self) -> Vec<String> {
        let mut out = Vec::new();
        let mut say = |count: u64, what: &str| {
            if count > 0 {
                out.push(format!("{count} {what}"));
            }
        };
        say(self.failed, "looks failed, as goroutines changed while they were read");
        say(self.unreadable, "times a goroutine could not be read");
        say(
            self.full,
            "times a goroutine was left out: there were more than 65536 different stacks",
        );
        out
    }
}

fn key(snapshot: &Snapshot, goroutine: &Goroutine) -> Key {
    let state = goroutine.state.name();
    let reason = snapshot.wait_reason(goroutine).unwrap_or(state);
    let stack = match goroutine.stack {
        StackState::Running => None,
        _ => snapshot.stack(goroutine),
    };
    Key { state, reason: reason.into(), stack: stack.map(Into::into) }
}

/// What the goroutine waits for, on top of where.
fn stack(symbols: &Symbols<'_, '_>, bias: u64, profile: &mut Profile, key: &Key) -> Vec<usize> {
    let mut out = vec![profile.location(no_code(&format!("[{}]", key.reason)))];
    let Some(stack) = &key.stack else {
        out.push(profile.location(no_code("(stack not known)")));
        return out;
    };
    for (at, positions) in symbols.stack_by_address(stack) {
        let (address, mapping) = match at {
            0 => (0, None),
            at => (at.wrapping_add(bias), Some(0)),
        };
        let frames = positions.iter().map(frame).collect();
        out.push(profile.location(Location { address, mapping, frames }));
    }
    out
}
