//! One process: identity, environment, load address.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::memory::Memory;

/// A process by its id. Holds nothing open: every question reads `/proc` anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Process {
    /// Process id in the agent's pid namespace.
    pub pid: u32,
}

impl Process {
    /// The path of a file of this process below `/proc`.
    pub fn path(self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.pid))
    }

    /// Where its executable lies, as the process sees it.
    ///
    /// # Errors
    /// [`Error::NoSuchProcess`], [`Error::NoExecutable`] or [`Error::Denied`].
    pub fn executable_path(self) -> Result<PathBuf, Error> {
        let path = fs::read_link(self.path("exe")).map_err(|e| match e.kind() {
            ErrorKind::NotFound if self.path("stat").exists() => Error::NoExecutable(self.pid),
            _ => self.error(e),
        })?;
        // The kernel marks a file that was removed or replaced while it runs.
        let text = path.into_os_string().into_vec();
        let text = text.strip_suffix(b" (deleted)").unwrap_or(&text).to_vec();
        Ok(PathBuf::from(std::ffi::OsString::from_vec(text)))
    }

    /// Several variables of the environment at once.
    pub fn environment_of(self, names: &[&str]) -> BTreeMap<String, String> {
        let block = fs::read(self.path("environ")).unwrap_or_default();
        let entries = block.split(|b| *b == 0).filter_map(|e| std::str::from_utf8(e).ok());
        entries
            .filter_map(|e| e.split_once('='))
            .filter(|(key, _)| names.contains(key))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }

    /// Its short name (`comm`).
    pub fn name(self) -> Option<String> {
        Some(fs::read_to_string(self.path("comm")).ok()?.trim_end().to_owned())
    }

    /// The address at which the first segment of its executable is mapped, page-aligned: the load
    /// bias of a position-independent program is this less its lowest virtual address.
    pub fn executable_start(self) -> Option<u64> {
        let link = fs::read_link(self.path("exe")).ok()?;
        let link = link.to_str()?;
        let maps = fs::read_to_string(self.path("maps")).ok()?;
        maps.lines().find_map(|line| {
            let mut words = line.split_ascii_whitespace();
            let (range, _, offset) = (words.next()?, words.next()?, words.next()?);
            // The path is all after device and inode; it may hold spaces.
            let path = line.split_once(" /").map(|(_, rest)| format!("/{rest}"))?;
            let start = range.split_once('-')?.0;
            (path == link && u64::from_str_radix(offset, 16).ok()? == 0)
                .then(|| u64::from_str_radix(start, 16).ok())?
        })
    }

    /// The files whose code is mapped into it beside its executable, as they can be opened from here.
    pub fn libraries(self) -> Vec<PathBuf> {
        let maps = fs::read_to_string(self.path("maps")).unwrap_or_default();
        let executable = fs::read_link(self.path("exe")).unwrap_or_default();
        let code = maps.lines().filter(|line| {
            line.split_ascii_whitespace().nth(1).is_some_and(|access| access.contains('x'))
        });
        let paths = code.filter_map(|line| line.split_once(" /").map(|(_, path)| path));
        let mut out: Vec<PathBuf> = paths
            .filter(|path| Path::new("/").join(path) != executable)
            .map(|path| self.path("root").join(path))
            .collect();
        out.sort_unstable();
        out.dedup();
        out
    }

    /// The word at an address of its memory.
    ///
    /// # Errors
    /// [`Error::NoSuchProcess`], [`Error::Denied`], or [`Error::Io`] where nothing is mapped.
    pub fn word_at(self, address: u64) -> Result<u64, Error> {
        Memory::open(self)?.word(address)
    }

    /// The text of the Go string whose header is at `address`; `None` when it is longer than `max`
    /// bytes or no UTF-8.
    ///
    /// # Errors
    /// As [`Process::word_at`].
    pub fn string_at(self, address: u64, max: u64) -> Result<Option<String>, Error> {
        let memory = Memory::open(self)?;
        let (pointer, len) = (memory.word(address)?, memory.word(address.wrapping_add(8))?);
        if len > max {
            return Ok(None);
        }
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
        memory.read(pointer, &mut bytes)?;
        Ok(String::from_utf8(bytes).ok())
    }

    /// That this is the id of a process: threads have directories below `/proc`, too, which are not
    /// listed.
    ///
    /// # Errors
    /// [`Error::Thread`]. A process that is gone is no error here.
    pub fn check_is_no_thread(self) -> Result<(), Error> {
        let status = fs::read_to_string(self.path("status")).unwrap_or_default();
        let group = status.lines().find_map(|line| line.strip_prefix("Tgid:")?.trim().parse().ok());
        match group {
            Some(process) if process != self.pid => {
                Err(Error::Thread { thread: self.pid, process })
            }
            _ => Ok(()),
        }
    }

    /// Its parent; 0 for the first process.
    pub fn parent(self) -> Option<u32> {
        let stat = fs::read_to_string(self.path("stat")).ok()?;
        stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()
    }

    /// Start time in clock ticks since boot: with the pid it names a process for good.
    pub fn start_time(self) -> Option<u64> {
        let stat = fs::read_to_string(self.path("stat")).ok()?;
        // The name in parentheses may hold anything; the fields after it count from 3.
        let rest = stat.rsplit_once(')')?.1;
        rest.split_ascii_whitespace().nth(19)?.parse().ok()
    }

    /// CPU time of all its threads so far, in user mode and in the kernel.
    pub fn cpu_time(self) -> Option<std::time::Duration> {
        /// Ticks of `/proc/PID/stat` in a second, `USER_HZ`.
        const TICKS: u64 = 100;
        let stat = fs::read_to_string(self.path("stat")).ok()?;
        let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
        let mut ticks = || fields.next()?.parse::<u64>().ok();
        let all = ticks()?.checked_add(ticks()?)?;
        Some(std::time::Duration::from_millis(all.checked_mul(1000 / TICKS)?))
    }

    /// Whether it is still there and neither ends nor has ended. One that ends has its program in
    /// memory for some time after the kernel tells of its end.
    pub fn is_alive(self) -> bool {
        /// Of the flags in `/proc/PID/stat`, see `include/linux/sched.h`.
        const PF_EXITING: u64 = 0x4;
        let stat = fs::read_to_string(self.path("stat")).unwrap_or_default();
        let Some((_, rest)) = stat.rsplit_once(')') else { return false };
        let mut fields = rest.split_ascii_whitespace();
        let state = fields.next();
        let flags: u64 = fields.nth(5).and_then(|flags| flags.parse().ok()).unwrap_or_default();
        state.is_some_and(|s| s != "Z" && s != "X") && flags & PF_EXITING == 0
    }

    pub(crate) fn error(self, source: std::io::Error) -> Error {
        match source.kind() {
            ErrorKind::NotFound => Error::NoSuchProcess(self.pid),
            ErrorKind::PermissionDenied => Error::Denied(self.pid),
            // Reading from a process that just ended gives ESRCH.
            _ if source.raw_os_error() == Some(3) => Error::NoSuchProcess(self.pid),
            _ => Error::Io { pid: self.pid, source },
        }
    }
}

