//! What hits of traps stand for: each allocation for itself, or samples of spans for what the runtime counted in
//! their size class. Not here: who allocates.

use std::collections::HashMap;

use goruntime::SizeClasses;
use probes::{Counted, RequestCount};

/// A processor takes a new span for a size class.
pub(super) const REFILL: u32 = 0;
/// A large object.
pub(super) const LARGE: u32 = 1;
/// An allocation.
pub(super) const MALLOC: u32 = 2;

/// Pages of large objects.
const PAGE: u64 = 8192;
/// No object has so many bytes, and no span so many objects: what a program in disorder has there may be anything.
const MAX_AMOUNT: u64 = 1 << 48;
/// The largest object that has a size class.
const LARGEST_SMALL: u64 = 32768;

/// So many hits of a place, with the same argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hit {
    pub(super) operation: u32,
    pub(super) value: u64,
    pub(super) count: u64,
    pub(super) amount: u64,
}

impl Hit {
    /// Bytes that were asked for, or objects that spans served, on average; `None` where that can't be.
    pub(super) fn mean(&self) -> Option<u64> {
        Some(self.amount / self.count.max(1)).filter(|mean| *mean < MAX_AMOUNT)
    }
}

impl From<&Counted> for Hit {
    fn from(one: &Counted) -> Self {
        let Counted { operation, value, count, amount, .. } = *one;
        Self { operation, value, count, amount }
    }
}

impl From<&RequestCount> for Hit {
    fn from(one: &RequestCount) -> Self {
        let RequestCount { operation, value, count, amount, .. } = *one;
        Self { operation, value, count, amount }
    }
}

/// What they stand for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Weight {
    pub(super) objects: f64,
    pub(super) bytes: f64,
    /// Of an object.
    pub(super) size: u64,
}

/// How hits become objects and bytes.
#[derive(Debug)]
pub(super) enum Weights<'c> {
    Each {
        scale: f64,
        classes: &'static [u64],
    },
    Samples {
        counted: &'c SizeClasses,
        /// Objects that the sampled spans served, by size class.
        refills: HashMap<usize, u64>,
        /// Large objects that were seen, and their bytes.
        large: (u64, u64),
    },
}

impl<'c> Weights<'c> {
    /// Each allocation was seen, or one in so many.
    pub(super) fn each(scale: f64) -> Self {
        Self::Each { scale, classes: SizeClasses::sizes() }
    }

    /// Samples of what the runtime counted; all samples that there are.
    pub(super) fn of_samples(all: impl Iterator<Item = Hit>, counted: &'c SizeClasses) -> Self {
        let (mut refills, mut large) = (HashMap::new(), (0u64, 0u64));
        for hit in all.filter(|hit| hit.mean().is_some()) {
            match hit.operation {
                REFILL => {
                    let all: &mut u64 = refills.entry(class(&hit)).or_default();
                    *all = all.saturating_add(hit.amount);
                }
                LARGE => large = (large.0 + hit.count, large.1.saturating_add(hit.amount)),
                _ => {}
            }
        }
        Self::Samples { counted, refills, large }
    }

    /// What hits stand for; `None` if that is nothing, or is not known.
    pub(super) fn of(&self, hit: &Hit) -> Option<Weight> {
        let mean = hit.mean()?;
        match (self, hit.operation) {
            (Self::Each { scale, classes }, MALLOC) => {
                let size = if hit.value > LARGEST_SMALL {
                    mean.div_ceil(PAGE) * PAGE
                } else {
                    let at = classes.partition_point(|size| *size < hit.value);
                    classes.get(at).copied().unwrap_or(hit.value)
                };
                let objects = hit.count as f64 * scale;
                Some(Weight { objects, bytes: objects * size as f64, size })
            }
            (Self::Samples { counted, refills, .. }, REFILL) => {
                // Class 0 has none of the small objects.
                let (size, objects) = *counted.small.get(class(hit).checked_sub(1)?)?;
                // Where none of its samples found room, it is not known what one stands for.
                let all = *refills.get(&class(hit)).filter(|all| **all > 0)?;
                let objects = objects as f64 * hit.amount as f64 / all as f64;
                Some(Weight { objects, bytes: objects * size as f64, size })
            }
            (Self::Samples { counted, large: (number, all), .. }, LARGE) => {
                if *number == 0 {
                    return None;
                }
                let bytes = counted.large_bytes as f64 * hit.amount as f64 / (*all).max(1) as f64;
                let objects = counted.large_objects as f64 * hit.count as f64 / *number as f64;
                Some(Weight { objects, bytes, size: mean })
            }
            _ => None,
        }
    }
}

