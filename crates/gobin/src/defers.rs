//! Where a function keeps the deferred calls that it makes itself when it returns ("open-coded"): most functions whose
//! `defer` statements are in no loop do. Not here: reading a stack.
//!
//! Source: `emitOpenDeferInfo` in `cmd/compile/internal/ssagen/ssa.go`, `initOpenCodedDefers` and, before Go 1.22,
//! `runOpenDeferFrame` in `runtime/panic.go`.

use crate::Binary;
use crate::bytes::varint_at;

/// `FUNCDATA_OpenCodedDeferInfo` in `internal/abi/symtab.go`.
const FUNCDATA_OPEN_CODED_DEFER_INFO: usize = 4;
/// `maxOpenDefers` in `cmd/compile/internal/ssagen`: one for each bit.
const MAX_DEFERS: u32 = 8;
/// Since this minor version the closures stand next to one another.
const IN_ONE_PLACE: u16 = 22;

/// Where they are: bytes below the frame's variables (`varp` in `runtime/traceback.go`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenDefers {
    /// Of the byte in which bit n is set while call n is still to come.
    pub bits: u32,
    /// Of the address of each call's closure. There may be more of these than calls.
    pub closures: Vec<u32>,
}

impl Binary<'_> {
    /// Those of the function that holds `pc`; `None` where it has none of its own.
    pub fn open_defers(&self, pc: u64) -> Option<OpenDefers> {
        let function = self.functions().lookup(pc)?;
        let data = self.lines().funcdata(&function, FUNCDATA_OPEN_CODED_DEFER_INFO)?;
        let data = self.image().tail(data)?;
        if self.minor().0 >= IN_ONE_PLACE { in_one_place(data) } else { one_by_one(data) }
    }
}

fn in_one_place(data: &[u8]) -> Option<OpenDefers> {
    let (bits, next) = varint_at(data, 0)?;
    let (first, _) = varint_at(data, next)?;
    let closures = (0..MAX_DEFERS).map_while(|n| first.checked_sub(8 * n)).collect();
    Some(OpenDefers { bits, closures })
}

/// The last one comes first.
fn one_by_one(data: &[u8]) -> Option<OpenDefers> {
    let (bits, next) = varint_at(data, 0)?;
    let (count, mut next) = varint_at(data, next)?;
    let mut closures = Vec::new();
    for _ in 0..Some(count).filter(|count| *count <= MAX_DEFERS)? {
        let (closure, after) = varint_at(data, next)?;
        closures.push(closure);
        next = after;
    }
    closures.reverse();
    Some(OpenDefers { bits, closures })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_closure_is_the_farthest_from_the_variables() {
        let found = in_one_place(&[0x21, 0x98, 0x01]).map(|found| (found.bits, found.closures));
        assert_eq!(found, Some((33, vec![152, 144, 136, 128, 120, 112, 104, 96])));
        assert_eq!(in_one_place(&[1, 16]).map(|found| found.closures), Some(vec![16, 8, 0]));
    }

    #[test]
    fn before_go_1_22_the_last_closure_comes_first() {
        let found = one_by_one(&[9, 2, 24, 16]);
        assert_eq!(found, Some(OpenDefers { bits: 9, closures: vec![16, 24] }));
    }

    #[test]
    fn damaged_tables_say_nothing() {
        assert_eq!(one_by_one(&[9, 9, 1, 1, 1, 1, 1, 1, 1, 1, 1]), None);
        assert_eq!(one_by_one(&[9, 2, 24]), None);
        assert_eq!(in_one_place(&[9]), None);
    }
}