/// The ids of all processes.
///
/// # Errors
/// When `/proc` can't be listed.
pub fn pids() -> std::io::Result<Vec<u32>> {
    let mut out: Vec<u32> = fs::read_dir("/proc")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    out.sort_unstable();
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_knows_itself() {
        let me = Process { pid: std::process::id() };
        assert_eq!(me.executable_path().unwrap(), std::env::current_exe().unwrap());
        assert!(me.executable_start().is_some());
        assert!(me.start_time().is_some());
        assert_eq!(me.parent(), Some(std::os::unix::process::parent_id()));
        assert!(me.is_alive());
        assert!(pids().unwrap().contains(&me.pid));
    }

    #[test]
    fn a_thread_is_no_process() {
        let me = Process { pid: std::process::id() };
        assert!(me.check_is_no_thread().is_ok());
        let threads = fs::read_dir(me.path("task")).unwrap();
        let ids = threads.filter_map(|t| t.unwrap().file_name().to_str()?.parse::<u32>().ok());
        // The test's own thread is another one than the first.
        let thread = ids.into_iter().find(|id| *id != me.pid).unwrap();
        let error = Process { pid: thread }.check_is_no_thread().unwrap_err().to_string();
        assert!(error.contains(&format!("--pid {}", me.pid)), "{error}");
    }

    #[test]
    fn a_process_that_is_gone_is_named() {
        let gone = Process { pid: u32::MAX };
        assert!(matches!(gone.executable_path(), Err(Error::NoSuchProcess(_))));
        assert!(!gone.is_alive());
    }
}
