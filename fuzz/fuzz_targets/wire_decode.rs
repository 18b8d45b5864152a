//! Records of the ring buffers, also the tracker's and the sampler's, at any alignment.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    // The kernel aligns records to eight bytes; a wrong alignment must be an error and no panic.
    let mut room = vec![0u8; input.len() + 16];
    let aligned = room.as_ptr().align_offset(8);
    for start in aligned..aligned + 8 {
        let copy = &mut room[start..start + input.len()];
        copy.copy_from_slice(input);
        if let Ok(event) = wire::decode(copy) {
            assert!(!format!("{event:?}").is_empty());
        }
        if let Ok(event) = wire::decode_tracked(copy) {
            assert!(!format!("{event:?}").is_empty());
        }
        if let Ok(stack) = wire::decode_sampled(copy) {
            assert!(!format!("{stack:?}").is_empty());
        }
    }
});
