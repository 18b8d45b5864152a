//! Which rights gotap needs, which of them this process lacks, and why the kernel may refuse all the
//! same. Not here: rights to look into single processes (`goproc`).

use std::fs;

use crate::{Error, Features, KernelVersion};

/// Capabilities that are needed, with their numbers in `linux/capability.h`.
const NEEDED: [(u32, &str); 3] = [(39, "CAP_BPF"), (38, "CAP_PERFMON"), (19, "CAP_SYS_PTRACE")];
/// Looks into processes of other users.
const SYS_PTRACE: u32 = 19;
/// Opens executables that not everybody may read. Without it, the others are observed all the same.
const DAC_READ_SEARCH: u32 = 2;
/// Contains the two that came later than it. To place uprobes one by one takes it in any case
/// (`perf_uprobe_event_init` in Linux's kernel/events/core.c).
const CAP_SYS_ADMIN: u32 = 21;
const SYS_ADMIN: (u32, &str) = (CAP_SYS_ADMIN, "CAP_SYS_ADMIN");
/// Raises the limit of locked memory.
const CAP_SYS_RESOURCE: u32 = 24;
/// What looking at packets needs besides: at tcx and by XDP, and by a packet socket.
pub(crate) const NET_ADMIN: (u32, &str) = (12, "CAP_NET_ADMIN");
pub(crate) const NET_RAW: (u32, &str) = (13, "CAP_NET_RAW");
/// From this kernel on maps do not count as locked memory.
const NO_LOCKED_MEMORY: KernelVersion = KernelVersion(5, 11, 0);

/// The capabilities without which gotap can't observe programs on this kernel, and which this process lacks.
pub fn missing_capabilities() -> Vec<&'static str> {
    missing(effective(), Features::probe().uprobe_multi)
}

/// Whether this process lacks `CAP_DAC_READ_SEARCH`: executables that not everybody may read are closed to it.
pub fn lacks_read_search() -> bool {
    effective() & (1 << DAC_READ_SEARCH) == 0
}

/// Whether this process may look into all others and read their executables.
pub fn may_see_all() -> bool {
    let both = 1 << SYS_PTRACE | 1 << DAC_READ_SEARCH;
    effective() & both == both
}

/// What attaching to programs needs of these capabilities, a bit a capability.
pub fn needed_capabilities(held: u64, features: &Features) -> u64 {
    needed(held, KernelVersion::current(), features.uprobe_multi)
}

fn needed(held: u64, kernel: KernelVersion, uprobe_multi: bool) -> u64 {
    let mut needed: u64 = NEEDED.iter().map(|(bit, _)| 1 << bit).sum();
    needed |= 1 << DAC_READ_SEARCH;
    if kernel < NO_LOCKED_MEMORY {
        needed |= 1 << CAP_SYS_RESOURCE;
    }
    // Where the two are not known that came later, this one stands for them.
    if !uprobe_multi || held & (1 << 38) == 0 || held & (1 << 39) == 0 {
        needed |= 1 << CAP_SYS_ADMIN;
    }
    held & needed
}

/// Whether this process lacks a capability of the network. [`Error::Denied`] names it.
///
/// [`Error::Denied`]: crate::Error::Denied
pub(crate) fn lacks((bit, _): (u32, &str)) -> bool {
    effective() & (1 << bit | 1 << CAP_SYS_ADMIN) == 0
}

/// What this process may do, a bit a capability; nothing when that can't be read.
fn effective() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let set = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).unwrap_or(0)
}

fn missing(effective: u64, uprobe_multi: bool) -> Vec<&'static str> {
    let has = |bit: u32| effective & (1 << bit) != 0;
    let held = |bit: u32| has(bit) || (bit >= 38 && has(CAP_SYS_ADMIN));
    let single = (!uprobe_multi).then_some(SYS_ADMIN);
    let needed = NEEDED.into_iter().chain(single);
    needed.filter(|(bit, _)| !held(*bit)).map(|(_, name)| name).collect()
}

/// Fails where probes have to be placed one by one, which this process may not.
pub(crate) fn check_single(features: &Features) -> Result<(), Error> {
    if features.uprobe_multi || !lacks(SYS_ADMIN) {
        return Ok(());
    }
    let why = lacking(&missing(effective(), false));
    Err(Error::Denied { what: "place probes one by one".to_owned(), why })
}

