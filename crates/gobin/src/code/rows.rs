//! Places in x86-64 functions where something is over: where a field has been dealt with, and after a
//! call whose results nothing tests.

use iced_x86::{
    ConditionCode, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpKind, Register,
};

use super::amd64::{ARGUMENTS, decode, decode_from, kind, writes};
use super::{Found, SiteKind};

/// How many instructions after a join or a call are looked at.
const NEAR: usize = 24;

/// The first conditional branch after what is done only where the word at `field` of the receiver is
/// not nil; and the stack slot where the receiver is kept.
pub(crate) fn branch_past_field(code: &[u8], start: u64, field: u64) -> Option<(Found, u32)> {
    let (mut slot, mut loaded, mut tested) = (None, Register::None, false);
    for instruction in decode(code, start) {
        if slot.is_none() {
            slot = stored_slot(&instruction);
        }
        let at_field = instruction.memory_displacement64() == field
            && instruction.memory_index() == Register::None
            && !matches!(instruction.memory_base(), Register::RSP | Register::None);
        match instruction.mnemonic() {
            Mnemonic::Mov if instruction.op1_kind() == OpKind::Memory && at_field => {
                loaded = instruction.op0_register();
            }
            Mnemonic::Cmp if instruction.op0_kind() == OpKind::Memory && at_field => {
                tested =
                    instruction.op1_kind() != OpKind::Register && instruction.immediate(1) == 0;
            }
            Mnemonic::Test if instruction.op0_register() == loaded && loaded != Register::None => {
                tested = instruction.op1_register() == loaded;
            }
            Mnemonic::Je if tested => {
                let join = instruction.near_branch_target();
                let branch = decode_from(code, start, join)?.take(NEAR).find(|i| {
                    i.condition_code() != ConditionCode::None && is_branch(i, code, start)
                })?;
                return Some(((branch.ip(), SiteKind::Branch), slot?));
            }
            Mnemonic::Nop => {}
            _ => tested = false,
        }
    }
    None
}

/// The first instruction of what is done when the call at `call` returned something that is not nil, which
/// is still in its registers there. For rare things: it may be single-stepped.
pub(crate) fn failed_after(code: &[u8], start: u64, call: u64) -> Option<Found> {
    let mut after =
        decode_from(code, start, call)?.skip(1).filter(|i| i.mnemonic() != Mnemonic::Nop);
    let (test, branch) = (after.next()?, after.next()?);
    let tests = test.mnemonic() == Mnemonic::Test
        && test.op0_register() == ARGUMENTS[0]
        && test.op1_register() == ARGUMENTS[0];
    let block = match branch.mnemonic() {
        Mnemonic::Jne if tests => branch.near_branch_target(),
        Mnemonic::Je if tests => branch.next_ip(),
        _ => return None,
    };
    let first = decode_from(code, start, block)?.next()?;
    Some((first.ip(), kind(&first, code, start)))
}

/// The stack slot where a method keeps its receiver, for what follows its first call.
pub(crate) fn receiver_slot(code: &[u8], start: u64) -> Option<u32> {
    let before = decode(code, start)
        .take_while(|instruction| instruction.flow_control() != FlowControl::Call);
    before.filter_map(|instruction| stored_slot(&instruction)).next()
}

fn is_branch(instruction: &Instruction, code: &[u8], start: u64) -> bool {
    kind(instruction, code, start) == SiteKind::Branch
}

/// The slot of `mov %rax,disp(%rsp)`: the receiver's home.
fn stored_slot(instruction: &Instruction) -> Option<u32> {
    let stores = instruction.mnemonic() == Mnemonic::Mov
        && instruction.op0_kind() == OpKind::Memory
        && instruction.op1_kind() == OpKind::Register
        && instruction.op1_register() == ARGUMENTS[0]
        && instruction.memory_base() == Register::RSP
        && instruction.memory_index() == Register::None;
    stores.then(|| u32::try_from(instruction.memory_displacement64()).ok())?
}

/// The first instruction after the call at `call` that is emulated, with the `keep` result registers
/// from number `first` on unchanged. It need not test anything: where the compiler has inlined a
/// call, it leaves a one-byte no-op, and where the race detector is asked, that is called.
pub(crate) fn emulated_after(
    code: &[u8],
    start: u64,
    call: u64,
    (first, keep): (usize, usize),
) -> Option<Found> {
    let mut info = InstructionInfoFactory::new();
    for instruction in decode_from(code, start, call)?.skip(1).take(NEAR) {
        let kind = kind(&instruction, code, start);
        if kind != SiteKind::SingleStep {
            return Some((instruction.ip(), kind));
        }
        let results = ARGUMENTS.get(first..first + keep)?;
        if results.iter().any(|register| writes(&mut info, &instruction, *register)) {
            return None;
        }
    }
    None
}
