//! Samples become slices: from when to when a processor, a thread or a goroutine was seen to do the same.
//!
//! Slices of one track never overlap, and nothing is claimed for a time in which no sample was taken. Not
//! here: reading ([`crate::timeline`]), names, files.

use std::collections::HashMap;

use crate::timeline::{ProcessorAt, Running, Sample, ThreadAt};

/// Slices that are kept.
const MAX_SLICES: usize = 1_000_000;
/// Goroutines with a track.
const MAX_GOROUTINES: usize = 2_000;

/// What a slice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Track {
    /// A processor, by its number.
    Processor(i32),
    /// A thread, by the kernel's id.
    Thread(u64),
    /// A goroutine, by its number.
    Goroutine(u64),
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Doing {
    /// This goroutine ran, or was in a system call.
    Goroutine(Running),
    /// A processor or thread that has work. Its goroutine is not known: it was switching, or the
    /// runtime's own code ran.
    Working,
    /// A processor whose thread is in a system call.
    Syscall,
    /// A processor that is stopped for the garbage collector.
    Stopped,
}

/// From when to when the same was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// What it is about.
    pub track: Track,
    /// What was done.
    pub doing: Doing,
    /// The processor that a thread or a goroutine had, in the first sample.
    pub processor: Option<i32>,
    /// Nanoseconds since the beginning.
    pub start: u64,
    /// The same.
    pub end: u64,
    /// How many samples saw it.
    pub samples: u32,
}

/// Of one processor: what the runtime counted, exactly.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Switches to a goroutine.
    pub switches: u64,
    /// System calls.
    pub syscalls: u64,
}

/// What is under way on a track.
#[derive(Debug, Clone, Copy)]
struct Open {
    slice: Slice,
    last: u64,
    /// What a processor's count of switches was: one that changed ends a slice.
    switches: Option<u32>,
}

/// Slices in the making.
#[derive(Debug, Default)]
pub struct Timeline {
    /// All that are complete, in the order of their ends.
    pub slices: Vec<Slice>,
    /// Slices beyond those that are kept.
    pub left_out: u64,
    /// Goroutines beyond those that have a track.
    pub goroutines_left_out: bool,
    /// How many goroutines waited in queues of processors, when that changed.
    pub queued: Vec<(u64, u32)>,
    /// Changes of that beyond those that are kept.
    pub queued_left_out: u64,
    /// What the runtime counted, by processor.
    pub counts: HashMap<i32, Counts>,
    /// How many samples there were.
    pub samples: u64,
    /// The longest time between two of them.
    pub longest_gap: u64,
    /// The most threads that were seen at once; where there were more than are read, there were more.
    pub threads: usize,
    /// Whether there were more threads than are read.
    pub more_threads: bool,
    /// Threads that changed while they were read: samples of one thread each.
    pub changed: u64,
    open: HashMap<Track, Open>,
    ticks: HashMap<i32, (u32, u32)>,
    goroutines: std::collections::HashSet<u64>,
    last: Option<u64>,
    /// No slice goes on for longer than this after a sample.
    patience: u64,
}

impl Timeline {
    /// For samples that are meant to be `interval` nanoseconds apart.
    pub fn new(interval: u64) -> Self {
        Self { patience: interval.saturating_mul(2), ..Self::default() }
    }

    /// Lets slices go on for so many nanoseconds after a sample, as samples turn out to be further apart.
    pub fn be_patient(&mut self, patience: u64) {
        self.patience = patience;
    }

