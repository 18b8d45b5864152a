//! Files that are cut short while they are mapped. While a process runs a file nobody can write to it; once the process
//! has ended anybody with the right can, as who installs a new version does, and reading what is gone ends the reader
//! with SIGBUS. Here it reads as zeros instead. Not here: who looks whether a file has changed
//! ([`crate::Executable::has_changed`]).

use std::ffi::{c_int, c_void};
use std::sync::OnceLock;

use nix::libc::{BUS_ADRERR, siginfo_t};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};

/// The smallest page; a larger one would be refused, and end the process as without this.
const PAGE: usize = 4096;

/// What was done with the signal before.
static BEFORE: OnceLock<SigAction> = OnceLock::new();

/// From now on what is missing of any mapped file reads as zeros.
pub(crate) fn survive() {
    BEFORE.get_or_init(|| {
        let flags = SaFlags::SA_SIGINFO | SaFlags::SA_ONSTACK;
        let action = SigAction::new(SigHandler::SigAction(on_bus_error), flags, SigSet::empty());
        let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
        // SAFETY: the handler makes system calls and reads memory that is set before it runs, and nothing else.
        unsafe { sigaction(Signal::SIGBUS, &action) }.unwrap_or(default)
    });
}

extern "C" fn on_bus_error(_: c_int, info: *mut siginfo_t, _: *mut c_void) {
    // SAFETY: the kernel passes a valid structure, as SA_SIGINFO asks for it; of this signal it has an address.
    let (code, address) = unsafe { ((*info).si_code, (*info).si_addr() as usize) };
    if code == BUS_ADRERR && address != 0 {
        let flags = MapFlags::PRIVATE | MapFlags::FIXED;
        let page = (address & !(PAGE - 1)) as *mut c_void;
        // SAFETY: the kernel says that this page has a mapping with nothing behind it, so that no object is there.
        // Zeros take its place, for reading alone. The call is the system call itself.
        if unsafe { mmap_anonymous(page, PAGE, ProtFlags::READ, flags) }.is_ok() {
            return;
        }
    }
    // As before: the instruction runs again, and ends the process.
    let default = || SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    let before = BEFORE.get().copied().unwrap_or_else(default);
    // SAFETY: it was in force before.
    unsafe { sigaction(Signal::SIGBUS, &before) }.ok();
}
