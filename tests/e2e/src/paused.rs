//! One thread of a process that stands still, while the others go on.

use std::fs;
use std::io::Error;
use std::marker::PhantomData;
use std::ptr::null_mut;

use anyhow::{Context, Result, ensure};

/// The thread goes on when this value is dropped, which only the test's own thread may do.
#[derive(Debug)]
pub struct Paused {
    id: i32,
    _of_this_thread: PhantomData<*const ()>,
}

impl Paused {
    /// Stops the thread of this process that has this name.
    ///
    /// # Errors
    /// When there is none, or who asks may not trace the process.
    pub fn thread(pid: u32, name: &str) -> Result<Self> {
        let id = find(pid, name)?;
        ask(libc::PTRACE_SEIZE, id)?;
        let paused = Self { id, _of_this_thread: PhantomData };
        ask(libc::PTRACE_INTERRUPT, id)?;
        let mut status = 0;
        // SAFETY: the status outlives the call.
        let stopped = unsafe { libc::waitpid(id, &raw mut status, libc::__WALL) };
        ensure!(stopped == id && libc::WIFSTOPPED(status), "{name} has ended: {status:x}");
        Ok(paused)
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        // It fails only for a thread that has ended.
        let _ = ask(libc::PTRACE_DETACH, self.id);
    }
}

fn find(pid: u32, name: &str) -> Result<i32> {
    for thread in fs::read_dir(format!("/proc/{pid}/task")).context("list its threads")? {
        let path = thread?.path();
        // Threads end, too, and then have no name.
        if fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.trim_end() == name) {
            let id = path.file_name().and_then(|id| id.to_str()).context("a thread's id")?;
            return id.parse().context("a thread's id");
        }
    }
    Err(anyhow::anyhow!("process {pid} has no thread {name}"))
}

fn ask(request: libc::c_uint, id: i32) -> Result<()> {
    // SAFETY: these requests neither read nor write memory by the two arguments.
    let done = unsafe { libc::ptrace(request, id, null_mut::<u8>(), null_mut::<u8>()) };
    ensure!(done == 0, "ptrace: {}", Error::last_os_error());
    Ok(())
}
