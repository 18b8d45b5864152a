//! Targets that end in the middle, become another program, or whose file is another one by now.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Gotap, Numbered, SOON, Span, can_trace, eventually, sites_in};
use gotap_testkit::go::{Mode, Version};
use gotap_testkit::http;
use tempfile::TempDir;

/// A file of its own in a folder of its own, and the glob that selects it.
struct Place {
    _folder: TempDir,
    program: PathBuf,
    glob: String,
}

impl Place {
    fn new() -> Result<Self> {
        let folder = TempDir::with_prefix("gotap-e2e-").context("create a folder")?;
        let glob = format!("{}/*", folder.path().display());
        Ok(Self { program: folder.path().join("service"), glob, _folder: folder })
    }

    /// Puts a build there as package managers do: a new file that takes the name of the old one.
    fn install(&self, build: &Path) -> Result<()> {
        let fresh = self.program.with_extension("new");
        fs::copy(build, &fresh).context("copy a build")?;
        fs::rename(&fresh, &self.program).context("rename over")
    }
}

fn attached(gotap: &Gotap, pid: u32, n: usize) -> Result<()> {
    let text = format!("attached to httpapp[{pid}]");
    let count = || gotap.process.stderr().iter().filter(|line| line.contains(&text)).count();
    ensure!(eventually(SOON, || count() >= n), "{} of {n}: {:#?}", count(), gotap.process.stderr());
    Ok(())
}

fn versions(spans: &[Span]) -> Vec<&str> {
    spans.iter().filter_map(|s| s.resource["process.runtime.version"].as_str()).collect()
}

/// The query of /exec that makes httpapp run this.
fn exec_path(arguments: &[&str]) -> String {
    let arguments: Vec<String> = arguments.iter().map(|a| format!("arg={a}")).collect();
    format!("/exec?{}", arguments.join("&"))
}

#[test]
fn a_target_killed_in_the_middle_of_requests_is_observed_again() -> Result<()> {
    if !can_trace("a_target_killed_in_the_middle_of_requests_is_observed_again") {
        return Ok(());
    }
    let place = Place::new()?;
    place.install(&App::newest()?)?;
    let gotap = Gotap::trace(&["--executable", &place.glob])?;
    for round in 0..3 {
        let mut app = App::start(&place.program)?;
        attached(&gotap, app.pid(), 1)?;
        app.get(&format!("/users/{round}"), &[])?;
        gotap.wait_for_lines(round + 1)?;
        let mut open = Vec::new();
        for _ in 0..20 {
            let mut connection = app.connect()?;
            connection.send_raw(&connection.head("GET", "/slow?ms=60000", &[]))?;
            open.push(connection);
        }
        std::thread::sleep(Duration::from_millis(100));
        app.process.signal(libc::SIGKILL)?;
        app.process.wait(SOON)?;
        gotap.process.wait_for_error(&format!("[{}] ended", app.pid()), SOON)?;
    }
    let spans = gotap.finish(3)?;
    let targets: Vec<_> = spans.iter().map(Span::target).collect();
    ensure!(targets == ["/users/0", "/users/1", "/users/2"], "{targets:?}");
    Ok(())
}

#[test]
fn a_process_that_becomes_another_go_program_is_observed_as_that() -> Result<()> {
    if !can_trace("a_process_that_becomes_another_go_program_is_observed_as_that") {
        return Ok(());
    }
    for (minor, mode) in [(22, Mode::Plain), (24, Mode::Pie)] {
        let before = Version::of(minor);
        let (old, new) = (App::build(before, mode)?, App::build(Version::NEWEST, mode)?);
        let app = App::start(&old)?;
        let gotap = Gotap::trace_pid(app.pid())?;
        app.get("/users/old", &[])?;
        gotap.wait_for_lines(1)?;
        // To another version, and then to the same file again.
        for (n, text) in [(2, "/users/new"), (3, "/users/same")] {
            let path = new.to_string_lossy();
            app.get(&exec_path(&[&path, "-addr", &app.address]), &[])?;
            attached(&gotap, app.pid(), n)?;
            ensure!(eventually(SOON, || app.get(text, &[]).is_ok()), "it does not answer");
            gotap.wait_for_lines(2 * n - 1)?;
        }
        let spans = gotap.finish(5)?;
        let targets: Vec<_> = spans.iter().map(Span::target).collect();
        let expected = ["/users/old", "/exec", "/users/new", "/exec", "/users/same"];
        ensure!(targets == expected, "{mode}: {targets:?}");
        let (old, new) = (format!("go{before}"), format!("go{}", Version::NEWEST));
        ensure!(versions(&spans) == [&old, &old, &new, &new, &new], "{:?}", versions(&spans));
    }
    Ok(())
}

#[test]
fn a_process_that_becomes_no_go_program_is_let_go() -> Result<()> {
    if !can_trace("a_process_that_becomes_no_go_program_is_let_go") {
        return Ok(());
    }
    let place = Place::new()?;
    place.install(&App::newest()?)?;
    let app = App::start(&place.program)?;
    let bystander = App::start(&place.program)?;
    let gotap = Gotap::trace(&["--executable", &place.glob])?;
    let alone = Gotap::trace_pid(app.pid())?;
    app.get(&exec_path(&["/bin/sleep", "60"]), &[])?;
    gotap.process.wait_for_error(&format!("[{}] replaced", app.pid()), SOON)?;
    let ended = alone.wait()?;
    ensure!(ended.status.success() && ended.summary.spans == 1, "{ended:?}");
    let name = fs::read_to_string(format!("/proc/{}/comm", app.pid())).context("read its name")?;
    ensure!(name.trim() == "sleep", "it is harmed: {name}");
    bystander.get("/users/other", &[])?;
    let spans = gotap.finish(2)?;
    ensure!(spans[1].target() == "/users/other", "{spans:#?}");
    Ok(())
}

