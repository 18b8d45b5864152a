//! What an init must do: mount, bring up the loopback interface, switch off.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;

use anyhow::{Context, Result, ensure};

/// Kinds of file systems, and where they belong.
const MOUNTS: [(&CStr, &CStr); 4] =
    [(c"proc", c"/proc"), (c"sysfs", c"/sys"), (c"devtmpfs", c"/dev"), (c"tmpfs", c"/tmp")];

/// Mounts what gotap, Go and Rust expect to be there.
pub(crate) fn mount_all() -> Result<()> {
    for (kind, at) in MOUNTS {
        // SAFETY: the strings end in NUL and live longer than the call; no data is passed.
        let failed =
            unsafe { libc::mount(kind.as_ptr(), at.as_ptr(), kind.as_ptr(), 0, ptr::null()) };
        let error = io::Error::last_os_error();
        // The kernel may have mounted /dev itself.
        ensure!(failed == 0 || error.raw_os_error() == Some(libc::EBUSY), "mount {at:?}: {error}");
    }
    Ok(())
}

/// Brings up `lo`; its addresses come with it.
pub(crate) fn loopback_up() -> Result<()> {
    // SAFETY: no pointers are passed.
    let socket = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM, 0) };
    ensure!(socket >= 0, "open a socket: {}", io::Error::last_os_error());
    // SAFETY: the descriptor is ours and open.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    // SAFETY: all zeros is a valid ifreq, whose fields are numbers.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags = i16::try_from(libc::IFF_UP).context("flags are short")?;
    // SAFETY: the request is an ifreq, as SIOCSIFFLAGS reads.
    let failed = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    ensure!(failed == 0, "bring up lo: {}", io::Error::last_os_error());
    Ok(())
}

/// Waits until a serial port has sent all that was written.
pub(crate) fn drain(port: &File) {
    // SAFETY: the descriptor is open, and nothing else is passed.
    unsafe { libc::tcdrain(port.as_raw_fd()) };
}

/// Switches the machine off.
pub(crate) fn power_off() -> ! {
    // SAFETY: the console's descriptor is open; reboot is passed a number.
    unsafe {
        libc::tcdrain(libc::STDOUT_FILENO);
        libc::reboot(libc::RB_POWER_OFF);
    }
    // Where this is reached the kernel panics, as its first process ends, and QEMU ends with it.
    std::process::exit(1)
}
