//! The command line: exit codes, sentences, and output for other programs. Not here: what `gotap ps` lists.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, NOBODY, SOON, Unprivileged, binary, can_trace, eventually};
use gotap_testkit::go::Version;
use gotap_testkit::process::Running;
use gotap_testkit::{cache_dir, setup};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) fn gotap(arguments: &[&str]) -> Result<Output> {
    gotap_with(arguments, &[])
}

fn gotap_with(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Output> {
    let mut command = Command::new(binary());
    command.args(arguments).envs(environment.iter().copied());
    command.stdin(Stdio::null()).output().context("run gotap")
}

/// Checks the exit code; gives standard output and standard error.
pub(crate) fn expect(output: &Output, code: i32) -> Result<(String, String)> {
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(
        output.status.code() == Some(code),
        "{} instead of {code}\n{stdout}\n{stderr}",
        output.status
    );
    Ok((stdout, stderr))
}

/// Checks that one sentence is said that holds all of these words.
fn one_sentence(stderr: &str, words: &[&str]) -> Result<()> {
    let said: Vec<_> = stderr.lines().collect();
    ensure!(said.len() == 1 && said[0].starts_with("gotap: "), "{stderr}");
    let missing = words.iter().find(|word| !stderr.contains(**word));
    ensure!(missing.is_none(), "no {missing:?} in {stderr}");
    Ok(())
}

#[test]
fn a_process_that_is_not_there_is_named() -> Result<()> {
    if !can_trace("a_process_that_is_not_there_is_named") {
        return Ok(());
    }
    // Above the largest number that Linux gives to a process.
    for arguments in [&["trace", "http", "--pid", "4194305"][..], &["ps", "--pid", "4194305"]] {
        let (_, stderr) = expect(&gotap(arguments)?, 1)?;
        one_sentence(&stderr, &["no process 4194305"])?;
    }
    Ok(())
}

#[test]
fn a_program_that_is_not_go_is_named() -> Result<()> {
    if !can_trace("a_program_that_is_not_go_is_named") {
        return Ok(());
    }
    let sleep = Running::start(Path::new("/bin/sleep"), &["600"], &[])?;
    let pid = sleep.pid().to_string();
    for verb in [&["trace", "http", "--pid", &pid][..], &["ps", "--pid", &pid]] {
        let (stdout, stderr) = expect(&gotap(verb)?, 1)?;
        ensure!(stdout.is_empty(), "{stdout}");
        one_sentence(&stderr, &[&pid, "sleep", "Go"])?;
    }
    Ok(())
}

/// A program of another language that has loaded a library in Go: gotap sees no Go program, and says why.
#[test]
fn a_library_in_go_is_named() -> Result<()> {
    if !can_trace("a_library_in_go_is_named") {
        return Ok(());
    }
    let folder = TempDir::new()?;
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text);
    write("go.mod", "module inside\n\ngo 1.18\n")?;
    write(
        "lib.go",
        "package main\n\nimport \"C\"\n\n//export Inside\nfunc Inside() {}\n\nfunc main() {}\n",
    )?;
    let go = setup(&["go", &Version::NEWEST.to_string()])?.join("bin/go");
    let run = |command: &mut Command| -> Result<()> {
        let output = command.current_dir(folder.path()).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    };
    run(Command::new(go)
        .args(["build", "-buildmode=c-shared", "-o", "libinside.so", "."])
        .envs([("CGO_ENABLED", "1"), ("GOTOOLCHAIN", "local"), ("GOFLAGS", "-buildvcs=false")])
        .env("GOCACHE", cache_dir()?.join("go-build")))?;
    // Behind the build, as Go would compile it, too.
    write(
        "main.c",
        "#include <unistd.h>\nvoid Inside(void);\nint main(void) { Inside(); sleep(600); }\n",
    )?;
    run(Command::new("gcc").args([
        "main.c",
        "-L.",
        "-linside",
        "-Wl,-rpath,$ORIGIN",
        "-o",
        "outside",
    ]))?;
    let process = Running::start(&folder.path().join("outside"), &[] as &[&str], &[])?;
    let pid = process.pid().to_string();
    let is_loaded = || {
        let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
        maps.contains("libinside.so")
    };
    ensure!(eventually(SOON, is_loaded), "the library is not loaded");
    for verb in [
        &["trace", "http", "--pid", &pid][..],
        &["ps", "--pid", &pid],
        &["goroutines", &pid],
        &["chan", &pid],
        &["gc", &pid],
        &["gc", &pid, "-d", "1s"],
        &["sched", &pid],
        &["alloc", &pid],
        &["alloc", &pid, "-d", "1s", "--exact"],
        &["flight", &pid, "-o", "/dev/null"],
        &["trace", "goroutines", "--pid", &pid],
    ] {
        let (stdout, stderr) = expect(&gotap(verb)?, 1)?;
        ensure!(stdout.is_empty(), "{stdout}");
        one_sentence(&stderr, &[&pid, "outside", "libinside.so"])?;
    }
    Ok(())
}

