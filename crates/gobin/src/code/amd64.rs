//! x86-64: probe sites, call sites and RIP-relative operands.

use iced_x86::{
    Code, Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic,
    OpAccess, OpKind, Register,
};

use super::{Found, Place, SiteKind};

/// Integer argument and result registers of Go's ABIInternal, in order.
pub(super) const ARGUMENTS: [Register; 9] = [
    Register::RAX,
    Register::RBX,
    Register::RCX,
    Register::RDI,
    Register::RSI,
    Register::R8,
    Register::R9,
    Register::R10,
    Register::R11,
];
/// How many instructions into a function an entry site is looked for.
const PROLOGUE: usize = 8;
/// How many instructions after a call its result may be tested.
const AFTER_CALL: usize = 6;
/// How many instructions after a direct call an indirect one is looked for.
const TO_CALL: usize = 24;
/// How many instructions into an error block a site is looked for.
const BLOCK: usize = 12;

pub(super) fn decode(code: &[u8], at: u64) -> impl Iterator<Item = Instruction> + '_ {
    let mut decoder = Decoder::with_ip(64, code, at, DecoderOptions::NONE);
    std::iter::from_fn(move || {
        decoder.can_decode().then(|| decoder.decode()).filter(|i| !i.is_invalid())
    })
}

/// Decodes from `address` on, of code that starts at `start`.
pub(super) fn decode_from(
    code: &[u8],
    start: u64,
    address: u64,
) -> Option<impl Iterator<Item = Instruction> + '_> {
    let at = usize::try_from(address.checked_sub(start)?).ok()?;
    Some(decode(code.get(at..)?, address))
}

/// How the kernel runs `instruction`. Only plain encodings are emulated.
pub(super) fn kind(instruction: &Instruction, code: &[u8], start: u64) -> SiteKind {
    let at = usize::try_from(instruction.ip() - start).unwrap_or(usize::MAX);
    let first = code.get(at).copied().unwrap_or(0);
    let second = code.get(at + 1).copied().unwrap_or(0);
    match (first, second) {
        (0x50..=0x57, _) | (0x41, 0x50..=0x57) => SiteKind::Push,
        (0x70..=0x7f, _) | (0x0f, 0x80..=0x8f) => SiteKind::Branch,
        (0xeb | 0xe9, _) => SiteKind::Jump,
        (0xe8, _) => SiteKind::Call,
        (0x90, _) => SiteKind::Nop,
        _ => SiteKind::SingleStep,
    }
}

/// Whether `instruction` changes one of the first `count` argument registers.
fn clobbers(info: &mut InstructionInfoFactory, instruction: &Instruction, count: usize) -> bool {
    ARGUMENTS[..count].iter().any(|register| writes(info, instruction, *register))
}

/// The best site near the entry at which all arguments are intact.
pub(crate) fn entry_site(code: &[u8], start: u64) -> Found {
    let mut info = InstructionInfoFactory::new();
    let mut fallback = None;
    let mut compared = false;
    for (i, instruction) in decode(code, start).take(PROLOGUE).enumerate() {
        match kind(&instruction, code, start) {
            SiteKind::Push => return (instruction.ip(), SiteKind::Push),
            SiteKind::Branch if fallback.is_none() => {
                let kind = if compared { SiteKind::StackCheck } else { SiteKind::Branch };
                fallback = Some((instruction.ip(), kind));
            }
            found @ (SiteKind::Jump | SiteKind::Nop) if i == 0 => {
                return (instruction.ip(), found);
            }
            _ => {}
        }
        compared |= is_stack_compare(&instruction);
        let ends = instruction.flow_control() != FlowControl::Next
            && instruction.flow_control() != FlowControl::ConditionalBranch;
        if ends || clobbers(&mut info, &instruction, ARGUMENTS.len()) {
            break;
        }
    }
    fallback.unwrap_or((start, SiteKind::SingleStep))
}

/// `cmp 0x10(%r14),%rsp` or the same with `%r12`: against `g.stackguard0`.
fn is_stack_compare(instruction: &Instruction) -> bool {
    instruction.mnemonic() == Mnemonic::Cmp
        && instruction.memory_base() == Register::R14
        && instruction.memory_displacement64() == 0x10
}

