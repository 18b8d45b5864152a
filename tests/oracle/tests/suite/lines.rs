//! Source frames of program counters against what the Go runtime of the program says.

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::fixture::{Differences, Fixture, each};
use crate::symbols::normal;
use crate::truth::{Truth, elements, number, text};

/// How many frames and points each program has at least.
const LEAST: usize = 60;

#[test]
fn frames_are_those_of_the_runtime() {
    each("oracle", |_, mode| mode.runs_here(), compare_frames);
}

fn compare_frames(fixture: &Fixture) -> Result<()> {
    let binary = fixture.parse()?;
    let truth = Truth::of(fixture)?;
    let slide = truth.slide(&binary)?;
    let mut differences = Differences::default();
    let mut inlined = 0;
    for stack in truth.list("frames", LEAST)? {
        let pc = number(stack, "pc")?.wrapping_sub(slide) - 1;
        let case = format!("{} at {pc:#x}", text(stack, "case")?);
        let frames = binary.lines().frames(pc);
        let got: Vec<_> =
            frames.iter().map(|f| (normal(f.function), f.file.to_owned(), f.line)).collect();
        let want = elements(stack, "frames")?.iter().map(frame).collect::<Result<Vec<_>>>()?;
        inlined += want.len() - 1;
        differences.compare(&case, got, want);
        let flags: Vec<_> = frames.iter().map(|f| f.inlined).collect();
        let all_but_last: Vec<_> = (0..frames.len()).map(|i| i + 1 < frames.len()).collect();
        differences.compare(&case, flags, all_but_last);
        let entry = binary.functions().lookup(pc).map(|f| f.entry.wrapping_add(slide));
        differences.compare(&case, entry, Some(number(stack, "entry")?));
    }
    ensure!(inlined >= 5, "only {inlined} inlined frames");
    differences.finish()
}

#[test]
fn positions_anywhere_in_functions_are_those_of_the_runtime() {
    each(
        "oracle",
        |_, mode| mode.runs_here(),
        |fixture| {
            let binary = fixture.parse()?;
            let truth = Truth::of(fixture)?;
            let slide = truth.slide(&binary)?;
            let mut differences = Differences::default();
            for point in truth.list("points", LEAST)? {
                let pc = number(point, "pc")?.wrapping_sub(slide);
                let got = binary.lines().frames(pc).first().copied();
                let got = got.map(|f| (normal(f.function), f.file.to_owned(), f.line));
                differences.compare(&format!("{pc:#x}"), got, Some(frame(point)?));
            }
            differences.finish()
        },
    );
}

/// A frame of the program's report; the runtime leaves type arguments out since Go 1.21.
fn frame(value: &Value) -> Result<(String, String, u32)> {
    let line = u32::try_from(number(value, "line")?)?;
    Ok((normal(text(value, "func")?), text(value, "file")?.to_owned(), line))
}

#[test]
fn addresses_outside_of_functions_have_no_frames() {
    each(
        "oracle",
        |_, mode| mode.runs_here(),
        |fixture| {
            let binary = fixture.parse()?;
            for pc in [0, 1, binary.module().text - 1, binary.module().types, u64::MAX] {
                let frames = binary.lines().frames(pc);
                ensure!(frames.is_empty(), "{pc:#x}: {frames:?}");
            }
            Ok(())
        },
    );
}
