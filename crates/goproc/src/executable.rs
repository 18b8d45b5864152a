//! The executable of a process, mapped.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use memmap2::{Mmap, UncheckedAdvice};

use crate::{Error, Process};

/// How often it is looked at how much of a file is in memory while it is read.
const LOOK: Duration = Duration::from_millis(3);
/// How many bytes of it may come to be in memory then.
const MAX_MAPPED: u64 = 12 << 20;

/// Tells files apart: the same id means the same bytes, so that what was learnt can be shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileId {
    /// Device number.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
    /// Size in bytes.
    pub size: u64,
    /// Time of the last change to contents or inode, nanoseconds. Unlike that of modification it
    /// can't be set, as package managers and image builders do.
    pub changed: i128,
}

impl FileId {
    /// Whether it is the same file, though it may have another name by now, or none. While a process runs a file,
    /// nobody can write to it: for files that are run all the time, this means the same bytes.
    pub fn is_same_file(&self, other: &Self) -> bool {
        (self.device, self.inode, self.size) == (other.device, other.inode, other.size)
    }
}

/// A mapped executable file.
pub struct Executable {
    file: File,
    map: Mmap,
    id: FileId,
}

impl Executable {
    /// Maps the executable that `process` runs, through `/proc`, so that it is the right file also
    /// in another mount namespace or after it was replaced on disk.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn open(process: Process) -> Result<Self, Error> {
        process.executable_path()?;
        let file = File::open(process.path("exe")).map_err(|e| match process.error(e) {
            // The link could be read: what is missing is the right to read the file.
            Error::Denied(pid) => Error::Unreadable(pid),
            error => error,
        })?;
        let meta = file.metadata().map_err(|e| process.error(e))?;
        let id = FileId {
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.size(),
            changed: i128::from(meta.ctime()) * 1_000_000_000 + i128::from(meta.ctime_nsec()),
        };
        // SAFETY: the file is being executed, and the kernel refuses to write to or truncate a
        // file while it runs (ETXTBSY), so the mapping does not change under us.
        let map = unsafe { Mmap::map(&file) }.map_err(|e| process.error(e))?;
        Ok(Self { file, map, id })
    }

    /// The bytes of the file.
    pub fn data(&self) -> &[u8] {
        &self.map
    }

    /// Has `read` look at the bytes of the file. What was read is forgotten now and then, so that a
    /// large file does not come to be in memory as a whole.
    pub fn read<R>(&self, read: impl FnOnce(&[u8]) -> R) -> R {
        let Some(before) = mapped_files() else { return read(&self.map) };
        std::thread::scope(|scope| {
            let (done, waiting) = channel::<()>();
            scope.spawn(move || {
                while waiting.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                    if mapped_files().is_some_and(|bytes| bytes > before + MAX_MAPPED) {
                        self.forget();
                    }
                }
            });
            let result = read(&self.map);
            drop(done);
            result
        })
    }

    /// Gives the pages of the mapping back; who reads them again gets them from the file.
    fn forget(&self) {
        // SAFETY: the mapping is of a file and never written to, so that its pages hold the same when
        // they are read again. That is only so while the file does not change: see `open`.
        let advised = unsafe { self.map.unchecked_advise(UncheckedAdvice::DontNeed) };
        // A kernel that does not want to keeps them in memory.
        advised.ok();
    }

    /// The open file: it stays the same one, whatever the process runs next.
    pub fn into_file(self) -> File {
        self.file
    }

    /// Which file it is.
    pub fn id(&self) -> FileId {
        self.id
    }
}

/// Bytes of files that this process has in memory.
fn mapped_files() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssFile:"))?;
    Some(line.split_ascii_whitespace().next()?.parse::<u64>().ok()? << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_of_a_file_is_forgotten_and_read_again() {
        let me = Executable::open(Process { pid: std::process::id() }).unwrap();
        let sum =
            |data: &[u8]| data.iter().fold(0u64, |sum, byte| sum.wrapping_add((*byte).into()));
        let resident = || mapped_files().unwrap();
        let first = sum(me.data());
        let before = resident();
        me.forget();
        let after = resident();
        // The test is some megabytes, with its debug information.
        assert!(before > after + (1 << 20), "{before} before, {after} after");
        assert_eq!(me.read(sum), first);
    }
}
