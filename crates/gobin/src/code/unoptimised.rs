//! x86-64 code that was built without optimisation (`-N -l`): each result of a call goes to a stack slot at
//! once, often to several, and is tested from there. Sites here may be single-stepped, which is what
//! a program costs that is built for a debugger.
//!
//! Not here: how the same is found in optimised code (`amd64`, `errors`).

use std::collections::HashMap;

use iced_x86::{
    FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind, Register,
};

use super::amd64::{ARGUMENTS, decode_from, kind};
use super::{Found, Place, SiteKind};

/// How many instructions after a call its result is tested.
const TO_TEST: usize = 48;
/// How many instructions after a direct call an indirect one is looked for.
const TO_CALL: usize = 48;
/// How many instructions into an error block a site is looked for.
const BLOCK: usize = 12;

/// What runs after the call at `call`: all results are in their registers.
pub(crate) fn after(code: &[u8], start: u64, call: u64) -> Option<Found> {
    let next = decode_from(code, start, call)?.nth(1)?;
    Some((next.ip(), kind(&next, code, start)))
}

/// The same of the first indirect call after `from`.
pub(crate) fn after_indirect(code: &[u8], start: u64, from: u64) -> Option<Found> {
    let mut near = decode_from(code, start, from)?.take(TO_CALL);
    after(code, start, near.find(Instruction::is_call_near_indirect)?.ip())
}

/// The same of the last indirect call before the one at `call`: the other way of an `if`.
pub(crate) fn after_indirect_before(code: &[u8], start: u64, call: u64) -> Option<Found> {
    let mut nearest = None;
    for (index, instruction) in decode_from(code, start, start)?.enumerate() {
        if instruction.ip() >= call {
            let (at, ip) = nearest.filter(|_| instruction.ip() == call)?;
            return if index - at <= TO_CALL { after(code, start, ip) } else { None };
        }
        if instruction.is_call_near_indirect() {
            nearest = Some((index, instruction.ip()));
        }
    }
    None
}

/// The call at `call` leaves an error in a stack slot. If it is compared with a global first: the branch
/// that tests it where it differs. Else: the block where it is not nil. And the slot.
pub(crate) fn slot_after(code: &[u8], start: u64, call: u64) -> Option<(Found, u32)> {
    let mut after = decode_from(code, start, call)?.skip(1).take(TO_TEST);
    let mut sentinel = false;
    while let Some(instruction) = after.next() {
        sentinel |=
            instruction.mnemonic() == Mnemonic::Cmp && instruction.is_ip_rel_memory_operand();
        let Some(slot) = tested_slot(&instruction) else { continue };
        let branch = after.next()?;
        if sentinel {
            let found = (branch.ip(), kind(&branch, code, start));
            return (found.1 == SiteKind::Branch).then_some((found, slot));
        }
        let first = decode_from(code, start, not_zero(&branch)?)?.next()?;
        return Some(((first.ip(), kind(&first, code, start)), slot));
    }
    None
}

/// As in optimised code: a site in the block that runs only when the call at `call` gave a non-zero result
/// number `result`, and where that result and the next then are.
pub(crate) fn nonzero_block(
    code: &[u8],
    start: u64,
    call: u64,
    result: usize,
) -> Option<(Found, [Option<Place>; 2])> {
    let mut held = Held::new();
    let mut tested = None;
    for instruction in decode_from(code, start, call)?.skip(1).take(TO_TEST) {
        if kind(&instruction, code, start) == SiteKind::Branch {
            if tested != Some(result) {
                return None;
            }
            let block = decode_from(code, start, not_zero(&instruction)?)?.take(BLOCK);
            let cheap = block
                .map(|i| (i.ip(), kind(&i, code, start)))
                .find(|(_, kind)| *kind != SiteKind::SingleStep)?;
            let slot = |word| held.last_slot(word).map(Place::Stack);
            return Some((cheap, [slot(result), slot(result + 1)]));
        }
        if matches!(instruction.mnemonic(), Mnemonic::Test | Mnemonic::Cmp) {
            tested = held.tested(&instruction);
        } else if instruction.flow_control() == FlowControl::Next {
            held.run(&instruction);
        } else if instruction.flow_control() != FlowControl::UnconditionalBranch
            || instruction.near_branch_target() != instruction.next_ip()
        {
            return None;
        }
    }
    None
}

