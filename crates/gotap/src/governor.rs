//! The overhead governor: how much of a process's processor time the traps may take that a user asked for, and
//! when they must be taken away for a while.
//!
//! The policy is a pure function of what is measured: hits, what one costs on this machine, and the time that the
//! process has used. Not here: the clocks and what is done with the probes (`watch`), attaching and detaching, and what
//! a hit does.

mod share;
mod watch;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

pub(crate) use share::Share;
pub(crate) use watch::{LOOK, Watch};

/// Where no clock can be had, a trap is taken to cost this.
pub(crate) const USUAL_COST: f64 = 1000.0;
/// A process that does little is taken to use this share of a processor: what traps take of the rest slows
/// nothing down.
const FLOOR: f64 = 0.5;

/// How windows are made in which probes are there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Terms {
    /// What there is to spend at the beginning, in nanoseconds.
    start: f64,
    /// What may be spent at once.
    burst: f64,
    /// A window is to last so long, in seconds, unless its cost is all that may be spent at once.
    window: f64,
}

impl Terms {
    /// For what happens many times in each window.
    const SHORT: Self = Self { start: 40e6, burst: 40e6, window: 0.02 };
    /// For requests: windows are so long that most are seen whole, and probes come and go seldom.
    pub(crate) const LONG: Self = Self { start: 40e6, burst: 1e9, window: 0.5 };
}

/// How much of a process's processor time traps may take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Budget {
    Unlimited,
    Share(f64),
}

impl Budget {
    pub(crate) const DEFAULT: &str = "2%";
}

impl FromStr for Budget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "unlimited" {
            return Ok(Self::Unlimited);
        }
        let number = text.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
        match number {
            Some(percent) if percent > 0.0 && percent <= 100.0 => Ok(Self::Share(percent / 100.0)),
            _ => Err("a budget is a share of the processor time, such as 2% or 0.5%, or unlimited"
                .to_owned()),
        }
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unlimited => f.write_str("unlimited"),
            Self::Share(share) => write!(f, "{:.1} %", 100.0 * share),
        }
    }
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    GoOn,
    TakeAway,
    PutBack,
}

/// Decides when probes are there.
#[derive(Debug, Clone)]
pub(crate) struct Governor {
    budget: Budget,
    terms: Terms,
    /// What a hit costs, in nanoseconds.
    cost: f64,
    credit: f64,
    attached: bool,
    last: Option<(Duration, Duration, u64)>,
    /// Nanoseconds that traps took in a second while they were there.
    price: f64,
    /// For how long the probes were there.
    attached_for: Duration,
    pauses: u64,
    hits: u64,
    /// What reading took, in nanoseconds.
    read: f64,
    used: Duration,
}

impl Governor {
    /// The probes are taken to be there. `cost` is what a hit costs, where it could be measured.
    pub(crate) fn new(budget: Budget, cost: Option<f64>) -> Self {
        Self::with(budget, cost.filter(|cost| *cost > 1.0).unwrap_or(USUAL_COST), Terms::SHORT)
    }

    /// The same on other terms.
    pub(crate) fn with(budget: Budget, cost: f64, terms: Terms) -> Self {
        Self {
            budget,
            terms,
            cost,
            credit: terms.start,
            attached: true,
            last: None,
            price: 0.0,
            attached_for: Duration::ZERO,
            pauses: 0,
            hits: 0,
            read: 0.0,
            used: Duration::ZERO,
        }
    }

    /// Reading what was counted took so long, which is a part of the cost.
    pub(crate) fn spend(&mut self, time: Duration) {
        let time = time.as_secs_f64() * 1e9;
        self.read += time;
        self.credit -= time;
    }

    /// What is to be done when so much time has gone by, the process has used so much of processors, and there
    /// were so many hits in all. So many share the budget.
    pub(crate) fn look(&mut self, now: Duration, used: Duration, hits: u64, sharers: u32) -> Step {
        let Some((before, used_before, hits_before)) = self.last.replace((now, used, hits)) else {
            return Step::GoOn;
        };
        let time = now.saturating_sub(before);
        let used = used.saturating_sub(used_before);
        let new = hits.saturating_sub(hits_before);
        self.hits += new;
        self.used += used;
        if self.attached {
            self.attached_for += time;
        }
        let Budget::Share(share) = self.budget else { return Step::GoOn };
        let spent = new as f64 * self.cost;
        let earned = share / f64::from(sharers.max(1))
            * (used.as_secs_f64().max(FLOOR * time.as_secs_f64()) * 1e9);
        self.credit = (self.credit + earned - spent).min(self.terms.burst);
        if self.attached {
            let price = spent / time.as_secs_f64().max(1e-4);
            // The dearest of late, so that a window is not begun that can't last.
            self.price = price.max(self.price * 0.9);
            if self.credit < 0.0 {
                self.attached = false;
                self.pauses += 1;
                return Step::TakeAway;
            }
        } else if self.credit >= (self.price * self.terms.window).clamp(1e6, self.terms.burst) {
            self.attached = true;
            return Step::PutBack;
        }
        Step::GoOn
    }

