//! Whether this machine can run the tests.

use std::fs;
use std::io::Write;

/// Numbers of `linux/capability.h`: CAP_PERFMON and CAP_BPF.
const NEEDED: [u32; 2] = [38, 39];

/// Whether tracing is possible for this process. If not, the test `name` says that it skips.
pub fn can_trace(name: &str) -> bool {
    let missing = if !has_capabilities() {
        "these tests need root"
    } else if !fs::exists("/sys/kernel/btf/vmlinux").unwrap_or(false) {
        "the kernel has no BTF"
    } else {
        return true;
    };
    skip(name, missing);
    false
}

/// Says past the capturing of output that a test did not run; fails it where all must run.
///
/// # Panics
/// If `GOTAP_E2E_REQUIRED` is set.
pub fn skip(name: &str, why: &str) {
    assert!(std::env::var_os("GOTAP_E2E_REQUIRED").is_none(), "{name} can't run: {why}");
    // There is nobody to tell when even this fails.
    let _ = writeln!(std::io::stderr(), "SKIPPED {name}: {why}");
}

fn has_capabilities() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status
        .lines()
        .find_map(|line| u64::from_str_radix(line.strip_prefix("CapEff:")?.trim(), 16).ok());
    NEEDED.iter().all(|bit| effective.unwrap_or(0) & (1 << bit) != 0)
}
