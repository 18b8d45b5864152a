//! Cgroups that are named as container runtimes and kubelets name them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::App;

/// A cgroup for one container of a pod. It goes with this value; processes in it go back to the root.
#[derive(Debug)]
pub struct Cgroup {
    root: PathBuf,
    /// From the innermost outwards.
    folders: Vec<PathBuf>,
    /// The container's id.
    pub container: String,
    /// The pod's id.
    pub pod: String,
}

impl Cgroup {
    /// As containerd's under systemd, in version 2 of cgroups. `seed` makes the ids.
    pub fn containerd(seed: u64) -> Result<Self> {
        let (container, pod) = ids(seed);
        let slice = format!("kubepods-besteffort-pod{}.slice", pod.replace('-', "_"));
        let path = format!(
            "kubepods.slice/kubepods-besteffort.slice/{slice}/cri-containerd-{container}.scope"
        );
        Self::new("cgroup2", None, &path, container, pod)
    }

    /// As a kubelet's that manages cgroups itself, in version 1 where this machine has it.
    pub fn bare(seed: u64) -> Result<Self> {
        let (container, pod) = ids(seed);
        let path = format!("kubepods/besteffort/pod{pod}/{container}");
        let new = |kind, option| Self::new(kind, option, &path, container.clone(), pod.clone());
        new("cgroup", Some("pids")).or_else(|_| new("cgroup2", None))
    }

    /// With this path, in which `ID` stands for the container and `POD` for the pod, in a version of cgroups: its
    /// root is as [`Self::roots`] gives it.
    pub fn named(path: &str, root: &Path, seed: u64) -> Result<Self> {
        let (container, pod) = ids(seed);
        let path = path.replace("ID", &container).replace("POD", &pod.replace('-', "_"));
        Self::in_root(root.to_owned(), &path, container, pod)
    }

    /// Where this machine has cgroups: of version 1 that of pids, and version 2.
    pub fn roots() -> Vec<(u8, PathBuf)> {
        let found = [(1, mounted("cgroup", Some("pids"))), (2, mounted("cgroup2", None))];
        found.into_iter().filter_map(|(version, root)| Some((version, root?))).collect()
    }

    fn new(
        kind: &str,
        option: Option<&str>,
        path: &str,
        container: String,
        pod: String,
    ) -> Result<Self> {
        let root = mounted(kind, option).with_context(|| format!("no {kind} is mounted"))?;
        Self::in_root(root, path, container, pod)
    }

    fn in_root(root: PathBuf, path: &str, container: String, pod: String) -> Result<Self> {
        let innermost = root.join(path);
        fs::create_dir_all(&innermost)
            .with_context(|| format!("create {}", innermost.display()))?;
        let folders = innermost.ancestors().take_while(|folder| *folder != root);
        let folders = folders.map(Path::to_owned).collect();
        Ok(Self { root, folders, container, pod })
    }

    /// Puts a process into it.
    pub fn add(&self, pid: u32) -> Result<()> {
        let file = self.processes()?;
        fs::write(&file, pid.to_string()).with_context(|| format!("write {}", file.display()))
    }

    /// Starts a program in it: as a container runtime does, the cgroup comes before the program.
    pub fn start(&self, program: &Path) -> Result<App> {
        let (file, program) = (self.processes()?, program.to_string_lossy());
        let script = r#"echo $$ >"$0" && exec "$1""#;
        App::start_with(Path::new("sh"), &["-c", script, &file.to_string_lossy(), &program], &[])
    }

    fn processes(&self) -> Result<PathBuf> {
        Ok(self.folders.first().context("a folder")?.join("cgroup.procs"))
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for folder in &self.folders {
            let inside = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
            for pid in inside.lines() {
                // One that has ended needs no other place.
                let _ = fs::write(self.root.join("cgroup.procs"), pid);
            }
            // Those above may be others' too.
            let _ = fs::remove_dir(folder);
        }
    }
}

/// Where a hierarchy of cgroups is.
fn mounted(kind: &str, option: Option<&str>) -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/mounts").ok()?;
    mounts.lines().find_map(|line| {
        let mut words = line.split(' ').skip(1);
        let (path, of, options) = (words.next()?, words.next()?, words.next()?);
        let has = option.is_none_or(|option| options.split(',').any(|one| one == option));
        (of == kind && has).then(|| PathBuf::from(path))
    })
}

/// Ids of a container and a pod that no other process and no other seed has.
fn ids(seed: u64) -> (String, String) {
    let own = u64::from(std::process::id());
    let part = format!("{:016x}", (own << 32 | seed).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let pod = format!("{}-{}-4000-8000-{:012x}", &part[..8], &part[8..12], own << 8 | seed);
    (part.repeat(4), pod)
}