#[test]
fn without_rights_the_exit_code_is_77() -> Result<()> {
    const TEST: &str = "without_rights_the_exit_code_is_77";
    if !can_trace(TEST) {
        return Ok(());
    }
    let Some(gotap) = Unprivileged::new(TEST)? else { return Ok(()) };
    let app = App::start(&App::newest()?)?;
    let pid = app.pid().to_string();
    let verbs: [&[&str]; 8] = [
        &["flows", "--interface", "lo"],
        &["trace", "http"],
        &["trace", "exec"],
        &["trace", "tcp"],
        &["trace", "http", "--pid", &pid],
        &["run"],
        &["ps", "--pid", &pid],
        &["doctor"],
    ];
    for verb in verbs {
        let output = gotap.run(&NOBODY, verb)?;
        let (_, stderr) = expect(&output, 77).with_context(|| format!("{verb:?}"))?;
        ensure!(stderr.contains("root"), "{verb:?} does not say what to do: {stderr}");
    }
    Ok(())
}

#[test]
fn wrong_usage_is_code_2() -> Result<()> {
    for arguments in [
        &["--no-such-flag"][..],
        &["trace", "http", "--no-such-flag"],
        &["trace", "http", "--pid", "many"],
        &["trace", "grpc-over-carrier-pigeon"],
        &["trace", "http", "--name", "[broken"],
        &["run", "--otlp-protocol", "soap"],
        &["run", "--otlp-endpoint", "ftp://somewhere"],
        &["run", "--otlp-header", "nonsense"],
        &["config", "check", "/no/such/file.yaml"],
    ] {
        let (stdout, stderr) =
            expect(&gotap(arguments)?, 2).with_context(|| format!("{arguments:?}"))?;
        ensure!(stdout.is_empty() && !stderr.is_empty(), "{arguments:?}: {stdout} {stderr}");
    }
    let (_, stderr) =
        expect(&gotap_with(&["config", "print"], &[("GOTAP_OTLP_TIMEOUT", "soon")])?, 2)?;
    ensure!(stderr.contains("soon"), "{stderr}");
    let environment = [("OTEL_EXPORTER_OTLP_PROTOCOL", "soap")];
    let (_, stderr) = expect(&gotap_with(&["run"], &environment)?, 2)?;
    one_sentence(&stderr, &["OTEL_EXPORTER_OTLP_PROTOCOL", "soap"])
}

#[test]
fn help_and_version_are_no_errors() -> Result<()> {
    for arguments in
        [&["--help"][..], &["run", "--help"], &["trace", "http", "--help"], &["--version"]]
    {
        let (stdout, stderr) = expect(&gotap(arguments)?, 0)?;
        ensure!(stdout.contains("gotap") && stderr.is_empty(), "{arguments:?}: {stdout} {stderr}");
    }
    Ok(())
}

#[test]
fn a_bad_configuration_is_shown_with_its_line() -> Result<()> {
    let folder = TempDir::new().context("create a folder")?;
    let file = folder.path().join("gotap.yaml");
    let path = file.to_string_lossy().into_owned();
    for (text, word) in [
        ("otlp:\n  protocol: soap\n", "soap"),
        ("select:\n  pidz: [1]\n", "pidz"),
        ("select:\n  ports: [99999]\n", "99999"),
        ("otlp: {}\nprobes: [\n", "line"),
    ] {
        fs::write(&file, text)?;
        for arguments in [&["config", "check", &path][..], &["run", "--config", &path]] {
            let (_, stderr) = expect(&gotap(arguments)?, 2).with_context(|| text.to_owned())?;
            ensure!(stderr.contains(&path) && stderr.contains(word), "{stderr}");
            let line = ["line 2", "line 3", ":2:", ":3:"].iter().any(|line| stderr.contains(line));
            ensure!(line, "no line in: {stderr}");
        }
    }
    for (text, word) in [("select: {names: ['[x']}\n", "[x"), ("otlp: {timeout: soon}\n", "soon")] {
        fs::write(&file, text)?;
        let (_, stderr) = expect(&gotap(&["config", "check", &path])?, 2)?;
        one_sentence(&stderr, &[word])?;
    }
    Ok(())
}

#[test]
fn the_configuration_is_made_of_layers() -> Result<()> {
    let folder = TempDir::new().context("create a folder")?;
    let file = folder.path().join("gotap.yaml");
    let path = file.to_string_lossy().into_owned();
    let text = "service_name: from-file\notlp:\n  endpoint: http://from-file\n  timeout: 3s\n  \
                headers: {authorization: top-secret}\n";
    fs::write(&file, text)?;
    expect(&gotap(&["config", "check", &path])?, 0)?;
    let environment = [
        ("GOTAP_CONFIG", path.as_str()),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://from-variable"),
        ("GOTAP_SERVICE_NAME", "from-variable"),
    ];
    let arguments = ["config", "print", "--service-name", "from-flag"];
    let (printed, _) = expect(&gotap_with(&arguments, &environment)?, 0)?;
    for word in ["service_name: from-flag", "endpoint: http://from-variable", "timeout: 3s"] {
        ensure!(printed.contains(word), "no {word:?} in {printed}");
    }
    ensure!(!printed.contains("secret") && printed.contains("authorization"), "{printed}");
    // What is printed is a configuration again.
    fs::write(&file, printed)?;
    expect(&gotap(&["config", "check", &path])?, 0).map(drop)
}

