//! What the continuous profiles count: samples, and those that are lost, by reason; profiles that are not made.

use std::sync::atomic::{AtomicU64, Ordering};

use wire::SampledCounter;

/// Why a sample is in no profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    /// New stacks came faster than they were read.
    RingFull,
    /// There were too many different stacks.
    ManyStacks,
    /// Two stacks have the same hash.
    Collided,
    /// The process runs another program by now, or is at its end.
    OtherProgram,
    /// Samples came faster than they were read.
    Untold,
    /// The stack was not received.
    WithoutStack,
    /// The record could not be understood.
    Invalid,
    /// The process's file could not be read any more.
    Unnamed,
}

impl Loss {
    pub(crate) const ALL: [Self; 8] = [
        Self::RingFull,
        Self::ManyStacks,
        Self::Collided,
        Self::OtherProgram,
        Self::Untold,
        Self::WithoutStack,
        Self::Invalid,
        Self::Unnamed,
    ];

    /// Its name in metrics.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::RingFull => "ring_full",
            Self::ManyStacks => "many_stacks",
            Self::Collided => "collided",
            Self::OtherProgram => "other_program",
            Self::Untold => "untold",
            Self::WithoutStack => "without_stack",
            Self::Invalid => "invalid",
            Self::Unnamed => "unnamed",
        }
    }
}

/// Why there is no profile of another kind than `cpu`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Skip {
    /// The program's own profiler does not sample it; once for each process.
    Off,
    /// The program changed what its profiler samples.
    Changed,
    /// The process could not be read.
    Unreadable,
    /// The process ended: what its profiler kept since the last profile is gone.
    Ended,
    /// So many processes are read already; once for each process.
    ManyProcesses,
    /// No thread could be started for the process; once for each process.
    NoThread,
    /// The agent ended before the last profiles of the process were made; once for each process.
    Late,
}

impl Skip {
    const ALL: [Self; 7] = [
        Self::Off,
        Self::Changed,
        Self::Unreadable,
        Self::Ended,
        Self::ManyProcesses,
        Self::NoThread,
        Self::Late,
    ];

    fn label(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Changed => "changed",
            Self::Unreadable => "unreadable",
            Self::Ended => "ended",
            Self::ManyProcesses => "many_processes",
            Self::NoThread => "no_thread",
            Self::Late => "late",
        }
    }
}

/// Why a goroutine that a look met is not in a `wall` profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unseen {
    /// It could not be read.
    Unreadable,
    /// There were too many different stacks.
    ManyStacks,
    /// The look failed: all goroutines are missing. Counted as one.
    LookFailed,
}

impl Unseen {
    const ALL: [Self; 3] = [Self::Unreadable, Self::ManyStacks, Self::LookFailed];

    fn label(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::ManyStacks => "many_stacks",
            Self::LookFailed => "look_failed",
        }
    }
}

/// What the kernel counts of it.
pub(super) const OF_KERNEL: [(SampledCounter, Loss); 5] = [
    (SampledCounter::RingFull, Loss::RingFull),
    (SampledCounter::StacksFull, Loss::ManyStacks),
    (SampledCounter::Collided, Loss::Collided),
    (SampledCounter::OtherProgram, Loss::OtherProgram),
    (SampledCounter::Untold, Loss::Untold),
];

/// Counts since the start.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Samples that are in profiles.
    samples: AtomicU64,
    /// Of these, samples of requests that had not ended, or whose traces are not sent: they have no link.
    unlinked: AtomicU64,
    /// Processes for which there was no room, or that could not be read.
    left_out: AtomicU64,
    lost: [AtomicU64; Loss::ALL.len()],
    /// Profiles of other kinds than `cpu`.
    others: AtomicU64,
    skipped: [AtomicU64; Skip::ALL.len()],
    /// What looks at goroutines did not see.
    unseen: [AtomicU64; Unseen::ALL.len()],
    /// The same of what the kernel counts, as of the last look.
    of_kernel: [AtomicU64; OF_KERNEL.len()],
}

impl Counts {
    pub(super) fn sampled(&self, samples: u64) {
        self.samples.fetch_add(samples, Ordering::Relaxed);
    }

    pub(super) fn unlinked(&self, samples: u64) {
        self.unlinked.fetch_add(samples, Ordering::Relaxed);
    }

    pub(super) fn leave_out(&self) {
        self.left_out.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn lose(&self, why: Loss, samples: u64) {
        self.lost[why as usize].fetch_add(samples, Ordering::Relaxed);
    }

    pub(super) fn took_other(&self) {
        self.others.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn skip(&self, why: Skip) {
        self.skipped[why as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn miss(&self, why: Unseen, count: u64) {
        self.unseen[why as usize].fetch_add(count, Ordering::Relaxed);
    }

    /// What looks at goroutines did not see, by reason.
    pub(crate) fn unseen(&self) -> [(&'static str, u64); Unseen::ALL.len()] {
        Unseen::ALL.map(|why| (why.label(), self.unseen[why as usize].load(Ordering::Relaxed)))
    }

    /// Profiles of other kinds than `cpu`.
    pub(crate) fn others(&self) -> u64 {
        self.others.load(Ordering::Relaxed)
    }

    /// Those that were not made, by reason.
    pub(crate) fn skipped(&self) -> [(&'static str, u64); Skip::ALL.len()] {
        Skip::ALL.map(|why| (why.label(), self.skipped[why as usize].load(Ordering::Relaxed)))
    }

    /// What one of the kernel's counters says now.
    pub(super) fn in_kernel(&self, number: usize, count: u64) {
        self.of_kernel[number].store(count, Ordering::Relaxed);
    }

    /// Samples that are in profiles.
    pub(crate) fn samples(&self) -> u64 {
        self.samples.load(Ordering::Relaxed)
    }

    /// Samples of requests that have no link.
    pub(crate) fn without_link(&self) -> u64 {
        self.unlinked.load(Ordering::Relaxed)
    }

    /// Processes that are not profiled.
    pub(crate) fn processes_left_out(&self) -> u64 {
        self.left_out.load(Ordering::Relaxed)
    }

    /// Samples that are in none, by reason.
    pub(crate) fn lost(&self) -> [(&'static str, u64); Loss::ALL.len()] {
        Loss::ALL.map(|why| {
            let number = OF_KERNEL.iter().position(|(_, loss)| *loss == why);
            let kernel = number.map_or(0, |number| self.of_kernel[number].load(Ordering::Relaxed));
            (why.label(), kernel + self.lost[why as usize].load(Ordering::Relaxed))
        })
    }
}
