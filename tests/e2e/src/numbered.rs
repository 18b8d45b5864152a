//! A process whose id is chosen, to give that of a process that has ended to another one.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anyhow::{Context, Result};

/// A running process, which is killed when this value is dropped. Its output is not read.
#[derive(Debug)]
pub struct Numbered {
    pid: u32,
}

/// `struct clone_args` of the kernel, as of Linux 5.5.
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
}

impl Numbered {
    /// Starts a program as the process `pid`, which must be free.
    pub fn start(pid: u32, program: &Path, arguments: &[&str]) -> Result<Self> {
        let path = CString::new(program.as_os_str().as_bytes()).context("a path without zeros")?;
        let mut words = vec![path.clone()];
        for argument in arguments {
            words.push(CString::new(*argument).context("an argument without zeros")?);
        }
        let mut pointers: Vec<_> = words.iter().map(|word| word.as_ptr()).collect();
        pointers.push(std::ptr::null());
        let environment = [std::ptr::null()];
        let wanted = pid.cast_signed();
        let arguments = CloneArgs {
            exit_signal: libc::SIGCHLD.unsigned_abs().into(),
            set_tid: (&raw const wanted) as u64,
            set_tid_size: 1,
            ..CloneArgs::default()
        };
        let size = std::mem::size_of::<CloneArgs>();
        // SAFETY: a fork; all that the child does is the two system calls below, on memory that was
        // prepared before. The structure is as large as is said.
        let child = unsafe { libc::syscall(libc::SYS_clone3, &raw const arguments, size) };
        if child == 0 {
            // SAFETY: path and pointers end with a zero and live in the child's copy of memory.
            unsafe {
                libc::execve(path.as_ptr(), pointers.as_ptr(), environment.as_ptr());
                libc::_exit(127);
            }
        }
        if child < 0 {
            return Err(io::Error::last_os_error())
                .with_context(|| format!("become process {pid}"));
        }
        Ok(Self { pid })
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }
}

impl Drop for Numbered {
    fn drop(&mut self) {
        let pid = self.pid.cast_signed();
        // SAFETY: the child is ours and not reaped before here, so the id is its own.
        unsafe {
            libc::kill(pid, libc::SIGKILL);
            libc::waitpid(pid, std::ptr::null_mut(), 0);
        }
    }
}
