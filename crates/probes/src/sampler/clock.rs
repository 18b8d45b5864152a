//! A clock on each processor, which interrupts what runs there.
//!
//! It is a software event of the kernel: it needs no counters of the processor, so that it works in virtual
//! machines. Processors that come online later have none.

use std::fs;
use std::io::{Error as IoError, ErrorKind};
use std::os::fd::{FromRawFd, OwnedFd};

use perf_event_open_sys::{bindings, perf_event_open};

use crate::{Error, privileges};

/// Opens the clock of a processor; `None` if it went offline meanwhile.
pub(super) fn open(cpu: u32, frequency: u64) -> Result<Option<OwnedFd>, Error> {
    const ENODEV: i32 = 19;
    let mut attributes = bindings::perf_event_attr {
        type_: bindings::PERF_TYPE_SOFTWARE,
        size: u32::try_from(size_of::<bindings::perf_event_attr>()).unwrap_or(0),
        config: u64::from(bindings::PERF_COUNT_SW_CPU_CLOCK),
        ..bindings::perf_event_attr::default()
    };
    attributes.__bindgen_anon_1.sample_period = period(frequency);
    attributes.set_exclude_idle(1);
    let number = i32::try_from(cpu).unwrap_or(-1);
    let flags = u64::from(bindings::PERF_FLAG_FD_CLOEXEC);
    // SAFETY: `attributes` is initialised, has its own size in it, and lives until the call is over.
    let result = unsafe { perf_event_open(&raw mut attributes, -1, number, -1, flags) };
    if result < 0 {
        let said = IoError::last_os_error();
        if said.raw_os_error() == Some(ENODEV) {
            return Ok(None);
        }
        let what = format!("open a clock on processor {cpu}");
        return Err(match privileges::why_refused(said.raw_os_error()) {
            Some(why) => Error::Denied { what, why },
            None if said.kind() == ErrorKind::PermissionDenied => {
                let why = "kernel.perf_event_paranoid or a security module forbids it".to_owned();
                Error::Denied { what, why }
            }
            None => Error::Clock { cpu, said },
        });
    }
    // SAFETY: the kernel gave this descriptor to us alone.
    Ok(Some(unsafe { OwnedFd::from_raw_fd(result) }))
}

/// Nanoseconds between two samples.
pub(super) fn period(frequency: u64) -> u64 {
    1_000_000_000 / frequency.max(1)
}

/// The processors that are online.
pub(super) fn online() -> Result<Vec<u32>, Error> {
    let failed = |said| Error::Clock { cpu: 0, said };
    let text = fs::read_to_string("/sys/devices/system/cpu/online").map_err(failed)?;
    let found = parse(text.trim());
    found.ok_or_else(|| failed(IoError::new(ErrorKind::InvalidData, "no list of processors")))
}

/// Reads a list such as `0-3,8`.
fn parse(text: &str) -> Option<Vec<u32>> {
    let mut out = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        out.extend(first.parse::<u32>().ok()?..=last.parse().ok()?);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_processors_are_read() {
        assert_eq!(parse("0"), Some(vec![0]));
        assert_eq!(parse("0-2,5,7-8"), Some(vec![0, 1, 2, 5, 7, 8]));
        assert_eq!(parse(""), None);
        assert!(!online().unwrap().is_empty());
    }

    #[test]
    fn a_period_is_never_none() {
        assert_eq!(period(99), 10_101_010);
        assert_eq!(period(0), 1_000_000_000);
    }
}