#[test]
fn an_upgraded_program_gets_a_plan_of_its_own() -> Result<()> {
    if !can_trace("an_upgraded_program_gets_a_plan_of_its_own") {
        return Ok(());
    }
    let builds = [22, 24, 27].map(|minor| App::build(Version::of(minor), Mode::Plain));
    let place = Place::new()?;
    let gotap = Gotap::trace(&["--executable", &place.glob])?;
    let mut running = Vec::new();
    for (i, build) in builds.into_iter().enumerate() {
        place.install(&build?)?;
        // Those of before go on with files that have no name any more.
        let app = App::start(&place.program)?;
        attached(&gotap, app.pid(), 1)?;
        running.push(app);
        for app in &running {
            app.get(&format!("/users/{i}"), &[])?;
        }
    }
    let spans = gotap.finish(6)?;
    let go = |minor| format!("go{}", Version::of(minor));
    let expected = [22, 22, 24, 22, 24, 27].map(go);
    ensure!(versions(&spans) == expected, "{:?}", versions(&spans));
    let path = place.program.to_string_lossy();
    let right = |span: &Span| span.resource["process.executable.path"] == *path;
    ensure!(spans.iter().all(right), "{spans:#?}");
    Ok(())
}

#[test]
fn a_file_that_is_written_over_is_read_again() -> Result<()> {
    if !can_trace("a_file_that_is_written_over_is_read_again") {
        return Ok(());
    }
    let place = Place::new()?;
    let gotap = Gotap::trace(&["--executable", &place.glob])?;
    let builds = [
        fs::read(App::build(Version::of(22), Mode::Plain)?).context("read a build")?,
        fs::read(App::build(Version::of(26), Mode::Plain)?).context("read a build")?,
    ];
    let size = builds.iter().map(Vec::len).max().unwrap_or(0);
    fs::copy(App::newest()?, &place.program).context("create an executable")?;
    for (i, mut build) in builds.into_iter().enumerate() {
        // The same inode, size and time of modification: only the kernel knows that it changed.
        build.resize(size, 0);
        fs::write(&place.program, &build).context("write over it")?;
        let file = fs::File::options().write(true).open(&place.program).context("open it")?;
        file.set_modified(SystemTime::UNIX_EPOCH).context("set its time")?;
        drop(file);
        let mut app = App::start(&place.program)?;
        attached(&gotap, app.pid(), 1)?;
        let busy = fs::write(&place.program, b"").err().map(|e| e.raw_os_error());
        ensure!(busy == Some(Some(libc::ETXTBSY)), "a running file could be changed: {busy:?}");
        app.get(&format!("/users/{i}"), &[])?;
        gotap.wait_for_lines(i + 1)?;
        app.process.stop()?;
    }
    let spans = gotap.finish(2)?;
    let expected = [22, 26].map(|minor| format!("go{}", Version::of(minor)));
    ensure!(versions(&spans) == expected, "{:?}", versions(&spans));
    Ok(())
}

#[test]
fn a_program_whose_file_is_gone_is_observed() -> Result<()> {
    if !can_trace("a_program_whose_file_is_gone_is_observed") {
        return Ok(());
    }
    for mode in [Mode::Plain, Mode::Pie] {
        let place = Place::new()?;
        place.install(&App::build(Version::NEWEST, mode)?)?;
        let app = App::start(&place.program)?;
        fs::remove_file(&place.program).context("remove the executable")?;
        for options in [&[][..], &["--no-uprobe-multi"]] {
            let pid = app.pid().to_string();
            let gotap = Gotap::trace(&[&["--pid", &pid], options].concat())?;
            app.get("/users/1", &[])?;
            let spans = gotap.finish(1).with_context(|| format!("{mode}, {options:?}"))?;
            let path = spans[0].resource["process.executable.path"].as_str();
            ensure!(path == place.program.to_str(), "{path:?}");
        }
        if mode == Mode::Plain {
            let gone = eventually(SOON, || matches!(sites_in(app.pid()), Ok(0)));
            ensure!(gone, "probes left in the code");
        }
    }
    Ok(())
}

#[test]
fn a_process_id_that_is_used_again_inherits_nothing() -> Result<()> {
    if !can_trace("a_process_id_that_is_used_again_inherits_nothing") {
        return Ok(());
    }
    let place = Place::new()?;
    place.install(&App::newest()?)?;
    let mut first = App::start(&place.program)?;
    let (pid, address) = (first.pid(), first.address.clone());
    let gotap = Gotap::trace(&["--executable", &place.glob])?;
    first.get("/users/first", &[])?;
    let mut open = first.connect()?;
    open.send_raw(&open.head("GET", "/slow?ms=60000", &[]))?;
    std::thread::sleep(Duration::from_millis(100));
    first.process.signal(libc::SIGKILL)?;
    first.process.wait(SOON)?;
    // At once, so that news of both wait for gotap.
    let second = Numbered::start(pid, &place.program, &["-addr", &address])?;
    attached(&gotap, pid, 2)?;
    ensure!(eventually(SOON, || http::get(&address, "/users/second", &[]).is_ok()), "no answer");
    let spans = gotap.finish(2)?;
    ensure!(second.pid() == pid, "another pid");
    let targets: Vec<_> = spans.iter().map(Span::target).collect();
    ensure!(targets == ["/users/first", "/users/second"], "{targets:?}");
    Ok(())
}
