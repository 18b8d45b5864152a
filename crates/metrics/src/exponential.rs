//! A distribution over base-2 exponential buckets, as OpenTelemetry's data model has it: bucket `i` of
//! scale `s` holds what is above `2^(i/2^s)` and not above `2^((i+1)/2^s)`. The scale falls when the values
//! spread, so that there are never more than [`MAX_BUCKETS`]. Only values from zero up.

use std::collections::VecDeque;

/// As in OpenTelemetry's SDKs.
pub const MAX_BUCKETS: usize = 160;
/// The scale of the first value.
const MAX_SCALE: i32 = 20;

/// A distribution over base-2 exponential buckets.
#[derive(Debug, Clone, PartialEq)]
pub struct Exponential {
    scale: i32,
    zero: u64,
    /// Index of the first bucket.
    offset: i32,
    counts: VecDeque<u64>,
    sum: f64,
}

impl Default for Exponential {
    fn default() -> Self {
        Self { scale: MAX_SCALE, zero: 0, offset: 0, counts: VecDeque::new(), sum: 0.0 }
    }
}

impl Exponential {
    /// Counts a value that came so many times.
    pub fn record_many(&mut self, value: f64, times: u64) {
        if times == 0 {
            return;
        }
        self.sum += value * times as f64;
        if value < f64::MIN_POSITIVE {
            self.zero += times;
            return;
        }
        let mut index = index(value, self.scale);
        while !self.fits(index) {
            self.halve();
            index >>= 1;
        }
        *self.bucket(index) += times;
    }

    /// What 2 is raised to the power of, as `2^-scale`, from one bucket to the next.
    pub fn scale(&self) -> i32 {
        self.scale
    }

    /// How many values are zero.
    pub fn zero(&self) -> u64 {
        self.zero
    }

    /// Index of the first bucket.
    pub fn offset(&self) -> i32 {
        self.offset
    }

    /// Values in each bucket from the first one on.
    pub fn counts(&self) -> impl ExactSizeIterator<Item = u64> + '_ {
        self.counts.iter().copied()
    }

    /// All values together.
    pub fn sum(&self) -> f64 {
        self.sum
    }

    /// How many values there are.
    pub fn count(&self) -> u64 {
        self.zero + self.counts.iter().sum::<u64>()
    }

    /// Takes over the values of another one.
    pub fn merge(&mut self, other: &Self) {
        let mut other = other.clone();
        while other.scale > self.scale {
            other.halve();
        }
        while self.scale > other.scale {
            self.halve();
        }
        while let Some(more) = other.counts.len().checked_sub(1)
            && !self.fits_both(other.offset, other.offset + more as i32)
        {
            self.halve();
            other.halve();
        }
        for (i, n) in other.counts.iter().enumerate().filter(|(_, n)| **n > 0) {
            *self.bucket(other.offset + i as i32) += n;
        }
        self.zero += other.zero;
        self.sum += other.sum;
    }

    /// What came since `before`, which was this one at an earlier time.
    pub fn since(&self, before: &Self) -> Self {
        let (mut out, mut before) = (self.clone(), before.clone());
        while before.scale > out.scale {
            before.halve();
        }
        for (i, n) in before.counts.iter().enumerate() {
            let at = usize::try_from(before.offset + i as i32 - out.offset).ok();
            if let Some(count) = at.and_then(|at| out.counts.get_mut(at)) {
                *count = count.saturating_sub(*n);
            }
        }
        out.zero = out.zero.saturating_sub(before.zero);
        out.sum -= before.sum;
        while out.counts.front() == Some(&0) {
            out.counts.pop_front();
            out.offset += 1;
        }
        while out.counts.back() == Some(&0) {
            out.counts.pop_back();
        }
        out
    }

    /// The same with no higher scale.
    pub fn at_scale(&self, scale: i32) -> Self {
        let mut out = self.clone();
        while out.scale > scale {
            out.halve();
        }
        out
    }

    /// The value below which a share of the values lies, to the middle of its bucket; `None` without values.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let count = self.count();
        let rank = ((count as f64 * share).ceil() as u64).clamp(1, count.max(1));
        if count == 0 {
            return None;
        }
        let mut below = self.zero;
        if rank <= below {
            return Some(0.0);
        }
        let base = 2f64.powf(2f64.powi(-self.scale));
        for (i, n) in self.counts.iter().enumerate() {
            below += n;
            if rank <= below {
                return Some(base.powf(f64::from(self.offset + i as i32) + 0.5));
            }
        }
        None
    }

    fn fits(&self, index: i32) -> bool {
        self.fits_both(index, index)
    }

    fn fits_both(&self, first: i32, last: i32) -> bool {
        if self.counts.is_empty() {
            return (i64::from(last) - i64::from(first)) < MAX_BUCKETS as i64;
        }
        let low = i64::from(first.min(self.offset));
        let high = i64::from(last).max(i64::from(self.offset) + self.counts.len() as i64 - 1);
        high - low < MAX_BUCKETS as i64
    }

    /// The bucket of an index, which fits.
    fn bucket(&mut self, index: i32) -> &mut u64 {
        if self.counts.is_empty() {
            self.offset = index;
        }
        while index < self.offset {
            self.counts.push_front(0);
            self.offset -= 1;
        }
        let at = (index - self.offset) as usize;
        if at >= self.counts.len() {
            self.counts.resize(at + 1, 0);
        }
        &mut self.counts[at]
    }

    /// Joins two buckets each.
    fn halve(&mut self) {
        let old = std::mem::take(&mut self.counts);
        let first = self.offset;
        self.offset = first >> 1;
        self.scale -= 1;
        for (i, n) in old.into_iter().enumerate() {
            let at = (((first + i as i32) >> 1) - self.offset) as usize;
            if at >= self.counts.len() {
                self.counts.resize(at + 1, 0);
            }
            self.counts[at] += n;
        }
    }
}

