//! What `gotap doctor` says of Windows' Linux: the command as it is, in a mount namespace where the kernel's release is
//! one of WSL's and parts of the kernel are not there. Not here: a machine with Windows.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use gotap_e2e::{binary, can_trace};
use serde_json::Value;
use tempfile::TempDir;

/// $1 has the release, $2 is a folder that is empty then, if any is.
const AS_ON: &str = r#"
mount --bind "$1" /proc/sys/kernel/osrelease
[ -z "$2" ] || mount -t tmpfs none "$2"
shift 2
exec "$@"
"#;

/// What doctor says of WSL with this release and without what is in this folder: its exit code, verdict and finding.
fn doctor(release: &str, without: &str) -> Result<(Option<i32>, String, String)> {
    let folder = TempDir::new().context("create a folder")?;
    let file = folder.path().join("osrelease");
    fs::write(&file, format!("{release}\n")).context("write a release")?;
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-ec", AS_ON, "sh"]).arg(&file).arg(without);
    command.arg(binary()).args(["doctor", "--format", "json"]);
    let output = command.output().context("run unshare")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let checks = said.lines().map(serde_json::from_str);
    let checks: Vec<Value> = checks.collect::<Result<_, _>>().with_context(|| said.clone())?;
    let wsl = checks.iter().find(|check| check["check"] == "wsl");
    let wsl = wsl.with_context(|| format!("{output:?}"))?;
    let text = |key: &str| wsl[key].as_str().unwrap_or_default().to_owned();
    Ok((output.status.code(), text("verdict"), text("finding")))
}

#[test]
fn doctor_recognises_wsl_and_says_what_its_kernel_has_and_lacks() -> Result<()> {
    const WSL2: &str = "6.6.87.2-microsoft-standard-WSL2";
    if !can_trace("doctor_recognises_wsl_and_says_what_its_kernel_has_and_lacks") {
        return Ok(());
    }
    let (uprobes, types) = ("uprobes (CONFIG_UPROBE_EVENTS)", "types (CONFIG_DEBUG_INFO_BTF)");
    for (release, without, code, verdict, parts) in [
        ("6.12.48+deb13-amd64", "", 0, "ok", &["not WSL"][..]),
        (WSL2, "", 0, "note", &["WSL2: its kernel has ", types, uprobes]),
        (WSL2, "/sys/devices/uprobe", 1, "FAIL", &["lacks uprobes", types, "wsl --update"]),
        (WSL2, "/sys/kernel/btf", 1, "FAIL", &["lacks descriptions of its types", uprobes]),
        ("4.4.0-19041-Microsoft", "", 1, "FAIL", &["WSL1", "--set-version"]),
    ] {
        let (found, said, finding) = doctor(release, without)?;
        let has_all = parts.iter().all(|part| finding.contains(part));
        let is_so = found == Some(code) && said == verdict && has_all;
        ensure!(is_so, "{release} without {without:?}: {found:?}: {said}: {finding}");
    }
    Ok(())
}
