//! What the collections that were followed add up to.

use std::collections::BTreeMap;

use goruntime::cycles::{Cycle, Trigger};

use super::pauses::Pauses;

/// The sums. One is `None` where it is not known of each collection, or too large to be true.
#[derive(Debug)]
pub(super) struct Sums {
    pub(super) cycles: u64,
    pub(super) forced: u64,
    /// Collections that were not seen, though they happened.
    pub(super) missed: u64,
    /// Events, or what the runtime noted, that contradict themselves.
    pub(super) unclear: u64,
    /// Events that did not fit into the buffer.
    pub(super) lost_events: u64,
    pub(super) duration: Option<u64>,
    pub(super) paused: Option<u64>,
    pub(super) pauses: Pauses,
    pub(super) assist: Option<u64>,
    pub(super) background: Option<u64>,
    pub(super) idle: Option<u64>,
    pub(super) stopped: Option<u64>,
    /// Processor time that the program could use from the end of one collection to that of the next.
    available: f64,
    used: f64,
    /// Other stops by reason: how many, and for how long where it is known.
    pub(super) other: BTreeMap<&'static str, (u64, Option<u64>)>,
    pub(super) last: Option<Cycle>,
}

impl Default for Sums {
    fn default() -> Self {
        let nothing = Some(0);
        Self {
            cycles: 0,
            forced: 0,
            missed: 0,
            unclear: 0,
            lost_events: 0,
            duration: nothing,
            paused: nothing,
            pauses: Pauses::default(),
            assist: nothing,
            background: nothing,
            idle: nothing,
            stopped: nothing,
            available: 0.0,
            used: 0.0,
            other: BTreeMap::new(),
            last: None,
        }
    }
}

impl Sums {
    pub(super) fn cycle(&mut self, cycle: &Cycle, missed: u32) {
        self.cycles += 1;
        self.missed += u64::from(missed);
        self.forced += u64::from(cycle.trigger == Some(Trigger::Forced));
        cycle.pauses.iter().for_each(|pause| self.pauses.add(pause.nanoseconds));
        for (sum, one) in [
            (&mut self.duration, Some(cycle.nanoseconds())),
            (&mut self.paused, Some(cycle.paused())),
            (&mut self.assist, cycle.assist),
            (&mut self.background, cycle.background),
            (&mut self.idle, cycle.idle),
            (&mut self.stopped, cycle.stopped),
        ] {
            *sum = plus(*sum, one);
        }
        let since = cycle.previous_end.and_then(|before| cycle.end().checked_sub(before));
        if let (Some(fraction), Some(since), Some(processors)) =
            (cycle.cpu_fraction(), since, cycle.processors)
        {
            let available = since as f64 * f64::from(processors);
            self.available += available;
            self.used += fraction * available;
        }
        self.last = Some(cycle.clone());
    }

    pub(super) fn other(&mut self, reason: &'static str, lasted: Option<u64>) {
        let (count, sum) = self.other.entry(reason).or_insert((0, Some(0)));
        *count += 1;
        *sum = plus(*sum, lasted);
    }

    /// The share of the processor time that collections took. Collections whose share is not known are left out; `None`
    /// where no share is known.
    pub(super) fn cpu_fraction(&self) -> Option<f64> {
        (self.available > 0.0).then(|| self.used / self.available)
    }
}

fn plus(sum: Option<u64>, one: Option<u64>) -> Option<u64> {
    sum?.checked_add(one?)
}

#[cfg(test)]
mod tests {
    use goruntime::cycles::Pause;

    use super::*;

    fn cycle(number: u32) -> Cycle {
        let pause = |start, nanoseconds| Pause { reason: "GC", start, nanoseconds };
        Cycle {
            number,
            trigger: Some(Trigger::Forced),
            start: 1000,
            phases: [100, 850, 50],
            pauses: [pause(1000, 100), pause(1950, 50)],
            assist: Some(10),
            background: Some(490),
            idle: Some(70),
            stopped: Some(300),
            heap_before: None,
            heap_at_end: None,
            heap_marked: None,
            goal: None,
            processors: Some(2),
            previous_end: Some(500),
        }
    }

    #[test]
    fn collections_add_up() {
        let mut sums = Sums::default();
        assert_eq!(sums.cpu_fraction(), None);
        sums.cycle(&cycle(1), 0);
        sums.cycle(&cycle(2), 3);
        assert_eq!((sums.cycles, sums.forced, sums.missed), (2, 2, 3));
        assert_eq!((sums.duration, sums.paused), (Some(2000), Some(300)));
        assert_eq!((sums.assist, sums.background), (Some(20), Some(980)));
        assert_eq!((sums.idle, sums.stopped), (Some(140), Some(600)));
        assert_eq!((sums.pauses.quantile(0.5), sums.pauses.longest()), (Some(50), Some(100)));
        assert!(sums.cpu_fraction().is_some_and(|share| (share - 800.0 / 3000.0).abs() < 1e-9));
    }

    #[test]
    fn what_is_not_known_of_one_collection_is_not_known_of_all() {
        let mut sums = Sums::default();
        sums.cycle(&Cycle { assist: None, ..cycle(1) }, 0);
        sums.cycle(&cycle(2), 0);
        assert_eq!((sums.assist, sums.background), (None, Some(980)));
        let huge = Cycle { background: Some(u64::MAX), phases: [1 << 61; 3], ..cycle(3) };
        (0..3).for_each(|_| sums.cycle(&huge, 0));
        assert_eq!((sums.background, sums.duration, sums.idle), (None, None, Some(350)));
    }

    #[test]
    fn a_stop_of_unknown_length_makes_the_sum_unknown() {
        let mut sums = Sums::default();
        sums.other("read mem stats", Some(5));
        sums.other("read mem stats", Some(6));
        assert_eq!(sums.other["read mem stats"], (2, Some(11)));
        sums.other("read mem stats", None);
        assert_eq!(sums.other["read mem stats"], (3, None));
    }
}