/// Addresses of the direct calls to `target`.
pub(crate) fn calls_to(code: &[u8], start: u64, target: u64) -> Vec<u64> {
    decode(code, start)
        .filter(|i| i.is_call_near() && i.near_branch_target() == target)
        .map(|i| i.ip())
        .collect()
}

/// Targets of all direct calls.
pub(crate) fn direct_calls(code: &[u8], start: u64) -> Vec<u64> {
    let calls = decode(code, start).filter(Instruction::is_call_near);
    calls.map(|i| i.near_branch_target()).filter(|target| *target != 0).collect()
}

/// The branch that tests the results of the call at `call`, while they are still in registers.
pub(crate) fn test_after_call(code: &[u8], start: u64, call: u64) -> Option<Found> {
    let (at, _) = tested(code, start, call, 3)?;
    Some((at.ip(), SiteKind::Branch))
}

/// The conditional branch after the call at `call`, and the register that it tests; the first
/// `keep` result registers are unchanged until then.
fn tested(code: &[u8], start: u64, call: u64, keep: usize) -> Option<(Instruction, Register)> {
    let mut info = InstructionInfoFactory::new();
    let mut tested = Register::None;
    let from = usize::try_from(call - start).ok()?;
    for instruction in decode(code.get(from..)?, call).skip(1).take(AFTER_CALL) {
        if kind(&instruction, code, start) == SiteKind::Branch {
            return (tested != Register::None).then_some((instruction, tested));
        }
        if instruction.mnemonic() == Mnemonic::Test {
            tested = instruction.op0_register().full_register();
        }
        if instruction.flow_control() != FlowControl::Next
            || clobbers(&mut info, &instruction, keep)
        {
            return None;
        }
    }
    None
}

/// Where the error which the first indirect call after `from` returned is compared with one that a
/// global holds, while it is still in its registers; the global's address; and where the call's
/// first result is. It is the branch of the comparison or, with the race detector, the call before
/// it that reports the global's address.
pub(crate) fn sentinel_test(code: &[u8], start: u64, from: u64) -> Option<(Found, u64, Place)> {
    let mut info = InstructionInfoFactory::new();
    let at = usize::try_from(from.checked_sub(start)?).ok()?;
    let mut after = decode(code.get(at..)?, from).skip(1);
    after.by_ref().take(TO_CALL).find(Instruction::is_call_near_indirect)?;
    let (mut sentinel, mut result) = (None, Some(Place::Register));
    for instruction in after.take(AFTER_CALL) {
        let found = kind(&instruction, code, start);
        if matches!(found, SiteKind::Branch | SiteKind::Call) {
            return Some(((instruction.ip(), found), sentinel?, result?));
        }
        let names = match instruction.mnemonic() {
            Mnemonic::Cmp => instruction.op1_register() == ARGUMENTS[1],
            Mnemonic::Lea => true,
            _ => false,
        };
        if names && instruction.is_ip_rel_memory_operand() {
            sentinel = Some(instruction.ip_rel_memory_address());
        }
        if let Some(slot) = stores_to_stack(&instruction, ARGUMENTS[0]) {
            result = Some(Place::Stack(slot));
        } else if result == Some(Place::Register) && writes(&mut info, &instruction, ARGUMENTS[0]) {
            result = None;
        }
        let error =
            ARGUMENTS[1..3].iter().any(|register| writes(&mut info, &instruction, *register));
        if instruction.flow_control() != FlowControl::Next || error {
            return None;
        }
    }
    None
}

/// A site in the block that runs only when the call at `call` gave a non-zero result number
/// `result` (0 is RAX), and where that result and the next then are, if they are still kept.
pub(crate) fn nonzero_block(
    code: &[u8],
    start: u64,
    call: u64,
    result: usize,
) -> Option<(Found, [Option<Place>; 2])> {
    let wanted = [*ARGUMENTS.get(result)?, *ARGUMENTS.get(result + 1)?];
    let (branch, register) = tested(code, start, call, result + 1)?;
    if register != wanted[0] {
        return None;
    }
    let block = match branch.mnemonic() {
        Mnemonic::Jne => branch.near_branch_target(),
        Mnemonic::Je => branch.next_ip(),
        _ => return None,
    };
    let from = usize::try_from(block.checked_sub(start)?).ok()?;
    first_cheap_site(code.get(from..)?, code, start, block, wanted)
}

