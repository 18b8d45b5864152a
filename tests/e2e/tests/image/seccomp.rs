//! What `RuntimeDefault` is, by the profile of podman.
//!
//! containerd (since 2022) and Docker (since 23) allow bpf(2) to who has `CAP_BPF`, and perf_event_open(2) with
//! `CAP_PERFMON`. The profile that podman and CRI-O share wanted `CAP_SYS_ADMIN` for longer. Both are made here of what
//! this machine's podman has.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

const PROFILE: &str = "/usr/share/containers/seccomp.json";
const CALLS: [(&str, &str); 2] = [("bpf", "CAP_BPF"), ("perf_event_open", "CAP_PERFMON")];

/// The profile, with these rules for the two calls and without its own.
fn with_rules(folder: &Path, rules: &[Value]) -> Result<PathBuf> {
    let text = fs::read_to_string(PROFILE).with_context(|| format!("read {PROFILE}"))?;
    let mut profile: Value = serde_json::from_str(&text).context(PROFILE)?;
    let all = profile["syscalls"].as_array_mut().context("rules")?;
    for rule in all.iter_mut() {
        let names = rule["names"].as_array_mut().context("names")?;
        names.retain(|name| !CALLS.iter().any(|(call, _)| name == call));
    }
    all.retain(|rule| rule["names"].as_array().is_some_and(|names| !names.is_empty()));
    all.extend_from_slice(rules);
    let file = folder.join("seccomp.json");
    fs::write(&file, profile.to_string()).context("write the profile")?;
    Ok(file)
}

/// Allows a call to who has the capability, and else refuses it as for a lack of rights.
fn by(call: &str, capability: &str) -> [Value; 2] {
    let caps = json!({"caps": [capability]});
    [
        json!({"names": [call], "action": "SCMP_ACT_ALLOW", "includes": caps}),
        json!({"names": [call], "action": "SCMP_ACT_ERRNO", "errnoRet": libc::EPERM, "excludes": caps}),
    ]
}

/// Each call by its capability.
pub(crate) fn allowing_by_capability(folder: &Path) -> Result<PathBuf> {
    with_rules(folder, CALLS.map(|(call, capability)| by(call, capability)).as_flattened())
}

/// Both by `CAP_SYS_ADMIN` alone.
pub(crate) fn allowing_by_administration(folder: &Path) -> Result<PathBuf> {
    with_rules(folder, CALLS.map(|(call, _)| by(call, "CAP_SYS_ADMIN")).as_flattened())
}
