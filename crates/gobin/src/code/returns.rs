//! x86-64: calls by what goes ahead of them, and by what is returned after them.

use iced_x86::{
    Code, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpKind, Register,
};

use super::amd64::{ARGUMENTS, calls_to, decode, decode_from, kind, writes};
use super::{Found, Place};

/// How many instructions after a call a function returns.
const TO_RETURN: usize = 12;

/// Calls of `target` after which the function returns at once, with its second result word loaded from
/// a stack slot: where they are, and the slots. None if that is not so of each.
pub(crate) fn calls_before_return(code: &[u8], start: u64, target: u64) -> Option<Vec<(u64, u32)>> {
    let calls = calls_to(code, start, target).into_iter();
    calls.map(|call| Some((call, returned_slot(code, start, call)?))).collect()
}

fn returned_slot(code: &[u8], start: u64, call: u64) -> Option<u32> {
    let mut info = InstructionInfoFactory::new();
    let mut at = decode_from(code, start, call)?;
    let (mut slot, mut jumped) = (None, false);
    at.next();
    for _ in 0..TO_RETURN {
        let instruction = at.next()?;
        match instruction.flow_control() {
            FlowControl::Return => return slot,
            FlowControl::UnconditionalBranch if !jumped => {
                jumped = true;
                at = decode_from(code, start, instruction.near_branch_target())?;
            }
            FlowControl::Next => {}
            // The race detector notes the return.
            FlowControl::Call => slot = None,
            _ => return None,
        }
        if writes(&mut info, &instruction, ARGUMENTS[1]) {
            let from =
                loaded(&instruction, ARGUMENTS[1]).filter(|(base, _)| *base == Register::RSP);
            slot = Some(u32::try_from(from?.1).ok()?);
        }
    }
    None
}

/// Where a function returns, as its second result word, what one of `slots` holds or what was in the first
/// result register, without having called anything just before: the first instruction of each such
/// block, and where the word is then.
pub(crate) fn plain_returns(code: &[u8], start: u64, slots: &[u32]) -> Vec<(Found, Place)> {
    let mut found = Vec::new();
    // Of the block that runs: whether it is behind a call, its first instruction, and what was loaded.
    let (mut called, mut begin, mut from) = (false, None, None);
    for instruction in decode(code, start) {
        let first = begin.is_none();
        begin = begin.or(Some((instruction.ip(), kind(&instruction, code, start))));
        match instruction.flow_control() {
            FlowControl::Next => {
                if first && moves(&instruction, ARGUMENTS[0], ARGUMENTS[1]) {
                    from = Some(Place::Register);
                }
                let slot = loaded(&instruction, ARGUMENTS[1])
                    .filter(|(base, _)| *base == Register::RSP)
                    .and_then(|(_, at)| u32::try_from(at).ok());
                from = slot.map(Place::Stack).or(from);
                continue;
            }
            FlowControl::Return if !called => {
                let known = from.filter(|from| match from {
                    Place::Register => true,
                    Place::Stack(slot) => slots.contains(slot),
                });
                found.extend(begin.zip(known));
            }
            _ => {}
        }
        called = instruction.flow_control() == FlowControl::Call;
        (begin, from) = (None, None);
    }
    found
}

/// `mov from,to` of registers.
fn moves(instruction: &Instruction, from: Register, to: Register) -> bool {
    instruction.mnemonic() == Mnemonic::Mov
        && (instruction.op0_register(), instruction.op1_register()) == (to, from)
        && instruction.op1_kind() == OpKind::Register
}

/// The first call of `target` whose argument in word `word` was loaded from the field at `field` of
/// some structure.
pub(crate) fn call_with_field(
    code: &[u8],
    start: u64,
    target: u64,
    word: usize,
    field: u64,
) -> Option<u64> {
    let register = *ARGUMENTS.get(word)?;
    let mut info = InstructionInfoFactory::new();
    let mut argument = None;
    for instruction in decode(code, start) {
        if instruction.code() == Code::Call_rel32_64
            && instruction.near_branch_target() == target
            && argument == Some(field)
        {
            return Some(instruction.ip());
        }
        if writes(&mut info, &instruction, register) {
            let from = loaded(&instruction, register);
            argument = from
                .filter(|(base, _)| !matches!(base, Register::RSP | Register::RIP))
                .map(|(_, field)| field);
        }
    }
    None
}

/// Base and displacement of `mov displacement(base),register`.
fn loaded(instruction: &Instruction, register: Register) -> Option<(Register, u64)> {
    let loads = instruction.mnemonic() == Mnemonic::Mov
        && instruction.op0_kind() == OpKind::Register
        && instruction.op0_register() == register
        && instruction.op1_kind() == OpKind::Memory
        && instruction.memory_index() == Register::None;
    loads.then(|| (instruction.memory_base(), instruction.memory_displacement64()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SiteKind;

    const START: u64 = 0x5000;
    /// `mov 0x158(%rdx),%rcx`, `mov 0x20(%rsp),%rbx`, and the end of a function.
    const FIELD: [u8; 7] = [0x48, 0x8b, 0x8a, 0x58, 0x01, 0x00, 0x00];
    const SLOT: [u8; 5] = [0x48, 0x8b, 0x5c, 0x24, 0x20];
    const END: [u8; 6] = [0x48, 0x83, 0xc4, 0x10, 0x5d, 0xc3];

    /// A call of `START + to`, which stands behind `before`.
    fn call(before: usize, to: u64) -> Vec<u8> {
        let next = i32::try_from(before + 5).unwrap();
        let distance = i32::try_from(to).unwrap() - next;
        [&[0xe8][..], &distance.to_le_bytes()].concat()
    }

    #[test]
    fn what_is_returned_after_a_call_is_in_a_slot() {
        let code = [&call(0, 0x100)[..], &SLOT, &END].concat();
        assert_eq!(calls_before_return(&code, START, START + 0x100), Some(vec![(START, 0x20)]));
        assert_eq!(calls_before_return(&code, START, START + 0x200), Some(vec![]));
        // Something else is returned, by way of a jump.
        let code = [&call(0, 0x100)[..], &[0xeb, 0x00], &END].concat();
        assert_eq!(calls_before_return(&code, START, START + 0x100), None);
        let code = [&call(0, 0x100)[..], &[0xeb, 0x00], &SLOT, &END].concat();
        assert_eq!(calls_before_return(&code, START, START + 0x100), Some(vec![(START, 0x20)]));
    }

    #[test]
    fn a_return_without_a_call_is_told_by_its_slot() {
        // `jne` past the first return; a call before the second; `mov %rax,%rbx` before the third.
        let code = [&[0x75, 0x0b][..], &SLOT, &END, &call(13, 0x100), &SLOT, &END].concat();
        let code = [&code[..], &[0x48, 0x89, 0xc3], &END].concat();
        let register = ((START + 29, SiteKind::SingleStep), Place::Register);
        let slot = ((START + 2, SiteKind::SingleStep), Place::Stack(0x20));
        assert_eq!(plain_returns(&code, START, &[0x20]), [slot, register]);
        assert_eq!(plain_returns(&code, START, &[0x28]), [register]);
    }

    #[test]
    fn a_call_is_told_by_the_field_that_it_is_given() {
        let code = [&FIELD[..], &call(7, 0x100), &FIELD, &SLOT, &call(24, 0x100)].concat();
        let found = |field| call_with_field(&code, START, START + 0x100, 2, field);
        assert_eq!(found(0x158), Some(START + 7));
        assert_eq!(found(0x160), None);
    }
}
