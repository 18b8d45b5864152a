//! The command under test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};
use gotap_testkit::repo_root;

/// The gotap command: `$GOTAP_BINARY`, or what `cargo build` makes of this repository, with the
/// profile and the target folder of the running tests. It is built once per test process.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| find().expect("gotap is built"))
}

fn find() -> Result<PathBuf> {
    if let Some(given) = std::env::var_os("GOTAP_BINARY") {
        return Ok(given.into());
    }
    // TARGET/PROFILE/deps/suite-HASH
    let test = std::env::current_exe().context("find the running test")?;
    let profile_folder = test.ancestors().nth(2).context("the test is in a target folder")?;
    let target = profile_folder.parent().context("the profile is in a target folder")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--package", "gotap", "--target-dir"]).arg(target);
    if profile_folder.ends_with("release") {
        command.arg("--release");
    }
    let status = command.current_dir(repo_root()).status().context("start cargo")?;
    ensure!(status.success(), "cargo build of gotap: {status}");
    Ok(profile_folder.join("gotap"))
}