    /// The probes could not be put back.
    pub(crate) fn stay_away(&mut self) {
        (self.attached, self.credit) = (false, 0.0);
    }

    /// How often the probes were there: each pause ends a window, and the last one may go on.
    fn windows(&self) -> u64 {
        self.pauses + u64::from(self.attached)
    }

    /// What came of it.
    pub(crate) fn coverage(&self, elapsed: Duration) -> Coverage {
        let spent = (self.hits as f64 * self.cost + self.read) / 1e9;
        let whole = self.pauses == 0;
        Coverage {
            budget: self.budget,
            cost: self.cost,
            elapsed,
            attached: if whole { elapsed } else { self.attached_for.min(elapsed) },
            pauses: self.pauses,
            windows: self.windows(),
            hits: self.hits,
            taken: (!self.used.is_zero()).then(|| spent / self.used.as_secs_f64()),
        }
    }
}

/// For how long probes were there, and what they cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Coverage {
    pub(crate) budget: Budget,
    pub(crate) cost: f64,
    pub(crate) elapsed: Duration,
    pub(crate) attached: Duration,
    pub(crate) pauses: u64,
    /// How often the probes were there.
    pub(crate) windows: u64,
    pub(crate) hits: u64,
    /// What the traps took, and reading what they count, as a share of the process's processor time.
    pub(crate) taken: Option<f64>,
}

impl Coverage {
    /// Whether nothing was left out.
    pub(crate) fn is_whole(&self) -> bool {
        self.pauses == 0
    }

    /// Which part of the time was observed.
    pub(crate) fn share(&self) -> f64 {
        let share = self.attached.as_secs_f64() / self.elapsed.as_secs_f64().max(1e-9);
        if self.is_whole() { 1.0 } else { share.clamp(0.0, 1.0) }
    }

