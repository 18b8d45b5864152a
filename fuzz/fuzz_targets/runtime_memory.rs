//! A process that lies to whoever reads its memory. `GOTAP_FUZZ_BINARY` names a Go program (a small
//! stripped one is best), whose layout is used; the input is what its memory holds: first a word for each
//! global, then an arena that pointers lead into.

#![no_main]

use std::collections::HashSet;

use gobin::{Binary, Global, Types};
use gomem::{Error, Memory};
use goruntime::group::group;
use goruntime::{
    AllocationProfile, Counters, Layout, Scheduler, SizeClasses, Snapshot, Symbols, WaitProfile,
    Waits, flight,
};
use libfuzzer_sys::fuzz_target;

/// Where the input's arena is.
const ARENA: u64 = 0x00c0_0000_0000;
/// Bytes of a global that the input says.
const GLOBAL: usize = 16;
/// Bytes behind it that may be of the same structure, and how many of them differ: they are the arena's.
const STRUCTURE: usize = 16 << 10;
const FIELDS: usize = 2048;
/// Bytes that are mapped.
const MAPPED: usize = 1 << 16;

/// A program and what is where in it.
struct Program {
    binary: &'static Binary<'static>,
    types: &'static Types<'static, 'static>,
    layout: Layout,
    globals: Vec<u64>,
    text: u64,
}

impl Program {
    fn new() -> Self {
        let path =
            std::env::var_os("GOTAP_FUZZ_BINARY").expect("GOTAP_FUZZ_BINARY names a Go program");
        let data: &'static [u8] = std::fs::read(path).expect("the program is readable").leak();
        let binary: &'static _ = Box::leak(Box::new(Binary::parse(data).expect("a Go program")));
        let types: &'static _ = Box::leak(Box::new(binary.types()));
        let layout = Layout::new(binary, types).expect("a layout");
        let globals = Global::ALL.iter().filter_map(|global| binary.global(*global)).collect();
        Self { binary, types, layout, globals, text: binary.module().text }
    }
}

thread_local! {
    static PROGRAM: Program = Program::new();
}

/// The input as a process's memory.
struct Image<'a> {
    program: &'a Program,
    input: &'a [u8],
}

impl Image<'_> {
    /// The byte at an address; `None` where nothing is mapped.
    fn byte(&self, address: u64) -> Option<u8> {
        let inside =
            |start: u64| address.checked_sub(start).and_then(|at| usize::try_from(at).ok());
        let arena = self.program.globals.len() * GLOBAL;
        let globals = self.program.globals.iter().enumerate();
        let distances = globals.filter_map(|(i, start)| Some((inside(*start)?, i)));
        let global = distances.min().filter(|(at, _)| *at < GLOBAL);
        let near = || {
            let mut all = self.program.globals.iter().filter_map(|start| inside(*start));
            all.find(|at| *at < STRUCTURE).map(|at| at % FIELDS)
        };
        let at = match global {
            Some((at, i)) => i * GLOBAL + at,
            None => inside(ARENA).or_else(near)?.checked_add(arena)?,
        };
        if at >= MAPPED {
            return None;
        }
        // Behind the input there are zeros.
        let word = self.input.get(at & !7..(at & !7) + 8).and_then(|word| word.try_into().ok());
        let word = u64::from_le_bytes(word.unwrap_or_default());
        // So that pointers are found easily.
        let word = match word >> 56 {
            0xa0 => ARENA + (word & 0xffff),
            0xa1 => self.program.text + (word & 0xff_ffff),
            _ => word,
        };
        Some(word.to_le_bytes()[at % 8])
    }
}

impl Memory for Image<'_> {
    fn read_parts(&self, parts: &[(u64, usize)], to: &mut [u8]) -> Result<usize, Error> {
        let mut at = 0;
        for (done, (address, len)) in parts.iter().enumerate() {
            if *len > MAPPED {
                return Ok(done);
            }
            for i in 0..*len {
                let Some(byte) = address.checked_add(i as u64).and_then(|at| self.byte(at)) else {
                    return Ok(done);
                };
                to[at + i] = byte;
            }
            at += len;
        }
        Ok(parts.len())
    }
}

fn read(program: &Program, memory: &Image<'_>) {
    let layout = &program.layout;
    let symbols = Symbols::new(program.binary, program.types);
    if let Ok(snapshot) = Snapshot::take(memory, layout, program.binary, 0) {
        let groups = group(&snapshot, |_| true);
        let members: usize = groups.iter().map(|group| group.members.len()).sum();
        assert_eq!(members, snapshot.goroutines.len());
        for goroutine in snapshot.goroutines.iter().take(50) {
            let stack = snapshot.stack(goroutine);
            symbols.stack(stack.unwrap_or_default());
            symbols.start(goroutine, stack);
        }
    }
    let scheduler = Scheduler::read(memory, layout, 0).expect("no process is gone");
    Counters::read(memory, layout, 0, &scheduler).expect("no process is gone");
    SizeClasses::read(memory, layout, 0).expect("no process is gone");
    if let Ok(profile) = AllocationProfile::read(memory, layout, 0) {
        let all: HashSet<_> = profile.buckets.iter().map(|bucket| bucket.site.bucket).collect();
        assert_eq!(all.len(), profile.buckets.len());
        for bucket in &profile.buckets {
            assert!(bucket.published.0 <= bucket.allocated && bucket.published.1 <= bucket.freed);
            symbols.sampled(&bucket.site.stack);
        }
    }
    for which in [Waits::Blocking, Waits::Mutexes] {
        if let Ok(profile) = WaitProfile::read(memory, layout, 0, which) {
            assert!(profile.buckets.iter().all(|wait| wait.count >= 0.0));
        }
    }
    let _ = flight::window(program.binary, program.types, memory, 0);
}

fuzz_target!(|input: &[u8]| {
    PROGRAM.with(|program| read(program, &Image { program, input }));
});
