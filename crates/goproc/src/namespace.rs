//! Whether process ids mean the same to this process as to the kernel. Not here: translating them.

use std::fs;

/// The pid namespace that the kernel starts with, `PROC_PID_INIT_INO` of `linux/proc_ns.h`.
const FIRST_PID_NAMESPACE: u64 = 0xEFFF_FFFC;
/// The first user namespace, `PROC_USER_INIT_INO`.
const FIRST_USER_NAMESPACE: u64 = 0xEFFF_FFFD;

/// Why process ids can't be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ForeignPids {
    /// This process has other ids than the kernel's.
    #[error(
        "gotap runs in a pid namespace of its own, as in a container, where process ids are not the kernel's: start it in the host's (docker run --pid=host; hostPID: true in Kubernetes)"
    )]
    OwnNamespace,
    /// `/proc` shows another namespace.
    #[error(
        "/proc is not mounted, or is that of another pid namespace than gotap's: mount it anew (mount -t proc proc /proc)"
    )]
    OtherProc,
}

/// Whether the ids in `/proc` are those by which the kernel tells of processes.
///
/// # Errors
/// [`ForeignPids`].
pub fn check_pids() -> Result<(), ForeignPids> {
    let listed = fs::read_link("/proc/self").ok();
    let listed = listed.and_then(|link| link.to_str()?.parse::<u32>().ok());
    judge(namespace("pid"), listed, std::process::id())
}

/// Whether this process's capabilities count only in a user namespace, not for BPF. A kernel
/// without user namespaces has no such file.
pub fn in_user_namespace() -> bool {
    namespace("user").is_some_and(|inode| inode != FIRST_USER_NAMESPACE)
}

/// The number of a namespace of this process.
fn namespace(kind: &str) -> Option<u64> {
    let link = fs::read_link(format!("/proc/self/ns/{kind}")).ok()?;
    link.to_str()?.strip_prefix(kind)?.strip_prefix(":[")?.strip_suffix(']')?.parse().ok()
}

fn judge(namespace: Option<u64>, listed: Option<u32>, own: u32) -> Result<(), ForeignPids> {
    if namespace.is_some_and(|inode| inode != FIRST_PID_NAMESPACE) {
        Err(ForeignPids::OwnNamespace)
    } else if listed != Some(own) {
        Err(ForeignPids::OtherProc)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pids_are_the_kernels_in_the_first_namespace_alone() {
        assert_eq!(judge(Some(FIRST_PID_NAMESPACE), Some(7), 7), Ok(()));
        // A kernel without pid namespaces.
        assert_eq!(judge(None, Some(7), 7), Ok(()));
        assert_eq!(judge(Some(4_026_532_444), Some(7), 7), Err(ForeignPids::OwnNamespace));
        // The host's /proc in a container.
        assert_eq!(judge(Some(4_026_532_444), Some(812), 7), Err(ForeignPids::OwnNamespace));
        assert_eq!(judge(Some(FIRST_PID_NAMESPACE), Some(812), 7), Err(ForeignPids::OtherProc));
        assert_eq!(judge(Some(FIRST_PID_NAMESPACE), None, 7), Err(ForeignPids::OtherProc));
    }

    #[test]
    fn own_namespaces_are_read() {
        assert!(namespace("pid").is_some());
        assert!(namespace("nosuch").is_none());
    }
}
