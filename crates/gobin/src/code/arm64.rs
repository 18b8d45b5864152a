//! AArch64: probe sites, call sites and ADRP-based references.
//!
//! Instructions are fixed 32-bit words and only eight patterns matter here, so they are matched by
//! mask; a general decoder would be the larger risk.

use super::{Found, SiteKind};

/// How many instructions into a function an entry site is looked for.
const PROLOGUE: usize = 8;
/// How many instructions after a call its result may be tested.
const AFTER_CALL: usize = 6;

fn words(code: &[u8]) -> impl Iterator<Item = (u64, u32)> + '_ {
    let (chunks, _) = code.as_chunks::<4>();
    chunks.iter().enumerate().map(|(i, w)| (4 * i as u64, u32::from_le_bytes(*w)))
}

/// How the kernel runs `word` (`aarch64_insn_is_…` in `decode-insn.c`).
fn kind(word: u32) -> SiteKind {
    match word {
        w if w & 0xff00_0010 == 0x5400_0000 => SiteKind::Branch, // b.cond
        w if w & 0x7e00_0000 == 0x3400_0000 => SiteKind::Branch, // cbz, cbnz
        w if w & 0x7e00_0000 == 0x3600_0000 => SiteKind::Branch, // tbz, tbnz
        w if w & 0xfc00_0000 == 0x1400_0000 => SiteKind::Jump,   // b
        w if w & 0xfc00_0000 == 0x9400_0000 => SiteKind::Call,   // bl
        w if w & 0xffff_fc1f == 0xd65f_0000 => SiteKind::Return, // ret
        0xd503_201f => SiteKind::Nop,
        _ => SiteKind::SingleStep,
    }
}

/// The best site near the entry at which all arguments are intact: Go's stack check
/// (`ldr x16,[x28,#16]; cmp sp,x16; b.ls`) ends in a branch that the kernel simulates.
pub(crate) fn entry_site(code: &[u8], start: u64) -> Found {
    let mut compared = false;
    for (at, word) in words(code).take(PROLOGUE) {
        match kind(word) {
            SiteKind::Branch if compared => return (start + at, SiteKind::StackCheck),
            found @ (SiteKind::Branch | SiteKind::Jump | SiteKind::Nop) => {
                return (start + at, found);
            }
            SiteKind::SingleStep => {}
            _ => break,
        }
        compared |= word == 0xf940_0b90; // ldr x16, [x28, #16]: g.stackguard0
    }
    (start, SiteKind::SingleStep)
}

/// Sign-extends the low `bits` of `value` and scales by 4.
fn branch_offset(value: u32, bits: u32) -> i64 {
    i64::from((value << (32 - bits)).cast_signed() >> (32 - bits)) * 4
}

/// Addresses of the direct calls to `target`.
pub(crate) fn calls_to(code: &[u8], start: u64, target: u64) -> Vec<u64> {
    words(code)
        .filter(|(_, w)| kind(*w) == SiteKind::Call)
        .filter(|(at, w)| {
            let to = (start + at).wrapping_add_signed(branch_offset(w & 0x03ff_ffff, 26));
            to == target
        })
        .map(|(at, _)| start + at)
        .collect()
}

/// The first simulated branch after the call at `call`. On arm64 `cbz`/`cbnz` test a register
/// directly, so nothing stands between the call and the test but spills.
pub(crate) fn test_after_call(code: &[u8], start: u64, call: u64) -> Option<Found> {
    let from = usize::try_from(call - start).ok()?;
    words(code.get(from..)?)
        .skip(1)
        .take(AFTER_CALL)
        .find(|(_, w)| kind(*w) == SiteKind::Branch)
        .map(|(at, _)| (call + at, SiteKind::Branch))
}

/// Addresses formed by ADRP plus a following ADD, LDR or STR of the same register, in order.
pub(crate) fn references(code: &[u8], start: u64) -> Vec<u64> {
    let mut pages: [Option<u64>; 32] = [None; 32];
    let mut out = Vec::new();
    for (at, word) in words(code) {
        let (rd, rn) = ((word & 31) as usize, ((word >> 5) & 31) as usize);
        if word & 0x9f00_0000 == 0x9000_0000 {
            let immediate = ((word >> 5) & 0x7_ffff) << 2 | (word >> 29) & 3;
            let pages_away = i64::from((immediate << 11).cast_signed() >> 11) << 12;
            pages[rd] = Some(((start + at) & !0xfff).wrapping_add_signed(pages_away));
            continue;
        }
        let Some(page) = pages[rn] else { continue };
        let low = u64::from((word >> 10) & 0xfff);
        if word & 0xffc0_0000 == 0x9100_0000 {
            out.push(page.wrapping_add(low)); // add xd, xn, #imm
            pages[rd] = None;
        } else if word & 0x3b00_0000 == 0x3900_0000 {
            out.push(page.wrapping_add(low << (word >> 30))); // ldr/str with unsigned offset
            if word & 0x0040_0000 != 0 && rd == rn {
                pages[rd] = None;
            }
        }
    }
    out
}

/// Addresses of all return instructions.
pub(crate) fn returns(code: &[u8], start: u64) -> Vec<u64> {
    words(code).filter(|(_, w)| kind(*w) == SiteKind::Return).map(|(at, _)| start + at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_told_apart() {
        assert_eq!(kind(0x5400_0069), SiteKind::Branch); // b.ls
        assert_eq!(kind(0xb400_0041), SiteKind::Branch); // cbz x1
        assert_eq!(kind(0x1400_0001), SiteKind::Jump);
        assert_eq!(kind(0x97ff_ffff), SiteKind::Call);
        assert_eq!(kind(0xd65f_03c0), SiteKind::Return);
        assert_eq!(kind(0xf940_0b90), SiteKind::SingleStep);
    }

    #[test]
    fn backward_calls_find_their_target() {
        let code = 0x97ff_fffcu32.to_le_bytes(); // bl .-16
        assert_eq!(calls_to(&code, 0x1000, 0xff0), vec![0x1000]);
    }
}
