//! What the running kernel can do.

use std::fmt;
use std::path::Path;

use crate::Error;

/// Kernel version, such as 6.12.43.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KernelVersion(pub u32, pub u32, pub u32);

impl KernelVersion {
    /// Reads `uname -r`.
    pub fn current() -> Self {
        Self::parse(&rustix::system::uname().release().to_string_lossy())
    }

    /// Reads a release string; missing numbers are 0.
    fn parse(release: &str) -> Self {
        let mut numbers = release
            .split(['.', '-', '+'])
            .map(|part| part.chars().take_while(char::is_ascii_digit).collect::<String>())
            .map(|digits| digits.parse().unwrap_or(0));
        let mut next = || numbers.next().unwrap_or(0);
        Self(next(), next(), next())
    }
}

impl fmt::Display for KernelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// What was found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Features {
    /// Kernel version.
    pub kernel: KernelVersion,
    /// Type information for CO-RE.
    pub btf: bool,
    /// Many sites in one link (6.6): quick to attach and, above all, to detach.
    pub uprobe_multi: bool,
    /// Whether uprobe_multi's process filter means the process. Before 6.6.33 and 6.9.4 it matched
    /// one thread only; there all processes of the file are hit and the program tells them apart.
    pub uprobe_multi_pid: bool,
}

impl Features {
    /// The oldest kernel that is supported.
    pub const OLDEST: KernelVersion = KernelVersion(5, 10, 0);

    /// Looks at the running kernel.
    pub fn probe() -> Self {
        let btf = Path::new("/sys/kernel/btf/vmlinux").exists();
        Self { btf, ..Self::of(KernelVersion::current()) }
    }

    /// Whether the kernel is supported.
    pub(crate) fn check(self) -> Result<(), Error> {
        if self.kernel < Self::OLDEST {
            return Err(Error::OldKernel(self.kernel));
        }
        if self.btf { Ok(()) } else { Err(Error::NoBtf) }
    }

    fn of(kernel: KernelVersion) -> Self {
        let fixed = (kernel >= KernelVersion(6, 6, 33) && kernel < KernelVersion(6, 7, 0))
            || kernel >= KernelVersion(6, 9, 4);
        Self {
            kernel,
            btf: true,
            uprobe_multi: kernel >= KernelVersion(6, 6, 0),
            uprobe_multi_pid: fixed,
        }
    }

    /// The same kernel, as if it lacked uprobe_multi: to try the fallback.
    pub fn without_uprobe_multi(self) -> Self {
        Self { uprobe_multi: false, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_of_all_spellings_are_read() {
        assert_eq!(KernelVersion::parse("6.18.44-fc-v657"), KernelVersion(6, 18, 44));
        assert_eq!(KernelVersion::parse("5.10.0-46-cloud-amd64"), KernelVersion(5, 10, 0));
        assert_eq!(KernelVersion::parse("7.3+deb13"), KernelVersion(7, 3, 0));
    }

    #[test]
    fn the_thread_filter_bug_is_known_by_version() {
        let multi = |a, b, c| Features::of(KernelVersion(a, b, c));
        assert!(!multi(6, 1, 0).uprobe_multi);
        assert!(!multi(6, 6, 32).uprobe_multi_pid);
        assert!(multi(6, 6, 33).uprobe_multi_pid);
        assert!(!multi(6, 8, 12).uprobe_multi_pid);
        assert!(multi(6, 9, 4).uprobe_multi_pid);
    }
}
