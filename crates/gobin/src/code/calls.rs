//! x86-64: where a function calls a closure that a field of a structure holds; who calls a function;
//! and sites at which no argument is needed.
//!
//! Not here: calls of named functions (`amd64`), and what follows a call (`errors`, `rows`).

use iced_x86::{FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpKind, Register as R};

use super::amd64::{decode, kind, writes};
use super::{Found, SiteKind};

/// How many instructions before a call its closure and argument are loaded in.
const LOADS: usize = 8;
/// How many instructions before a call a site is looked for.
const NEAR: usize = 24;

/// The only call of the closure in the field at `field` of a structure, with one argument that lies in
/// a stack slot: the last emulated instruction before it, where the slot has the argument already,
/// and the slot. Nothing jumps between the two.
pub(crate) fn closure_call(code: &[u8], start: u64, field: u64) -> Option<(Found, u32)> {
    let all: Vec<Instruction> = decode(code, start).collect();
    let mut found = None;
    for (at, call) in all.iter().enumerate() {
        if call.mnemonic() != Mnemonic::Call || call.op0_kind() != OpKind::Register {
            continue;
        }
        let Some(slot) = argument(all.get(..at)?, call.op0_register(), field) else { continue };
        if found.replace((at, slot)).is_some() {
            return None;
        }
    }
    let (at, slot) = found?;
    let call = all.get(at)?.ip();
    for before in all.get(at.saturating_sub(NEAR)..at)?.iter().rev() {
        match kind(before, code, start) {
            kind @ (SiteKind::Branch | SiteKind::Call | SiteKind::Nop) => {
                let between = before.ip() + 1..=call;
                let jumped = all.iter().any(|i| {
                    i.op0_kind() == OpKind::NearBranch64
                        && i.flow_control() != FlowControl::Call
                        && between.contains(&i.near_branch_target())
                });
                return (!jumped).then_some(((before.ip(), kind), slot));
            }
            _ if before.flow_control() != FlowControl::Next || stores(before, slot) => return None,
            _ => {}
        }
    }
    None
}

/// The first emulated instruction that every call of the function reaches, when it does not matter what
/// became of its arguments.
pub(crate) fn early_site(code: &[u8], start: u64) -> Option<Found> {
    for instruction in decode(code, start).take(NEAR) {
        let kind = kind(&instruction, code, start);
        if kind != SiteKind::SingleStep {
            return Some((instruction.ip(), kind));
        }
        if instruction.flow_control() != FlowControl::Next {
            break;
        }
    }
    None
}

/// Where in `text`, which starts at `start`, something calls one of `targets` or jumps there, and which
/// of them. Bytes that only look like it count, too.
pub(crate) fn callers(text: &[u8], start: u64, targets: &[u64]) -> Vec<(u64, u64)> {
    let call = |at: usize| {
        let distance = text.get(at + 1..)?.first_chunk::<4>()?;
        let from = start.wrapping_add(at as u64);
        let next = from.wrapping_add(5);
        let target = next.wrapping_add_signed(i32::from_le_bytes(*distance).into());
        targets.contains(&target).then_some((from, target))
    };
    memchr::memchr2_iter(0xe8, 0xe9, text).filter_map(call).collect()
}

/// The slot of the first argument where what goes ahead of a call through `to` loads that from the
/// closure in `field`, and no second argument.
fn argument(before: &[Instruction], to: R, field: u64) -> Option<u32> {
    let mut info = InstructionInfoFactory::new();
    let (mut slot, mut code, mut closure) = (None, false, false);
    for instruction in before.iter().rev().take(LOADS) {
        if instruction.flow_control() != FlowControl::Next {
            break;
        }
        if slot.is_none() && writes(&mut info, instruction, R::RAX) {
            slot = Some(load(instruction).filter(|(_, base, _)| *base == R::RSP)?.2);
        }
        if !code && writes(&mut info, instruction, to.full_register()) {
            code = load(instruction)? == (to, R::RDX, 0);
            if !code {
                return None;
            }
        } else if code && !closure && writes(&mut info, instruction, R::RDX) {
            let (_, base, at) = load(instruction)?;
            closure = base != R::RSP && base != R::RIP && u64::from(at) == field;
            if !closure {
                return None;
            }
        } else if !closure && writes(&mut info, instruction, R::RBX) {
            return None;
        }
    }
    if closure { slot } else { None }
}

/// `mov displacement(%base),%to`
fn load(instruction: &Instruction) -> Option<(R, R, u32)> {
    let loads = instruction.mnemonic() == Mnemonic::Mov
        && instruction.op0_kind() == OpKind::Register
        && instruction.op1_kind() == OpKind::Memory
        && instruction.memory_index() == R::None;
    let at = u32::try_from(instruction.memory_displacement64()).ok()?;
    loads.then(|| (instruction.op0_register(), instruction.memory_base(), at))
}

