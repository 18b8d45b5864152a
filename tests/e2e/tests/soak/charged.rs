//! What a container with gotap is charged: its own memory, and that of the kernel for its BPF maps. A limit of
//! memory counts both, `/proc` only the first.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use gotap_e2e::{Gotap, binary};
use gotap_testkit::process::Running;

/// Files of the controller in version 1 of cgroups, and in version 2.
const FILES: [(&str, &str, [&str; 2]); 2] = [
    (
        "/sys/fs/cgroup/memory",
        "memory.usage_in_bytes",
        ["memory.max_usage_in_bytes", "memory.usage_in_bytes"],
    ),
    ("/sys/fs/cgroup", "memory.current", ["memory.peak", "memory.current"]),
];

/// A cgroup that counts memory; it goes with this value, when its processes have ended.
#[derive(Debug)]
pub(crate) struct Charged {
    folder: PathBuf,
    files: [&'static str; 2],
}

impl Charged {
    /// `None` where this machine counts no memory by cgroup.
    pub(crate) fn new() -> Option<Self> {
        FILES.into_iter().find_map(|(root, needed, files)| {
            let folder = Path::new(root).join(format!("gotap-soak-{}", std::process::id()));
            fs::create_dir(&folder).ok()?;
            let made = Self { folder, files };
            made.folder.join(needed).exists().then_some(made)
        })
    }

    /// Starts gotap in it: the kernel charges maps to who loads them.
    pub(crate) fn start(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Result<Gotap> {
        let (file, gotap) = (self.folder.join("cgroup.procs"), binary().to_string_lossy());
        let file = file.to_string_lossy();
        let script = r#"echo $$ >"$0" && exec "$@""#;
        let all = [&["-c", script, &file, &gotap], arguments].concat();
        Ok(Gotap::of(Running::start(Path::new("sh"), &all, variables)?))
    }

    /// At most, and now, in MiB.
    pub(crate) fn mebibytes(&self) -> Result<[u64; 2]> {
        let read = |name: &str| -> Result<u64> {
            let text = fs::read_to_string(self.folder.join(name)).context(name.to_owned())?;
            Ok(text.trim().parse::<u64>().context(text)? >> 20)
        };
        Ok([read(self.files[0])?, read(self.files[1])?])
    }
}

impl Drop for Charged {
    fn drop(&mut self) {
        // Who is still in it keeps it.
        let _ = fs::remove_dir(&self.folder);
    }
}