/// The bucket of a value above zero that is not subnormal.
fn index(value: f64, scale: i32) -> i32 {
    let bits = value.to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as i32 - 1023;
    let is_power = bits & ((1 << 52) - 1) == 0;
    if scale <= 0 {
        return (exponent - i32::from(is_power)) >> -scale;
    }
    if is_power {
        return (exponent << scale) - 1;
    }
    let fraction = f64::from_bits(bits & ((1 << 52) - 1) | 1023 << 52);
    let within = (fraction.log2() * f64::from(1 << scale)).ceil() as i32 - 1;
    (exponent << scale) + within.clamp(0, (1 << scale) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f64]) -> Exponential {
        let mut out = Exponential::default();
        values.iter().for_each(|value| out.record_many(*value, 1));
        out
    }

    #[test]
    fn values_fall_into_the_buckets_of_the_data_model() {
        for (value, scale, expected) in [
            (1.0, 0, -1),
            (1.5, 0, 0),
            (2.0, 0, 0),
            (2.1, 0, 1),
            (4.0, -1, 0),
            (4.1, -1, 1),
            (0.5, 0, -2),
            (1.5, 1, 1),
            (1.4, 1, 0),
            (2.0, 1, 1),
            (1.0, 3, -1),
            (1e-9, 0, -30),
        ] {
            assert_eq!(index(value, scale), expected, "{value} at {scale}");
        }
    }

    #[test]
    fn the_scale_falls_until_all_values_have_a_bucket() {
        let all = of(&[0.0, 1e-6, 0.001, 0.5, 0.5, 3.0, 1000.0]);
        assert!(all.counts().len() <= MAX_BUCKETS && all.scale() < MAX_SCALE, "{all:?}");
        assert_eq!((all.count(), all.zero()), (7, 1));
        let base = 2f64.powf(2f64.powi(-all.scale()));
        let at = all.counts().position(|n| n == 2).unwrap() as i32 + all.offset();
        assert!(base.powi(at) < 0.5 && 0.5 <= base.powi(at + 1) * 1.000_001, "{all:?}");
    }

    #[test]
    fn what_came_since_is_what_was_added() {
        let mut all = of(&[0.001, 0.002, 5.0]);
        let before = all.clone();
        [0.002, 70.0, 0.0].iter().for_each(|value| all.record_many(*value, 2));
        let since = all.since(&before);
        assert_eq!((since.count(), since.zero()), (6, 2));
        assert!((since.sum() - 140.004).abs() < 1e-9);
        let mut merged = before.clone();
        merged.merge(&since);
        assert_eq!(merged.count(), all.count());
        assert_eq!(merged.at_scale(0).counts, all.at_scale(0).counts);
    }

    #[test]
    fn quantiles_are_near_the_truth() {
        let values: Vec<f64> = (1..=1000).map(|i| f64::from(i) / 1000.0).collect();
        let all = of(&values);
        for share in [0.5, 0.9, 0.99] {
            let found = all.quantile(share).unwrap();
            assert!((found / share - 1.0).abs() < 0.05, "{share}: {found}");
        }
        assert_eq!(Exponential::default().quantile(0.5), None);
    }
}
