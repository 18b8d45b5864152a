//! An id for each run of a program, which stays the same when gotap is started again.

use goproc::Process;
use uuid::{Uuid, uuid};

/// What the semantic conventions make ids of instances in.
const NAMESPACE: Uuid = uuid!("4d63009a-8d0f-11ee-aad7-4c796ed8e320");

/// `service.instance.id` of a process. A process that replaces its program gets another one: the kernel tells
/// each program other random addresses. `None` where that can't be read.
pub(crate) fn id(process: Process) -> Option<String> {
    let boot = std::fs::read("/proc/sys/kernel/random/boot_id").ok()?;
    let auxiliary = std::fs::read(format!("/proc/{}/auxv", process.pid)).ok()?;
    let started = process.start_time()?;
    let parts = [&boot[..], &process.pid.to_ne_bytes(), &started.to_ne_bytes(), &auxiliary];
    Some(Uuid::new_v5(&NAMESPACE, &parts.concat()).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_keeps_its_id_and_others_have_another_one() {
        let own = Process { pid: std::process::id() };
        let first = id(own).unwrap();
        assert_eq!(Some(&first), id(own).as_ref());
        let parent = Process { pid: std::os::unix::process::parent_id() };
        assert_ne!(Some(first), id(parent));
    }
}
