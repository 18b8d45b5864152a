//! Events of any process of the host, whose names and arguments that process chooses: records, arguments without
//! secrets, cgroups.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    // The kernel aligns records to eight bytes; a wrong alignment must be an error and no panic.
    let mut room = vec![0u8; input.len() + 16];
    let aligned = room.as_ptr().align_offset(8);
    for start in aligned..aligned + 8 {
        let copy = &mut room[start..start + input.len()];
        copy.copy_from_slice(input);
        if let Ok(event) = host::exec::decode(copy) {
            let mut processes = host::processes::Processes::default();
            processes.add(&event);
            assert!(!format!("{event:?}").is_empty());
        }
        if let Ok(event) = host::tcp::decode(copy) {
            assert!(event.error.name().is_none_or(|name| !name.is_empty()));
        }
        let _ = (host::flows::flow(copy), host::flows::total(copy));
        let _ = (host::flows::frames(copy), host::flows::count(copy));
    }
    let argv = host::exec::arguments(input);
    if let Ok(masker) = host::mask::Masker::new(&[], &[]) {
        assert_eq!(masker.argv(&argv).len(), argv.len());
    }
    let text = String::from_utf8_lossy(input);
    if let Some(path) = host::container::cgroup_of_proc(&text) {
        let _ = host::container::of_cgroup(&path);
    }
});
