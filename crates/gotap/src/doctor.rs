//! `gotap doctor`: what works on this machine, what does not, and what to do about it.

mod wsl;

use std::fs;

use anyhow::{Result, bail};
use probes::{Features, Session};
use serde_json::json;

use crate::cli::{DoctorArgs, Format};
use crate::output::line;

/// How a check came out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Good,
    /// Works, with something less.
    Note,
    /// gotap can't work like this.
    Bad,
}

impl Verdict {
    fn label(self) -> &'static str {
        match self {
            Verdict::Good => "ok",
            Verdict::Note => "note",
            Verdict::Bad => "FAIL",
        }
    }
}

struct Check {
    name: &'static str,
    verdict: Verdict,
    finding: String,
    /// The kernel refused for a lack of rights.
    denied: bool,
}

/// Runs the command.
pub(crate) fn run(args: &DoctorArgs) -> Result<()> {
    let features = Features::probe();
    let checks = [
        kernel(&features),
        btf(&features),
        uprobe_multi(&features),
        privileges(),
        pid_namespace(),
        lockdown(),
        cgroup(),
        wsl(&features),
        load(&features),
    ];
    for check in &checks {
        let (label, finding) = (check.verdict.label(), &check.finding);
        match args.format {
            Format::Text => line(format_args!("{label:<5} {:<13} {finding}", check.name))?,
            Format::Json => {
                line(json!({ "check": check.name, "verdict": label, "finding": finding }))?;
            }
        }
    }
    if let Some(bad) = checks.iter().find(|c| c.denied || is_bad_of("privileges", c)) {
        let (what, why) = (format!("doctor: {}", bad.name), bad.finding.clone());
        return Err(probes::Error::Denied { what, why }.into());
    }
    // What makes gotap silent and not fail is worth a sentence of its own.
    goproc::check_pids()?;
    if checks.iter().any(|c| c.verdict == Verdict::Bad) {
        bail!("gotap can't observe programs on this machine as it is");
    }
    Ok(())
}

fn check(name: &'static str, verdict: Verdict, finding: impl Into<String>) -> Check {
    Check { name, verdict, finding: finding.into(), denied: false }
}

fn is_bad_of(name: &str, check: &Check) -> bool {
    check.name == name && check.verdict == Verdict::Bad
}

fn kernel(features: &Features) -> Check {
    let kernel = features.kernel;
    if kernel < Features::OLDEST {
        let finding = format!("Linux {kernel}; gotap needs {} or newer", Features::OLDEST);
        return check("kernel", Verdict::Bad, finding);
    }
    check("kernel", Verdict::Good, format!("Linux {kernel}"))
}

fn btf(features: &Features) -> Check {
    if features.btf {
        check("btf", Verdict::Good, "the kernel describes its types")
    } else {
        let finding = "no /sys/kernel/btf/vmlinux; use a kernel with CONFIG_DEBUG_INFO_BTF=y";
        check("btf", Verdict::Bad, finding)
    }
}

fn uprobe_multi(features: &Features) -> Check {
    if !features.uprobe_multi {
        let finding = "not in this kernel (6.6 has it): attaching and detaching take longer";
        return check("uprobe_multi", Verdict::Note, finding);
    }
    if !features.uprobe_multi_pid {
        let finding = "its process filter is broken in this kernel: other processes of the same \
                       executable are trapped too (fixed in 6.6.33 and 6.9.4)";
        return check("uprobe_multi", Verdict::Note, finding);
    }
    check("uprobe_multi", Verdict::Good, "one link holds all probes of a process")
}

fn privileges() -> Check {
    let missing = probes::missing_capabilities();
    if !missing.is_empty() {
        let finding = format!("missing {}; run gotap as root or grant them", missing.join(", "));
        return check("privileges", Verdict::Bad, finding);
    }
    if goproc::in_user_namespace() {
        let finding = "in a user namespace, where capabilities do not count for BPF; run gotap as \
                       root outside of it";
        return check("privileges", Verdict::Bad, finding);
    }
    if probes::lacks_read_search() {
        let finding = "no CAP_DAC_READ_SEARCH: programs whose executables not everybody may read are left out";
        return check("privileges", Verdict::Note, finding);
    }
    check("privileges", Verdict::Good, "all that is needed")
}

fn pid_namespace() -> Check {
    match goproc::check_pids() {
        Ok(()) => check("pid_namespace", Verdict::Good, "process ids are the kernel's"),
        Err(why) => check("pid_namespace", Verdict::Bad, why.to_string()),
    }
}

fn lockdown() -> Check {
    let state = fs::read_to_string("/sys/kernel/security/lockdown").unwrap_or_default();
    let active = state.split('[').nth(1).and_then(|s| s.split(']').next());
    match active {
        Some("confidentiality") => {
            let finding = "confidentiality: the kernel forbids BPF to read memory; boot with \
                           lockdown=integrity or less";
            check("lockdown", Verdict::Bad, finding)
        }
        Some(mode) => check("lockdown", Verdict::Good, format!("{mode}: reading is allowed")),
        None => check("lockdown", Verdict::Good, "unknown (securityfs is not mounted)"),
    }
}

fn cgroup() -> Check {
    if fs::exists("/sys/fs/cgroup/cgroup.controllers").unwrap_or(false) {
        check("cgroup", Verdict::Good, "version 2")
    } else {
        check("cgroup", Verdict::Note, "version 1 or not mounted; tracing does not need it")
    }
}

fn wsl(features: &Features) -> Check {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let (verdict, finding) = match wsl::recognise(&release, wsl::Kernel::look(features.btf)) {
        wsl::Wsl::No => (Verdict::Good, "not WSL".to_owned()),
        wsl::Wsl::Works(finding) => (Verdict::Note, finding),
        wsl::Wsl::One(finding) | wsl::Wsl::Lacks(finding) => (Verdict::Bad, finding),
    };
    check("wsl", verdict, finding)
}

fn load(features: &Features) -> Check {
    match Session::load(*features, instruments::Options::default()) {
        Ok(_) => check("programs", Verdict::Good, "the kernel accepts gotap's BPF programs"),
        Err(e) => {
            let denied = matches!(e, probes::Error::Denied { .. });
            Check { denied, ..check("programs", Verdict::Bad, e.to_string()) }
        }
    }
}
