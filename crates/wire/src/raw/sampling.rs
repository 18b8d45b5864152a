//! How the programs know which traces are wanted.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The user's choice (`struct gt_sampling`).
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Sampling {
    /// Of 2^56: traces with a smaller random part are left out.
    pub threshold: u64,
    /// What takes longer, in nanoseconds, is sent all the same; 0: nothing.
    pub slow_ns: u64,
    /// Traces that each process may begin in a second; 0: any number.
    pub per_second: u32,
    /// 1: what failed is sent all the same.
    pub keeps_errors: u8,
    /// 1: all events are sent, as they are measured.
    pub sends_all: u8,
    /// Zero.
    pub pad: [u8; 2],
}

impl Sampling {
    /// All of a trace's random part.
    const RANDOM: f64 = (1u64 << 56) as f64;

    /// Keeps this share of traces, from 0 to 1.
    #[must_use]
    pub fn with_ratio(self, ratio: f64) -> Self {
        let left_out = (1.0 - ratio.clamp(0.0, 1.0)) * Self::RANDOM;
        // Both are at most 2^56, which f64 has exactly.
        Self { threshold: left_out.round() as u64, ..self }
    }

    /// Whether some traces may be left out.
    pub fn leaves_out(&self) -> bool {
        self.threshold != 0 || self.per_second != 0
    }
}

const _: () = assert!(size_of::<Sampling>() == 24);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_a_threshold_of_what_is_left_out() {
        let threshold = |ratio| Sampling::default().with_ratio(ratio).threshold;
        assert_eq!(threshold(1.0), 0);
        assert_eq!(threshold(0.0), 1 << 56);
        assert_eq!(threshold(0.5), 1 << 55);
        assert_eq!(threshold(2.0), 0);
    }
}
