//! A governor at work: the clocks of one process, and probes that come and go as it decides. Not here: the decision.

use std::time::{Duration, Instant};

use super::{Budget, Coverage, Governor, Share, Step};

/// Between looks while the probes are there.
pub(crate) const LOOK: Duration = Duration::from_millis(5);

/// What a governor governs.
pub(crate) trait Governed {
    fn put_back(&mut self) -> anyhow::Result<()>;
    fn take_away(&mut self);
    fn hits(&self) -> anyhow::Result<u64>;
}

/// A governor with its clocks, of one process.
pub(crate) struct Watch {
    governor: Governor,
    share: Share,
    pid: u32,
    began: Instant,
    looked: Duration,
}

impl Watch {
    /// Begins now. The probes are there.
    pub(crate) fn new(pid: u32, budget: Budget, cost: Option<f64>) -> Self {
        let (governor, share) = (Governor::new(budget, cost), Share::of(pid));
        Self { governor, share, pid, began: Instant::now(), looked: Duration::ZERO }
    }

    /// Looks whether the probes may stay, or come back; gives what was done.
    pub(crate) fn look(&mut self, governed: &mut impl Governed) -> anyhow::Result<Step> {
        let now = self.began.elapsed();
        if now < self.looked + LOOK {
            return Ok(Step::GoOn);
        }
        self.looked = now;
        let used = goproc::cpu_time(self.pid).unwrap_or(Duration::ZERO);
        let step = self.governor.look(now, used, governed.hits()?, self.share.count(now));
        match step {
            Step::GoOn => {}
            Step::TakeAway => governed.take_away(),
            Step::PutBack => governed.put_back()?,
        }
        Ok(step)
    }

    /// Counts the time that `read` takes as a part of the cost.
    pub(crate) fn spend<T>(&mut self, read: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let out = read();
        self.governor.spend(began.elapsed());
        out
    }

    /// What came of it, until now.
    pub(crate) fn coverage(&self) -> Coverage {
        self.governor.coverage(self.began.elapsed())
    }
}

impl Governed for probes::Tracker {
    fn put_back(&mut self) -> anyhow::Result<()> {
        Ok(probes::Tracker::put_back(self)?)
    }

    fn take_away(&mut self) {
        self.detach();
    }

    fn hits(&self) -> anyhow::Result<u64> {
        let seen = |kind| Ok::<u64, probes::Error>(self.counts(kind)?.seen);
        Ok(seen(wire::Lifecycle::Created)? + seen(wire::Lifecycle::Exited)?)
    }
}

impl Governed for probes::Meter {
    fn put_back(&mut self) -> anyhow::Result<()> {
        Ok(self.attach()?)
    }

    fn take_away(&mut self) {
        self.detach();
    }

    fn hits(&self) -> anyhow::Result<u64> {
        Ok(probes::Meter::hits(self)?)
    }
}
