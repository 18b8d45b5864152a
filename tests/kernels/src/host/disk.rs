//! The disk of the machines: gotap, the guest's program, the Go programs, and the libraries that
//! they are linked with. Nothing else is needed, so there is nothing else: no shell, no libc's files.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use gotap_kernel_tests::{GOTAP, PROGRAMS, program};
use gotap_testkit::go;

/// What is free on the disk.
const SPACE: u64 = 64 << 20;

/// Builds the disk in `work` and gives its path. `programs` is where cargo puts what it builds.
pub(crate) fn build(programs: &Path, work: &Path) -> Result<PathBuf> {
    let root = work.join("root");
    if root.exists() {
        fs::remove_dir_all(&root).with_context(|| format!("remove {}", root.display()))?;
    }
    for folder in ["proc", "sys", "dev", "tmp"] {
        fs::create_dir_all(root.join(folder)).with_context(|| format!("create /{folder}"))?;
    }
    let mut size = 0;
    let linked = [("gotap", GOTAP), ("kernel-tests-guest", "/init")];
    for (name, at) in linked {
        let built = programs.join(name);
        size += copy(&built, &root, Path::new(at))?;
        for library in libraries(&built)? {
            size += copy(&library, &root, &library)?;
        }
    }
    for (app, version, mode) in PROGRAMS {
        let built = go::build(app, version, mode)?;
        size += copy(&built, &root, &program(app, version))?;
    }
    let disk = work.join("disk.img");
    make_ext4(&root, &disk, size + size / 8 + SPACE)?;
    Ok(disk)
}

/// Copies a file to where it belongs on the disk, and gives its size.
fn copy(from: &Path, root: &Path, to: &Path) -> Result<u64> {
    let to = root.join(to.strip_prefix("/").unwrap_or(to));
    let folder = to.parent().context("a file has a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    fs::copy(from, &to).with_context(|| format!("copy {}", from.display()))
}

/// The libraries of a program, and the loader.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("ldd").arg(program).output().context("start ldd")?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "ldd {}: {text}", program.display());
    ensure!(!text.contains("not found"), "a library of {} is missing: {text}", program.display());
    Ok(paths(&text))
}

/// Reads `NAME => PATH (ADDRESS)` and `PATH (ADDRESS)`; the vDSO is no file.
fn paths(text: &str) -> Vec<PathBuf> {
    let path = |line: &str| {
        let file = line.rsplit("=> ").next()?.split_whitespace().next()?;
        file.starts_with('/').then(|| PathBuf::from(file))
    };
    text.lines().filter_map(path).collect()
}

/// Makes a file system of a folder; unlike mounting one, that needs no rights.
fn make_ext4(root: &Path, disk: &Path, size: u64) -> Result<()> {
    let file = File::create(disk).with_context(|| format!("create {}", disk.display()))?;
    file.set_len(size.next_multiple_of(1 << 20)).context("size the disk")?;
    // Debian has it where only root's PATH looks.
    let output = Command::new("/sbin/mke2fs")
        .args(["-q", "-F", "-t", "ext4", "-O", "^has_journal", "-d"])
        .args([root, disk])
        .output()
        .context("start mke2fs")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "mke2fs: {}", said.trim_end());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_read_from_ldd() {
        let text = "\tlinux-vdso.so.1 (0x00007fa4a8514000)\n\
                    \tlibelf.so.1 => /lib/x86_64-linux-gnu/libelf.so.1 (0x00007fa4a84e8000)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007fa4a8516000)\n";
        let expected = ["/lib/x86_64-linux-gnu/libelf.so.1", "/lib64/ld-linux-x86-64.so.2"];
        assert_eq!(paths(text), expected.map(PathBuf::from));
        assert!(paths("\tstatically linked\n").is_empty());
    }
}
