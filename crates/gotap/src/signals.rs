//! Signals that end a command: SIGINT, SIGTERM and SIGHUP. What whoever started gotap lets it ignore stays ignored, as
//! `nohup` does with SIGHUP, and a shell with SIGINT of what runs in its background. Not here: what is done at the end.

use anyhow::{Context, Result};
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal};

/// Those that may be ignored. Without SIGTERM nothing but SIGKILL would end gotap.
const IGNORABLE: [Signal; 2] = [Signal::SIGINT, Signal::SIGHUP];

/// Calls `stop` at each signal that is to end this command.
///
/// # Errors
/// Signals can't be handled, or it can't be read which are ignored.
pub(crate) fn on_stop(stop: impl FnMut() + Send + 'static) -> Result<()> {
    let status = std::fs::read_to_string("/proc/self/status").context("read /proc/self/status")?;
    let ignored = ignored(&status).context("no SigIgn in /proc/self/status")?;
    let held: SigSet = IGNORABLE.into_iter().filter(|one| is_in(ignored, *one)).collect();
    // One that comes before it is ignored again is to be ignored, too.
    let before = held.thread_swap_mask(SigmaskHow::SIG_BLOCK);
    let before = before.context("hold signals back")?;
    ctrlc::set_handler(stop).context("set up signal handling")?;
    for one in &held {
        // SAFETY: no code runs for a signal that is ignored.
        unsafe { signal(one, SigHandler::SigIgn) }.context("ignore a signal again")?;
    }
    before.thread_set_mask().context("let signals come again")
}

/// What a process ignores by its status, a bit a signal, the first of which is 1.
fn ignored(status: &str) -> Option<u64> {
    let set = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(set.trim(), 16).ok()
}

fn is_in(set: u64, one: Signal) -> bool {
    set & (1 << (one as i32 - 1)) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ignored_is_found_in_the_status() {
        // As `nohup` in the background of a shell has it.
        let set = ignored("Name:\tgotap\nSigBlk:\tffff\nSigIgn:\t0000000000000007\n").unwrap();
        assert!(is_in(set, Signal::SIGINT) && is_in(set, Signal::SIGHUP));
        assert!(!is_in(set, Signal::SIGTERM) && is_in(set, Signal::SIGQUIT));
        let set = ignored("SigIgn:\t0000000000001000\n").unwrap();
        assert!(!is_in(set, Signal::SIGINT) && !is_in(set, Signal::SIGHUP));
        assert_eq!(ignored("SigCgt:\t0000000000000001\n"), None);
    }
}
