//! Ids of containers: programs in cgroups that are named as container runtimes name them, in both versions of cgroups
//! as far as this machine has them. All names that are known are in the unit tests of the package `host`.

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Cgroup, Gotap, can_trace, skip};

/// Runtimes, and paths of cgroups below the root: under systemd, and where the runtime manages them itself.
const NAMES: [(Option<&str>, &str); 6] = [
    (
        Some("containerd"),
        "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podPOD.slice/cri-containerd-ID.scope",
    ),
    (
        Some("cri-o"),
        "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podPOD.slice/crio-ID.scope",
    ),
    (Some("cri-o"), "kubepods/burstable/podPOD/crio-ID"),
    (Some("docker"), "system.slice/docker-ID.scope"),
    (Some("docker"), "docker/ID"),
    // containerd, too; its name tells nobody so.
    (None, "kubepods/burstable/podPOD/ID"),
];

#[test]
fn spans_name_the_container_of_each_runtime_in_both_versions_of_cgroups() -> Result<()> {
    const TEST: &str = "spans_name_the_container_of_each_runtime_in_both_versions_of_cgroups";
    if !can_trace(TEST) {
        return Ok(());
    }
    let roots = Cgroup::roots();
    if roots.is_empty() {
        skip(TEST, "this machine has no cgroups");
        return Ok(());
    }
    let program = App::newest()?;
    let mut all = Vec::new();
    for (version, root) in &roots {
        for (runtime, path) in NAMES {
            let cgroup = Cgroup::named(path, root, 100 + all.len() as u64)?;
            let app = cgroup.start(&program)?;
            all.push((format!("version {version}: {path}"), runtime, cgroup, app));
        }
    }
    let pids: Vec<_> = all.iter().map(|(.., app)| format!("--pid={}", app.pid())).collect();
    let gotap = Gotap::trace(&pids.iter().map(String::as_str).collect::<Vec<_>>())?;
    for (.., app) in &all {
        app.get("/hello", &[])?;
    }
    let spans = gotap.finish(all.len())?;
    for (name, runtime, cgroup, app) in &all {
        let of_it = |pid: u32| spans.iter().find(|span| span.resource["process.pid"] == pid);
        let span = of_it(app.pid()).with_context(|| name.clone())?;
        let text = |key: &str| span.resource.get(key).and_then(|value| value.as_str());
        ensure!(text("container.id") == Some(&cgroup.container), "{name}: {span:#?}");
        ensure!(text("container.runtime.name") == *runtime, "{name}: {span:#?}");
        let pod = name.contains("POD").then_some(cgroup.pod.as_str());
        ensure!(text("k8s.pod.uid") == pod, "{name}: {span:#?}");
    }
    Ok(())
}
