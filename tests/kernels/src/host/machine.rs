//! A machine in QEMU: a kernel, a disk that forgets what is written, and two serial ports. It has
//! no network but its own loopback interface.

use std::fmt;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use gotap_testkit::process::Running;

/// A machine needs a fraction of this; one that hangs is killed then.
const PATIENCE: Duration = Duration::from_secs(1800);

/// Lines of the console that are shown when something failed.
const CONSOLE_LINES: usize = 100;

/// How a machine ended.
pub(crate) enum Ended {
    /// Its kernel switched it off, or panicked.
    ByItself,
    /// It was killed.
    Late,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ByItself => f.write_str("ended"),
            Self::Late => write!(f, "was stopped after {PATIENCE:?}"),
        }
    }
}

/// A machine that is off.
pub(crate) struct Machine {
    /// What came over the second serial port.
    pub(crate) report: String,
    console: String,
    pub(crate) ended: Ended,
}

impl Machine {
    /// The last lines of the console.
    pub(crate) fn console_tail(&self) -> String {
        let lines: Vec<&str> = self.console.lines().map(str::trim_end).collect();
        lines[lines.len().saturating_sub(CONSOLE_LINES)..].join("\n")
    }

    /// What the console said of a scenario, each time that it ran, as far as that is no more than the end.
    pub(crate) fn console_of(&self, scenario: &str) -> String {
        let heads = [format!("--- {scenario}"), format!("--- {scenario}, again")];
        let mut within = false;
        let of_it = self.console.lines().map(str::trim_end).filter(|line| {
            if line.starts_with("--- ") {
                within = heads.iter().any(|head| line == head);
            }
            within
        });
        let lines: Vec<&str> = of_it.collect();
        lines[lines.len().saturating_sub(CONSOLE_LINES)..].join("\n")
    }
}

/// Runs a machine to its end. What its serial ports said stays in `folder`.
pub(crate) fn run(kernel: &Path, disk: &Path, folder: &Path) -> Result<Machine> {
    fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    let (console, report) = (folder.join("console.log"), folder.join("report.txt"));
    let arguments = arguments(kernel, disk, &console, &report);
    let mut qemu = Running::start(Path::new("qemu-system-x86_64"), &arguments, &[])?;
    let ended = match qemu.wait(PATIENCE) {
        Ok(status) if status.success() => Ended::ByItself,
        Ok(status) => anyhow::bail!("QEMU: {status}\n{}", qemu.stderr().join("\n")),
        Err(_) => Ended::Late,
    };
    drop(qemu);
    let read = |path: &Path| {
        let bytes = fs::read(path).with_context(|| format!("read {}", path.display()))?;
        Ok::<_, anyhow::Error>(String::from_utf8_lossy(&bytes).into_owned())
    };
    Ok(Machine { report: read(&report)?, console: read(&console)?, ended })
}

fn arguments(kernel: &Path, disk: &Path, console: &Path, report: &Path) -> Vec<String> {
    // Two processors, for what goes wrong between them, that take turns: with a thread for each,
    // emulated kernels were seen to fail while they patch themselves.
    const MACHINE: &str = "-machine q35 -accel tcg,thread=single -cpu max -smp 2 -m 1024 \
                           -nodefaults -no-user-config -display none -no-reboot";
    // A panic ends the machine at once. All kernels have an NVMe driver built in, and none of them
    // needs an initial RAM disk.
    const KERNEL: &str = "console=ttyS0 quiet panic=-1 oops=panic devtmpfs.mount=1 \
                          root=/dev/nvme0n1 rw init=/init";
    let mut arguments: Vec<String> = MACHINE.split_whitespace().map(str::to_owned).collect();
    let drive = format!("file={},if=none,id=disk,format=raw,snapshot=on", disk.display());
    arguments.extend(["-drive".into(), drive]);
    arguments.extend(["-device".into(), "nvme,drive=disk,serial=disk".into()]);
    for port in [console, report] {
        arguments.extend(["-serial".into(), format!("file:{}", port.display())]);
    }
    arguments.extend(["-kernel".into(), kernel.display().to_string()]);
    arguments.extend(["-append".into(), KERNEL.into()]);
    arguments
}
