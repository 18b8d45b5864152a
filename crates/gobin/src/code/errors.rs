//! x86-64: where a function has an error that one of its calls returned, when it keeps it in a stack
//! slot, in registers without a test of it, or behind a closure's variable.

use iced_x86::{
    Code, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpKind, Register,
};

use super::amd64::{ARGUMENTS, decode, decode_from, kind, writes};
use super::{Found, SiteKind};

/// How many instructions after a call something may be done with its result.
const NEAR: usize = 14;

/// The first conditional branch after the call at `call`, or, without one, after the first indirect
/// call, with the first `keep` result registers unchanged. What it tests does not matter: a store of
/// the result goes by one, too, that asks for the write barrier.
pub(crate) fn branch_after(
    code: &[u8],
    start: u64,
    call: Option<u64>,
    keep: usize,
) -> Option<Found> {
    let mut info = InstructionInfoFactory::new();
    let from = call.unwrap_or(start);
    let mut after = decode_from(code, start, from)?;
    match call {
        Some(_) => after.next(),
        None => after.find(Instruction::is_call_near_indirect),
    };
    for instruction in after.take(NEAR) {
        if kind(&instruction, code, start) == SiteKind::Branch {
            return Some((instruction.ip(), SiteKind::Branch));
        }
        let results = ARGUMENTS.get(..keep)?;
        let lost = results.iter().any(|register| writes(&mut info, &instruction, *register));
        if instruction.flow_control() != FlowControl::Next || lost {
            return None;
        }
    }
    None
}

/// The call at `call` leaves an error in a stack slot, from where it is loaded into RAX. If it is
/// compared with a global first: the first branch where it differs, which tests it. Else: the block
/// where it is not nil. And the slot.
pub(crate) fn slot_after(code: &[u8], start: u64, call: u64) -> Option<(Found, u32)> {
    let at = |address| decode_from(code, start, address);
    let (mut slot, mut sentinel) = (None, false);
    for instruction in at(call)?.skip(1).take(NEAR) {
        slot = loaded_slot(&instruction).or(slot);
        sentinel |=
            instruction.mnemonic() == Mnemonic::Cmp && instruction.is_ip_rel_memory_operand();
        if kind(&instruction, code, start) != SiteKind::Branch {
            if instruction.flow_control() != FlowControl::Next {
                return None;
            }
            continue;
        }
        let differs = match instruction.mnemonic() {
            Mnemonic::Jne => instruction.near_branch_target(),
            Mnemonic::Je => instruction.next_ip(),
            _ => return None,
        };
        if !sentinel {
            let first = at(differs)?.next()?;
            return Some(((first.ip(), kind(&first, code, start)), slot?));
        }
        let branch = at(differs)?.take(NEAR).find(|i| kind(i, code, start) == SiteKind::Branch)?;
        return Some(((branch.ip(), SiteKind::Branch), slot?));
    }
    None
}

/// The slot of `mov disp(%rsp),%rax`.
fn loaded_slot(instruction: &Instruction) -> Option<u32> {
    let loads = instruction.code() == Code::Mov_r64_rm64
        && instruction.op0_register() == ARGUMENTS[0]
        && instruction.op1_kind() == OpKind::Memory
        && instruction.memory_base() == Register::RSP
        && instruction.memory_index() == Register::None;
    loads.then(|| u32::try_from(instruction.memory_displacement64()).ok())?
}

/// The two variables of a closure, as offsets in it: the one that points to a structure whose
/// field at `field` is read, and the other one.
pub(crate) fn closure_variables(code: &[u8], start: u64, field: u64) -> Option<(u64, u64)> {
    const CLOSURE: Register = Register::RDX;
    let mut loaded: Vec<(Register, u64)> = Vec::new();
    for instruction in decode(code, start) {
        if instruction.code() != Code::Mov_r64_rm64 || instruction.op1_kind() != OpKind::Memory {
            continue;
        }
        let (to, base) = (instruction.op0_register(), instruction.memory_base());
        let displacement = instruction.memory_displacement64();
        if let Some((_, variable)) = loaded.iter().find(|(register, _)| *register == base)
            && displacement == field
        {
            // The function comes first, then two variables.
            return match variable {
                8 => Some((8, 16)),
                16 => Some((16, 8)),
                _ => None,
            };
        }
        loaded.retain(|(register, _)| *register != to);
        if base == CLOSURE && (displacement == 8 || displacement == 16) {
            loaded.push((to, displacement));
        }
    }
    None
}
