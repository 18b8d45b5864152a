//! Which container and which pod of Kubernetes a process is in, by its cgroup's name: Docker's, containerd's,
//! CRI-O's, podman's.
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

/// The container and the pod's id that `/proc/PID/cgroup` tells, in either version of cgroups. Where versions or
/// controllers differ, the first that names a container counts.
pub fn of_proc(text: &str) -> (Option<Container>, Option<String>) {
    let main = cgroup_of_proc(text);
    let others = text.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
    let paths = main.as_deref().into_iter().chain(others.map(|(_, path)| path));
    let named = paths.map(|path| (of_cgroup(path), pod_of_cgroup(path)));
    let mut only_pod = None;
    for (container, pod) in named {
        if container.is_some() {
            return (container, pod.or(only_pod));
        }
        only_pod = only_pod.or(pod);
    }
    (None, only_pod)
}

/// The id of a pod of Kubernetes, which kubelets write into names of cgroups: `pod<id>`, or under systemd
/// `kubepods-…-pod<id>.slice` with underscores for dashes. Of a static pod it is a hash.
pub fn pod_of_cgroup(path: &str) -> Option<String> {
    path.split('/').rev().flat_map(|part| part.split(':').rev()).find_map(|part| {
        let bare = part.strip_suffix(".slice").unwrap_or(part);
        let id = bare.strip_prefix("pod").or_else(|| Some(bare.rsplit_once("-pod")?.1))?;
        let id = id.replace('_', "-");
        let lengths: Vec<_> = id.split('-').map(str::len).collect();
        let digits = id.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f' | b'-'));
        (digits && matches!(lengths[..], [8, 4, 4, 4, 12] | [32])).then_some(id)
    })
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
    const POD: &str = "1b2c3d4e-0000-4000-8000-00000000000a";

    #[test]
    fn pods_are_found_under_both_managers_of_cgroups() {
        let underscores = POD.replace('-', "_");
        let of_static = "0123456789abcdef0123456789abcdef";
        for (path, pod) in [
            (format!("/kubepods/burstable/pod{POD}/{ID}"), Some(POD)),
            (format!("/kubepods/pod{POD}/{ID}"), Some(POD)),
            (
                format!(
                    "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{underscores}.slice/crio-{ID}.scope"
                ),
                Some(POD),
            ),
            (format!("/kubelet.slice/kubelet-kubepods-pod{underscores}.slice/x.scope"), Some(POD)),
            (
                format!("/system.slice/kubepods-pod{underscores}.slice:cri-containerd:{ID}"),
                Some(POD),
            ),
            // As seen from a cgroup namespace of a sibling.
            (format!("/../../pod{POD}/{ID}"), Some(POD)),
            (format!("/kubepods/burstable/pod{of_static}/{ID}"), Some(of_static)),
            (format!("/docker/{ID}"), None),
            ("/podman.slice/x-podcast.slice".to_owned(), None),
            ("/pod".to_owned(), None),
        ] {
            assert_eq!(pod_of_cgroup(&path).as_deref(), pod, "{path}");
        }
    }

    #[test]
    fn the_line_that_names_a_container_counts() {
        let kubepods = format!("/kubepods/burstable/pod{POD}/{ID}");
        for text in [
            format!("0::{kubepods}\n"),
            format!("9:name=systemd:/\n8:pids:/\n4:memory:{kubepods}\n0::/\n"),
            // Only one controller has it.
            format!("3:cpuset:{kubepods}\n4:memory:/elsewhere\n0::/init.scope\n"),
        ] {
            let (container, pod) = of_proc(&text);
            assert_eq!((container.map(|c| c.id).as_deref(), pod.as_deref()), (Some(ID), Some(POD)));
        }
        let bare = format!("0::/kubepods/pod{POD}\n");
        assert_eq!(of_proc(&bare), (None, Some(POD.to_owned())));
        assert_eq!(of_proc("0::/user.slice\n"), (None, None));
        assert_eq!(of_proc(""), (None, None));
    }
}
