//! Files of pprof, as somebody gives them for the profile from before. What can be read can be written, read again and
//! drawn.

#![no_main]

use libfuzzer_sys::fuzz_target;
use profile::pprof;

fuzz_target!(|input: &[u8]| {
    let Ok(found) = pprof::decode(input) else { return };
    let written = pprof::encode(&found).expect("memory can be written to");
    let again = pprof::decode(&written).expect("what was written is a profile");
    assert_eq!(again.samples.len(), found.samples.len());
    assert_eq!(profile::folded(&again, 0), profile::folded(&found, 0));
    assert!(!profile::flame_graph(&found, 0, "x").is_empty());
});
