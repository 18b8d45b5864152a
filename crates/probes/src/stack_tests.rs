//! Whether the stack suffices: functions that call each other have 512 bytes in all, and kernels
//! before 6.6 count each in steps of 32. The running kernel may count in finer ones, so that what older
//! ones refuse would only show where they run.

use std::collections::{BTreeMap, BTreeSet};

use object::{Object, ObjectSection, ObjectSymbol, RelocationTarget, SectionIndex, SymbolKind};

use crate::object::OBJECT;

const STACK: u64 = 512;
const STEP: u64 = 32;

/// Of one function: how much of the stack it uses itself, and whom it calls.
#[derive(Debug, Default)]
struct Frame {
    bytes: u64,
    calls: BTreeSet<String>,
}

/// One instruction of BPF: `struct bpf_insn`.
struct Instruction {
    code: u8,
    to: u8,
    from: u8,
    offset: i16,
    immediate: i32,
}

impl Instruction {
    const STACK_POINTER: u8 = 10;

    fn of(bytes: &[u8; 8]) -> Self {
        let [code, registers, o0, o1, i @ ..] = *bytes;
        let (to, from) = (registers & 15, registers >> 4);
        let (offset, immediate) = (i16::from_le_bytes([o0, o1]), i32::from_le_bytes(i));
        Self { code, to, from, offset, immediate }
    }

    /// How far down the stack it reaches: loads and stores by the stack pointer.
    fn reach(&self) -> u64 {
        let base = match self.code & 7 {
            1 => self.from,
            2 | 3 => self.to,
            _ => return 0,
        };
        let below = if base == Self::STACK_POINTER { self.offset.min(0) } else { 0 };
        below.unsigned_abs().into()
    }

    /// The same where an address of the stack is made: `to = r10`, and then this.
    fn reach_of_address(&self, before: &Self) -> u64 {
        let made = before.code == 0xbf && before.from == Self::STACK_POINTER;
        let lowered = self.code == 0x07 && self.to == before.to && self.immediate < 0;
        if made && lowered { self.immediate.unsigned_abs().into() } else { 0 }
    }

    fn calls_function(&self) -> bool {
        self.code == 0x85 && self.from == 1
    }
}

/// All functions of an object.
fn frames(object: &[u8]) -> BTreeMap<String, Frame> {
    let file = object::File::parse(object).expect("the object is ELF");
    let functions: BTreeMap<_, _> = file
        .symbols()
        .filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.size() > 0)
        .map(|symbol| {
            let name = symbol.name().expect("functions have names").to_owned();
            let section = symbol.section_index().expect("functions lie somewhere").0;
            ((section, symbol.address()), (name, symbol.size()))
        })
        .collect();
    let named =
        |section: SectionIndex, address| functions.get(&(section.0, address)).map(|f| f.0.clone());
    let mut out = BTreeMap::new();
    for ((index, start), (name, size)) in &functions {
        let section = file.section_by_index(SectionIndex(*index)).expect("it is there");
        let code = section.data_range(*start, *size).expect("readable").expect("not empty");
        let code: Vec<_> = code.as_chunks().0.iter().map(Instruction::of).collect();
        let mut frame = Frame::default();
        for (i, instruction) in code.iter().enumerate() {
            let address = i.checked_sub(1).map_or(0, |i| instruction.reach_of_address(&code[i]));
            frame.bytes = frame.bytes.max(instruction.reach()).max(address);
            let at = start + 8 * i as u64;
            // Targets are counted in instructions behind this one.
            let ahead = (i64::from(instruction.immediate) + 1) * 8;
            let moved = section.relocations().find(|(offset, _)| *offset == at);
            let callee = match moved.map(|(_, relocation)| relocation.target()) {
                _ if !instruction.calls_function() => continue,
                None => named(section.index(), at.wrapping_add_signed(ahead)),
                Some(RelocationTarget::Symbol(symbol)) => {
                    let symbol = file.symbol_by_index(symbol).expect("of a symbol");
                    let base = symbol.section_index().expect("it is defined");
                    // Of a section, the place in it stands in the instruction.
                    let in_section = symbol.kind() == SymbolKind::Section;
                    named(base, if in_section { ahead.unsigned_abs() } else { symbol.address() })
                }
                Some(other) => panic!("{name} calls {other:?}"),
            };
            frame.calls.insert(callee.unwrap_or_else(|| panic!("{name} calls nothing at {i}")));
        }
        out.insert(name.clone(), frame);
    }
    out
}

/// The most that a function and those that it calls use, and who.
fn deepest(frames: &BTreeMap<String, Frame>, name: &str) -> (u64, Vec<String>) {
    let frame = &frames[name];
    let (below, mut path) =
        frame.calls.iter().map(|callee| deepest(frames, callee)).max().unwrap_or_default();
    path.insert(0, format!("{name} {}", frame.bytes));
    (frame.bytes.max(1).next_multiple_of(STEP) + below, path)
}

#[test]
fn functions_that_call_each_other_fit_into_the_stack() {
    let tracker = self::frames(crate::tracker::OBJECT);
    assert!(tracker["tracked_created"].calls.contains("x86_register"), "{tracker:?}");
    let host = crate::host::BYTES.map(self::frames);
    let frames = self::frames(OBJECT);
    let calls = &frames["call_start"].calls;
    assert!(calls.contains("join_trace") && calls.contains("http_call_join"), "{calls:?}");
    assert!(frames["match_slots"].bytes >= 144, "{:?}", frames["match_slots"]);
    let sampler = self::frames(crate::sampler::OBJECT);
    assert!(sampler["walk_stack"].calls.contains("step_at"), "{sampler:?}");
    let gc = self::frames(crate::gc::OBJECT);
    let meter = self::frames(crate::meter::OBJECT);
    let logs = self::frames(crate::logs::OBJECT);
    for frames in [frames, tracker, sampler, gc, meter, logs].into_iter().chain(host) {
        for name in frames.keys() {
            let (bytes, path) = deepest(&frames, name);
            assert!(bytes <= STACK, "{bytes} bytes: {}", path.join(" > "));
        }
    }
}
