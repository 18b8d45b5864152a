//! For which share of the time each processor was in use, from samples ([`crate::timeline`]). Not here: when they are
//! taken.

use std::collections::BTreeMap;

use crate::runs::{Doing, by_processor, of_processor};
use crate::timeline::Sample;

/// In how many samples a processor was seen to do what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    /// All in which there was this processor.
    pub samples: u64,
    /// It ran a goroutine.
    pub running: u64,
    /// It had a thread and no goroutine: it switched, or looked for work.
    pub switching: u64,
    /// Its goroutine was in a system call or in C code.
    pub syscall: u64,
    /// It was stopped for the garbage collector.
    pub stopped: u64,
}

impl Used {
    /// The share of all samples that `some` of them are; `None` without any.
    pub fn share(&self, some: u64) -> Option<f64> {
        (self.samples > 0).then(|| some as f64 / self.samples as f64)
    }
}

/// What samples add up to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    processors: BTreeMap<i32, Used>,
    samples: u64,
    in_part: u64,
}

impl Usage {
    /// Adds a sample, unless not all threads are in it: the processor of one that is missing would seem to switch.
    pub fn add(&mut self, sample: &Sample) {
        if sample.more_threads {
            self.in_part += 1;
            return;
        }
        self.samples += 1;
        let threads = by_processor(&sample.threads);
        for processor in &sample.processors {
            let used = self.processors.entry(processor.id).or_default();
            used.samples += 1;
            match of_processor(processor, &threads) {
                Some(Doing::Goroutine(running)) if running.in_syscall => used.syscall += 1,
                Some(Doing::Syscall) => used.syscall += 1,
                Some(Doing::Goroutine(_)) => used.running += 1,
                Some(Doing::Working) => used.switching += 1,
                Some(Doing::Stopped) => used.stopped += 1,
                None => {}
            }
        }
    }

    /// How many samples there were.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// Samples that were left out, as not all threads were in them.
    pub fn in_part(&self) -> u64 {
        self.in_part
    }

    /// A processor, if it was in a sample.
    pub fn of(&self, processor: i32) -> Option<&Used> {
        self.processors.get(&processor)
    }

    /// The share of the time for which processors ran goroutines, over all of them; `None` without a sample.
    pub fn running(&self) -> Option<f64> {
        let all: u64 = self.processors.values().map(|used| used.samples).sum();
        let running: u64 = self.processors.values().map(|used| used.running).sum();
        (all > 0).then(|| running as f64 / all as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::{ProcessorAt, Running, ThreadAt};

    fn processor(id: i32, status: u32) -> ProcessorAt {
        ProcessorAt { id, status, switches: 0, syscalls: 0, queued: 0 }
    }

    fn thread(processor: i32, in_syscall: bool) -> ThreadAt {
        let goroutine = Some(Running { goid: 7, start: 0x1000, in_syscall });
        ThreadAt { id: 100, processor: Some(processor), goroutine, changed: false }
    }

    #[test]
    fn shares_are_of_the_samples_that_a_processor_was_in() {
        let mut usage = Usage::default();
        let sample = |processors, threads| Sample { processors, threads, more_threads: false };
        usage.add(&sample(vec![processor(0, 1), processor(1, 0)], vec![thread(0, false)]));
        // Go 1.26 and newer have no status for a processor whose goroutine is in a system call.
        usage.add(&sample(vec![processor(0, 1), processor(1, 2)], vec![thread(0, true)]));
        usage.add(&sample(vec![processor(0, 3), processor(1, 1)], vec![]));
        usage.add(&sample(vec![processor(0, 1)], vec![thread(0, false)]));
        let first = Used { samples: 4, running: 2, switching: 0, syscall: 1, stopped: 1 };
        assert_eq!(usage.of(0), Some(&first));
        assert_eq!(first.share(first.running), Some(0.5));
        let second = Used { samples: 3, running: 0, switching: 1, syscall: 1, stopped: 0 };
        assert_eq!((usage.of(1), usage.of(2)), (Some(&second), None));
        assert_eq!((usage.samples(), usage.running()), (4, Some(2.0 / 7.0)));
        let in_part = Sample { more_threads: true, ..sample(vec![processor(0, 1)], vec![]) };
        assert_eq!(usage.in_part(), 0);
        usage.add(&in_part);
        assert_eq!((usage.samples(), usage.in_part()), (4, 1));
    }

    #[test]
    fn without_a_sample_nothing_is_known() {
        let usage = Usage::default();
        assert_eq!((usage.running(), usage.of(0)), (None, None));
        assert_eq!(Used::default().share(0), None);
    }
}
