//! The files that a process has mapped as code.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use blazesym::symbolize::source::{Elf, Source};
use blazesym::symbolize::{Input, Symbolizer};
use goproc::Process;

/// Mappings of a process that are looked at.
const MAX_MAPPINGS: usize = 4096;

/// A part of a file in a process's memory.
#[derive(Debug)]
pub struct Mapping {
    /// Where it starts.
    pub start: u64,
    /// Where it ends.
    pub end: u64,
    /// Where in the file that is.
    pub offset: u64,
    /// The file as the process sees it, or what the kernel calls the memory, such as `[vdso]`.
    pub path: PathBuf,
    file: Option<File>,
}

impl Mapping {
    /// The file's name without its directories.
    pub fn name(&self) -> String {
        let name = self.path.file_name().unwrap_or(self.path.as_os_str());
        name.to_string_lossy().into_owned()
    }
}

/// What a process has mapped as code, by address.
#[derive(Default)]
pub struct Mappings {
    by_end: BTreeMap<u64, Mapping>,
    symbolizer: RefCell<Option<Symbolizer>>,
}

impl Mappings {
    /// Looks at a process and opens its files. What is known already stays.
    pub fn read(&mut self, process: Process) {
        let text = fs::read_to_string(process.path("maps")).unwrap_or_default();
        for line in text.lines().filter_map(parse) {
            let (start, end, offset, inode, path) = line;
            let known = self.at(start).is_some_and(|m| m.end == end && m.path == path);
            if known || self.by_end.len() >= MAX_MAPPINGS {
                continue;
            }
            let file = open(process, start, end, inode, &path);
            self.by_end.insert(end, Mapping { start, end, offset, path, file });
        }
    }

    /// The mapping at an address.
    pub fn at(&self, address: u64) -> Option<&Mapping> {
        let (_, mapping) = self.by_end.range(address.checked_add(1)?..).next()?;
        (mapping.start <= address).then_some(mapping)
    }

    /// The function at an address, by the symbols of the file; `None` if it has none there.
    pub fn function(&self, address: u64) -> Option<String> {
        let mapping = self.at(address)?;
        let file = mapping.file.as_ref()?;
        let mut source = Elf::new(Path::new("/proc/self/fd").join(file.as_raw_fd().to_string()));
        source.debug_syms = false;
        let offset = (address - mapping.start).checked_add(mapping.offset)?;
        let mut symbolizer = self.symbolizer.borrow_mut();
        let symbolizer = symbolizer.get_or_insert_default();
        let found = symbolizer.symbolize_single(&Source::Elf(source), Input::FileOffset(offset));
        found.ok()?.as_sym().map(|sym| sym.name.clone().into_owned())
    }
}

/// The file of a mapping, through the mapping itself: right also when it was replaced. Without the right to
/// do so by its path, if it is still the same file.
fn open(process: Process, start: u64, end: u64, inode: u64, path: &Path) -> Option<File> {
    let below_root = path.strip_prefix("/").ok()?;
    let link = process.path(&format!("map_files/{start:x}-{end:x}"));
    let named = || File::open(process.path("root").join(below_root));
    let file = File::open(link).or_else(|_| named()).ok()?;
    (file.metadata().ok()?.ino() == inode).then_some(file)
}

/// A line of `/proc/PID/maps`, if it is code: its addresses, the offset in the file, its inode, the name.
fn parse(line: &str) -> Option<(u64, u64, u64, u64, PathBuf)> {
    let mut words = line.splitn(6, ' ');
    let (start, end) = words.next()?.split_once('-')?;
    let permissions = words.next()?;
    let offset = u64::from_str_radix(words.next()?, 16).ok()?;
    let inode = words.nth(1)?.parse().ok()?;
    let name = words.next().map(str::trim_start).filter(|name| !name.is_empty())?;
    let name = name.strip_suffix(" (deleted)").unwrap_or(name);
    let number = |text| u64::from_str_radix(text, 16).ok();
    permissions
        .contains('x')
        .then(|| Some((number(start)?, number(end)?, offset, inode, name.into())))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_maps_are_read() {
        let line = "7f00-7f10 r-xp 00002000 fe:00 77    /usr/lib/my lib.so (deleted)";
        assert_eq!(parse(line), Some((0x7f00, 0x7f10, 0x2000, 77, "/usr/lib/my lib.so".into())));
        assert_eq!(parse("7f00-7f10 rw-p 00002000 fe:00 77    /usr/lib/a.so"), None);
        assert_eq!(parse("7f00-7f10 r-xp 00000000 00:00 0 "), None);
        let vdso = "7ffc-7ffe r-xp 00000000 00:00 0                          [vdso]";
        assert_eq!(parse(vdso), Some((0x7ffc, 0x7ffe, 0, 0, "[vdso]".into())));
    }

    #[test]
    fn functions_of_libc_and_of_the_program_have_their_names() {
        let mut mappings = Mappings::default();
        mappings.read(Process { pid: std::process::id() });
        let getpid = getpid as *const () as u64;
        let name = mappings.function(getpid + 1).unwrap();
        assert!(name.contains("getpid"), "{name}");
        assert!(mappings.at(getpid).unwrap().name().starts_with("libc"));
        assert_eq!(mappings.function(16), None);
        let own = parse as *const () as u64;
        assert!(mappings.function(own).unwrap().contains("parse"));
    }

    // SAFETY: this is how libc declares it.
    unsafe extern "C" {
        safe fn getpid() -> i32;
    }
}
