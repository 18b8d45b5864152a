//! The executable of a process, mapped.

use std::fs::File;
use std::os::unix::fs::MetadataExt;

use memmap2::Mmap;

use crate::{Error, Process};

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

    /// The open file: it stays the same one, whatever the process runs next.
    pub fn into_file(self) -> File {
        self.file
    }

    /// Which file it is.
    pub fn id(&self) -> FileId {
        self.id
    }
}
