//! Reads of a process's memory, many at once, which neither stop nor change it.
//!
//! [`Memory`] is what a parser reads from; [`Remote`] is a process, [`Snippets`] bytes that a test
//! makes up. Reads of little things that lie together become one. What is not mapped is skipped and
//! said to be missing. Not here: what the bytes mean.

mod bytes;
mod error;
mod gather;
mod pages;
mod remote;
mod snippets;

pub use bytes::{u8_at, u16_at, u32_at, u64_at};
pub use error::Error;
pub use gather::{Gathered, MAX_GATHERED};
pub use pages::Pages;
pub use remote::Remote;
pub use snippets::Snippets;

/// Where bytes are read from.
pub trait Memory {
    /// Reads as much of `parts` in order as is mapped into `to`, one behind the other: each is an
    /// address and a length, and `to` has room for all. Stops at the first part that is not wholly
    /// mapped. Gives how many parts were read.
    ///
    /// # Errors
    /// When the process is gone, or may not be read.
    fn read_parts(&self, parts: &[(u64, usize)], to: &mut [u8]) -> Result<usize, Error>;

    /// Fills `to` from `address`; whether all of it is mapped.
    ///
    /// # Errors
    /// As [`Memory::read_parts`].
    fn read(&self, address: u64, to: &mut [u8]) -> Result<bool, Error> {
        Ok(self.read_parts(&[(address, to.len())], to)? == 1)
    }

    /// The bytes at an address; `None` where they are not mapped, or are more than
    /// [`MAX_GATHERED`].
    ///
    /// # Errors
    /// As [`Memory::read_parts`].
    fn bytes(&self, address: u64, len: usize) -> Result<Option<Vec<u8>>, Error> {
        if len > MAX_GATHERED {
            return Ok(None);
        }
        let mut out = vec![0; len];
        Ok(self.read(address, &mut out)?.then_some(out))
    }

    /// The word of eight bytes at an address.
    ///
    /// # Errors
    /// As [`Memory::read_parts`].
    fn word(&self, address: u64) -> Result<Option<u64>, Error> {
        let mut out = [0; 8];
        Ok(self.read(address, &mut out)?.then_some(u64::from_le_bytes(out)))
    }

    /// The word of four bytes at an address.
    ///
    /// # Errors
    /// As [`Memory::read_parts`].
    fn half(&self, address: u64) -> Result<Option<u32>, Error> {
        let mut out = [0; 4];
        Ok(self.read(address, &mut out)?.then_some(u32::from_le_bytes(out)))
    }

    /// Reads many places, each by itself: what is not mapped is missing and the rest is there. Gives
    /// an error of no process if they are more than [`MAX_GATHERED`] bytes.
    ///
    /// # Errors
    /// As [`Memory::read_parts`], and [`Error::TooMuch`].
    fn gather(&self, places: &[(u64, usize)]) -> Result<Gathered, Error>
    where
        Self: Sized,
    {
        let mut out = Gathered::default();
        self.gather_into(places, &mut out)?;
        Ok(out)
    }

    /// The same, instead of what `out` holds, whose room is used again.
    ///
    /// # Errors
    /// As [`Memory::gather`].
    fn gather_into(&self, places: &[(u64, usize)], out: &mut Gathered) -> Result<(), Error>
    where
        Self: Sized,
    {
        gather::gather(self, places, out)
    }
}
