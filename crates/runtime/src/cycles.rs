//! Collections, one by one: what the runtime notes of each until the next one begins, as `GODEBUG=gctrace=1`
//! prints it.
//!
//! The words are read when the runtime lets goroutines run again, by whoever observes that; here is which
//! words these are, and what they say. Source: `runtime/mgc.go`. Not here: the sums since the program
//! started (`counters`).

use gobin::Global;
use gomem::Memory;

use crate::layout::Layout;
use crate::{Error, Missing};

/// How many words are read.
pub const WORDS: usize = 20;

/// Words of the runtime's variables, in the order of [`places`]; `None` for what is not there.
pub type Words = [Option<u64>; WORDS];

/// Without a collection for so long, the runtime begins one (`forcegcperiod`).
const PERIOD: u64 = 120_000_000_000;
/// A duration or time in nanoseconds is less.
const MAX_NANOSECONDS: u64 = 1 << 62;
const MAX_BYTES: u64 = 1 << 48;

/// Which word is which.
#[derive(Clone, Copy)]
enum Word {
    Ended,
    Begun,
    Pauses,
    SweepTermination,
    Mark,
    MarkTermination,
    End,
    StoppedProcessors,
    Processors,
    Forced,
    HeapBefore,
    HeapAtEnd,
    HeapMarked,
    Goal,
    Assist,
    Dedicated,
    Fractional,
    Idle,
    PreviousEnd,
}

/// Their variables, fields, and sizes in bytes.
const FIELDS: [(Word, Global, &str, u32); 19] = [
    (Word::Ended, Global::Memstats, "mstats.numgc", 4),
    (Word::Begun, Global::Work, "workType.cycles", 4),
    (Word::Pauses, Global::Work, "workType.pauseNS", 8),
    (Word::SweepTermination, Global::Work, "workType.tSweepTerm", 8),
    (Word::Mark, Global::Work, "workType.tMark", 8),
    (Word::MarkTermination, Global::Work, "workType.tMarkTerm", 8),
    (Word::End, Global::Work, "workType.tEnd", 8),
    (Word::StoppedProcessors, Global::Work, "workType.stwprocs", 4),
    (Word::Processors, Global::Work, "workType.maxprocs", 4),
    (Word::Forced, Global::Work, "workType.userForced", 1),
    (Word::HeapBefore, Global::Work, "workType.heap0", 8),
    (Word::HeapAtEnd, Global::Work, "workType.heap1", 8),
    (Word::HeapMarked, Global::Work, "workType.heap2", 8),
    (Word::Goal, Global::Work, "workType.heapGoal", 8),
    (Word::Assist, Global::GcController, "gcControllerState.assistTime", 8),
    (Word::Dedicated, Global::GcController, "gcControllerState.dedicatedMarkTime", 8),
    (Word::Fractional, Global::GcController, "gcControllerState.fractionalMarkTime", 8),
    (Word::Idle, Global::GcController, "gcControllerState.idleMarkTime", 8),
    (Word::PreviousEnd, Global::Memstats, "mstats.last_gc_nanotime", 8),
];

/// The addresses of the words in a process; 0 for what is not known.
pub fn places(layout: &Layout, bias: u64) -> [u64; WORDS] {
    let mut out = [0; WORDS];
    let address = |global, field: &str| {
        let offset = layout.offsets.get(field)?;
        Some(layout.global(global)?.wrapping_add(bias).wrapping_add(offset))
    };
    for (word, global, field, _) in FIELDS {
        out[word as usize] = address(global, field).unwrap_or(0);
    }
    // Since Go 1.19 it is the controller's.
    let goal = &mut out[Word::Goal as usize];
    if *goal == 0 {
        *goal = address(Global::GcController, "gcControllerState.lastHeapGoal").unwrap_or(0);
    }
    out
}

/// Reads the words now.
///
/// # Errors
/// When the process is gone, or may not be read.
pub fn words(memory: &impl Memory, layout: &Layout, bias: u64) -> Result<Words, Error> {
    let mut out = [None; WORDS];
    for (word, place) in out.iter_mut().zip(places(layout, bias)) {
        *word = if place == 0 { None } else { memory.word(place)? };
    }
    Ok(out)
}

fn word(words: &Words, word: Word) -> Option<u64> {
    let (_, _, _, bytes) = FIELDS.iter().find(|(one, ..)| *one as usize == word as usize)?;
    let value = words[word as usize]?;
    Some(if *bytes == 8 { value } else { value & ((1 << (8 * bytes)) - 1) })
}