/// Where it goes on if what was tested is not zero.
fn not_zero(branch: &Instruction) -> Option<u64> {
    match branch.mnemonic() {
        Mnemonic::Jne => Some(branch.near_branch_target()),
        Mnemonic::Je => Some(branch.next_ip()),
        _ => None,
    }
}

/// The slot of `cmpq $0,disp(%rsp)`.
fn tested_slot(instruction: &Instruction) -> Option<u32> {
    let tests = instruction.mnemonic() == Mnemonic::Cmp
        && instruction.op1_kind() != OpKind::Register
        && instruction.op1_kind() != OpKind::Memory
        && instruction.immediate(1) == 0
        && instruction.memory_size().size() == 8;
    if tests { slot(instruction, 0) } else { None }
}

/// The slot that an operand is.
fn slot(instruction: &Instruction, operand: u32) -> Option<u32> {
    let is_slot = instruction.op_kind(operand) == OpKind::Memory
        && instruction.memory_base() == Register::RSP
        && instruction.memory_index() == Register::None;
    is_slot.then(|| u32::try_from(instruction.memory_displacement64()).ok())?
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Home {
    Register(Register),
    Slot(u32),
}

/// Which result word of a call is where, and in which order slots got theirs.
struct Held {
    words: HashMap<Home, usize>,
    slots: Vec<u32>,
    info: InstructionInfoFactory,
}

impl Held {
    fn new() -> Self {
        let words = ARGUMENTS.iter().enumerate().map(|(word, r)| (Home::Register(*r), word));
        Self { words: words.collect(), slots: Vec::new(), info: InstructionInfoFactory::new() }
    }

    fn home(instruction: &Instruction, operand: u32) -> Option<Home> {
        if instruction.op_kind(operand) == OpKind::Register {
            return Some(Home::Register(instruction.op_register(operand).full_register()));
        }
        slot(instruction, operand).map(Home::Slot)
    }

    fn run(&mut self, instruction: &Instruction) {
        let moved = matches!(instruction.mnemonic(), Mnemonic::Mov | Mnemonic::Movzx);
        let from = if moved { Self::home(instruction, 1) } else { None };
        let word = from.and_then(|from| self.words.get(&from).copied());
        if let Some(Home::Slot(to)) = slot(instruction, 0).map(Home::Slot)
            && !matches!(instruction.mnemonic(), Mnemonic::Cmp | Mnemonic::Test)
        {
            self.words.remove(&Home::Slot(to));
            self.slots.retain(|slot| *slot != to);
        }
        for used in self.info.info(instruction).used_registers() {
            if !matches!(used.access(), OpAccess::Read | OpAccess::CondRead) {
                self.words.remove(&Home::Register(used.register().full_register()));
            }
        }
        if let Some(to) = Self::home(instruction, 0)
            && let Some(word) = word
        {
            self.words.insert(to, word);
            if let Home::Slot(slot) = to {
                self.slots.push(slot);
            }
        }
    }

    /// The word that is compared with zero.
    fn tested(&self, instruction: &Instruction) -> Option<usize> {
        let zero = match instruction.mnemonic() {
            Mnemonic::Test => instruction.op0_register() == instruction.op1_register(),
            _ => {
                instruction.op1_kind() != OpKind::Register
                    && instruction.op1_kind() != OpKind::Memory
                    && instruction.immediate(1) == 0
            }
        };
        let home = Self::home(instruction, 0).filter(|_| zero)?;
        self.words.get(&home).copied()
    }

    /// The slot that got the word last: the variable's.
    fn last_slot(&self, word: usize) -> Option<u32> {
        let holds = |slot: &&u32| self.words.get(&Home::Slot(**slot)) == Some(&word);
        self.slots.iter().rev().find(holds).copied()
    }
}