/// Whether it writes to this distance from the stack pointer.
fn stores(instruction: &Instruction, slot: u32) -> bool {
    instruction.op0_kind() == OpKind::Memory
        && instruction.memory_base() == R::RSP
        && instruction.memory_displacement64() == u64::from(slot)
        && !matches!(instruction.mnemonic(), Mnemonic::Cmp | Mnemonic::Test)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `test %r10d,%r10d; je`, then the loads and the call of `s.Handler(ctx)` with the field at 0xc0.
    const BRANCH: [u8; 5] = [0x45, 0x85, 0xd2, 0x74, 0x60];
    const RECEIVER: [u8; 8] = [0x48, 0x8b, 0x8c, 0x24, 0x78, 0x02, 0x00, 0x00];
    const CLOSURE: [u8; 7] = [0x48, 0x8b, 0x91, 0xc0, 0x00, 0x00, 0x00];
    const CODE: [u8; 3] = [0x48, 0x8b, 0x1a];
    const ARGUMENT: [u8; 8] = [0x48, 0x8b, 0x84, 0x24, 0x28, 0x01, 0x00, 0x00];
    const CALL: [u8; 2] = [0xff, 0xd3];
    /// `mov %rcx,0x128(%rsp)`, and the race detector's `call`.
    const STORE: [u8; 8] = [0x48, 0x89, 0x8c, 0x24, 0x28, 0x01, 0x00, 0x00];
    const REPORT: [u8; 5] = [0xe8, 0x00, 0x10, 0x00, 0x00];
    const START: u64 = 0x5000;

    fn handler() -> Vec<u8> {
        [&RECEIVER[..], &CLOSURE, &CODE, &ARGUMENT, &CALL].concat()
    }

    #[test]
    fn a_closure_is_called_after_the_branch_before_it() {
        let code = [&BRANCH[..], &handler()].concat();
        let expected = ((START + 3, SiteKind::Branch), 0x128);
        assert_eq!(closure_call(&code, START, 0xc0), Some(expected));
        assert_eq!(closure_call(&code, START, 0xc8), None);
    }

    #[test]
    fn the_argument_is_in_its_slot_at_the_site() {
        let code = [&BRANCH[..], &STORE, &handler()].concat();
        assert_eq!(closure_call(&code, START, 0xc0), None);
        let code = [&BRANCH[..], &STORE, &REPORT, &handler()].concat();
        let expected = ((START + 13, SiteKind::Call), 0x128);
        assert_eq!(closure_call(&code, START, 0xc0), Some(expected));
    }

    #[test]
    fn two_calls_or_a_jump_past_the_site_are_none() {
        let code = [&BRANCH[..], &handler(), &BRANCH, &handler()].concat();
        assert_eq!(closure_call(&code, START, 0xc0), None);
        // `jmp` to what follows the branch.
        let code = [&[0xeb, 0x05][..], &BRANCH, &handler()].concat();
        assert_eq!(closure_call(&code, START, 0xc0), None);
    }

    #[test]
    fn a_second_argument_is_another_call() {
        // `mov 0x10(%rsp),%rbx` ahead, and the code in RCX.
        let second = [0x48, 0x8b, 0x5c, 0x24, 0x10];
        let loads = [&RECEIVER[..], &CLOSURE, &[0x48, 0x8b, 0x0a], &second, &ARGUMENT];
        let code = [&BRANCH[..], &loads.concat(), &[0xff, 0xd1]].concat();
        assert_eq!(closure_call(&code, START, 0xc0), None);
    }

    #[test]
    fn callers_call_or_jump() {
        let code = [0xe8, 0x0b, 0, 0, 0, 0x90, 0xe9, 0x05, 0, 0, 0, 0xe8, 0x01, 0, 0, 0, 0xe8, 0];
        let (target, other) = (START + 16, START + 17);
        assert_eq!(callers(&code, START, &[target]), [(START, target), (START + 6, target)]);
        assert_eq!(callers(&code, START, &[other]), [(START + 11, other)]);
    }

    #[test]
    fn a_function_without_a_stack_check_has_an_early_site() {
        // `mov 0x8(%rdx),%rax; nop`
        let code = [0x48, 0x8b, 0x42, 0x08, 0x90, 0xc3];
        assert_eq!(early_site(&code, START), Some((START + 4, SiteKind::Nop)));
        assert_eq!(early_site(&[0x48, 0x8b, 0x42, 0x08, 0xc3, 0x90], START), None);
    }
}