/// Why a collection began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// The heap had grown to where one is due.
    Heap,
    /// The program called `runtime.GC` or `debug.FreeOSMemory`.
    Forced,
    /// There had been none for two minutes.
    Timer,
}

impl Trigger {
    /// As it is printed.
    pub fn name(self) -> &'static str {
        match self {
            Trigger::Heap => "heap",
            Trigger::Forced => "forced",
            Trigger::Timer => "timer",
        }
    }
}

/// All goroutines were stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    /// What for, in the runtime's words.
    pub reason: &'static str,
    /// Since when, by the monotonic clock.
    pub start: u64,
    /// For how many nanoseconds.
    pub nanoseconds: u64,
}

/// One collection. Times are those of the monotonic clock, in nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cycle {
    /// Its number; the program's first one is 1.
    pub number: u32,
    /// Why it began; `None` where the one before is not known.
    pub trigger: Option<Trigger>,
    /// When it began.
    pub start: u64,
    /// How long it took: sweep termination, marking, mark termination.
    pub phases: [u64; 3],
    /// How long it stopped all goroutines; what they add up to is in `PauseTotalNs`.
    pub pauses: [Pause; 2],
    /// The processor time of goroutines that had to help, in nanoseconds.
    pub assist: Option<u64>,
    /// That of the workers, those that only run where a processor is idle left away.
    pub background: Option<u64>,
    /// That of the latter.
    pub idle: Option<u64>,
    /// That of all processors in the pauses.
    pub stopped: Option<u64>,
    /// The heap at the beginning, in bytes.
    pub heap_before: Option<u64>,
    /// The heap at the end, with what was allocated meanwhile.
    pub heap_at_end: Option<u64>,
    /// What was found to be live.
    pub heap_marked: Option<u64>,
    /// The heap at which it was to end.
    pub goal: Option<u64>,
    /// `GOMAXPROCS`.
    pub processors: Option<u32>,
    /// The end of the collection before.
    pub previous_end: Option<u64>,
}

impl Cycle {
    /// How long it took.
    pub fn nanoseconds(&self) -> u64 {
        self.phases.iter().sum()
    }

    /// When it ended.
    pub fn end(&self) -> u64 {
        self.start + self.nanoseconds()
    }

    /// How long it stopped all goroutines.
    pub fn paused(&self) -> u64 {
        self.pauses.iter().map(|pause| pause.nanoseconds).sum()
    }

    /// Its share of the processor time that the program could use since the end of the one before. Idle
    /// processors' work does not count, as in the runtime's own fraction. `None` where one of these is not known.
    pub fn cpu_fraction(&self) -> Option<f64> {
        let since = self.end().checked_sub(self.previous_end?).filter(|since| *since > 0)?;
        let used = self.assist?.checked_add(self.background?)?.checked_add(self.stopped?)?;
        let fraction = used as f64 / (since as f64 * f64::from(self.processors?));
        Some(fraction.min(1.0))
    }

    fn parse(words: &Words, previous_end: Option<u64>) -> Option<Self> {
        let time = |which| word(words, which).filter(|n| *n < MAX_NANOSECONDS);
        let bytes = |which| word(words, which).filter(|n| *n < MAX_BYTES);
        let few = |which| word(words, which).filter(|n| (1..1 << 16).contains(n));
        let (start, mark) = (time(Word::SweepTermination)?, time(Word::Mark)?);
        let (term, end) = (time(Word::MarkTermination)?, time(Word::End)?);
        let phases = [mark.checked_sub(start)?, term.checked_sub(mark)?, end.checked_sub(term)?];
        // The runtime keeps their sum alone. The first one ends where marking begins.
        let paused = time(Word::Pauses)?;
        let first = phases[0].min(paused);
        let pause = |reason, start, nanoseconds| Pause { reason, start, nanoseconds };
        let forced = word(words, Word::Forced)? != 0;
        // Within two minutes after another one only the heap can be why.
        let trigger = match previous_end {
            _ if forced => Some(Trigger::Forced),
            Some(before) if start.saturating_sub(before) < PERIOD => Some(Trigger::Heap),
            Some(_) => Some(Trigger::Timer),
            None => None,
        };
        // What does not fit is not known.
        let fits = |n: &u64| *n < MAX_NANOSECONDS;
        let background = time(Word::Dedicated).zip(time(Word::Fractional));
        let stopped = few(Word::StoppedProcessors).zip(phases[0].checked_add(phases[2]));
        Some(Self {
            number: u32::try_from(word(words, Word::Ended)?).ok()?,
            trigger,
            start,
            phases,
            pauses: [
                pause("GC sweep termination", start, first),
                pause("GC mark termination", term, paused - first),
            ],
            assist: time(Word::Assist),
            background: background.and_then(|(a, b)| a.checked_add(b)).filter(fits),
            idle: time(Word::Idle),
            stopped: stopped.and_then(|(n, each)| n.checked_mul(each)).filter(fits),
            heap_before: bytes(Word::HeapBefore),
            heap_at_end: bytes(Word::HeapAtEnd),
            heap_marked: bytes(Word::HeapMarked),
            goal: bytes(Word::Goal),
            processors: few(Word::Processors).and_then(|n| u32::try_from(n).ok()),
            previous_end,
        })
    }
}

