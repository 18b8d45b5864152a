//! How fast the processor's clock is that Go measures waits with, as `runtime.ticksPerSecond` finds it out:
//! by comparing it with the time.

use std::time::{Duration, Instant};

/// A comparison takes at least so long.
const LEAST: Duration = Duration::from_millis(100);

/// A comparison that has begun.
pub(super) struct Ticking {
    at: Instant,
    ticks: u64,
}

impl Ticking {
    /// Begins.
    pub(super) fn new() -> Self {
        Self { at: Instant::now(), ticks: now() }
    }

    /// Ticks in a second.
    pub(super) fn per_second(&self) -> f64 {
        std::thread::sleep(LEAST.saturating_sub(self.at.elapsed()));
        let ticks = now().wrapping_sub(self.ticks);
        (ticks as f64 / self.at.elapsed().as_secs_f64()).max(1.0)
    }
}

/// What `runtime.cputicks` reads.
#[cfg(target_arch = "x86_64")]
fn now() -> u64 {
    // SAFETY: every processor for 64 bits has this instruction.
    unsafe { std::arch::x86_64::_rdtsc() }
}

/// What `runtime.cputicks` reads.
#[cfg(target_arch = "aarch64")]
fn now() -> u64 {
    let ticks: u64;
    // SAFETY: the counter may be read by every program.
    unsafe { std::arch::asm!("mrs {}, cntvct_el0", out(reg) ticks) };
    ticks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_comparisons_agree() {
        let (a, b) = (Ticking::new().per_second(), Ticking::new().per_second());
        assert!(a > 1e6 && (a / b - 1.0).abs() < 0.05, "{a}, {b}");
    }
}
