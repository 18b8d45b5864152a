//! How long pauses were: quantiles in bounded memory. Up to so many pauses they are exact.

use hdrhistogram::Histogram;

/// Pauses whose length is kept as it is.
const MAX_EXACT: usize = 1 << 16;

/// The lengths, in nanoseconds.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    exact: Vec<u64>,
    /// All of them, once there are too many to keep each.
    rounded: Option<Histogram<u64>>,
    longest: Option<u64>,
}

impl Pauses {
    pub(super) fn add(&mut self, nanoseconds: u64) {
        self.longest = self.longest.max(Some(nanoseconds));
        if let Some(rounded) = &mut self.rounded {
            rounded.saturating_record(nanoseconds);
            return;
        }
        self.exact.push(nanoseconds);
        if self.exact.len() > MAX_EXACT {
            let mut rounded = empty();
            self.exact.drain(..).for_each(|one| rounded.saturating_record(one));
            self.exact.shrink_to_fit();
            self.rounded = Some(rounded);
        }
    }

    /// Whether quantiles are known to three digits alone.
    pub(super) fn is_estimated(&self) -> bool {
        self.rounded.is_some()
    }

    /// The longest, which is always exact.
    pub(super) fn longest(&self) -> Option<u64> {
        self.longest
    }

    /// The length that this share of the pauses does not exceed.
    pub(super) fn quantile(&self, share: f64) -> Option<u64> {
        if let Some(rounded) = &self.rounded {
            return Some(rounded.value_at_quantile(share)).min(self.longest);
        }
        let mut sorted = self.exact.clone();
        sorted.sort_unstable();
        let at = (share * sorted.len() as f64).ceil() as usize;
        sorted.get(at.saturating_sub(1)).copied()
    }
}

/// Three digits, and up to a century and more.
fn empty() -> Histogram<u64> {
    let histogram = Histogram::new_with_bounds(1, 1 << 62, 3);
    histogram.unwrap_or_else(|_| unreachable!("these bounds are allowed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_few_pauses_are_pauses() {
        let mut pauses = Pauses::default();
        assert_eq!((pauses.quantile(0.5), pauses.longest()), (None, None));
        [5, 1, 3, 2].into_iter().for_each(|one| pauses.add(one));
        assert_eq!((pauses.quantile(0.5), pauses.quantile(0.99)), (Some(2), Some(5)));
        assert_eq!((pauses.longest(), pauses.is_estimated()), (Some(5), false));
    }

    #[test]
    fn what_comes_late_counts_as_much_as_the_first() {
        let mut pauses = Pauses::default();
        (0..MAX_EXACT).for_each(|_| pauses.add(10));
        assert_eq!((pauses.is_estimated(), pauses.quantile(0.5)), (false, Some(10)));
        (0..3 * MAX_EXACT).for_each(|_| pauses.add(123_456));
        pauses.add(9_876_543);
        let about = |quantile: Option<u64>, truth: u64| {
            quantile.is_some_and(|n| n.abs_diff(truth) * 1000 <= truth)
        };
        assert!(about(pauses.quantile(0.5), 123_456), "{:?}", pauses.quantile(0.5));
        assert!(about(pauses.quantile(0.2), 10), "{:?}", pauses.quantile(0.2));
        assert_eq!((pauses.longest(), pauses.is_estimated()), (Some(9_876_543), true));
        assert!(pauses.quantile(1.0) <= pauses.longest());
    }
}
