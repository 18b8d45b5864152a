//! Which container a process is in, by its cgroup's name: Docker's, containerd's, CRI-O's, podman's.
//!
//! Runtimes name a container's cgroup by its id of 64 hexadecimal digits, with the runtime's name around
//! it where systemd manages cgroups. Not here: the container's name, which the runtime alone knows.

/// A container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Its id, 64 hexadecimal digits.
    pub id: String,
    /// The runtime, where the cgroup tells it.
    pub runtime: Option<&'static str>,
}

/// How cgroups of a runtime's containers begin, and what the runtime is called.
const PREFIXES: [(&str, &str); 6] = [
    ("cri-containerd-", "containerd"),
    ("containerd-", "containerd"),
    ("crio-", "cri-o"),
    ("docker-", "docker"),
    ("libpod-", "podman"),
    ("nerdctl-", "containerd"),
];

/// Folders in which runtimes put cgroups that have the bare id as their name.
const FOLDERS: [(&str, &str); 3] =
    [("docker", "docker"), ("libpod_parent", "podman"), ("machine.slice", "podman")];

/// Digits of an id.
const DIGITS: usize = 64;

/// The innermost container of a cgroup's path.
pub fn of_cgroup(path: &str) -> Option<Container> {
    let parts: Vec<&str> = path.split('/').collect();
    (0..parts.len()).rev().find_map(|at| {
        let (id, runtime) = of_name(parts[at])?;
        let above = at.checked_sub(1).map(|above| parts[above]);
        let folder = || FOLDERS.iter().find(|(folder, _)| above == Some(folder)).map(|f| f.1);
        Some(Container { id: id.to_owned(), runtime: runtime.or_else(folder) })
    })
}

/// The id in a cgroup's name, and the runtime.
fn of_name(name: &str) -> Option<(&str, Option<&'static str>)> {
    // containerd under systemd: `system.slice:docker:ID` or `kubepods-….slice:cri-containerd:ID`.
    let (before, last) = name.rsplit_once(':').map_or(("", name), |(a, b)| (a, b));
    let bare = last.strip_suffix(".scope").unwrap_or(last);
    let found = PREFIXES
        .iter()
        .find_map(|(prefix, runtime)| bare.strip_prefix(prefix).map(|id| (id, Some(*runtime))));
    let (id, runtime) = found.unwrap_or((bare, None));
    // A helper of podman's, which watches a container from outside.
    let id = if id.starts_with("conmon-") { return None } else { id };
    let manager = before.rsplit(':').next();
    let runtime = runtime.or(match manager {
        Some("cri-containerd") => Some("containerd"),
        Some("docker") => Some("docker"),
        _ => None,
    });
    let is_id =
        id.len() == DIGITS && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    is_id.then_some((id, runtime))
}

/// The cgroup in `/proc/PID/cgroup` that the programs would tell: that of version 2 unless it is the
/// root, else that of version 1's memory or pids controller.
pub fn cgroup_of_proc(text: &str) -> Option<String> {
    let lines: Vec<(&str, &str)> = text
        .lines()
        .filter_map(|line| {
            let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
            Some((controllers, path))
        })
        .collect();
    let of = |wanted: &str| {
        let is_it = |controllers: &str| match wanted {
            "" => controllers.is_empty(),
            wanted => controllers.split(',').any(|c| c == wanted),
        };
        lines.iter().find(|(c, _)| is_it(c)).map(|(_, path)| *path)
    };
    let not_root = ["", "memory", "pids"].iter().filter_map(|c| of(c)).find(|path| *path != "/");
    not_root.or_else(|| lines.first().map(|_| "/")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "4f1c2b3a4f1c2b3a4f1c2b3a4f1c2b3a4f1c2b3a4f1c2b3a4f1c2b3a4f1c2b3a";

    #[test]
    fn containers_of_all_runtimes_are_found() {
        for (path, runtime) in [
            ("/docker/ID", Some("docker")),
            ("/system.slice/docker-ID.scope", Some("docker")),
            ("/system.slice/docker-ID.scope/init.scope", Some("docker")),
            ("/kubepods/burstable/pod1b2c/ID", None),
            (
                "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod1_2.slice/cri-containerd-ID.scope",
                Some("containerd"),
            ),
            (
                "/system.slice/containerd.service/kubepods-pod1.slice:cri-containerd:ID",
                Some("containerd"),
            ),
            ("/kubepods.slice/kubepods-pod1.slice/crio-ID.scope", Some("cri-o")),
            ("/kubepods.slice/kubepods-pod1.slice/crio-ID.scope/container", Some("cri-o")),
            ("/machine.slice/libpod-ID.scope", Some("podman")),
            ("/machine.slice/libpod-ID.scope/container/supervisor", Some("podman")),
            (
                "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope",
                Some("podman"),
            ),
        ] {
            let found = of_cgroup(&path.replace("ID", ID));
            assert_eq!(found, Some(Container { id: ID.to_owned(), runtime }), "{path}");
        }
    }

    #[test]
    fn the_innermost_container_counts() {
        let inner = ID.replace('4', "5");
        let path = format!("/docker/{ID}/kubelet/kubepods/pod1/{inner}");
        assert_eq!(of_cgroup(&path).unwrap().id, inner);
    }

    #[test]
    fn other_cgroups_are_no_containers() {
        for path in [
            "/",
            "",
            "/system.slice/docker.service",
            "/user.slice/user-0.slice/session-1.scope",
            "/machine.slice/libpod-conmon-ID.scope",
            "/kubepods.slice/kubepods-pod1.slice",
            "/system.slice/ID0",
            "/build/deadbeef",
        ] {
            assert_eq!(of_cgroup(&path.replace("ID", ID)), None, "{path}");
        }
    }

    #[test]
    fn both_versions_of_cgroups_are_read() {
        let unified = "0::/system.slice/ssh.service\n";
        assert_eq!(cgroup_of_proc(unified).as_deref(), Some("/system.slice/ssh.service"));
        let old = "9:name=systemd:/a\n8:pids:/p\n4:cpu,memory:/docker/x\n0::/\n";
        assert_eq!(cgroup_of_proc(old).as_deref(), Some("/docker/x"));
        assert_eq!(cgroup_of_proc("8:pids:/p\n4:memory:/\n").as_deref(), Some("/p"));
        assert_eq!(cgroup_of_proc("0::/\n").as_deref(), Some("/"));
        assert_eq!(cgroup_of_proc(""), None);
    }
}