/// What the runtime did when it let goroutines run again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happened {
    /// A collection goes on to mark.
    Began,
    /// One has ended. So many before it were not seen.
    Ended(Box<Cycle>, u32),
    /// One has ended, and what is noted of it contradicts itself. So many before it were not seen.
    Unclear(u32),
    /// They were stopped for something else.
    Other,
}

/// Follows the collections of a process.
#[derive(Debug, Clone)]
pub struct Cycles {
    ended: u32,
    begun: u32,
    previous_end: Option<u64>,
}

impl Cycles {
    /// From the words as they are before anything is observed.
    ///
    /// # Errors
    /// What can't be known of this process.
    pub fn new(words: &Words) -> Result<Self, Missing> {
        let half = |which| word(words, which).and_then(|n| u32::try_from(n).ok());
        let counts = half(Word::Ended).zip(half(Word::Begun));
        match counts.filter(|(ended, begun)| begun.wrapping_sub(*ended) <= 1) {
            Some((ended, begun)) => Ok(Self { ended, begun, previous_end: last(words) }),
            None => Err(Missing {
                what: "collections",
                why: "the runtime's counts of collections contradict each other".to_owned(),
            }),
        }
    }

    /// Takes the words of one moment at which goroutines may run again.
    pub fn add(&mut self, words: &Words) -> Happened {
        let half = |which| word(words, which).and_then(|n| u32::try_from(n).ok());
        let (Some(ended), Some(begun)) = (half(Word::Ended), half(Word::Begun)) else {
            return Happened::Other;
        };
        let more = ended.wrapping_sub(self.ended);
        if more > 0 && more < 1 << 31 {
            self.ended = ended;
            // The end of one of which the beginning was not seen may be another one's.
            let previous = self.previous_end.filter(|_| more == 1 || self.begun == begun);
            self.begun = begun;
            let cycle = Cycle::parse(words, previous);
            self.previous_end = last(words);
            return match cycle {
                Some(cycle) => Happened::Ended(Box::new(cycle), more - 1),
                None => Happened::Unclear(more - 1),
            };
        }
        if begun != self.begun {
            self.begun = begun;
            self.previous_end = last(words);
            return Happened::Began;
        }
        Happened::Other
    }
}

/// When the last collection ended.
fn last(words: &Words) -> Option<u64> {
    word(words, Word::PreviousEnd).filter(|at| *at > 0 && *at < MAX_NANOSECONDS)
}

/// Why all goroutines were stopped, by the number that Go 1.22 and newer give it (`runtime.stwReason`).
pub fn stop_reason(number: u64) -> Option<&'static str> {
    const NAMES: [&str; 17] = [
        "unknown",
        "GC mark termination",
        "GC sweep termination",
        "write heap dump",
        "goroutine profile",
        "goroutine profile cleanup",
        "all goroutines stack trace",
        "read mem stats",
        "AllThreadsSyscall",
        "GOMAXPROCS",
        "start trace",
        "stop trace",
        "CountPagesInUse (test)",
        "ReadMetricsSlow (test)",
        "ReadMemStatsSlow (test)",
        "PageCachePagesLeaked (test)",
        "ResetDebugLog (test)",
    ];
    // The argument is a byte; what is above it in the register means nothing.
    NAMES.get((number & 0xff) as usize).copied()
}

#[cfg(test)]
#[path = "cycles_tests.rs"]
mod tests;