fn lacking(missing: &[&str]) -> String {
    format!("this process lacks {}; run gotap as root or grant them", missing.join(", "))
}

/// Why the kernel refused, and what to do; `None` if it is no matter of rights.
pub(crate) fn why_refused(code: Option<i32>) -> Option<String> {
    why(code, Features::probe().uprobe_multi)
}

/// The same where a probe was placed by itself, whatever else this kernel has.
pub(crate) fn why_refused_single(code: Option<i32>) -> Option<String> {
    why(code, false)
}

fn why(code: Option<i32>, uprobe_multi: bool) -> Option<String> {
    const EPERM: i32 = 1;
    const EACCES: i32 = 13;
    let code = code.filter(|code| matches!(*code, EPERM | EACCES))?;
    let facts = Facts {
        missing: missing(effective(), uprobe_multi),
        user_namespace: goproc::in_user_namespace(),
        kernel: KernelVersion::current(),
    };
    facts.why(code == EPERM)
}

/// What decides on rights.
struct Facts {
    missing: Vec<&'static str>,
    user_namespace: bool,
    kernel: KernelVersion,
}

impl Facts {
    fn why(&self, not_permitted: bool) -> Option<String> {
        if !self.missing.is_empty() {
            return Some(lacking(&self.missing));
        }
        // The verifier refuses a program with EACCES.
        if !not_permitted {
            return None;
        }
        Some(if self.user_namespace {
            "gotap runs in a user namespace, whose capabilities do not count for BPF; run it as \
             root outside of it"
                .to_owned()
        } else if self.kernel < NO_LOCKED_MEMORY {
            "run gotap as root with a higher limit of locked memory (ulimit -l), or allow bpf(2) in \
             its seccomp profile"
                .to_owned()
        } else {
            "something forbids bpf(2) in spite of the capabilities: a seccomp profile, or a security \
             module such as AppArmor or SELinux; allow it there, or run gotap as root on the host"
                .to_owned()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_capability_that_is_missing_is_named() {
        let all = 1 << 39 | 1 << 38 | 1 << 19;
        assert!(missing(all, true).is_empty());
        assert_eq!(missing(all, false), ["CAP_SYS_ADMIN"]);
        assert_eq!(missing(all & !(1 << 38), true), ["CAP_PERFMON"]);
        assert!(missing(1 << CAP_SYS_ADMIN | 1 << 19, false).is_empty());
        assert_eq!(missing(0, true).len(), 3);
    }

    #[test]
    fn what_is_kept_is_what_attaching_needs() {
        let (new, old) = (KernelVersion(6, 18, 0), KernelVersion(5, 10, 0));
        let four = 1 << 39 | 1 << 38 | 1 << 19 | 1 << 2;
        assert_eq!(needed(u64::MAX, new, true), four);
        assert_eq!(needed(u64::MAX, new, false), four | 1 << CAP_SYS_ADMIN);
        assert_eq!(needed(u64::MAX, old, true), four | 1 << CAP_SYS_RESOURCE);
        assert_eq!(needed(1 << 19, new, true), 1 << 19);
        // As where whoever starts gotap knows of no CAP_BPF.
        let older = 1 << CAP_SYS_ADMIN | 1 << 19 | 1 << 12;
        assert_eq!(needed(older, new, true), 1 << CAP_SYS_ADMIN | 1 << 19);
    }

    #[test]
    fn a_program_that_the_verifier_refuses_is_no_matter_of_rights() {
        let facts = |missing: &[&'static str], user_namespace| Facts {
            missing: missing.to_vec(),
            user_namespace,
            kernel: KernelVersion(6, 18, 0),
        };
        assert_eq!(facts(&[], false).why(false), None);
        let lacking = facts(&["CAP_PERFMON"], false).why(true).unwrap();
        assert!(lacking.contains("CAP_PERFMON"), "{lacking}");
        assert!(facts(&[], true).why(true).unwrap().contains("user namespace"));
        assert!(facts(&[], false).why(true).unwrap().contains("seccomp"));
        assert_eq!(why_refused(None), None);
        assert_eq!(why_refused(Some(2)), None);
    }
}
