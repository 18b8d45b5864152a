//! x86-64: which code refers to an address, and which stores to a field of a structure.

use iced_x86::{FlowControl, Instruction, OpKind, Register as R};

use super::amd64::decode;

/// Where in `text`, which starts at `start`, something takes the address `target`. Bytes that only look
/// like it count, too.
pub(crate) fn takers(text: &[u8], start: u64, target: u64) -> Vec<u64> {
    // `lea distance(%rip),%register`: 8d, a register with the mode for RIP, four bytes.
    let takes = |at: usize| {
        let distance = text.get(at + 2..)?.first_chunk::<4>()?;
        let from = start.wrapping_add(at as u64);
        let points = from.wrapping_add(6).wrapping_add_signed(i32::from_le_bytes(*distance).into());
        (text.get(at + 1)? & 0xc7 == 0x05 && points == target).then_some(from)
    };
    memchr::memchr_iter(0x8d, text).filter_map(takes).collect()
}

/// Whether this function stores eight bytes at one of these distances from a pointer that is not the
/// stack's.
pub(crate) fn stores(code: &[u8], start: u64, fields: &[u64]) -> bool {
    decode(code, start).any(|instruction: Instruction| {
        instruction.op_count() == 2
            && instruction.op0_kind() == OpKind::Memory
            && instruction.mnemonic() == iced_x86::Mnemonic::Mov
            && instruction.memory_size().size() == 8
            && !matches!(instruction.memory_base(), R::RSP | R::RIP | R::None)
            && fields.contains(&instruction.memory_displacement64())
    })
}

/// The functions that this one calls by their address.
pub(crate) fn callees(code: &[u8], start: u64) -> Vec<u64> {
    let calls = decode(code, start).filter(|i| i.flow_control() == FlowControl::Call);
    calls.map(|call| call.near_branch_target()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 0x5000;

    #[test]
    fn an_address_is_taken_relative_to_what_follows() {
        // `lea 0x10(%rip),%rcx; mov 0x10(%rip),%rcx`
        let text = [0x48, 0x8d, 0x0d, 0x10, 0, 0, 0, 0x48, 0x8b, 0x0d, 0x09, 0, 0, 0];
        assert_eq!(takers(&text, START, START + 23), [START + 1]);
        assert_eq!(takers(&text, START, START + 22), [0u64; 0]);
        assert_eq!(takers(&text[..6], START, START + 23), [0u64; 0]);
    }

    #[test]
    fn a_field_is_stored_to_by_a_pointer() {
        // `mov %rcx,0x28(%rax)`
        assert!(stores(&[0x48, 0x89, 0x48, 0x28], START, &[0x20, 0x28]));
        assert!(!stores(&[0x48, 0x89, 0x48, 0x28], START, &[0x20, 0x30]));
        // `mov 0x28(%rax),%rcx`, `mov %ecx,0x28(%rax)` and `mov %rcx,0x28(%rsp)`
        for other in
            [&[0x48, 0x8b, 0x48, 0x28][..], &[0x89, 0x48, 0x28], &[0x48, 0x89, 0x4c, 0x24, 0x28]]
        {
            assert!(!stores(other, START, &[0x28]), "{other:x?}");
        }
    }

    #[test]
    fn callees_are_called_by_address() {
        // `call +0x10; call *%rcx`
        assert_eq!(callees(&[0xe8, 0x10, 0, 0, 0, 0xff, 0xd1], START), [START + 0x15]);
    }
}
