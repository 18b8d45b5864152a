//! The disk of the machines: gotap, the guest's program, the Go programs, two database servers, and
//! the libraries that they are linked with. Nothing else is needed, so there is nothing else: no shell,
//! no libc's files.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use gotap_kernel_tests::{DATABASE, GOTAP, POSTGRES, PROGRAMS, REDIS, program};
use gotap_testkit::postgres::Database;
use gotap_testkit::{go, setup};

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
        size += copy_linked(&programs.join(name), &root, Path::new(at))?;
    }
    size += copy_linked(&setup(&["redis"])?, &root, Path::new(REDIS))?;
    size += copy_postgres(&root).context("copy PostgreSQL")?;
    for (app, version, mode) in PROGRAMS {
        let built = go::build(app, version, mode)?;
        size += copy(&built, &root, &program(app, version))?;
    }
    let disk = work.join("disk.img");
    make_ext4(&root, &disk, size + size / 8 + SPACE)?;
    Ok(disk)
}

/// Copies PostgreSQL, what it reads when it starts, and a database.
fn copy_postgres(root: &Path) -> Result<u64> {
    let database = Database::create()?;
    let server = database.programs().join("postgres");
    let asked = |what| told(Command::new(database.programs().join("pg_config")).arg(what));
    let zones = Path::new(asked("--sharedir")?.trim_end()).join("timezonesets");
    // It wants to see this one, and no module in it.
    let modules = on_disk(root, Path::new(asked("--pkglibdir")?.trim_end()));
    fs::create_dir_all(&modules).with_context(|| format!("create {}", modules.display()))?;
    let size = copy_linked(&server, root, &server)?;
    symlink(&server, on_disk(root, Path::new(POSTGRES))).context("link PostgreSQL")?;
    Ok(size
        + copy_folder(&zones, root, &zones)?
        + copy_folder(&database.data(), root, Path::new(DATABASE))?)
}

/// Copies a program and the libraries that it is linked with.
fn copy_linked(from: &Path, root: &Path, to: &Path) -> Result<u64> {
    let mut size = copy(from, root, to)?;
    for library in libraries(from)? {
        size += copy(&library, root, &library)?;
    }
    Ok(size)
}

/// Copies a folder with all that is in it, whose owners stay the same.
fn copy_folder(from: &Path, root: &Path, to: &Path) -> Result<u64> {
    let to = on_disk(root, to);
    fs::create_dir_all(to.parent().context("a folder is in one")?)?;
    told(Command::new("cp").arg("-a").args([from, &to]))?;
    let size = told(Command::new("du").args(["-s", "--block-size=1"]).arg(&to))?;
    let size = size.split_whitespace().next().context("du says nothing")?;
    size.parse().context("du says no size")
}

/// Runs a command to its end and gives what it printed.
fn told(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("start {name}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{name}: {}", said.trim_end());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn on_disk(root: &Path, to: &Path) -> PathBuf {
    root.join(to.strip_prefix("/").unwrap_or(to))
}

/// Copies a file to where it belongs on the disk, and gives its size.
fn copy(from: &Path, root: &Path, to: &Path) -> Result<u64> {
    let to = on_disk(root, to);
    let folder = to.parent().context("a file has a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    fs::copy(from, &to).with_context(|| format!("copy {}", from.display()))
}

/// The libraries of a program, and the loader.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let text = told(Command::new("ldd").arg(program))?;
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
    let mut mke2fs = Command::new("/sbin/mke2fs");
    mke2fs.args(["-q", "-F", "-t", "ext4", "-O", "^has_journal", "-d"]).args([root, disk]);
    told(&mut mke2fs).map(drop)
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
