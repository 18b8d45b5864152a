//! A request's time, by what its goroutine was seen to do: looks become durations. Each look stands for the time
//! since the one before, whichever requests that was at: so all parts of requests count alike, also their
//! beginnings and ends, and over many requests the shares are right. What no look stands for is unknown. Pure.
//! Not here: looking (`look`), which request it is (`table`).

use std::collections::HashMap;
use std::sync::Arc;

use super::state::Doing;

/// Different stacks that are kept for one request; further ones are counted without a stack.
const MAX_STACKS: usize = 64;

/// A frame of a stack.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Place {
    /// The function.
    pub(crate) function: Box<str>,
    /// The source file; empty when it is not known.
    pub(crate) file: Box<str>,
    /// The line, 0 when it is not known.
    pub(crate) line: u32,
}

/// A stack, the innermost frame first.
pub(crate) type Stack = Arc<[Place]>;

/// Nanoseconds by what was done, and where.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sums {
    states: [u64; Doing::ALL.len()],
    /// Of those whose stack is known.
    stacks: HashMap<(Doing, Stack), u64>,
    /// Nothing is known of this time.
    pub(crate) unknown: u64,
}

impl Sums {
    /// Nanoseconds of one sort.
    pub(crate) fn of(&self, doing: Doing) -> u64 {
        self.states[doing as usize]
    }

    /// All that is known.
    pub(crate) fn known(&self) -> u64 {
        self.states.iter().sum()
    }

    /// Where the time was spent.
    pub(crate) fn stacks(&self) -> impl Iterator<Item = (Doing, &Stack, u64)> {
        self.stacks.iter().map(|((doing, stack), time)| (*doing, stack, *time))
    }

    /// Adds nanoseconds. With `most` different stacks already, a further one is not kept.
    pub(crate) fn add(&mut self, doing: Doing, stack: Option<&Stack>, time: u64, most: usize) {
        self.states[doing as usize] += time;
        let Some(stack) = stack.filter(|_| time > 0) else { return };
        let key = (doing, stack.clone());
        if self.stacks.len() < most || self.stacks.contains_key(&key) {
            *self.stacks.entry(key).or_default() += time;
        }
    }

    /// Scales the times to requests that took `took` in all, `unseen` of it in requests that no look saw. Time that
    /// the looks do not cover is unknown. Each look stands for the same time, so that no part of a request counts
    /// more than another one.
    pub(crate) fn settled(self, took: u64, unseen: u64) -> Self {
        let unknown = self.unknown.saturating_add(unseen).min(took);
        let known = self.known().min(took - unknown);
        Self { unknown: took - known, ..self.scaled(known) }
    }

    fn scaled(mut self, to: u64) -> Self {
        let from = self.known().max(1);
        let scale = |time: u64| {
            let scaled = u128::from(time) * u128::from(to) / u128::from(from);
            u64::try_from(scaled).unwrap_or(u64::MAX)
        };
        self.states.iter_mut().for_each(|time| *time = scale(*time));
        self.stacks.values_mut().for_each(|time| *time = scale(*time));
        self
    }

    /// Adds all of another one's.
    pub(crate) fn merge(&mut self, other: &Self, most: usize) {
        for doing in Doing::ALL {
            self.states[doing as usize] += other.of(doing);
        }
        for (doing, stack, time) in other.stacks() {
            let key = (doing, stack.clone());
            if self.stacks.len() < most || self.stacks.contains_key(&key) {
                *self.stacks.entry(key).or_default() += time;
            }
        }
        self.unknown += other.unknown;
    }
}

/// What was seen at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) moment: Moment,
    pub(crate) doing: Doing,
    pub(crate) stack: Option<Stack>,
}

/// When somebody looked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    /// By the monotonic clock.
    pub(crate) at: u64,
    /// For how much of the time since the look before it stands.
    pub(crate) weight: u64,
    /// The rest of that time: the look came too late to stand for it.
    pub(crate) late: u64,
    /// How far apart looks are, at most, when all goes well.
    pub(crate) reach: u64,
}

/// The time of one request.
#[derive(Debug, Clone)]
pub(crate) struct Times {
    start: u64,
    sums: Sums,
    last: Option<Moment>,
    pub(crate) looks: u32,
}

