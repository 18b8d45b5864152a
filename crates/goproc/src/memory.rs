//! Reading a process's memory through `/proc/PID/mem`, which neither stops nor changes it, and changing a byte of
//! it where a user allowed that.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;

use crate::{Error, Process};

/// A process's memory, open for reading.
#[derive(Debug)]
pub struct Memory {
    file: File,
    process: Process,
}

impl Memory {
    /// Opens it.
    ///
    /// # Errors
    /// [`Error::NoSuchProcess`], [`Error::Denied`] or [`Error::Io`].
    pub fn open(process: Process) -> Result<Self, Error> {
        let file = File::open(process.path("mem")).map_err(|e| process.error(e))?;
        Ok(Self { file, process })
    }

    /// Fills `to` from `address`.
    ///
    /// # Errors
    /// As [`Memory::open`]; [`Error::Io`] also when not all of it is mapped.
    pub fn read(&self, address: u64, to: &mut [u8]) -> Result<(), Error> {
        self.file.read_exact_at(to, address).map_err(|e| self.process.error(e))
    }

    /// Changes one byte of a process.
    ///
    /// # Errors
    /// As [`Memory::read`].
    pub fn write_byte(process: Process, address: u64, byte: u8) -> Result<(), Error> {
        let file = OpenOptions::new().write(true).open(process.path("mem"));
        let file = file.map_err(|e| process.error(e))?;
        file.write_all_at(&[byte], address).map_err(|e| process.error(e))
    }

    /// The word at `address`.
    ///
    /// # Errors
    /// As [`Memory::read`].
    pub fn word(&self, address: u64) -> Result<u64, Error> {
        let mut bytes = [0; 8];
        self.read(address, &mut bytes)?;
        Ok(u64::from_ne_bytes(bytes))
    }
}
