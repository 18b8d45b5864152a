//! `gotap profile cpu` against what Go's own profiler says of the same program at the same time, and what
//! Go's tools make of the files.

use std::fs;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use gotap_e2e::can_trace;
use gotap_e2e::profiles::{ProfileApp, Top, go_tool};
use gotap_testkit::go::{Mode, Version};
use gotap_testkit::repo_root;
use serde_json::Value;

/// A program, what it does, and functions whose shares are compared.
type Case = (u32, Mode, &'static str, &'static [&'static str]);

const WORK: &[&str] = &[
    "main.workAll",
    "main.hot",
    "main.callsInlined",
    "main.spin",
    "main.large",
    "main.mixAll",
    "main.allocate",
    "runtime.makeslice",
    "main.readClock",
    "main.callKernel",
    "runtime.systemstack",
];
const GROW: &[&str] =
    &["main.needsRoom", "runtime.newstack", "runtime.copystack", "main.growAll.func1"];
const CALLC: &[&str] = &["main.callsC", "runtime.cgocall"];

const CASES: [Case; 6] = [
    (18, Mode::Plain, "-work", WORK),
    (20, Mode::Pie, "-grow", GROW),
    (21, Mode::Cgo, "-callc", CALLC),
    (23, Mode::Stripped, "-work", WORK),
    (27, Mode::Stripped, "-work", WORK),
    (27, Mode::Cgo, "-callc", CALLC),
];

/// Each function's share is what Go's own profiler says, as far as so many samples tell.
#[test]
fn functions_have_the_shares_that_gos_profiler_sees() {
    if !can_trace("functions_have_the_shares_that_gos_profiler_sees") {
        return;
    }
    let mut failures = Vec::new();
    for pair in CASES.chunks(2) {
        let check =
            |case: &Case| compare(case).err().map(|e| format!("Go 1.{} {}: {e:#}", case.0, case.1));
        std::thread::scope(|scope| {
            let running: Vec<_> =
                pair.iter().map(|case| scope.spawn(move || check(case))).collect();
            failures.extend(running.into_iter().filter_map(|thread| thread.join().unwrap()));
        });
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn compare((minor, mode, work, functions): &Case) -> Result<()> {
    let mut app = ProfileApp::start(Version::of(*minor), *mode, &[work], "3s")?;
    let file = app.file("gotap.pb.gz");
    let path = file.to_str().context("a path")?;
    let gotap = app.spawn("cpu", &["-d", "3200ms", "-F", "499", "-o", path])?;
    std::thread::sleep(Duration::from_millis(150));
    let own = Top::of(&app.profile_itself()?, None)?;
    let said = gotap.wait_with_output()?;
    ensure!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let ours = Top::of(&file, None)?;
    ensure!(ours.heading.contains("Type: cpu"), "{}", ours.heading);
    // At 500 a second; a busy machine leaves the program less than it asks for.
    let samples = 500.0 * own.seconds()?.min(ours.seconds()?);
    ensure!(samples >= 150.0, "{samples} samples\n{}", ours.heading);
    for name in *functions {
        let (go, gotap) = (own.cumulative(name), ours.cumulative(name));
        let expected = 100.0 * (2.0 * (go / 100.0) * (1.0 - go / 100.0) / samples).max(0.0).sqrt();
        // On a busy machine the two clocks see the collector's threads differently.
        let least = if name.starts_with("runtime.") { 10.0 } else { 5.0 };
        ensure!(
            (go - gotap).abs() < (4.0 * expected).max(least),
            "{name}: {gotap}% instead of {go}%\n{}\n{}",
            own.heading,
            ours.heading
        );
    }
    // What Go's profiler does not tell: the function in C that runs, two thirds of the time, between Go and Go.
    if *work == "-callc" {
        let (c, go) = (ours.cumulative("c_spin"), ours.cumulative("main.goSpin"));
        ensure!((c - 66.0).abs() < 10.0 && (go - 33.0).abs() < 10.0, "{}", ours.heading);
    }
    if *work == "-work" {
        ensure!(ours.shares.keys().any(|name| name.contains("[kernel]")), "{}", ours.heading);
        ensure!(ours.cumulative("[vdso]") > 0.5, "{}", ours.heading);
    }
    let unknown = ours.cumulative("(callers are not known)");
    ensure!(unknown < 3.0, "{unknown}% of the stacks end too early\n{}", ours.heading);
    Ok(())
}

/// A stack with more frames than are kept is marked, and nothing is made up for the rest.
#[test]
fn a_stack_that_is_too_deep_is_marked() -> Result<()> {
    if !can_trace("a_stack_that_is_too_deep_is_marked") {
        return Ok(());
    }
    let app = ProfileApp::start(Version::NEWEST, Mode::Stripped, &["-recurse"], "1s")?;
    let file = app.file("deep.folded");
    let path = file.to_str().context("a path")?;
    let said = app.gotap("cpu", &["-d", "1s", "-F", "499", "-o", path])?;
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    ensure!(said.contains("have more than 256 frames: the outer ones are left out"), "{said}");
    let text = fs::read_to_string(&file)?;
    let line = text.lines().find(|line| line.contains("main.spin")).context("no main.spin")?;
    let start = "(further frames are left out);main.descend;main.descend;";
    ensure!(line.starts_with(start), "{line}");
    // The last frame that is kept has the inlined function in it.
    ensure!(line.matches("main.descend").count() == 256, "{line}");
    Ok(())
}

/// Samples of different goroutines are kept apart on demand.
#[test]
fn samples_have_their_goroutines() -> Result<()> {
    if !can_trace("samples_have_their_goroutines") {
        return Ok(());
    }
    let app = ProfileApp::start(Version::NEWEST, Mode::Pie, &["-work", "-recurse"], "1s")?;
    let file = app.file("goroutines.pb.gz");
    let path = file.to_str().context("a path")?;
    let said = app.gotap("cpu", &["-d", "1s", "-F", "499", "--goroutines", "-o", path])?;
    ensure!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let (tags, _) = run(go_tool(Version::NEWEST)?.args(["tool", "pprof", "-tags", path]))?;
    let number = |line: &str| line.rsplit(' ').next().and_then(|word| word.parse::<u64>().ok());
    let goroutines: Vec<u64> = tags.lines().filter_map(number).collect();
    ensure!(tags.contains("goroutine: Total") && goroutines.len() > 1, "{tags}");
    Ok(())
}

/// Go's compiler takes the file, and inlines what it does not without.
#[test]
fn a_profile_guides_gos_compiler() -> Result<()> {
    if !can_trace("a_profile_guides_gos_compiler") {
        return Ok(());
    }
    let app = ProfileApp::start(Version::NEWEST, Mode::Plain, &["-work"], "1s")?;
    let file = app.file("cpu.pb.gz");
    let path = file.to_str().context("a path")?;
    let said = app.gotap("cpu", &["-d", "2s", "-F", "499", "-o", path])?;
    ensure!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    // As `go build -pgo` does, but for the packages that the program imports.
    let preprofile = app.file("cpu.preprofile");
    run(go_tool(Version::NEWEST)?.args(["tool", "preprofile", "-i", path, "-o"]).arg(&preprofile))?;
    let folder = repo_root().join("apps/profileapp");
    let format = "{{if .Export}}packagefile {{.ImportPath}}={{.Export}}{{end}}";
    let mut list = go_tool(Version::NEWEST)?;
    list.args(["list", "-export", "-deps", "-f", format, "."]).env("CGO_ENABLED", "0");
    let imports = app.file("importcfg");
    fs::write(&imports, run(list.current_dir(&folder))?.0)?;
    let inlined = |profile: Option<&Path>| -> Result<bool> {
        let mut command = go_tool(Version::NEWEST)?;
        command.args(["tool", "compile", "-p", "main", "-m", "-importcfg"]).arg(&imports);
        let guided = profile.map(|profile| format!("-pgoprofile={}", profile.display()));
        command.args(guided).arg("-o").arg(app.file("main.a")).arg("main.go");
        let (told, said) = run(command.current_dir(&folder))?;
        Ok((told + &said).contains("inlining call to mixAll"))
    };
    ensure!(!inlined(None)?, "mixAll is inlined without a profile");
    ensure!(inlined(Some(&preprofile))?, "mixAll is not inlined with the profile");
    Ok(())
}

/// Runs a command to its end; what it printed and said.
fn run(command: &mut Command) -> Result<(String, String)> {
    let output = command.output().with_context(|| format!("start {command:?}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (told, said) = (text(&output.stdout), text(&output.stderr));
    ensure!(output.status.success(), "{command:?}: {told}{said}");
    Ok((told, said))
}

/// Flame graphs, folded stacks and speedscope's file tell the same; a difference is coloured.
#[test]
fn each_file_tells_the_same_profile() -> Result<()> {
    if !can_trace("each_file_tells_the_same_profile") {
        return Ok(());
    }
    let app = ProfileApp::start(Version::of(24), Mode::Pie, &["-work"], "1s")?;
    let files = ["cpu.pb.gz", "cpu.svg", "cpu.folded", "cpu.json"].map(|name| app.file(name));
    let running: Vec<Child> = files
        .iter()
        .map(|file| {
            app.spawn("cpu", &["-d", "2s", "-F", "499", "-o", file.to_str().unwrap_or_default()])
        })
        .collect::<Result<_>>()?;
    for gotap in running {
        let output = gotap.wait_with_output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let wanted = Top::of(&files[0], None)?.cumulative("main.hot");
    let near = |what: &str, share: f64| {
        ensure!((share - wanted).abs() < 8.0, "{what}: {share}% instead of {wanted}%");
        Ok(())
    };
    let folded = fs::read_to_string(&files[2])?;
    let value = |line: &str| line.rsplit_once(' ').and_then(|(_, n)| n.parse::<f64>().ok());
    let sum = |name: &str| -> f64 {
        folded.lines().filter(|line| line.contains(name)).filter_map(value).sum()
    };
    near("folded", 100.0 * sum("main.hot;") / sum(""))?;
    let speedscope: Value = serde_json::from_slice(&fs::read(&files[3])?)?;
    let frames = speedscope["shared"]["frames"].as_array().context("frames")?;
    let hot = frames.iter().position(|frame| frame["name"] == "main.hot").context("no main.hot")?;
    ensure!(frames[hot]["line"].as_u64().is_some_and(|line| line > 50), "{}", frames[hot]);
    let cpu = &speedscope["profiles"][1];
    let stacks = cpu["samples"].as_array().context("samples")?;
    let weights = cpu["weights"].as_array().context("weights")?;
    let has = |stack: &Value| stack.as_array().is_some_and(|s| s.iter().any(|f| *f == hot));
    let both = stacks.iter().zip(weights).filter(|(stack, _)| has(stack));
    let sum: f64 = both.filter_map(|(_, weight)| weight.as_f64()).sum();
    near("speedscope", 100.0 * sum / cpu["endValue"].as_f64().context("a sum")?)?;
    let svg = fs::read_to_string(&files[1])?;
    let title = svg.split("<title>main.hot (").nth(1).context("no main.hot in the flame graph")?;
    let share = title.split(", ").nth(1).and_then(|share| share.split('%').next());
    near("flame graph", share.context("a share")?.parse()?)?;
    let difference = app.file("difference.svg");
    let before = files[0].to_str().context("a path")?;
    let path = difference.to_str().context("a path")?;
    let output = app.gotap("cpu", &["-d", "1s", "-o", path, "--diff", before])?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    ensure!(
        fs::read_to_string(&difference)?.contains("% points)</title>"),
        "no difference is told"
    );
    Ok(())
}

/// A program that ends meanwhile is profiled until then, with all names.
#[test]
fn a_program_that_ends_is_still_named() -> Result<()> {
    if !can_trace("a_program_that_ends_is_still_named") {
        return Ok(());
    }
    let mut app = ProfileApp::start(Version::of(25), Mode::Cgo, &["-callc"], "1s")?;
    let gotap = app.spawn("cpu", &["-d", "60s", "-F", "499", "--format", "json"])?;
    std::thread::sleep(Duration::from_secs(2));
    app.process.stop()?;
    let output = gotap.wait_with_output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let table: Value = serde_json::from_slice(&output.stdout)?;
    let names: Vec<&str> = table["functions"]
        .as_array()
        .context("functions")?
        .iter()
        .filter_map(|function| function["function"].as_str())
        .collect();
    for name in ["c_spin", "main.callsC", "main.spin"] {
        ensure!(names.contains(&name), "no {name}: {names:?}");
    }
    let notes = table["notes"].to_string();
    ensure!(notes.contains("the process ended after"), "{notes}");
    Ok(())
}

/// SIGINT ends the profile and writes what there is.
#[test]
fn a_signal_ends_the_profile_early() -> Result<()> {
    if !can_trace("a_signal_ends_the_profile_early") {
        return Ok(());
    }
    let app = ProfileApp::start(Version::NEWEST, Mode::Plain, &["-recurse"], "1s")?;
    let file = app.file("early.pb.gz");
    let gotap = app.spawn("cpu", &["-d", "60s", "-o", file.to_str().context("a path")?])?;
    std::thread::sleep(Duration::from_secs(2));
    let killed = Command::new("kill").args(["-INT", &gotap.id().to_string()]).status()?;
    ensure!(killed.success(), "{killed}");
    let output = gotap.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && said.contains("stopped after"), "{said}");
    ensure!(Top::of(&file, None)?.cumulative("main.descend") > 50.0, "nothing was sampled");
    Ok(())
}
