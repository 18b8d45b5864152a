//! The Debian package: it is built, installed below a folder of its own, run as its unit says, and removed without
//! a trace. Not here: systemd itself, which the test `systemd` starts in a machine.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Gotap, SOON, binary, can_trace, skip};
use gotap_testkit::collector::Collector;
use gotap_testkit::process::Running;
use gotap_testkit::repo_root;

/// Runs a command; what it printed.
fn run(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).output();
    let output = output.with_context(|| format!("run {program}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} {}: {said}", arguments.join(" "));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A value of the unit.
fn of_unit<'u>(unit: &'u str, key: &str) -> Result<&'u str> {
    let line = unit.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    line.with_context(|| format!("the unit has no {key}"))
}

/// What setpriv calls the capabilities of the unit, for nobody.
fn as_unit_says(unit: &str) -> Result<Vec<String>> {
    let ambient = of_unit(unit, "AmbientCapabilities")?;
    ensure!(of_unit(unit, "CapabilityBoundingSet")? == ambient, "{unit}");
    let names = ambient
        .split(' ')
        .map(|name| format!(",+{}", name.trim_start_matches("CAP_").to_lowercase()));
    let list: String = names.collect();
    let sets =
        ["inh-caps", "ambient-caps", "bounding-set"].map(|set| format!("--{set}=-all{list}"));
    let nobody =
        ["--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"].map(str::to_owned);
    Ok([&nobody[..], &sets].concat())
}

#[test]
fn the_package_installs_runs_and_leaves_nothing() -> Result<()> {
    const TEST: &str = "the_package_installs_runs_and_leaves_nothing";
    if !can_trace(TEST) {
        return Ok(());
    }
    if Command::new("dpkg-deb").arg("--version").output().is_err() {
        skip(TEST, "there is no dpkg");
        return Ok(());
    }
    let folder = tempfile::tempdir().context("create a folder")?;
    let (packages, root) = (folder.path().join("packages"), folder.path().join("root"));
    fs::create_dir_all(root.join("var/lib/dpkg"))?;
    run("chmod", &["755", &folder.path().to_string_lossy()])?;
    let script = repo_root().join("scripts/package.sh");
    let made = run(
        &script.to_string_lossy(),
        &[&binary().to_string_lossy(), &packages.to_string_lossy()],
    )?;
    depends_on_its_libraries(made.trim())?;
    let (package, below) = (made.trim(), format!("--root={}", root.display()));
    let dpkg = |what: &[&str]| {
        // Its scripts run outside of the folder, which has no shell, and what it depends on is outside, too.
        let forced = [&below, "--force-script-chrootless", "--force-depends"];
        run("dpkg", &[&forced, what].concat())
    };
    dpkg(&["--install", package])?;
    let config = root.join("etc/gotap/gotap.yaml");
    let program = root.join("usr/bin/gotap");
    let unit = fs::read_to_string(root.join("usr/lib/systemd/system/gotap.service"))?;
    ensure!(
        of_unit(&unit, "ExecStart")? == "/usr/bin/gotap run --config /etc/gotap/gotap.yaml",
        "{unit}"
    );
    let share = root.join("usr/share");
    for page in ["gotap.1.gz", "gotap-run.1.gz", "gotap-trace-http.1.gz"] {
        ensure!(share.join("man/man1").join(page).exists(), "there is no {page}");
    }
    let completions =
        share.join("bash-completion/completions/gotap").to_string_lossy().into_owned();
    let loaded = run("bash", &["-c", &format!(". {completions} && complete -p gotap")])?;
    ensure!(loaded.contains("-F _gotap"), "{loaded}");
    verify_unit(&unit, &program, folder.path())?;
    run(&program.to_string_lossy(), &["config", "check", &config.to_string_lossy()])?;
    runs_as_unit_says(&unit, &program, &config)?;
    dpkg(&["--purge", "gotap"])?;
    for path in [&program, &config] {
        ensure!(
            !path.exists() && path.parent().is_none_or(|folder| !folder.join("gotap").exists()),
            "{path:?} is left"
        );
    }
    let left = run("find", &[&root.to_string_lossy(), "-type", "f", "-not", "-path", "*/var/*"])?;
    ensure!(left.is_empty(), "left: {left}");
    Ok(())
}

/// It depends on libelf where the program loads it, and on the C library in any case.
fn depends_on_its_libraries(package: &str) -> Result<()> {
    let depends = run("dpkg-deb", &["--field", package, "Depends"])?;
    let loaded = run("ldd", &[&binary().to_string_lossy()])?;
    for (library, name) in
        [("libelf.so", "libelf1"), ("libz.so", "zlib1g"), ("libc.so", "libc6 (>= 2.")]
    {
        ensure!(loaded.contains(library) == depends.contains(name), "{depends} but {loaded}");
    }
    Ok(())
}

/// systemd understands each line of the unit.
fn verify_unit(unit: &str, program: &Path, folder: &Path) -> Result<()> {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        skip("verify_unit", "there is no systemd-analyze");
        return Ok(());
    }
    let path = folder.join("gotap.service");
    fs::write(&path, unit.replace("/usr/bin/gotap", &program.to_string_lossy()))?;
    let output =
        Command::new("systemd-analyze").arg("verify").arg("--man=no").arg(&path).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let about: Vec<_> = said.lines().filter(|line| line.contains("gotap.service")).collect();
    ensure!(about.is_empty(), "systemd-analyze verify: {about:?}");
    // Of what systemd counts as exposed, from 0 to 100, gotap needs some.
    let arguments = ["security", "--offline=true", "--threshold=30"];
    run("systemd-analyze", &[&arguments[..], &[&*path.to_string_lossy()]].concat()).map(drop)
}

/// With the rights that the unit gives it, gotap reads its settings and traces a program of another user.
fn runs_as_unit_says(unit: &str, program: &Path, config: &Path) -> Result<()> {
    let (app, collector) = (App::start(&App::newest()?)?, Collector::start()?);
    let (program, config) = (program.to_string_lossy(), config.to_string_lossy());
    let (pid, endpoint) = (app.pid().to_string(), collector.grpc_endpoint());
    let flags = as_unit_says(unit)?;
    let mut all: Vec<&str> = flags.iter().map(String::as_str).collect();
    all.extend([
        &*program,
        "run",
        "--config",
        &config,
        "--pid",
        &pid,
        "--otlp-endpoint",
        &endpoint,
    ]);
    all.extend(["--prometheus-listen", "127.0.0.1:0"]);
    let gotap = Gotap::of(Running::start(Path::new("/usr/bin/setpriv"), &all, &[])?);
    gotap.wait_ready()?;
    app.get("/hello", &[])?;
    collector.wait_for(1, SOON)?;
    let ended = gotap.stop()?;
    ensure!(ended.status.success() && ended.summary.delivered == Some(1), "{:?}", ended.summary);
    Ok(())
}
