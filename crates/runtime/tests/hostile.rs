//! A process that lies: lists that lead in circles, absurd lengths, memory that changes with every
//! read. Reading it must neither panic nor run for long, and must not make numbers up.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test, in helpers, too")]

use std::cell::Cell;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use gobin::{Binary, Global};
use gomem::{Error, Memory};
use goruntime::group::group;
use goruntime::holders::holds;
use goruntime::leaks::suspects;
use goruntime::{
    AllocationProfile, Counters, Layout, Scheduler, SizeClasses, Snapshot, StackState, Symbols,
    WaitProfile, Waits, flight,
};
use gotap_testkit::go::{self, Mode, Version};

/// No single snapshot may take longer, in a debug build on a busy machine.
const SLOW: Duration = Duration::from_secs(60);

/// Where made-up pointers lead to.
const ARENA: u64 = 0x00c0_0000_0000;

/// Memory in which every address is mapped, or nearly, and that says anything.
struct Chaos {
    seed: u64,
    /// Code addresses that it knows.
    text: (u64, u64),
    /// Words that are as given.
    fixed: HashMap<u64, u64>,
    /// Whether each read says something else.
    changes: bool,
    reads: Cell<u64>,
}

fn mix(mut x: u64) -> u64 {
    x ^= x >> 30;
    x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x ^= x >> 27;
    x = x.wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

impl Chaos {
    fn word_at(&self, address: u64) -> u64 {
        if let Some(word) = self.fixed.get(&address) {
            return *word;
        }
        let time = if self.changes { self.reads.get() } else { 0 };
        let random = mix(address ^ self.seed ^ mix(time));
        match random % 16 {
            0..=6 => ARENA + (random >> 8) % 4096 * 8,
            7 | 8 => (random >> 8) % 12,
            9 | 10 => self.text.0 + (random >> 8) % (self.text.1 - self.text.0),
            11 => 0,
            12 => u64::MAX - (random >> 8) % 64,
            13 => random,
            _ => ARENA + (random >> 8) % 256 * 8,
        }
    }
}

impl Memory for Chaos {
    fn read_parts(&self, parts: &[(u64, usize)], to: &mut [u8]) -> Result<usize, Error> {
        let mut at = 0;
        for (done, (address, len)) in parts.iter().enumerate() {
            self.reads.set(self.reads.get() + 1);
            let is_known = self.fixed.contains_key(address);
            let is_hole = !is_known && mix(address ^ self.seed).is_multiple_of(61);
            if is_hole || address.checked_add(*len as u64).is_none() || *address < 4096 {
                return Ok(done);
            }
            let mut i = 0;
            while i < *len {
                let address = address + i as u64;
                let word = self.word_at(address & !7).to_le_bytes();
                let part = &word[(address % 8) as usize..];
                let n = part.len().min(len - i);
                to[at + i..at + i + n].copy_from_slice(&part[..n]);
                i += n;
            }
            at += len;
        }
        Ok(parts.len())
    }
}

fn with_binary(test: impl Fn(&Binary<'_>)) {
    let path = go::build("runtimeapp", Version::NEWEST, Mode::Plain).unwrap();
    let data = std::fs::read(path).unwrap();
    test(&Binary::parse(&data).unwrap());
}

/// Everything that can be asked of what was read.
fn ask_all(snapshot: &Snapshot, symbols: &Symbols<'_, '_>) {
    let groups = group(snapshot, |_| true);
    let members: usize = groups.iter().map(|group| group.members.len()).sum();
    assert_eq!(members, snapshot.goroutines.len());
    for goroutine in snapshot.goroutines.iter().take(200) {
        let stack = snapshot.stack(goroutine);
        assert_eq!(stack.is_some(), matches!(goroutine.stack, StackState::Known(_)));
        symbols.stack(stack.unwrap_or_default());
        symbols.start(goroutine, stack);
        symbols.creator(goroutine);
        snapshot.wait_reason(goroutine);
    }
    suspects(snapshot, Some((snapshot, 1)), u64::MAX);
}

/// Buckets have a hash, and a recorder a header: nothing of a process that lies passes for one.
fn read_profiles(chaos: &Chaos, layout: &Layout, binary: &Binary<'_>) {
    let profile = AllocationProfile::read(chaos, layout, 0);
    assert!(profile.is_err() || profile.is_ok_and(|profile| profile.buckets.is_empty()));
    for which in [Waits::Blocking, Waits::Mutexes] {
        let profile = WaitProfile::read(chaos, layout, 0, which);
        assert!(profile.is_err() || profile.is_ok_and(|profile| profile.buckets.is_empty()));
    }
    SizeClasses::read(chaos, layout, 0).unwrap();
    assert!(flight::window(binary, &binary.types(), chaos, 0).unwrap().is_err());
}

#[test]
fn a_process_that_lies_is_read_to_an_end() {
    with_binary(|binary| {
        let types = binary.types();
        let layout = Layout::new(binary, &types).unwrap();
        let text = (binary.module().text, binary.module().etext);
        let global = |global| binary.global(global).unwrap();
        for seed in 0..21u64 {
            let len = [0, 1, 40, 300, 5000, u64::MAX, 1 << 40][(seed % 7) as usize];
            let list = ARENA + 0x10_0000;
            let mut fixed = HashMap::from([(global(Global::Allglen), len)]);
            fixed.extend([(global(Global::Allgptr), list)]);
            fixed.extend([(global(Global::Allgs), list), (global(Global::Allgs) + 8, len)]);
            let chaos = Chaos { seed, text, fixed, changes: seed % 2 == 1, reads: Cell::new(0) };
            let begun = Instant::now();
            // What it has of goroutines is no list of any, and is not taken for one.
            let taken = Snapshot::take(&chaos, &layout, binary, 0);
            assert!(taken.is_err(), "seed {seed}: {} goroutines", taken.unwrap().goroutines.len());
            let scheduler = Scheduler::read(&chaos, &layout, 0).unwrap();
            Counters::read(&chaos, &layout, 0, &scheduler).unwrap();
            read_profiles(&chaos, &layout, binary);
            assert!(begun.elapsed() < SLOW, "seed {seed} took {:?}", begun.elapsed());
        }
    });
}

/// Goroutines that look right, with queues and stacks that do not.
#[test]
fn plausible_goroutines_with_damaged_stacks_are_read_to_an_end() {
    with_binary(|binary| {
        let types = binary.types();
        let layout = Layout::new(binary, &types).unwrap();
        let symbols = Symbols::new(binary, &types);
        let text = (binary.module().text, binary.module().etext);
        let global = |global| binary.global(global).unwrap();
        let g = |path: &[&str]| types.offset("runtime.g", path).unwrap();
        for seed in 0..4u64 {
            const COUNT: u64 = 200;
            let list = ARENA + 0x10_0000;
            let mut fixed = HashMap::from([(global(Global::Allglen), COUNT)]);
            fixed.extend([(global(Global::Allgptr), list)]);
            fixed.extend([(global(Global::Allgs), list), (global(Global::Allgs) + 8, COUNT)]);
            for i in 0..COUNT {
                let at = ARENA + 0x20_0000 + i * 1024;
                let stack = ARENA + (i % 30) * 512;
                let pc = text.0 + mix(seed ^ i) % (text.1 - text.0);
                fixed.insert(list + 8 * i, at);
                fixed.extend([
                    (at + g(&["stack", "lo"]), stack),
                    (at + g(&["stack", "hi"]), stack + (1 << (10 + i % 20))),
                    (at + g(&["sched", "sp"]), stack + 64),
                    (at + g(&["sched", "pc"]), pc),
                    (at + (g(&["atomicstatus"]) & !7), 4 | (i % 40) << 32),
                    (at + g(&["goid"]), i + 1),
                ]);
            }
            let chaos = Chaos { seed, text, fixed, changes: seed % 2 == 1, reads: Cell::new(0) };
            let begun = Instant::now();
            let snapshot = Snapshot::take(&chaos, &layout, binary, 0).unwrap();
            assert!(snapshot.goroutines.len() > 150, "{}", snapshot.goroutines.len());
            ask_all(&snapshot, &symbols);
            let found = holds(&chaos, &layout, &symbols, 0, &snapshot).unwrap();
            assert!(found.holds.len() <= snapshot.locks.len() * snapshot.goroutines.len());
            assert!(begun.elapsed() < SLOW, "seed {seed} took {:?}", begun.elapsed());
        }
    });
}
