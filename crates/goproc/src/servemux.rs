//! The patterns of an `http.ServeMux` as it was until Go 1.21: `m map[string]muxEntry`.
//!
//! The program may add patterns meanwhile; what is read then is incomplete or fails, and is read
//! anew later. Layout: `hmap` and `bmap` of Go's runtime/map.go.

use crate::memory::Memory;
use crate::{Error, Process};

/// More patterns than this are not read.
const MAX_PATTERNS: u64 = 4096;
/// Longer patterns are left out.
const MAX_PATTERN: u64 = 1024;
/// Eight entries share a bucket: top hashes, keys, elements, pointer to another bucket.
const SLOTS: usize = 8;

/// Reads the keys of the map at `map`, the address of a ServeMux's field `m`, whose elements have
/// `entry_size` bytes.
///
/// # Errors
/// [`Error::NoSuchProcess`], [`Error::Denied`] or [`Error::Io`] when the memory can't be read.
pub fn read_patterns(process: Process, map: u64, entry_size: u64) -> Result<Vec<String>, Error> {
    let memory = Memory::open(process)?;
    let hmap = memory.word(map)?;
    if hmap == 0 {
        return Ok(Vec::new());
    }
    let count = memory.word(hmap)?.min(MAX_PATTERNS);
    let log_buckets = (memory.word(hmap + 8)? >> 8) & 0xff;
    let size = 8 + 16 * SLOTS as u64 + entry_size.min(256) * SLOTS as u64 + 8;
    let mut patterns = Vec::new();
    // A map that grows has entries in its old array, too.
    for (array, buckets) in [
        (memory.word(hmap + 16)?, 1 << log_buckets.min(12)),
        (memory.word(hmap + 24)?, 1 << log_buckets.min(12).saturating_sub(1)),
    ] {
        for i in 0..if array == 0 { 0u64 } else { buckets } {
            read_chain(&memory, array + i * size, size, &mut patterns)?;
        }
    }
    patterns.truncate(usize::try_from(count).unwrap_or(0));
    Ok(patterns)
}

/// Reads a bucket and those that overflow from it.
fn read_chain(
    memory: &Memory,
    first: u64,
    size: u64,
    patterns: &mut Vec<String>,
) -> Result<(), Error> {
    let mut bucket = first;
    while bucket != 0 && (patterns.len() as u64) < MAX_PATTERNS {
        let mut head = [0u8; SLOTS + 16 * SLOTS];
        memory.read(bucket, &mut head)?;
        let (tops, keys) = head.split_at(SLOTS);
        for (top, key) in tops.iter().zip(keys.chunks_exact(16)) {
            // Up to 4 says that the slot is empty or moved.
            if *top > 4
                && let Some(pattern) = read_string(memory, key)?
            {
                patterns.push(pattern);
            }
        }
        bucket = memory.word(bucket + size - 8)?;
    }
    Ok(())
}

/// The string whose header is `header`; `None` when it is no text.
fn read_string(memory: &Memory, header: &[u8]) -> Result<Option<String>, Error> {
    let word = |i: usize| {
        let bytes = header.get(i..i + 8).and_then(|b| b.try_into().ok()).unwrap_or([0; 8]);
        u64::from_ne_bytes(bytes)
    };
    let (pointer, len) = (word(0), word(8));
    if pointer == 0 || len == 0 || len > MAX_PATTERN {
        return Ok(None);
    }
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
    memory.read(pointer, &mut bytes)?;
    Ok(String::from_utf8(bytes).ok())
}
