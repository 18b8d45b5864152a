//! Damaged Go binaries. With `GOTAP_FUZZ_BINARY` naming a Go program (a small stripped one is
//! best) the input is a list of patches to it, six bytes each: offset (32 bits), two new bytes.
//! Without it the input is a whole file.

#![no_main]

#[allow(dead_code, reason = "the tests that share it use more of it")]
#[path = "../../crates/gobin/tests/exercise/mod.rs"]
mod exercise;

use std::sync::LazyLock;

use exercise::{Depth, exercise};
use libfuzzer_sys::fuzz_target;

static SEED: LazyLock<Option<Vec<u8>>> = LazyLock::new(|| {
    let path = std::env::var_os("GOTAP_FUZZ_BINARY")?;
    Some(std::fs::read(path).expect("GOTAP_FUZZ_BINARY names a readable file"))
});

fuzz_target!(|input: &[u8]| {
    let Some(seed) = &*SEED else {
        exercise(input, Depth::All);
        return;
    };
    let mut data = seed.clone();
    for patch in input.as_chunks::<6>().0 {
        let [a, b, c, d, value @ ..] = *patch;
        let at = u32::from_le_bytes([a, b, c, d]) as usize % (data.len() - 1);
        data[at..at + 2].copy_from_slice(&value);
    }
    exercise(&data, Depth::All);
});
