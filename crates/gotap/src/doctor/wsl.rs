//! What `gotap doctor` says of the Windows Subsystem for Linux. Not here: the other checks.

use std::fs;

/// What decides whether gotap works there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kernel {
    /// It describes its types (CONFIG_DEBUG_INFO_BTF).
    pub(super) btf: bool,
    /// It can place probes in programs (CONFIG_UPROBE_EVENTS).
    pub(super) uprobes: bool,
}

impl Kernel {
    /// Looks at the running one.
    pub(super) fn look(btf: bool) -> Self {
        let uprobes = fs::exists("/sys/bus/event_source/devices/uprobe/type").unwrap_or(false);
        Self { btf, uprobes }
    }
}

/// What runs here.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wsl {
    /// Linux without Windows.
    No,
    /// The first version, which has no Linux kernel; the sentence says what to do.
    One(String),
    /// The second one, on which gotap works.
    Works(String),
    /// The second one, whose kernel lacks something.
    Lacks(String),
}

/// By `/proc/sys/kernel/osrelease`: `5.15.167.4-microsoft-standard-WSL2`, or `4.4.0-19041-Microsoft` of the first
/// version.
pub(super) fn recognise(release: &str, kernel: Kernel) -> Wsl {
    let release = release.trim();
    let lower = release.to_lowercase();
    if !lower.contains("microsoft") && !lower.contains("wsl2") {
        return Wsl::No;
    }
    if release.starts_with("4.4.0-") && release.ends_with("-Microsoft") {
        let what = "WSL1 has no Linux kernel, and no eBPF: `wsl --set-version <distribution> 2` in Windows";
        return Wsl::One(what.to_owned());
    }
    let parts = [
        (kernel.btf, "descriptions of its types (CONFIG_DEBUG_INFO_BTF)"),
        (kernel.uprobes, "uprobes (CONFIG_UPROBE_EVENTS)"),
    ];
    let of = |there: bool| -> Vec<&str> {
        parts.iter().filter(|(has, _)| *has == there).map(|(_, name)| *name).collect()
    };
    let (has, lacks) = (of(true).join(" and "), of(false).join(" and "));
    if lacks.is_empty() {
        return Wsl::Works(format!(
            "WSL2: its kernel has {has}; gotap sees the programs of WSL's distributions, none of Windows"
        ));
    }
    let has = if has.is_empty() { String::new() } else { format!(" and has {has}") };
    Wsl::Lacks(format!(
        "WSL2: its kernel lacks {lacks}{has}; run `wsl --update` in Windows, or build a kernel with these and \
         name it in .wslconfig"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Kernel = Kernel { btf: true, uprobes: true };

    #[test]
    fn versions_are_told_apart_by_the_kernels_release() {
        for release in ["6.1.0-41-cloud-amd64\n", "5.10.0-30-amd64", ""] {
            assert_eq!(recognise(release, ALL), Wsl::No, "{release}");
        }
        let first = recognise("4.4.0-19041-Microsoft\n", ALL);
        assert!(matches!(&first, Wsl::One(what) if what.contains("--set-version")), "{first:?}");
        for release in [
            "5.15.167.4-microsoft-standard-WSL2\n",
            "6.6.87.2-microsoft-standard-WSL2+",
            "6.6.36-custom-WSL2",
        ] {
            assert!(matches!(recognise(release, ALL), Wsl::Works(_)), "{release}");
        }
    }

    #[test]
    fn what_its_kernel_lacks_is_named() {
        let release = "5.15.167.4-microsoft-standard-WSL2";
        let without = |btf, uprobes| match recognise(release, Kernel { btf, uprobes }) {
            Wsl::Lacks(what) => what,
            other => panic!("{other:?}"),
        };
        let lacking = without(true, false);
        assert!(lacking.contains("lacks uprobes (CONFIG_UPROBE_EVENTS) and has desc"), "{lacking}");
        let lacking = without(false, false);
        assert!(lacking.contains("CONFIG_DEBUG_INFO_BTF) and uprobes"), "{lacking}");
        assert!(lacking.contains("wsl --update"), "{lacking}");
    }
}
