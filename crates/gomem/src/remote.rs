//! Another process's memory, by `process_vm_readv`.

use std::io::IoSliceMut;

use goproc::Process;
use nix::errno::Errno;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;

use crate::{Error, Memory};

/// Pieces that the kernel takes in one call (`UIO_MAXIOV`).
const MAX_PIECES: usize = 1024;

/// The memory of a process.
#[derive(Debug, Clone, Copy)]
pub struct Remote {
    process: Process,
}

impl Remote {
    /// Memory of `process`, from which nothing is read yet.
    pub fn new(process: Process) -> Self {
        Self { process }
    }

    /// Whose memory it is.
    pub fn process(&self) -> Process {
        self.process
    }

    /// Reads up to [`MAX_PIECES`] parts; gives the bytes read.
    fn call(&self, parts: &[(u64, usize)], to: &mut [u8]) -> Result<usize, Error> {
        let pid = self.process.pid;
        let id = i32::try_from(pid).map_err(|_| goproc::Error::NoSuchProcess(pid))?;
        let remote: Vec<RemoteIoVec> = parts
            .iter()
            .map(|(base, len)| RemoteIoVec { base: usize::try_from(*base).unwrap_or(0), len: *len })
            .collect();
        match process_vm_readv(Pid::from_raw(id), &mut [IoSliceMut::new(to)], &remote) {
            Ok(read) => Ok(read),
            // Not mapped, or no address at all.
            Err(Errno::EFAULT | Errno::EINVAL) => Ok(0),
            Err(Errno::ESRCH) => Err(goproc::Error::NoSuchProcess(pid).into()),
            Err(Errno::EPERM) => Err(goproc::Error::Denied(pid).into()),
            Err(other) => Err(goproc::Error::Io { pid, source: other.into() }.into()),
        }
    }
}

impl Memory for Remote {
    fn read_parts(&self, parts: &[(u64, usize)], mut to: &mut [u8]) -> Result<usize, Error> {
        let mut done = 0;
        for chunk in parts.chunks(MAX_PIECES) {
            let total: usize = chunk.iter().map(|part| part.1).sum();
            let Some(room) = to.get_mut(..total) else { return Ok(done) };
            if total > 0 {
                let mut read = self.call(chunk, room)?;
                for (_, len) in chunk {
                    let Some(left) = read.checked_sub(*len) else { return Ok(done) };
                    read = left;
                    done += 1;
                }
            } else {
                done += chunk.len();
            }
            to = &mut to[total..];
        }
        Ok(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn me() -> Remote {
        Remote::new(Process { pid: std::process::id() })
    }

    #[test]
    fn what_is_mapped_is_read_and_the_rest_is_missing() {
        let mut values: Vec<u64> = (0..5000).collect();
        values.reverse();
        let start = values.as_ptr() as u64;
        // Every other place is not mapped.
        let places: Vec<(u64, usize)> = (0..5000)
            .map(|i| if i % 2 == 0 { (start + 8 * i, 8) } else { (16 * (i + 1), 8) })
            .collect();
        let got = me().gather(&places).unwrap();
        for (i, value) in values.iter().enumerate() {
            let want = (i % 2 == 0).then(|| value.to_le_bytes());
            assert_eq!(got.get(i), want.as_ref().map(|w| w.as_slice()), "{i}");
        }
    }

    #[test]
    fn a_process_that_is_gone_is_an_error() {
        let gone = Remote::new(Process { pid: 4_194_305 });
        assert!(matches!(gone.word(8), Err(Error::Process(goproc::Error::NoSuchProcess(_)))));
    }

    #[test]
    fn absurd_addresses_are_not_mapped() {
        for address in [0, 1 << 63, u64::MAX - 3, u64::MAX] {
            assert_eq!(me().word(address).unwrap(), None, "{address:#x}");
        }
    }
}
