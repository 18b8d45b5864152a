//! The rows of stack pointer deltas, which the sampler walks stacks by, against what is read of each address
//! by itself, and against what Go's own unwinder does in special functions.

use anyhow::{Context, Result, ensure};
use gobin::{Row, Step};
use gotap_testkit::go::Mode;

use crate::fixture::{Differences, Fixture, each};

/// Bytes between addresses that are compared.
const STEP: usize = 7;

#[test]
fn rows_tell_what_each_address_tells() {
    each("oracle", |_, mode| mode != Mode::Arm64, compare);
}

fn compare(fixture: &Fixture) -> Result<()> {
    let binary = fixture.parse()?;
    let rows = binary.stack_rows(usize::MAX).context("rows")?;
    ensure!(binary.stack_rows(rows.len() - 1).is_none(), "more rows than were allowed");
    ensure!(
        rows.is_sorted_by(|a, b| a.start < b.start && a.step != b.step),
        "rows are not in order"
    );
    let at = |pc: u64| -> Option<Step> {
        let found = rows.partition_point(|row: &Row| row.start <= pc);
        Some(rows.get(found.checked_sub(1)?)?.step)
    };
    let lines = binary.lines();
    let mut differences = Differences::default();
    for function in binary.functions().functions() {
        for pc in (function.entry..function.end).step_by(STEP) {
            let frame = lines.stack_frame(pc).context("a function")?;
            let step = at(pc).context("a row")?;
            // The kernel goes there from a signal's handler, which Go does not mark.
            let is_returned_to =
                matches!(function.name, "runtime.sigreturn" | "runtime.sigreturn__sigaction");
            let fits = match step {
                Step::Delta(bytes) | Step::SystemStack(bytes) => frame.delta == Some(bytes),
                Step::Outermost => frame.is_outermost || is_returned_to,
                Step::Stops | Step::MoreStack => true,
                Step::Unknown => frame.delta.is_none() || frame.writes_pointer,
            };
            let ends = matches!(step, Step::Outermost | Step::Stops);
            let special = matches!(step, Step::SystemStack(_) | Step::MoreStack | Step::Unknown);
            let agrees =
                special || is_returned_to || ends == (frame.is_outermost || frame.writes_pointer);
            if !fits || !agrees {
                differences.add(format!("{} at {pc:#x}: {step:?}, {frame:?}", function.name));
            }
        }
    }
    let of = |name: &str| binary.function(name).and_then(|function| at(function.entry + 1));
    ensure!(matches!(of("runtime.systemstack"), Some(Step::SystemStack(_))), "systemstack");
    ensure!(of("runtime.morestack") == Some(Step::MoreStack), "morestack");
    ensure!(of("runtime.mcall") == Some(Step::Stops), "mcall");
    ensure!(of("runtime.goexit") == Some(Step::Outermost), "goexit");
    differences.finish()
}
