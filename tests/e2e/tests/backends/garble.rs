//! Programs that garble obfuscated: gotap can't read them, and says so. Not here: copies of programs that were altered
//! in one place (the suite's `obfuscated` and `unreadable`).

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use gotap_e2e::goroutines::RuntimeApp;
use gotap_e2e::{binary, can_trace};
use gotap_testkit::go::Version;
use gotap_testkit::{cache_dir, repo_root, setup};
use tempfile::TempDir;

/// Commands that are asked for one process, whose id follows the first words.
const COMMANDS: [(&[&str], &[&str]); 9] = [
    (&["goroutines"], &[]),
    (&["gc"], &[]),
    (&["sched"], &["-d", "1s"]),
    (&["chan"], &[]),
    (&["alloc"], &[]),
    (&["xray"], &["-d", "1s"]),
    (&["trace", "http", "--pid"], &[]),
    (&["trace", "goroutines", "--pid"], &[]),
    (&["ps", "--pid"], &[]),
];

#[test]
fn what_garble_built_is_refused_with_a_sentence() -> Result<()> {
    if !can_trace("what_garble_built_is_refused_with_a_sentence") {
        return Ok(());
    }
    let folder = TempDir::with_prefix("gotap-e2e-").context("create a folder")?;
    for flags in [&[][..], &["-tiny", "-literals"]] {
        let program = garbled(folder.path(), flags)?;
        let app = RuntimeApp::start(&program, &["-quiet"], &[])?;
        let pid = app.process.pid().to_string();
        for (command, options) in COMMANDS {
            let output = gotap(&[command, &[&pid], options].concat())?;
            let said = String::from_utf8_lossy(&output.stderr);
            let sentence = said.contains(&pid) && said.contains("was it obfuscated, as by garble?");
            ensure!(
                output.status.code() == Some(1) && sentence && said.lines().count() == 1,
                "{command:?}: {}\n{said}",
                output.status
            );
        }
        let listed = gotap(&["ps"])?.stdout;
        let listed = String::from_utf8_lossy(&listed).into_owned();
        let row = listed.lines().find(|row| row.starts_with(&pid)).context(listed.clone())?;
        ensure!(row.contains("was it obfuscated"), "{row}");
    }
    Ok(())
}

fn gotap(arguments: &[&str]) -> Result<std::process::Output> {
    Command::new(binary()).args(arguments).output().with_context(|| format!("{arguments:?}"))
}

/// Builds a program with garble and the newest Go.
fn garbled(folder: &Path, flags: &[&str]) -> Result<PathBuf> {
    let version = Version::NEWEST.to_string();
    let (goroot, garble) = (setup(&["go", &version])?, setup(&["garble", &version])?);
    let path = std::env::var("PATH").context("PATH")?;
    let (program, cache) = (folder.join("garbled"), cache_dir()?);
    let status = Command::new(garble)
        .args(flags)
        .args(["build", "-o"])
        .arg(&program)
        .arg(".")
        .current_dir(repo_root().join("apps/runtimeapp"))
        .env_remove("GOROOT")
        .env("PATH", format!("{}:{path}", goroot.join("bin").display()))
        .env("GOTOOLCHAIN", "local")
        .env("GOMODCACHE", cache.join("go-mod"))
        .env("GOCACHE", cache.join("go-build"))
        .env("GARBLE_CACHE", cache.join("garble"))
        .status()
        .context("start garble")?;
    ensure!(status.success(), "garble {flags:?}: {status}");
    Ok(program)
}
