//! Records of the ring buffers and iterators of all objects, at any alignment.

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
            if let wire::Event::Record(record) = event {
                for maker in instruments::makers() {
                    let made = (maker.span)(&record.bytes, &trace::ProcessInfo::default(), 0);
                    assert!(made.is_err() || made.is_ok_and(|span| !span.name.is_empty()));
                }
            }
        }
        if let Ok(event) = wire::decode_tracked(copy) {
            assert!(!format!("{event:?}").is_empty());
        }
        if let Ok(stack) = wire::decode_sampled(copy) {
            assert!(!format!("{stack:?}").is_empty());
        }
        if let Ok(line) = wire::decode_log(copy) {
            assert!(line.text.is_none_or(|text| text.len() <= input.len()));
        }
        let served = wire::decode_serving(copy);
        let _ = served.iter().filter(|request| request.started(request.goid)).count();
        for request in wire::decode_active(copy) {
            let _ = (request.word(0), request.word(u16::MAX), request.word(7));
        }
        let _ = (wire::decode_world_start(copy), wire::ToldSample::decode(copy));
    }
});