impl Times {
    /// Of a request that began at `start`, by the monotonic clock.
    pub(crate) fn new(start: u64) -> Self {
        Self { start, sums: Sums::default(), last: None, looks: 0 }
    }

    /// When it was seen last.
    pub(crate) fn seen_at(&self) -> Option<u64> {
        self.last.map(|moment| moment.at)
    }

    /// Whether it was seen at the last look that there may have been before `now`.
    pub(crate) fn is_recent(&self, now: u64) -> bool {
        let reaches = |seen: Moment| seen.at.saturating_add(seen.reach.saturating_mul(2)) >= now;
        self.last.is_some_and(reaches)
    }

    /// Adds a look.
    pub(crate) fn look(&mut self, seen: Seen) {
        let Moment { at, weight, late, .. } = seen.moment;
        self.sums.add(seen.doing, seen.stack.as_ref(), weight, MAX_STACKS);
        self.sums.unknown += late.min(at.saturating_sub(self.start));
        self.last = Some(seen.moment);
        self.looks += 1;
    }

    /// What the looks stand for, and what no look stands for, to be added to that of other requests.
    pub(crate) fn sums(self) -> Sums {
        self.sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(at: u64, doing: Doing) -> Seen {
        Seen { moment: Moment { at, weight: 10, late: 0, reach: 20 }, doing, stack: None }
    }

    #[test]
    fn looks_share_the_time_of_the_request() {
        let mut times = Times::new(100);
        for (at, doing) in [(105, Doing::Cpu), (115, Doing::Cpu), (125, Doing::Channel)] {
            times.look(seen(at, doing));
        }
        assert!(times.is_recent(165) && !times.is_recent(166));
        let sums = times.sums().settled(24, 3);
        assert_eq!((sums.of(Doing::Cpu), sums.of(Doing::Channel), sums.unknown), (14, 7, 3));
    }

    /// Requests that are cut anywhere give the shares of their parts, also of the first and of the last one.
    #[test]
    fn over_many_requests_all_parts_count_alike() {
        let parts = [(30, Doing::Cpu), (100, Doing::Channel), (20, Doing::Sleep)];
        for pause in [7, 40, 110, 149] {
            let mut all = Sums::default();
            for offset in 0..pause {
                let mut times = Times::new(0);
                for at in (offset..150).step_by(pause) {
                    let doing = match at {
                        0..30 => parts[0].1,
                        30..130 => parts[1].1,
                        _ => parts[2].1,
                    };
                    let (at, weight) = (at as u64, pause as u64);
                    let moment = Moment { at, weight, late: 0, reach: weight };
                    times.look(Seen { moment, doing, stack: None });
                }
                all.merge(&times.sums(), 9);
            }
            for (length, doing) in parts {
                let share = 150.0 * all.of(doing) as f64 / all.known() as f64;
                assert!((share - f64::from(length)).abs() < 5.0, "{pause}: {doing:?} {share}");
            }
        }
    }

    #[test]
    fn what_no_look_stands_for_is_unknown() {
        let mut times = Times::new(1000);
        let moment = Moment { at: 1100, weight: 20, late: 200, reach: 20 };
        times.look(Seen { moment, doing: Doing::Sleep, stack: None });
        // Of what is late only the time since the request's start counts.
        let sums = times.clone().sums().settled(110, 0);
        assert_eq!((sums.of(Doing::Sleep), sums.unknown), (10, 100));
        let sums = times.sums().settled(150, 0);
        assert_eq!((sums.of(Doing::Sleep), sums.unknown), (20, 130));
        assert_eq!(Times::new(7).sums().settled(30, 5).unknown, 30);
    }

    #[test]
    fn stacks_are_bounded_and_their_time_is_not_lost() {
        let stack =
            |line| -> Stack { Arc::from([Place { function: "f".into(), file: "".into(), line }]) };
        let mut sums = Sums::default();
        for line in 0..5 {
            sums.add(Doing::Io, Some(&stack(line)), 10, 3);
        }
        assert_eq!((sums.of(Doing::Io), sums.stacks().count()), (50, 3));
        let mut all = Sums::default();
        all.merge(&sums, 2);
        all.merge(&sums, 2);
        assert_eq!((all.of(Doing::Io), all.stacks().count()), (100, 2));
    }
}