#[test]
fn the_schema_describes_every_setting() -> Result<()> {
    let (schema, _) = expect(&gotap(&["config", "schema"])?, 0)?;
    let schema: Value = serde_json::from_str(&schema)?;
    for setting in ["service_name", "select", "otlp", "probes"] {
        let description = &schema["properties"][setting]["description"];
        ensure!(description.is_string(), "{setting}: {schema:#}");
    }
    ensure!(schema["$defs"]["Otlp"]["properties"]["endpoint"].is_object(), "{schema:#}");
    Ok(())
}

#[test]
fn doctor_finds_nothing_wrong() -> Result<()> {
    if !can_trace("doctor_finds_nothing_wrong") {
        return Ok(());
    }
    let (stdout, _) = expect(&gotap(&["doctor", "--format", "json"])?, 0)?;
    let mut names = Vec::new();
    for line in stdout.lines() {
        let check: Value = serde_json::from_str(line)?;
        ensure!(check["verdict"] == "ok" || check["verdict"] == "note", "{check}");
        ensure!(check["finding"].as_str().is_some_and(|text| !text.is_empty()), "{check}");
        names.push(check["check"].as_str().unwrap_or_default().to_owned());
    }
    for name in ["kernel", "btf", "privileges", "pid_namespace", "programs"] {
        ensure!(names.iter().any(|n| n == name), "no {name} in {names:?}");
    }
    let (text, _) = expect(&gotap(&["doctor"])?, 0)?;
    ensure!(text.lines().count() == names.len(), "{text}");
    Ok(())
}

/// Runs gotap with an output that nobody reads.
fn unread(arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new(binary());
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context("start gotap")?;
    drop(child.stdout.take());
    child.wait_with_output().context("wait for gotap")
}

#[test]
fn an_output_that_nobody_reads_is_no_error() -> Result<()> {
    let quiet = |arguments: &[&str]| -> Result<()> {
        let (_, stderr) =
            expect(&unread(arguments)?, 0).with_context(|| format!("{arguments:?}"))?;
        ensure!(stderr.is_empty(), "{arguments:?}: {stderr}");
        Ok(())
    };
    for arguments in [&["config", "schema"][..], &["config", "print"], &["--help"]] {
        quiet(arguments)?;
    }
    if !can_trace("an_output_that_nobody_reads_is_no_error") {
        return Ok(());
    }
    let _app = App::start(&App::newest()?)?; // so that there is something to print
    for arguments in [&["ps"][..], &["ps", "--format", "json"], &["doctor"]] {
        quiet(arguments)?;
    }
    Ok(())
}

#[test]
fn a_trace_goes_on_where_its_notes_can_not_be_written() -> Result<()> {
    if !can_trace("a_trace_goes_on_where_its_notes_can_not_be_written") {
        return Ok(());
    }
    let app = App::start(&App::newest()?)?;
    let script = "exec \"$0\" trace http --pid \"$1\" 2> /dev/full";
    let pid = app.pid().to_string();
    let program = binary().to_string_lossy().into_owned();
    let mut gotap = Running::start(Path::new("/bin/sh"), &["-c", script, &program, &pid], &[])?;
    let seen = || app.get("/hello", &[]).is_ok() && !gotap.stdout().is_empty();
    ensure!(eventually(SOON, seen), "no span");
    gotap.signal(libc::SIGINT)?;
    let status = gotap.wait(SOON)?;
    ensure!(status.success(), "{status}");
    Ok(())
}

#[test]
fn a_trace_that_nobody_reads_ends() -> Result<()> {
    if !can_trace("a_trace_that_nobody_reads_ends") {
        return Ok(());
    }
    let app = App::start(&App::newest()?)?;
    // The reader takes one line and goes, as head does.
    let script = "\"$0\" trace http --pid \"$1\" | head -n 1 >&2; echo ended >&2";
    let pid = app.pid().to_string();
    let program = binary().to_string_lossy().into_owned();
    let shell = Running::start(Path::new("/bin/sh"), &["-c", script, &program, &pid], &[])?;
    shell.wait_for_error("gotap: ready", SOON)?;
    app.get("/hello", &[])?;
    shell.wait_for_error("/hello", SOON)?;
    // The next ones find nobody.
    for _ in 0..5 {
        app.get("/hello", &[])?;
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    shell.wait_for_error("ended", SOON)?;
    let said = shell.stderr().join("\n");
    ensure!(!said.contains("panic") && !said.to_lowercase().contains("broken pipe"), "{said}");
    Ok(())
}
