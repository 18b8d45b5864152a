//! How often BPF programs ran, and for how long, as the kernel counts it while somebody asks it to.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use libbpf_rs::libbpf_sys;

/// The kernel counts as long as this lives. Counting takes time, too, some tens of nanoseconds a run, which are
/// not among those that it counts.
#[derive(Debug)]
pub struct RunTimes(#[expect(dead_code, reason = "it is only kept open")] OwnedFd);

/// A BPF program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedProgram {
    /// Its id, which no other program that is loaded has.
    pub id: u32,
    /// The first 15 bytes of its name.
    pub name: String,
    /// How often it ran while somebody let the kernel count.
    pub runs: u64,
    /// For how long.
    pub nanoseconds: u64,
}

impl RunTimes {
    /// Lets the kernel count.
    ///
    /// # Errors
    /// The kernel's: a right that is missing, or a kernel before 5.8.
    pub fn count() -> io::Result<Self> {
        // SAFETY: it takes a number, and gives a descriptor or an error.
        let fd = unsafe { libbpf_sys::bpf_enable_stats(libbpf_sys::BPF_STATS_RUN_TIME) };
        owned(fd).map(Self)
    }
}

/// All programs that are loaded.
///
/// # Errors
/// The kernel's: a right that is missing.
pub fn loaded_programs() -> io::Result<Vec<LoadedProgram>> {
    let mut found = Vec::new();
    let mut id = 0;
    // SAFETY: the kernel writes a number to `id`.
    while unsafe { libbpf_sys::bpf_prog_get_next_id(id, &raw mut id) } == 0 {
        // SAFETY: it takes a number, and gives a descriptor or an error.
        let fd = unsafe { libbpf_sys::bpf_prog_get_fd_by_id(id) };
        // One that was unloaded meanwhile.
        let Ok(fd) = owned(fd) else { continue };
        found.push(program(id, &fd)?);
    }
    Ok(found)
}

fn program(id: u32, fd: &OwnedFd) -> io::Result<LoadedProgram> {
    let mut info = libbpf_sys::bpf_prog_info::default();
    let mut len = u32::try_from(size_of_val(&info)).unwrap_or(0);
    // SAFETY: the descriptor is open, and the kernel writes at most `len` bytes into `info`, which consists
    // of numbers.
    let failed =
        unsafe { libbpf_sys::bpf_prog_get_info_by_fd(fd.as_raw_fd(), &raw mut info, &raw mut len) };
    if failed != 0 {
        return Err(io::Error::from_raw_os_error(-failed));
    }
    let name = info.name.map(|byte| byte.cast_unsigned());
    let name = CStr::from_bytes_until_nul(&name).unwrap_or_default();
    let name = name.to_string_lossy().into_owned();
    Ok(LoadedProgram { id, name, runs: info.run_cnt, nanoseconds: info.run_time_ns })
}

fn owned(fd: i32) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::from_raw_os_error(-fd));
    }
    // SAFETY: the kernel has just given it to us, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