/// The lowest bit of the argument says whether there are pointers in it.
fn class(hit: &Hit) -> usize {
    usize::try_from(hit.value >> 1).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_share_what_was_counted_in_their_class() {
        let counted = SizeClasses {
            small: vec![(8, 0), (16, 1000)],
            large_bytes: 900_000,
            large_objects: 3,
            tiny: 0,
        };
        // Of spans that were empty, and of some that served half as much.
        let refill =
            |count, scan, amount| Hit { operation: REFILL, value: 4u64 | scan, count, amount };
        let large = Hit { operation: LARGE, value: 32769, count: 2, amount: 600_000 };
        let all = [refill(1, 0, 512), refill(6, 1, 1536), large];
        let weights = Weights::of_samples(all.into_iter(), &counted);
        let of = |hit| weights.of(hit).map(|w| (w.objects, w.bytes, w.size));
        assert_eq!(of(&all[0]), Some((250.0, 4000.0, 16)));
        assert_eq!(of(&all[1]), Some((750.0, 12000.0, 16)));
        assert_eq!(of(&large), Some((3.0, 900_000.0, 300_000)));
        assert_eq!(of(&Hit { operation: REFILL, value: 1, count: 1, amount: 0 }), None);
    }

    #[test]
    fn a_hit_without_samples_to_compare_it_with_stands_for_nothing() {
        let counted =
            SizeClasses { small: vec![(8, 1000)], large_bytes: 900_000, large_objects: 3, tiny: 0 };
        let weights = Weights::of_samples(std::iter::empty(), &counted);
        let refill = Hit { operation: REFILL, value: 2, count: 2, amount: 1024 };
        let large = Hit { operation: LARGE, value: 32769, count: 2, amount: 600_000 };
        assert_eq!([weights.of(&refill), weights.of(&large)], [None, None]);
    }

    #[test]
    fn amounts_that_can_not_be_stand_for_nothing() {
        let counted =
            SizeClasses { small: vec![(8, 0)], large_bytes: 900, large_objects: 3, tiny: 0 };
        let of = |operation, count, amount| Hit { operation, value: 32769, count, amount };
        let (one, absurd) = (of(LARGE, 1, 300), of(LARGE, 1, u64::MAX));
        let weights = Weights::of_samples([one, absurd].into_iter(), &counted);
        assert_eq!(weights.of(&one).map(|w| (w.objects, w.bytes)), Some((3.0, 900.0)));
        assert_eq!((weights.of(&absurd), absurd.mean()), (None, None));
        let each = Weights::each(1.0);
        assert_eq!(each.of(&of(MALLOC, 1, u64::MAX)), None);
        let largest = of(MALLOC, 1, MAX_AMOUNT - 1);
        assert_eq!(each.of(&largest).map(|w| w.size), Some(MAX_AMOUNT));
    }

    #[test]
    fn each_allocation_has_the_size_of_its_class() {
        let malloc = |value, count, amount| Hit { operation: MALLOC, value, count, amount };
        let weights = Weights::each(2.0);
        let of = |hit| weights.of(&hit).map(|w| (w.objects, w.bytes, w.size));
        assert_eq!(of(malloc(504, 5, 2500)), Some((10.0, 5120.0, 512)));
        assert_eq!(of(malloc(32769, 1, 40_000)), Some((2.0, 81_920.0, 40_960)));
    }
}
