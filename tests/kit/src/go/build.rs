//! One build: which command, under which name in the cache, and under which lock.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{Mode, Version};
use crate::{cache_dir, repo_root, setup};

/// Builds a program with a Go version in a mode and returns the path of the binary.
///
/// `app` is the folder of a main package below `apps/`, such as `httpapp` or `hello/cmd/sdk`. The
/// toolchain is fetched when it is needed for the first time. A result from before is returned at
/// once if no file of the program's module changed since.
pub fn build(app: &str, version: Version, mode: Mode) -> Result<PathBuf> {
    build_arguments(app, app, version, arguments(mode), mode)
}

/// The same with the dependencies that `go.DEPENDENCIES.mod` of its module lists instead of `go.mod`.
pub fn build_with(app: &str, dependencies: &str, version: Version, mode: Mode) -> Result<PathBuf> {
    let mut arguments = arguments(mode);
    let package = repo_root().join("apps").join(app);
    let inside = package.strip_prefix(module_of(&package)?).map_or(0, |path| path.iter().count());
    arguments.flags.push(format!("-modfile={}go.{dependencies}.mod", "../".repeat(inside)));
    build_arguments(app, &format!("{app}-{dependencies}"), version, arguments, mode)
}

/// The same, guided by this profile in the folder of its module (`-pgo`).
pub fn build_guided(app: &str, profile: &str, version: Version) -> Result<PathBuf> {
    let mut arguments = arguments(Mode::Plain);
    let package = repo_root().join("apps").join(app);
    let inside = package.strip_prefix(module_of(&package)?).map_or(0, |path| path.iter().count());
    arguments.flags.push(format!("-pgo={}{profile}", "../".repeat(inside)));
    build_arguments(app, &format!("{app}-guided"), version, arguments, Mode::Plain)
}

fn build_arguments(
    app: &str,
    name: &str,
    version: Version,
    arguments: Arguments,
    mode: Mode,
) -> Result<PathBuf> {
    ensure!(
        super::is_common(version, mode),
        "Go {version}, {mode}: choose a pair that others build with, or add it to those of go.rs"
    );
    let package = repo_root().join("apps").join(app);
    let module = module_of(&package)?;
    let hash = hash(&module, &arguments)?;
    let name = format!("{}-{version}-{mode}-{hash:016x}", name.replace('/', "-"));
    let fixtures = cache_dir()?.join("fixtures");
    let binary = fixtures.join(&name);
    if binary.exists() {
        return Ok(binary);
    }

    fs::create_dir_all(&fixtures).with_context(|| format!("create {}", fixtures.display()))?;
    let lock = fixtures.join(format!("{name}.lock"));
    let lock_file = File::create(&lock).with_context(|| format!("create {}", lock.display()))?;
    lock_file.lock().with_context(|| format!("lock {}", lock.display()))?;
    if !binary.exists() {
        let fresh = fixtures.join(format!("{name}.new"));
        run(&package, version, &arguments, &fresh)
            .with_context(|| format!("build {app} with Go {version}, {mode}"))?;
        fs::rename(&fresh, &binary).with_context(|| format!("create {}", binary.display()))?;
    }
    fs::remove_file(&lock).ok(); // who waits for it holds it open and finds the binary
    Ok(binary)
}

/// The module that a package belongs to.
fn module_of(package: &Path) -> Result<PathBuf> {
    let module = package.ancestors().find(|folder| folder.join("go.mod").exists());
    module.map(Path::to_owned).with_context(|| format!("{} is in no Go module", package.display()))
}

/// What a mode adds to the environment and to the command line.
struct Arguments {
    environment: Vec<(&'static str, &'static str)>,
    flags: Vec<String>,
}

fn arguments(mode: Mode) -> Arguments {
    let (cgo, flags) = match mode {
        Mode::Plain | Mode::Arm64 => ("0", vec![]),
        Mode::Stripped => ("0", vec!["-ldflags=-s -w"]),
        Mode::Pie => ("0", vec!["-buildmode=pie", "-trimpath"]),
        Mode::Cgo => ("1", vec!["-tags=netcgo"]),
        Mode::Race => ("1", vec!["-race"]),
        Mode::Unoptimised => ("0", vec!["-gcflags=all=-N -l"]),
    };
    let mut environment = vec![("CGO_ENABLED", cgo)];
    if mode == Mode::Arm64 {
        environment.push(("GOARCH", "arm64"));
    }
    Arguments { environment, flags: flags.into_iter().map(str::to_owned).collect() }
}

/// Runs `go build`, with no setting of the caller's shell that would change its result.
fn run(package: &Path, version: Version, arguments: &Arguments, binary: &Path) -> Result<()> {
    let cache = cache_dir()?;
    let goroot = setup(&["go", &version.to_string()])?;
    let mut command = Command::new(goroot.join("bin/go"));
    for name in ["GOROOT", "GOOS", "GOARCH", "GOAMD64", "GOEXPERIMENT", "GODEBUG", "GO111MODULE"] {
        command.env_remove(name);
    }
    command
        .envs([("GOTOOLCHAIN", "local"), ("GOWORK", "off"), ("GOFLAGS", "-buildvcs=false")])
        .env("GOMODCACHE", cache.join("go-mod"))
        .env("GOCACHE", cache.join("go-build"))
        .envs(arguments.environment.iter().copied())
        .arg("build")
        .args(&arguments.flags)
        .arg("-o")
        .arg(binary)
        .arg(".")
        .current_dir(package);
    let mut output = command.output().context("start go")?;
    for pause in [5, 20] {
        if output.status.success() || !is_of_network(&output.stderr) {
            break;
        }
        thread::sleep(Duration::from_secs(pause));
        output = command.output().context("start go")?;
    }
    ensure!(
        output.status.success(),
        "go build failed ({}): {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim_end()
    );
    Ok(())
}

/// Whether modules could not be fetched, which may succeed later.
fn is_of_network(said: &[u8]) -> bool {
    let said = String::from_utf8_lossy(said);
    [
        "dial tcp",
        "timeout",
        "reading https://",
        "Get \"https://",
        "unexpected EOF",
        "connection reset",
    ]
    .iter()
    .any(|sign| said.contains(sign))
}

/// A hash of everything that the result depends on besides the toolchain.
fn hash(module: &Path, arguments: &Arguments) -> Result<u64> {
    let mut hash = Fnv::new();
    for (name, value) in &arguments.environment {
        hash.add(name.as_bytes());
        hash.add(value.as_bytes());
    }
    arguments.flags.iter().for_each(|flag| hash.add(flag.as_bytes()));
    for file in files_below(module)? {
        let name = file.strip_prefix(module).unwrap_or(&file);
        hash.add(name.as_os_str().as_encoded_bytes());
        hash.add(&fs::read(&file).with_context(|| format!("read {}", file.display()))?);
    }
    Ok(hash.0)
}

/// All regular files of a folder, sorted; hidden ones are left out.
fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries =
            fs::read_dir(&folder).with_context(|| format!("list {}", folder.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("list {}", folder.display()))?;
            if is_hidden(&entry.file_name()) {
                continue;
            }
            let kind = entry.file_type().with_context(|| format!("list {}", folder.display()))?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    Ok(files)
}

fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

/// FNV-1a, which unlike the standard library's hash is the same with every Rust version.
struct Fnv(u64);

impl Fnv {
    fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    /// Adds a piece and its length, so that pieces cannot run into each other.
    fn add(&mut self, piece: &[u8]) {
        let length = (piece.len() as u64).to_le_bytes();
        for byte in length.iter().chain(piece) {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
