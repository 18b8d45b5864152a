//! The executable of a process, mapped.

use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use memmap2::{Mmap, UncheckedAdvice};

use crate::{Error, Process, cut};

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
    /// Its size and time of modification when it was mapped.
    contents: (u64, i128),
}

/// What changes when a file is written to.
fn contents(meta: &Metadata) -> (u64, i128) {
    (meta.size(), nanoseconds(meta.mtime(), meta.mtime_nsec()))
}

fn nanoseconds(seconds: i64, part: i64) -> i128 {
    i128::from(seconds) * 1_000_000_000 + i128::from(part)
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
            changed: nanoseconds(meta.ctime(), meta.ctime_nsec()),
        };
        cut::survive();
        // SAFETY: the file is being executed, and the kernel refuses to write to or truncate a file while it runs
        // (ETXTBSY). Once the process has ended others may. The bytes are only read, as numbers and text that are
        // checked each time, and none of them is relied upon to stay: what is cut off reads as zeros (`cut`), and
        // `has_changed` says that something else may be there.
        let map = unsafe { Mmap::map(&file) }.map_err(|e| process.error(e))?;
        Ok(Self { file, map, id, contents: contents(&meta) })
    }

    /// Whether the file may have other contents by now, as after its process has ended: what was read of it since may be
    /// of either, or of none.
    pub fn has_changed(&self) -> bool {
        self.file.metadata().map_or(true, |meta| contents(&meta) != self.contents)
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
        // they are read again, unless the file has changed: see `open`.
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

    #[test]
    fn a_file_that_is_cut_short_reads_as_zeros_and_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sleep");
        std::fs::copy("/bin/sleep", &path).unwrap();
        let mut child = std::process::Command::new(&path).arg("100").spawn().unwrap();
        let of_child = Process { pid: child.id() };
        let opened = Executable::open(of_child).unwrap();
        assert!(!opened.has_changed());
        assert!(File::options().write(true).open(&path).is_err(), "it runs");
        child.kill().unwrap();
        child.wait().unwrap();
        let len = opened.data().len();
        File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
        opened.forget();
        assert_eq!(opened.data().iter().filter(|byte| **byte == 0).count(), len);
        assert!(opened.has_changed());
    }
}
