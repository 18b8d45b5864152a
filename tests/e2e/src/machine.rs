//! Whether this machine can run the tests, and which of them it runs side by side.

use std::cell::RefCell;
use std::fs;
use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Numbers of `linux/capability.h`: CAP_PERFMON and CAP_BPF.
const NEEDED: [u32; 2] = [38, 39];

/// Modules of tests that keep the processors busy, or compare shares of their time. Most others wait for something
/// most of their time, so that more of them run at once than there are processors.
const BUSY: [&str; 20] = [
    "alloc",
    "attach_load",
    "crowd",
    "guided",
    "hostile",
    "host_flows",
    "host_run",
    "joined",
    "overhead",
    "parents_load",
    "parents_reuse",
    "profile_continuous",
    "profile_cpu",
    "profile_waits",
    "sampling",
    "shop",
    "timeline",
    "torn",
    "xray",
    "xray_spans",
];

/// Held by the one test of those that runs.
static BUSY_TEST: Mutex<()> = Mutex::new(());

thread_local! {
    /// What the test of this thread holds, until its thread ends.
    static HELD: RefCell<Option<MutexGuard<'static, ()>>> = const { RefCell::new(None) };
}

/// Waits until no other test keeps the processors busy, if this one does. libtest names a test's thread after it.
fn take_turns() {
    let thread = std::thread::current();
    let module = thread.name().and_then(|name| name.split("::").next()).unwrap_or_default();
    if !BUSY.contains(&module) {
        return;
    }
    HELD.with_borrow_mut(|held| {
        held.get_or_insert_with(|| BUSY_TEST.lock().unwrap_or_else(PoisonError::into_inner));
    });
}

/// Whether tracing is possible for this process. If not, the test `name` says that it skips. A test of those that
/// keep the processors busy waits for its turn.
pub fn can_trace(name: &str) -> bool {
    let missing = if !has_capabilities() {
        "these tests need root"
    } else if !fs::exists("/sys/kernel/btf/vmlinux").unwrap_or(false) {
        "the kernel has no BTF"
    } else {
        // Built now if it is not yet, which takes a minute: not while a test's program runs already.
        let _ = crate::binary();
        take_turns();
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
