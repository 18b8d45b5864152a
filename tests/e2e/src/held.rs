//! A file that nobody can open for a while, as on a network that stands still.

use std::ffi::CString;
use std::fs::File;
use std::io::{Error, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

/// Bytes of what the kernel tells of one attempt: `struct fanotify_event_metadata`.
const EVENT: usize = size_of::<libc::fanotify_event_metadata>();

/// Whoever opens the file waits until this value is dropped: the kernel asks who watches it, and gets no answer.
#[derive(Debug)]
pub struct Held {
    events: File,
}

impl Held {
    /// From now on.
    ///
    /// # Errors
    /// Where the kernel can't ask, or for somebody who is not root.
    pub fn new(path: &Path) -> Result<Self> {
        let flags = libc::FAN_CLASS_CONTENT | libc::FAN_CLOEXEC;
        // SAFETY: it gets no memory.
        let fd = unsafe {
            libc::fanotify_init(flags, (libc::O_RDONLY | libc::O_CLOEXEC).cast_unsigned())
        };
        ensure!(fd >= 0, "fanotify_init: {}", Error::last_os_error());
        // SAFETY: the descriptor is new and nobody else's.
        let events = unsafe { File::from_raw_fd(fd) };
        let name = CString::new(path.as_os_str().as_bytes()).context("a path")?;
        let (add, what) = (libc::FAN_MARK_ADD, libc::FAN_OPEN_PERM);
        // SAFETY: the kernel reads the name, which ends with a zero and outlives the call.
        let marked = unsafe { libc::fanotify_mark(fd, add, what, libc::AT_FDCWD, name.as_ptr()) };
        ensure!(marked == 0, "fanotify_mark {}: {}", path.display(), Error::last_os_error());
        Ok(Self { events })
    }

    /// Waits until this process waits for the file. Others that came before it get it.
    ///
    /// # Errors
    /// When it does not within that time.
    pub fn wait_for(&mut self, pid: u32, timeout: Duration) -> Result<()> {
        let deadline = Instant::now() + timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            ensure!(self.is_asked(left)?, "process {pid} did not open the file in {timeout:?}");
            let mut event = [0; EVENT];
            let read = self.events.read(&mut event).context("read who opens the file")?;
            ensure!(read == EVENT && event[4] == libc::FANOTIFY_METADATA_VERSION, "{event:?}");
            let number = |at: usize| {
                i32::from_ne_bytes([event[at], event[at + 1], event[at + 2], event[at + 3]])
            };
            ensure!(number(16) >= 0, "the kernel could not open the file: {event:?}");
            // SAFETY: the kernel has opened the file for who reads the event, and nobody else has the descriptor.
            let opened = unsafe { OwnedFd::from_raw_fd(number(16)) };
            if number(20) == pid.cast_signed() {
                return Ok(());
            }
            let answer = [opened.as_raw_fd().to_ne_bytes(), libc::FAN_ALLOW.to_ne_bytes()];
            self.events.write_all(answer.as_flattened()).context("let somebody open the file")?;
        }
    }

    /// Whether somebody opens the file within that time.
    fn is_asked(&self, timeout: Duration) -> Result<bool> {
        let mut waiting =
            libc::pollfd { fd: self.events.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let timeout = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: it is one structure, which outlives the call.
        let ready = unsafe { libc::poll(&raw mut waiting, 1, timeout) };
        ensure!(ready >= 0, "poll: {}", Error::last_os_error());
        Ok(ready > 0)
    }
}
