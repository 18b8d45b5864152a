//! Bounds-checked little-endian reads from slices. Everything read from a file goes through here.

/// Reads a `u32` at `at`, or `None` past the end.
pub(crate) fn u32_at(data: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(data.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

/// Reads an `i32` at `at`, or `None` past the end.
pub(crate) fn i32_at(data: &[u8], at: usize) -> Option<i32> {
    u32_at(data, at).map(u32::cast_signed)
}

/// Reads a `u64` at `at`, or `None` past the end.
pub(crate) fn u64_at(data: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(data.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

/// Reads an unsigned LEB128 of at most 32 bits; gives the value and the index after it.
pub(crate) fn varint_at(data: &[u8], mut at: usize) -> Option<(u32, usize)> {
    let mut value = 0u32;
    for shift in (0..35).step_by(7) {
        let byte = *data.get(at)?;
        at += 1;
        value |= u32::from(byte & 0x7f).checked_shl(shift)?;
        if byte < 0x80 {
            return Some((value, at));
        }
    }
    None
}

/// A longer name in a table of names is damage.
const MAX_CSTR: usize = 16 << 10;

/// Reads a NUL-terminated UTF-8 string at `at`; `None` past the end, when it is not UTF-8 or when
/// it is longer than any name.
pub(crate) fn cstr_at(data: &[u8], at: usize) -> Option<&str> {
    let tail = data.get(at..)?;
    let end = memchr::memchr(0, &tail[..tail.len().min(MAX_CSTR)])?;
    std::str::from_utf8(&tail[..end]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_stop_at_the_end() {
        assert_eq!(u32_at(&[1, 0, 0], 0), None);
        assert_eq!(u64_at(&[0; 8], usize::MAX), None);
        assert_eq!(varint_at(&[0x80, 0x80], 0), None);
        assert_eq!(varint_at(&[0xff; 9], 0), None);
        assert_eq!(cstr_at(b"abc", 0), None);
    }

    #[test]
    fn endless_names_are_refused() {
        let mut data = vec![b'a'; MAX_CSTR];
        data.push(0);
        assert_eq!(cstr_at(&data, 0), None);
        assert_eq!(cstr_at(&data, 1).map(str::len), Some(MAX_CSTR - 1));
    }

    #[test]
    fn varints_decode() {
        assert_eq!(varint_at(&[0xac, 0x02], 0), Some((300, 2)));
        assert_eq!(cstr_at(b"ab\0c\0", 3), Some("c"));
    }
}
