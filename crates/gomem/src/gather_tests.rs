//! Whatever is asked for, and whatever is mapped, each place has its own bytes or none.

use proptest::prelude::*;

use crate::{Memory, Snippets};

/// The byte that stands at an address.
fn byte(address: u64) -> u8 {
    (address.wrapping_mul(0x9e37_79b9) >> 7) as u8
}

fn memory(mapped: &[(u64, u64)]) -> Snippets {
    let mut out = Snippets::default();
    for (start, len) in mapped {
        out.map(*start, (*start..start + len).map(byte).collect());
    }
    out
}

fn is_mapped(mapped: &[(u64, u64)], address: u64, len: u64) -> bool {
    (address..address + len).all(|a| mapped.iter().any(|(start, n)| a >= *start && a - start < *n))
}

proptest! {
    #[test]
    fn each_place_has_its_own_bytes(
        holes in prop::collection::vec((0u64..40, 1u64..30), 0..4),
        places in prop::collection::vec((0u64..60_000, 0usize..3000), 0..40),
    ) {
        // Pages of a thousand bytes, some of which are missing.
        let missing = |page: u64| holes.iter().any(|(start, len)| page >= *start && page < start + len / 4);
        let mapped: Vec<(u64, u64)> =
            (0u64..64).filter(|p| !missing(*p)).map(|p| (p * 1000, 1000)).collect();
        let memory = memory(&mapped);
        // What was read before into the same room is not seen again.
        let before: Vec<_> = places.iter().rev().map(|(at, len)| (at + 500, *len)).collect();
        let mut got = memory.gather(&before).unwrap();
        memory.gather_into(&places, &mut got).unwrap();
        prop_assert_eq!(got.len(), places.len());
        for (i, (address, len)) in places.iter().enumerate() {
            let want = is_mapped(&mapped, *address, *len as u64);
            match got.get(i) {
                Some(bytes) => {
                    prop_assert!(want || *len == 0);
                    let truth: Vec<u8> = (*address..address + *len as u64).map(byte).collect();
                    prop_assert_eq!(bytes, truth.as_slice());
                }
                None => prop_assert!(!want || *len == 0, "{} {}", address, len),
            }
        }
    }

    #[test]
    fn no_address_and_no_length_panics(
        places in prop::collection::vec((any::<u64>(), 0usize..5000), 0..20),
    ) {
        let memory = memory(&[(0, 1000), (u64::MAX - 2000, 1000)]);
        let got = memory.gather(&places).unwrap();
        prop_assert_eq!(got.len(), places.len());
    }
}

#[test]
fn neighbours_are_read_at_once() {
    let memory = memory(&[(0x1000, 0x8000)]);
    let places: Vec<(u64, usize)> = (0..40).map(|i| (0x1000 + 448 * (39 - i), 448)).collect();
    let got = memory.gather(&places).unwrap();
    assert!((0..40).all(|i| got.get(i).is_some()));
    assert_eq!(memory.reads(), 1);
}

#[test]
fn too_much_is_refused() {
    let memory = memory(&[(0, 1000)]);
    let places: Vec<(u64, usize)> = (0..64).map(|i| (i << 32, 64 << 20)).collect();
    let mut got = memory.gather(&[(0, 8)]).unwrap();
    assert!(memory.gather_into(&places, &mut got).is_err());
    assert!(got.get(0).is_none());
    assert!(memory.bytes(0, usize::MAX).unwrap().is_none());
}
