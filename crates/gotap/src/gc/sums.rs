//! What the collections that were followed add up to.

use std::collections::BTreeMap;

use goruntime::cycles::{Cycle, Trigger};

/// Pauses whose length is kept for the quantiles.
const MAX_PAUSES: usize = 1 << 20;

/// The sums.
#[derive(Debug, Default)]
pub(super) struct Sums {
    pub(super) cycles: u64,
    pub(super) forced: u64,
    /// Collections that were not seen, though they happened.
    pub(super) missed: u64,
    /// Events, or what the runtime noted, that contradict themselves.
    pub(super) unclear: u64,
    /// Events that did not fit into the buffer.
    pub(super) lost_events: u64,
    pub(super) duration: u64,
    pub(super) paused: u64,
    pauses: Vec<u64>,
    pub(super) assist: u64,
    pub(super) background: u64,
    pub(super) idle: u64,
    pub(super) stopped: u64,
    /// Processor time that the program could use from the end of one collection to that of the next.
    available: f64,
    used: f64,
    /// Other stops by reason: how many, and for how long where it is known.
    pub(super) other: BTreeMap<&'static str, (u64, Option<u64>)>,
    pub(super) last: Option<Cycle>,
}

impl Sums {
    pub(super) fn cycle(&mut self, cycle: &Cycle, missed: u32) {
        self.cycles += 1;
        self.missed += u64::from(missed);
        self.forced += u64::from(cycle.trigger == Some(Trigger::Forced));
        self.duration += cycle.nanoseconds();
        self.paused += cycle.paused();
        for pause in &cycle.pauses {
            if self.pauses.len() < MAX_PAUSES {
                self.pauses.push(pause.nanoseconds);
            }
        }
        for (sum, one) in [
            (&mut self.assist, cycle.assist),
            (&mut self.background, cycle.background),
            (&mut self.idle, cycle.idle),
            (&mut self.stopped, cycle.stopped),
        ] {
            *sum += one.unwrap_or(0);
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
        *sum = sum.zip(lasted).map(|(sum, n)| sum + n);
    }

    /// The share of all processor time that collections took; `None` where it is known of no collection.
    pub(super) fn cpu_fraction(&self) -> Option<f64> {
        (self.available > 0.0).then(|| self.used / self.available)
    }

    /// The length that this share of the pauses does not exceed.
    pub(super) fn pause(&self, share: f64) -> Option<u64> {
        let mut sorted = self.pauses.clone();
        sorted.sort_unstable();
        let at = (share * sorted.len() as f64).ceil() as usize;
        sorted.get(at.saturating_sub(1)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_pauses_are_pauses() {
        let mut sums = Sums::default();
        assert_eq!((sums.pause(0.5), sums.cpu_fraction()), (None, None));
        sums.pauses = vec![5, 1, 3, 2];
        assert_eq!(
            (sums.pause(0.5), sums.pause(1.0), sums.pause(0.99)),
            (Some(2), Some(5), Some(5))
        );
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
