//! The traps that stand in the code of a process.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use anyhow::{Context, Result};

/// How many bytes of the process's code differ from those of its executable: one for each uprobe.
/// Only for programs that the loader does not change, such as static ones of Go.
pub fn sites_in(pid: u32) -> Result<usize> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).context("read maps")?;
    let memory = File::open(format!("/proc/{pid}/mem")).context("open mem")?;
    let file = fs::read(format!("/proc/{pid}/exe")).context("read the executable")?;
    let mut different = 0;
    for line in maps.lines() {
        let mut words = line.split_ascii_whitespace();
        let (Some(range), Some("r-xp"), Some(offset)) = (words.next(), words.next(), words.next())
        else {
            continue;
        };
        // The last word is the path; [vdso] and the uprobes' own page are none.
        if !words.next_back().is_some_and(|path| path.starts_with('/')) {
            continue;
        }
        let (start, end) = range.split_once('-').context("a range")?;
        let start = u64::from_str_radix(start, 16).context("the start of a range")?;
        let end = u64::from_str_radix(end, 16).context("the end of a range")?;
        let offset = usize::from_str_radix(offset, 16).context("an offset")?;
        let mut code = vec![0; usize::try_from(end - start)?];
        memory.read_exact_at(&mut code, start).context("read the code")?;
        let original = file.get(offset..).unwrap_or_default();
        different += code.iter().zip(original).filter(|(now, before)| now != before).count();
    }
    Ok(different)
}
