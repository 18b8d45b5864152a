//! Stacks of `gotap profile cpu` where they are hard to walk: assembly without frame pointers, and handlers of
//! signals. They are right, or end with a mark where the callers are not known; nothing is made up.

use std::fs;

use anyhow::{Context, Result, ensure};
use gotap_e2e::can_trace;
use gotap_e2e::profiles::ProfileApp;
use gotap_testkit::go::{Mode, Version};

/// The mark at the outer end of a stack.
const CUT: &str = "(callers are not known)";

/// Stacks of a profile with how often they were seen, without the kernel's part; functions without their packages'
/// paths.
fn stacks(app: &ProfileApp, duration: &str) -> Result<Vec<(Vec<String>, f64)>> {
    let file = app.file("cpu.folded");
    let path = file.to_str().context("a path")?;
    let output = app.gotap("cpu", &["-d", duration, "-F", "499", "-o", path])?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let of = |line: &str| -> Result<(Vec<String>, f64)> {
        let (stack, value) = line.rsplit_once(' ').with_context(|| line.to_owned())?;
        let own = stack.split(';').take_while(|frame| !frame.ends_with(" [kernel]"));
        let short = |frame: &str| frame.rsplit('/').next().unwrap_or_default().to_owned();
        Ok((own.map(short).collect(), value.parse()?))
    };
    fs::read_to_string(&file)?.lines().map(of).collect()
}

/// Functions in assembly, and how each of their stacks begins, from the outermost frame on.
const ASSEMBLY: [(&str, &[&str]); 6] = [
    ("assembly.Leaf", &["main.assemblyAll", "assembly.Leaf"]),
    ("assembly.Borrows", &["main.assemblyAll", "assembly.Borrows"]),
    ("assembly.Pushes", &["main.assemblyAll", "assembly.Pushes"]),
    ("assembly.Calls", &["main.assemblyAll", "assembly.Calls", "assembly.spin"]),
    ("assembly.Moves", &[CUT, "assembly.Moves"]),
    ("assembly.MovesAndCalls", &[CUT, "assembly.MovesAndCalls", "inner"]),
];

#[test]
fn assembly_without_frame_pointers_has_right_stacks_or_marked_ones() {
    if !can_trace("assembly_without_frame_pointers_has_right_stacks_or_marked_ones") {
        return;
    }
    for (version, mode) in [(Version::of(19), Mode::Stripped), (Version::NEWEST, Mode::Pie)] {
        check_assembly(version, mode).with_context(|| format!("Go {version} {mode}")).unwrap();
    }
}

fn check_assembly(version: Version, mode: Mode) -> Result<()> {
    let app = ProfileApp::start(version, mode, &["-assembly"], "1s")?;
    let all = stacks(&app, "1500ms")?;
    for (name, expected) in ASSEMBLY {
        let mut whole = 0.0;
        for (stack, value) in all.iter().filter(|(stack, _)| stack.iter().any(|f| f == name)) {
            // A sample may be of an instruction before the call, or of the runtime, which takes a goroutine that has
            // run for long off its processor where a function checks its stack.
            let shorter = &expected[..expected.len() - 1];
            let is_whole = stack.iter().take(expected.len()).eq(expected);
            let own = stack.iter().take_while(|frame| !frame.starts_with("runtime.morestack"));
            ensure!(is_whole || own.eq(shorter), "{name}: {stack:?}");
            whole += if is_whole { *value } else { 0.0 };
        }
        ensure!(whole > 0.0, "no sample of {name}: {all:?}");
    }
    Ok(())
}

/// The kernel calls the handler, in the middle of anything: nothing of that is among the handler's callers.
#[test]
fn handlers_of_signals_have_stacks_of_their_own() {
    if !can_trace("handlers_of_signals_have_stacks_of_their_own") {
        return;
    }
    for (version, mode) in [(Version::OLDEST, Mode::Plain), (Version::NEWEST, Mode::Cgo)] {
        check_signals(version, mode).with_context(|| format!("Go {version} {mode}")).unwrap();
    }
}

fn check_signals(version: Version, mode: Mode) -> Result<()> {
    // Go's own profiler interrupts with signals, too.
    let mut app = ProfileApp::start(version, mode, &["-signalled"], "10s")?;
    app.process.signal(libc::SIGUSR1)?;
    let mut found = Handled::default();
    // A handler is quick, so that few samples are of one.
    for _ in 0..8 {
        stacks(&app, "1s")?.iter().try_for_each(|(stack, _)| found.check(stack))?;
        // With cgo signals return through libc.
        if found.handlers > 2 && found.clock > 0 && (found.returns > 0 || mode == Mode::Cgo) {
            return Ok(());
        }
    }
    anyhow::bail!("too few samples: {found:?}")
}

/// How many stacks there were of each sort.
#[derive(Debug, Default)]
struct Handled {
    handlers: u32,
    returns: u32,
    clock: u32,
}

impl Handled {
    fn check(&mut self, stack: &[String]) -> Result<()> {
        let names: Vec<&str> = stack.iter().map(String::as_str).collect();
        let named = |name: &str| names.contains(&name);
        let handlers =
            ["runtime.sigtramp", "runtime.cgoSigtramp", "runtime.sigtrampgo", "runtime.sighandler"];
        if handlers.iter().any(|name| named(name)) {
            // Before Go 1.20 the handler's frame has a caller: what it returns to.
            let returns = usize::from(names[0] == "runtime.sigreturn");
            let outer = ["runtime.sigtramp", "runtime.cgoSigtramp", CUT];
            ensure!(outer.contains(&names[returns]), "{stack:?}");
            ensure!(!stack.iter().any(|frame| frame.starts_with("main.")), "{stack:?}");
            self.handlers += 1;
        } else if named("runtime.sigreturn") || named("runtime.sigreturn__sigaction") {
            ensure!(stack.len() == 1, "{stack:?}");
            self.returns += 1;
        } else if named("main.readClock") {
            // The clock is read by the vDSO, which the runtime calls on another stack.
            ensure!(names[..2] == ["main.signalledAll", "main.readClock"], "{stack:?}");
            // With cgo, handlers return through libc.
            ensure!(!names.iter().any(|name| name.starts_with("[libc")), "{stack:?}");
            self.clock += 1;
        }
        ensure!(!named("[unknown code]"), "{stack:?}");
        Ok(())
    }
}