/// Walks a block to its first emulated instruction, following `wanted` into stack slots.
fn first_cheap_site(
    block: &[u8],
    code: &[u8],
    start: u64,
    at: u64,
    wanted: [Register; 2],
) -> Option<(Found, [Option<Place>; 2])> {
    let mut info = InstructionInfoFactory::new();
    let mut places = [Some(Place::Register); 2];
    for instruction in decode(block, at).take(BLOCK) {
        let found = kind(&instruction, code, start);
        if found != SiteKind::SingleStep {
            return Some(((instruction.ip(), found), places));
        }
        if instruction.flow_control() != FlowControl::Next {
            return None;
        }
        for (place, register) in places.iter_mut().zip(wanted) {
            if *place != Some(Place::Register) {
                continue;
            }
            if let Some(slot) = stores_to_stack(&instruction, register) {
                *place = Some(Place::Stack(slot));
            } else if writes(&mut info, &instruction, register) {
                *place = None;
            }
        }
    }
    None
}

/// Whether `instruction` changes `register`.
pub(super) fn writes(
    info: &mut InstructionInfoFactory,
    instruction: &Instruction,
    register: Register,
) -> bool {
    info.info(instruction).used_registers().iter().any(|used| {
        used.register().full_register() == register
            && !matches!(used.access(), OpAccess::Read | OpAccess::CondRead)
    })
}

/// `mov %register,disp(%rsp)`.
fn stores_to_stack(instruction: &Instruction, register: Register) -> Option<u32> {
    let stores = instruction.mnemonic() == Mnemonic::Mov
        && instruction.op0_kind() == OpKind::Memory
        && instruction.memory_base() == Register::RSP
        && instruction.memory_index() == Register::None
        && instruction.op1_register() == register;
    stores.then(|| u32::try_from(instruction.memory_displacement64()).ok())?
}

/// Addresses of all RIP-relative operands, in order.
pub(crate) fn references(code: &[u8], start: u64) -> Vec<u64> {
    decode(code, start)
        .filter(Instruction::is_ip_rel_memory_operand)
        .map(|i| i.ip_rel_memory_address())
        .collect()
}

/// The first store `mov %r64,disp(%base)` with this displacement, and the first emulated
/// instruction after it with the base register unchanged: `(site, x86 number of the base)`.
pub(crate) fn site_after_store(code: &[u8], start: u64, disp: u64) -> Option<(Found, u8)> {
    let mut info = InstructionInfoFactory::new();
    let mut base = Register::None;
    for instruction in decode(code, start) {
        if base == Register::None {
            let stores = instruction.mnemonic() == Mnemonic::Mov
                && instruction.op0_kind() == OpKind::Memory
                && instruction.op1_kind() == OpKind::Register
                && instruction.op1_register().is_gpr64()
                && instruction.memory_displacement64() == disp
                && instruction.memory_index() == Register::None
                && !matches!(instruction.memory_base(), Register::RSP | Register::RIP);
            if stores {
                base = instruction.memory_base();
            }
            continue;
        }
        let found = kind(&instruction, code, start);
        if found != SiteKind::SingleStep {
            let number = u8::try_from(base.number()).ok()?;
            return Some(((instruction.ip(), found), number));
        }
        if writes(&mut info, &instruction, base) {
            return None;
        }
    }
    None
}

/// Addresses of all return instructions.
pub(crate) fn returns(code: &[u8], start: u64) -> Vec<u64> {
    decode(code, start)
        .filter(|i| i.flow_control() == FlowControl::Return)
        .map(|i| i.ip())
        .collect()
}

/// The offset from the FS base at which the thread's g is stored, from `runtime.morestack`.
pub(crate) fn tls_offset(code: &[u8], start: u64) -> Option<i64> {
    let first = decode(code, start).next()?;
    if first.segment_prefix() == Register::FS || first.memory_segment() == Register::FS {
        return Some(first.memory_displacement64().cast_signed());
    }
    // PIE: `mov $offset,%rcx`, then `mov %fs:(%rcx),%reg`.
    let immediate = matches!(first.code(), Code::Mov_rm64_imm32 | Code::Mov_r64_imm64);
    immediate.then(|| first.immediate(1).cast_signed())
}
