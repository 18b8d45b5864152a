//! BPF programs, maps and links of a process, and which of them the kernel still has.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

use anyhow::{Context, Result, ensure};

/// What a line of `/proc/PID/fdinfo` is called, and the command of bpf(2) that opens one by its number.
const KINDS: [(&str, i32); 3] = [("prog_id:", 13), ("map_id:", 14), ("link_id:", 30)];

/// Numbers of all that a process had, which the kernel does not use again.
#[derive(Debug, Default)]
pub(crate) struct Objects(BTreeSet<(usize, u32)>);

impl Objects {
    /// Adds what the process has now.
    pub(crate) fn add(&mut self, pid: u32) -> Result<()> {
        for entry in fs::read_dir(format!("/proc/{pid}/fdinfo")).context("read fdinfo")? {
            // It may be closed meanwhile.
            let Ok(text) = fs::read_to_string(entry?.path()) else { continue };
            let is_link = text.contains("link_id:");
            for (kind, (name, _)) in KINDS.iter().enumerate() {
                // A link names its program, too.
                let line = text.lines().find_map(|line| line.strip_prefix(name));
                if let Some(id) = line.filter(|_| !is_link || *name == "link_id:") {
                    self.0.insert((kind, id.trim().parse().context("an id")?));
                }
            }
        }
        let has = |kind: usize| self.0.iter().any(|(k, _)| *k == kind);
        ensure!(has(0) && has(1), "gotap has no programs or maps: {self:?}");
        Ok(())
    }

    /// Those that the kernel still has.
    pub(crate) fn left(&self) -> Result<Vec<(&'static str, u32)>> {
        let mut left = Vec::new();
        for (kind, id) in &self.0 {
            let (name, command) = KINDS[*kind];
            if is_there(command, *id)? {
                left.push((name, *id));
            }
        }
        Ok(left)
    }
}

fn is_there(command: i32, id: u32) -> Result<bool> {
    let mut asked = [0u32; 16];
    asked[0] = id;
    // SAFETY: the kernel reads at most so many bytes of what is asked, which is numbers.
    let answer = unsafe { libc::syscall(libc::SYS_bpf, command, asked.as_mut_ptr(), 64) };
    if answer >= 0 {
        // SAFETY: the descriptor is new and nobody else's.
        drop(unsafe { OwnedFd::from_raw_fd(i32::try_from(answer)?) });
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    ensure!(error.raw_os_error() == Some(libc::ENOENT), "bpf(2): {error}");
    Ok(false)
}
