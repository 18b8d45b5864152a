//! The Debian package and its unit under a real systemd: small Debians of two releases are booted in QEMU, install
//! the package, and say what becomes of it (`guest.sh`). `make test-package` runs this, with the release build.
//!
//! Not here: kernels (`tests/kernels`), and what the package contains (`package` of the other suite).

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use gotap_e2e::binary;
use gotap_testkit::go::{self, Mode, Version};
use gotap_testkit::process::Running;
use gotap_testkit::{cache_dir, repo_root, setup};
use tempfile::TempDir;

/// A machine needs a fraction of this.
const PATIENCE: Duration = Duration::from_secs(1500);
/// What is free on the disk, for what is installed.
const SPACE: u64 = 256 << 20;
const UNIT: &str = "[Unit]
After=multi-user.target
SuccessAction=poweroff-force
FailureAction=poweroff-force
[Service]
Type=oneshot
ExecStart=/bin/bash /guest.sh
";

/// Runs a command to its end; what it printed.
fn run(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("run {name}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{name}: {said}");
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

/// The package: what `GOTAP_PACKAGE` names, else one of this build.
fn package(folder: &Path) -> Result<PathBuf> {
    if let Some(package) = std::env::var_os("GOTAP_PACKAGE") {
        return Ok(package.into());
    }
    let script = repo_root().join("scripts/package.sh");
    Ok(run(Command::new(script).arg(binary()).arg(folder))?.into())
}

/// A disk with Debian of this release, the package, a Go program, and what is to be run.
fn disk(suite: &str, folder: &Path) -> Result<PathBuf> {
    let debian = run(Command::new(repo_root().join("scripts/debian.sh")).arg(suite))?;
    let root = folder.join("root");
    // Links to files that nobody writes to.
    run(Command::new("cp").args(["--archive", "--link", &debian]).arg(&root))?;
    fs::copy(package(folder)?, root.join("gotap.deb")).context("copy the package")?;
    let program = root.join("opt/httpapp");
    fs::copy(go::build("httpapp", Version::NEWEST, Mode::Plain)?, &program)?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o711))?;
    let script = repo_root().join("tests/e2e/tests/systemd/guest.sh");
    fs::copy(script, root.join("guest.sh")).context("copy the guest's script")?;
    let units = root.join("etc/systemd/system");
    fs::write(units.join("guest.service"), UNIT)?;
    fs::create_dir_all(units.join("default.target.wants"))?;
    symlink("../guest.service", units.join("default.target.wants/guest.service"))?;
    // Else it were its first start, at which all services are enabled.
    let machine = root.join("etc/machine-id");
    let _ = fs::remove_file(&machine);
    fs::write(&machine, "0123456789abcdef0123456789abcdef\n")?;
    let size = run(Command::new("du").args(["--summarize", "--block-size=1"]).arg(&root))?;
    let size: u64 = size.split_whitespace().next().context("du says nothing")?.parse()?;
    let image = folder.join("disk.img");
    File::create(&image)?.set_len((size + size / 8 + SPACE).next_multiple_of(1 << 20))?;
    let mut mke2fs = Command::new("/sbin/mke2fs");
    run(mke2fs.args(["-q", "-F", "-t", "ext4", "-O", "^has_journal", "-d"]).args([&root, &image]))?;
    Ok(image)
}

/// Boots it to its end; what the guest reported, and its console.
fn boot(kernel: &Path, disk: &Path, folder: &Path) -> Result<(String, String)> {
    const MACHINE: &str = "-machine q35 -accel tcg,thread=single -cpu max -smp 2 -m 1024 \
                           -nodefaults -no-user-config -display none -no-reboot";
    const KERNEL: &str = "console=ttyS0 quiet panic=-1 oops=panic devtmpfs.mount=1 \
                          root=/dev/nvme0n1 rw systemd.show_status=0";
    let (console, report) = (folder.join("console"), folder.join("report"));
    let mut arguments: Vec<String> = MACHINE.split_whitespace().map(str::to_owned).collect();
    let drive = format!("file={},if=none,id=disk,format=raw", disk.display());
    let devices = [
        ("-drive", drive),
        ("-device", "nvme,drive=disk,serial=disk".to_owned()),
        ("-serial", format!("file:{}", console.display())),
        ("-serial", format!("file:{}", report.display())),
        ("-kernel", kernel.display().to_string()),
        ("-append", KERNEL.to_owned()),
    ];
    arguments.extend(devices.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]));
    let mut qemu = Running::start(Path::new("qemu-system-x86_64"), &arguments, &[])?;
    let ended = qemu.wait(PATIENCE);
    drop(qemu);
    let read =
        |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
    let (report, console) = (read(&report), read(&console));
    if !ended.is_ok_and(|status| status.success()) {
        bail!("the machine did not end by itself:\n{report}\n{console}");
    }
    Ok((report, console))
}

fn the_package_works_on(suite: &str, kernel: &str) -> Result<()> {
    // SAFETY: it has no arguments and can't fail.
    ensure!(unsafe { libc::geteuid() } == 0, "please run this as root: it makes a Debian");
    // Beside the Debians, for links to their files.
    let beside = cache_dir()?.join("debian");
    fs::create_dir_all(&beside).with_context(|| format!("create {}", beside.display()))?;
    let folder = TempDir::with_prefix_in("gotap-systemd-", &beside).context("create a folder")?;
    let kernel = setup(&["kernels", kernel])?;
    let disk = disk(suite, folder.path())?;
    let (report, console) = boot(&kernel, &disk, folder.path())?;
    println!("{suite}:\n{report}");
    let lines: Vec<&str> = report.lines().map(str::trim_end).collect();
    let failed = lines.iter().any(|line| !line.starts_with("ok ") && *line != "done");
    ensure!(!failed && lines.last() == Some(&"done"), "{suite}:\n{report}\n{console}");
    Ok(())
}

#[test]
fn the_service_works_on_debian_12() -> Result<()> {
    the_package_works_on("bookworm", "6.1")
}

#[test]
fn the_service_works_on_debian_13() -> Result<()> {
    the_package_works_on("trixie", "6.12")
}