    /// Adds a sample that was taken at `now`, in nanoseconds since the beginning. One that is not
    /// later than the last is left out.
    pub fn add(&mut self, now: u64, sample: &Sample) {
        if let Some(last) = self.last {
            if now <= last {
                return;
            }
            self.longest_gap = self.longest_gap.max(now - last);
        }
        self.last = Some(now);
        self.samples += 1;
        self.threads = self.threads.max(sample.threads.len());
        self.more_threads |= sample.more_threads;
        self.changed += sample.threads.iter().filter(|t| t.changed).count() as u64;
        let mut seen: HashMap<Track, (Doing, Option<i32>, Option<u32>)> = HashMap::new();
        let threads = by_processor(&sample.threads);
        for processor in &sample.processors {
            self.count(processor);
            if let Some(doing) = of_processor(processor, &threads) {
                let track = Track::Processor(processor.id);
                seen.insert(track, (doing, None, Some(processor.switches)));
            }
        }
        for thread in &sample.threads {
            let Some(doing) = of_thread(thread) else { continue };
            seen.insert(Track::Thread(thread.id), (doing, thread.processor, None));
            if let Some(running) = thread.goroutine.filter(|g| self.has_track(g.goid)) {
                let track = Track::Goroutine(running.goid);
                seen.insert(track, (doing, thread.processor, None));
            }
        }
        self.close(now, &seen);
        for (track, (doing, processor, switches)) in seen {
            let open = self.open.entry(track).or_insert_with(|| Open {
                slice: Slice { track, doing, processor, start: now, end: now, samples: 0 },
                last: now,
                switches,
            });
            open.slice.samples += 1;
            open.last = now;
        }
        let queued = sample.processors.iter().map(|p| p.queued).sum();
        if self.queued.last().is_none_or(|(_, before)| *before != queued) {
            if self.queued.len() < MAX_SLICES {
                self.queued.push((now, queued));
            } else {
                self.queued_left_out += 1;
            }
        }
    }

    /// Ends all slices at `now`.
    pub fn finish(&mut self, now: u64) {
        let now = now.max(self.last.map_or(0, |last| last + 1));
        self.close(now, &HashMap::new());
        self.slices.sort_by_key(|slice| (slice.track, slice.start));
    }

    /// Ends what is not seen any more, or is not the same.
    fn close(&mut self, now: u64, seen: &HashMap<Track, (Doing, Option<i32>, Option<u32>)>) {
        let patience = self.patience;
        let ended: Vec<Open> = self
            .open
            .extract_if(|track, open| {
                let same = seen.get(track).is_some_and(|(doing, processor, switches)| {
                    *doing == open.slice.doing
                        && *processor == open.slice.processor
                        && *switches == open.switches
                });
                !same || now - open.last > patience
            })
            .map(|(_, open)| open)
            .collect();
        for open in ended {
            let end = now.min(open.last.saturating_add(patience));
            if self.slices.len() < MAX_SLICES {
                self.slices.push(Slice { end, ..open.slice });
            } else {
                self.left_out += 1;
            }
        }
    }

    fn count(&mut self, processor: &ProcessorAt) {
        let now = (processor.switches, processor.syscalls);
        let (switches, syscalls) = self.ticks.insert(processor.id, now).unwrap_or(now);
        let counts = self.counts.entry(processor.id).or_default();
        counts.switches += u64::from(now.0.wrapping_sub(switches));
        counts.syscalls += u64::from(now.1.wrapping_sub(syscalls));
    }

    fn has_track(&mut self, goid: u64) -> bool {
        let room = self.goroutines.len() < MAX_GOROUTINES;
        let has = self.goroutines.contains(&goid) || room && self.goroutines.insert(goid);
        self.goroutines_left_out |= !has;
        has
    }
}

/// The thread that has a processor, by its number; `None` where two claim it, which were read at different moments.
pub(crate) type ByProcessor<'t> = HashMap<i32, Option<&'t ThreadAt>>;

pub(crate) fn by_processor(threads: &[ThreadAt]) -> ByProcessor<'_> {
    let mut out = HashMap::new();
    for thread in threads {
        let Some(processor) = thread.processor else { continue };
        out.entry(processor).and_modify(|one| *one = None).or_insert(Some(thread));
    }
    out
}

/// Of an idle one, or one that there is no more, nothing.
pub(crate) fn of_processor(processor: &ProcessorAt, threads: &ByProcessor<'_>) -> Option<Doing> {
    match processor.status {
        1 => {
            let thread = threads.get(&processor.id).copied().flatten();
            Some(thread.and_then(|t| t.goroutine).map_or(Doing::Working, Doing::Goroutine))
        }
        2 => Some(Doing::Syscall),
        3 => Some(Doing::Stopped),
        _ => None,
    }
}

/// Of one that has neither a processor nor a goroutine, nothing.
fn of_thread(thread: &ThreadAt) -> Option<Doing> {
    match thread.goroutine {
        Some(running) => Some(Doing::Goroutine(running)),
        None if thread.changed || thread.processor.is_some() => Some(Doing::Working),
        None => None,
    }
}

#[cfg(test)]
#[path = "runs_tests.rs"]
mod tests;
