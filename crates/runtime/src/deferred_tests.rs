//! Stacks that are made up, of functions of a real program.

use gobin::Binary;
use gomem::Snippets;
use gotap_testkit::go::{self, Mode, Version};

use super::*;

const STACK: u64 = 0xc000_1000;
const SIZE: usize = 1024;
const CODE: u64 = 0x1234;
const LOCK: u64 = 0xc000_9000;

/// The function whose frame it is, which defers two calls.
const FUNCTION: &str = "main.(*account).keep";

/// A goroutine that has stopped in that function, with nothing on its stack.
struct Stopped {
    raw: RawG,
    bytes: Vec<u8>,
    delta: u32,
    open: OpenDefers,
}

fn stopped(binary: &Binary<'_>) -> Stopped {
    let function = binary.function(FUNCTION).unwrap();
    let delta = |pc: &u64| binary.lines().stack_frame(*pc).and_then(|frame| frame.delta);
    let pc = (function.entry..function.end).max_by_key(delta).unwrap();
    let raw = RawG {
        goid: 1,
        state: Some(State::Waiting),
        low: STACK - 4096,
        high: STACK + SIZE as u64,
        sp: STACK,
        pc,
        wait_since: 0,
        reason: 0,
        parent: None,
        created_at: 0,
        start: 0,
        waiting: 0,
        locked: false,
        deferred: 0,
        cleanups: None,
        stops: None,
    };
    let open = binary.open_defers(pc).unwrap();
    Stopped { raw, bytes: vec![0; SIZE], delta: delta(&pc).unwrap(), open }
}

impl Stopped {
    fn put(&mut self, at: usize, word: u64) {
        self.bytes[at..at + 8].copy_from_slice(&word.to_le_bytes());
    }

    /// Has the frame keep call number `n`, whose closure is at the stack's end.
    fn keep(&mut self, n: usize, bits: u8) {
        let variables = self.delta as usize - 8;
        self.bytes[variables - self.open.bits as usize] = bits;
        self.put(SIZE - 16, CODE);
        self.put(SIZE - 8, LOCK);
        let slot = variables - self.open.closures[n] as usize;
        self.put(slot, STACK + SIZE as u64 - 16);
    }

    fn calls(&self, binary: &Binary<'_>, memory: &Snippets) -> Vec<Deferred> {
        let layout = Layout::new(binary, &binary.types()).unwrap();
        let stack = Stack { raw: self.raw, bytes: &self.bytes };
        Search::new(binary, 0).calls(memory, &layout, stack).unwrap()
    }
}

fn with_each(test: impl Fn(&Binary<'_>)) {
    for (version, mode) in [(Version::OLDEST, Mode::Plain), (Version::NEWEST, Mode::Stripped)] {
        let data = std::fs::read(go::build("released", version, mode).unwrap()).unwrap();
        test(&Binary::parse(&data).unwrap());
    }
}

const FOUND: Deferred = Deferred { frame: 0, code: CODE, captured: LOCK };

#[test]
fn a_frame_keeps_the_calls_whose_bits_are_set() {
    with_each(|binary| {
        let nothing = Snippets::default();
        let mut stopped = stopped(binary);
        assert!(stopped.calls(binary, &nothing).is_empty());
        stopped.keep(0, 0b01);
        assert_eq!(stopped.calls(binary, &nothing), [FOUND]);
        // The same words, after the call has begun.
        stopped.keep(0, 0b00);
        assert!(stopped.calls(binary, &nothing).is_empty());
        stopped.keep(0, 0b10);
        assert!(stopped.calls(binary, &nothing).is_empty(), "the other one's closure is nowhere");
        stopped.keep(1, 0b10);
        assert_eq!(stopped.calls(binary, &nothing), [FOUND]);
    });
}

#[test]
fn records_hang_on_the_goroutine_until_they_are_run() {
    with_each(|binary| {
        let layout = Layout::new(binary, &binary.types()).unwrap();
        let at = layout.defer.unwrap();
        let (first, second, closure) = (0xc000_5000, 0xc000_6000, 0xc000_7000);
        let record = |sp: u64, next: u64, started: bool| {
            let mut bytes = vec![0; at.len];
            for (offset, word) in [(at.sp, sp), (at.function, closure), (at.link, next)] {
                bytes[offset..offset + 8].copy_from_slice(&word.to_le_bytes());
            }
            if let Some(offset) = at.started {
                bytes[offset] = started.into();
            }
            bytes
        };
        let mut memory = Snippets::default();
        memory.map(closure, [CODE, LOCK].iter().flat_map(|w| w.to_le_bytes()).collect());
        memory.map(second, record(STACK, 0, false));
        // Of a call that is not on this stack, as where it is too deep.
        memory.map(first, record(STACK + 8, second, false));
        let mut stopped = stopped(binary);
        stopped.raw.deferred = first;
        assert_eq!(stopped.calls(binary, &memory), [FOUND]);
        if at.started.is_some() {
            memory.map(0xc000_8000, record(STACK, 0, true));
            stopped.raw.deferred = 0xc000_8000;
            assert!(stopped.calls(binary, &memory).is_empty(), "a panic runs it");
        }
        // One that leads to itself.
        memory.map(0xc000_a000, record(STACK, 0xc000_a000, false));
        stopped.raw.deferred = 0xc000_a000;
        assert_eq!(stopped.calls(binary, &memory).len(), MAX_RECORDS);
    });
}

#[test]
fn a_stack_of_anything_is_searched_to_an_end() {
    with_each(|binary| {
        let nothing = Snippets::default();
        let function = binary.function(FUNCTION).unwrap();
        for seed in 1..2000u64 {
            let mut stopped = stopped(binary);
            let mut state = seed;
            for at in (0..SIZE).step_by(8) {
                state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(seed);
                let word = match state >> 61 {
                    0..=2 => STACK + (state >> 32) % SIZE as u64,
                    3 | 4 => function.entry + (state >> 32) % (function.end - function.entry),
                    _ => state,
                };
                stopped.put(at, word);
            }
            stopped.raw.pc = function.entry + seed % (function.end - function.entry);
            stopped.bytes.truncate(SIZE - (seed % 9) as usize);
            stopped.calls(binary, &nothing);
        }
    });
}
