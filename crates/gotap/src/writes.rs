//! Bytes that gotap has changed in observed processes, where the user allowed it: what was there before is kept in
//! a file, so that it is put back also where gotap was killed meanwhile and runs again.
//!
//! Not here: why a byte is changed.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use goproc::{Memory, Process};
use rustix::fs::{AtFlags, CWD, Mode, OFlags};

/// Where the files are: gone when the machine starts anew, as the processes are. systemd names the folder of a
/// service's own.
fn folder() -> PathBuf {
    let own = std::env::var_os("RUNTIME_DIRECTORY").filter(|own| !own.is_empty());
    own.map_or_else(|| PathBuf::from("/run/gotap"), PathBuf::from).join("writes")
}

/// One changed byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Change {
    pid: u32,
    started: u64,
    address: u64,
    old: u8,
    new: u8,
}

impl Change {
    fn text(self) -> String {
        let Self { started, address, old, new, .. } = self;
        format!("started {started} address {address:#x} old {old} new {new}\n")
    }

    fn parse(pid: u32, text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let ["started", started, "address", address, "old", old, "new", new] = words[..] else {
            return None;
        };
        let address = u64::from_str_radix(address.strip_prefix("0x")?, 16).ok()?;
        let (started, old, new) = (started.parse().ok()?, old.parse().ok()?, new.parse().ok()?);
        Some(Self { pid, started, address, old, new })
    }

    /// Puts the old byte back, if the process is the same one and has what was written.
    fn undo(self) -> Result<bool> {
        let process = Process { pid: self.pid };
        if process.start_time() != Some(self.started) {
            return Ok(false);
        }
        let memory = Memory::open(process)?;
        let mut byte = [0];
        memory.read(self.address, &mut byte)?;
        if byte[0] != self.new {
            return Ok(false);
        }
        Memory::write_byte(process, self.address, self.old)?;
        Ok(true)
    }
}

/// A byte that was changed; put back when this is dropped.
#[derive(Debug)]
pub(crate) struct Written {
    change: Change,
    /// Locked for as long as this run lives.
    kept: Option<(PathBuf, File)>,
}

impl Written {
    /// Changes a byte that is `old`. What to put back is in a file before.
    pub(crate) fn set(process: Process, address: u64, old: u8, new: u8) -> Result<Self> {
        restore_left();
        let pid = process.pid;
        let started = process.start_time().with_context(|| format!("process {pid} has ended"))?;
        let change = Change { pid, started, address, old, new };
        let path = folder().join(pid.to_string());
        let file = keep(&path, change).with_context(|| format!("write {}", path.display()))?;
        let written = write(change);
        if written.is_err() {
            // What the process itself has written there stays.
            fs::remove_file(&path).with_context(|| format!("remove {}", path.display()))?;
        }
        written.map(|()| Self { change, kept: Some((path, file)) })
    }

    /// Puts the old byte back, unless the process itself has changed it since.
    pub(crate) fn restore(&mut self) -> Result<()> {
        let Some((path, _file)) = self.kept.take() else { return Ok(()) };
        let alive = Process { pid: self.change.pid }.is_alive();
        if alive {
            self.change.undo()?;
        }
        fs::remove_file(&path).with_context(|| format!("remove {}", path.display()))
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        if let Err(error) = self.restore() {
            crate::output::note(format!(
                "a byte in process {} was not put back: {error:#}",
                self.change.pid
            ));
        }
    }
}

fn write(change: Change) -> Result<()> {
    let Change { pid, address, old, new, .. } = change;
    let process = Process { pid };
    let mut byte = [0];
    Memory::open(process)?.read(address, &mut byte)?;
    if byte[0] != old {
        bail!("process {pid} changed meanwhile: nothing was written");
    }
    Ok(Memory::write_byte(process, address, new)?)
}

/// Notes a change. The file gets its name when it is whole and locked: nobody takes it for one that was left. That fails
/// where another run of gotap has changed the same process.
fn keep(path: &Path, change: Change) -> std::io::Result<File> {
    let folder = folder();
    fs::create_dir_all(&folder)?;
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::open(&folder, flags, Mode::RUSR | Mode::WUSR)?);
    file.lock()?;
    file.write_all(change.text().as_bytes())?;
    file.sync_all()?;
    let nameless = format!("/proc/self/fd/{}", file.as_raw_fd());
    rustix::fs::linkat(CWD, nameless, CWD, path, AtFlags::SYMLINK_FOLLOW)?;
    File::open(folder)?.sync_all()?;
    Ok(file)
}

/// Puts back what runs of gotap left that were killed. One that still runs is left alone.
pub(crate) fn restore_left() {
    let Ok(entries) = fs::read_dir(folder()) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let pid = path.file_name().and_then(|name| name.to_str()?.parse().ok());
        let Some(pid) = pid else { continue };
        let Some(_file) = File::open(&path).ok().filter(|file| file.try_lock().is_ok()) else {
            continue;
        };
        let Ok(text) = fs::read_to_string(&path) else { continue };
        match Change::parse(pid, &text).map(Change::undo) {
            Some(Err(error)) if Process { pid }.is_alive() => {
                crate::output::note(format!(
                    "a byte that was changed in process {pid} was not put back: {error:#}"
                ));
                continue;
            }
            Some(Ok(true)) => {
                crate::output::note(format!(
                    "put back a byte in process {pid} that a run which was killed had changed"
                ));
            }
            _ => {}
        }
        let _ = fs::remove_file(&path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_read_as_it_was_written() {
        let change = Change { pid: 7, started: 123, address: 0x55_1234, old: 0, new: 1 };
        assert_eq!(Change::parse(7, &change.text()), Some(change));
        for wrong in [
            "",
            "started 1",
            "started x address 0x1 old 0 new 1",
            "started 1 address 1 old 0 new 1",
        ] {
            assert_eq!(Change::parse(7, wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_byte_is_put_back_in_the_same_process_alone() {
        let byte = Box::new(1u8);
        let process = Process { pid: std::process::id() };
        let started = process.start_time().unwrap();
        let address = &raw const *byte as u64;
        let change = Change { pid: process.pid, started, address, old: 9, new: 1 };
        assert!(!Change { started: started + 1, ..change }.undo().unwrap());
        assert!(!Change { new: 2, ..change }.undo().unwrap());
        assert!(change.undo().unwrap());
        assert_eq!(std::hint::black_box(*byte), 9);
    }

    #[test]
    fn what_the_process_has_written_itself_stays() {
        let byte = Box::new(1u8);
        let process = Process { pid: std::process::id() };
        let refused = Written::set(process, &raw const *byte as u64, 0, 1);
        // Without the right to write there, nothing is done either.
        assert!(refused.is_err());
        assert_eq!(*byte, 1);
        assert!(!folder().join(process.pid.to_string()).exists());
    }
}