    /// What to say of it where something was left out.
    pub(crate) fn warning(&self) -> Option<String> {
        (!self.is_whole()).then(|| {
            format!(
                "the overhead budget of {} let the probes be there for {:.2} s of {:.2} s, in {} {}: what \
                 happened in between is not in these numbers (--overhead-budget unlimited sees all)",
                self.budget,
                self.attached.as_secs_f64(),
                self.elapsed.as_secs_f64(),
                self.windows,
                if self.windows == 1 { "window" } else { "windows" },
            )
        })
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        let budget = match self.budget {
            Budget::Unlimited => None,
            Budget::Share(share) => Some(share),
        };
        serde_json::json!({
            "budget": budget,
            "trapNanos": self.cost,
            "hits": self.hits,
            "cpuShare": self.taken,
            "attachedSeconds": self.attached.as_secs_f64(),
            "windows": self.windows,
            "complete": self.is_whole(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn simulate(budget: Budget, hits_a_second: f64, sharers: u32) -> Coverage {
        let governor = Governor::new(budget, Some(1000.0));
        run(governor, Duration::from_millis(5), 4000, hits_a_second, sharers)
    }

    /// A process that uses all of a processor and hits so often while probes are there: the share of time that
    /// they are there, and the share of processor time that they took.
    fn run(
        mut governor: Governor,
        step: Duration,
        steps: u32,
        hits_a_second: f64,
        sharers: u32,
    ) -> Coverage {
        let (mut hits, mut attached) = (0.0, true);
        for i in 0..steps {
            let now = step * i;
            if attached {
                hits += hits_a_second * step.as_secs_f64();
            }
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "it is small"
            )]
            match governor.look(now, now, hits as u64, sharers) {
                Step::GoOn => {}
                Step::TakeAway => attached = false,
                Step::PutBack => attached = true,
            }
        }
        governor.coverage(step * steps)
    }

    #[test]
    fn what_fits_the_budget_is_never_taken_away() {
        let coverage = simulate(Budget::Share(0.02), 15_000.0, 1);
        assert!(coverage.is_whole() && coverage.warning().is_none(), "{coverage:?}");
        assert!(simulate(Budget::Unlimited, 900_000.0, 1).is_whole());
    }

    #[test]
    fn what_exceeds_the_budget_is_there_for_a_part_of_the_time() {
        for (hits, sharers) in [(900_000.0, 1), (100_000.0, 1), (900_000.0, 3)] {
            let coverage = simulate(Budget::Share(0.02), hits, sharers);
            let taken = coverage.taken.unwrap() * f64::from(sharers);
            // Of 20 s, a burst at the beginning is a fifth of a percent.
            assert!(taken > 0.014 && taken < 0.033, "{hits}: {coverage:?}");
            assert!(!coverage.is_whole() && coverage.pauses > 2, "{hits}: {coverage:?}");
            assert!(coverage.share() < 0.35 && coverage.share() > 0.005, "{hits}: {coverage:?}");
        }
    }

    #[test]
    fn windows_are_counted_with_the_one_that_goes_on() {
        let step = Duration::from_millis(5);
        let mut governor = Governor::new(Budget::Share(0.02), Some(1000.0));
        let windows = |governor: &Governor, text: &str| {
            let coverage = governor.coverage(Duration::from_secs(1));
            let warning = coverage.warning().unwrap_or_default();
            assert!(warning.contains(text) || coverage.is_whole(), "{text}: {warning}");
            coverage.json()["windows"].as_u64().unwrap()
        };
        assert_eq!(windows(&governor, ""), 1);
        let (mut now, mut hits) = (Duration::ZERO, 0);
        let mut until = |governor: &mut Governor, wanted: Step, more: u64| {
            for _ in 0..10_000 {
                (now, hits) = (now + step, hits + more);
                if governor.look(now, now, hits, 1) == wanted {
                    return;
                }
            }
            panic!("never {wanted:?}");
        };
        until(&mut governor, Step::TakeAway, 100_000);
        assert_eq!(windows(&governor, "in 1 window:"), 1);
        until(&mut governor, Step::PutBack, 0);
        assert_eq!(windows(&governor, "in 2 windows:"), 2);
        // They could not be put back: that was no window.
        governor.stay_away();
        assert_eq!(windows(&governor, "in 1 window:"), 1);
        until(&mut governor, Step::PutBack, 0);
        until(&mut governor, Step::TakeAway, 100_000);
        assert_eq!(windows(&governor, "in 2 windows:"), 2);
    }

    #[test]
    fn what_is_read_is_a_part_of_the_cost() {
        let step = Duration::from_millis(5);
        let mut governor = Governor::new(Budget::Share(0.02), Some(1000.0));
        let mut away = 0;
        for i in 0..2000u32 {
            // No hit at all, and reading takes a tenth of a processor.
            governor.spend(step / 10);
            away += u32::from(governor.look(step * i, step * i, 0, 1) == Step::TakeAway);
        }
        let coverage = governor.coverage(step * 2000);
        assert!(away > 0 && !coverage.is_whole(), "{coverage:?}");
        assert!(coverage.taken.is_some_and(|taken| (taken - 0.1).abs() < 0.01), "{coverage:?}");
    }

    #[test]
    fn requests_are_seen_in_long_windows() {
        for hits in [20_000.0, 100_000.0, 300_000.0] {
            let governor = Governor::with(Budget::Share(0.02), 2500.0, Terms::LONG);
            let coverage = run(governor, Duration::from_millis(250), 480, hits, 1);
            let taken = coverage.taken.unwrap();
            assert!(taken > 0.008 && taken < 0.026, "{hits}: {coverage:?}");
            let window = coverage.attached.as_secs_f64()
                / f64::from(u32::try_from(coverage.pauses).unwrap());
            assert!(window > 0.4, "{hits}: {window} {coverage:?}");
        }
    }

    #[test]
    fn budgets_are_read() {
        assert_eq!("2%".parse(), Ok(Budget::Share(0.02)));
        assert_eq!(Budget::DEFAULT.parse(), Ok(Budget::Share(0.02)));
        assert_eq!("unlimited".parse(), Ok(Budget::Unlimited));
        for wrong in ["", "2", "0%", "101%", "-1%", "x%", "NaN%"] {
            assert!(wrong.parse::<Budget>().is_err(), "{wrong}");
        }
    }
}
