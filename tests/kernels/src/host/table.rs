//! What is printed at the end, and what counts as failed.

use std::collections::BTreeSet;
use std::fmt::Write;

use gotap_kernel_tests::report::Outcome;

use crate::Run;

/// Where the verifier gives up.
const LIMIT: u32 = 1_000_000;

/// Programs that need more are too near the limit: another compiler, or the next kernel, may need
/// twice as much for the same source.
const TOO_NEAR: u32 = 500_000;

/// Verified instructions by program, and scenarios, with a column for each kernel.
pub(crate) fn table(runs: &[Run]) -> String {
    let mut rows = vec![row("verified instructions", runs, |run| column_name(run).to_owned())];
    for name in names(runs, |run| run.report.programs.iter().map(|(name, _)| name)) {
        rows.push(row(&name, runs, |run| {
            let found = run.report.programs.iter().find(|(program, _)| *program == name);
            found.map_or("–".into(), |(_, instructions)| instructions.to_string())
        }));
    }
    rows.push(row("scenarios", runs, |run| format!("{} s", run.took.as_secs())));
    for name in scenarios(runs) {
        rows.push(row(&name, runs, |run| {
            let found = run.report.scenarios.iter().find(|(scenario, ..)| *scenario == name);
            found.map_or("–".into(), |(_, outcome, _)| word(*outcome).into())
        }));
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..=runs.len()).map(|i| width(i).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        // Writing to a string can't fail.
        let _ = write!(text, "{:<1$}", row[0], widths[0]);
        for (cell, width) in row.iter().zip(&widths).skip(1) {
            let _ = write!(text, "  {cell:>width$}");
        }
        text.push('\n');
    }
    text
}

/// What became of a scenario, as the table has it.
fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "ok",
        Outcome::Unsteady => "unsteady",
        Outcome::Failed => "FAILED",
    }
}

fn row(name: &str, runs: &[Run], cell: impl Fn(&Run) -> String) -> Vec<String> {
    std::iter::once(name.to_owned()).chain(runs.iter().map(cell)).collect()
}

/// The kernel's own name where it got so far.
fn column_name(run: &Run) -> &str {
    let kernel = &run.report.kernel;
    if kernel.is_empty() { &run.asked } else { kernel.trim_end_matches("-cloud-amd64") }
}

/// Names that any of the kernels reported, sorted.
fn names<'a, I: Iterator<Item = &'a String>>(
    runs: &'a [Run],
    of: impl Fn(&'a Run) -> I,
) -> BTreeSet<String> {
    runs.iter().flat_map(of).cloned().collect()
}

/// The scenarios in the order in which they ran.
fn scenarios(runs: &[Run]) -> Vec<String> {
    let longest = runs.iter().max_by_key(|run| run.report.scenarios.len());
    let scenarios = longest.into_iter().flat_map(|run| &run.report.scenarios);
    scenarios.map(|(name, ..)| name.clone()).collect()
}

/// The scenarios of which this became.
fn with(run: &Run, wanted: Outcome) -> impl Iterator<Item = &str> {
    let all = run.report.scenarios.iter();
    all.filter(move |(_, outcome, _)| *outcome == wanted).map(|(name, ..)| name.as_str())
}

/// A sentence for each scenario that passed only when it was repeated.
pub(crate) fn unsteady(runs: &[Run]) -> Vec<String> {
    let of = |run| {
        let sentence =
            move |name| format!("Linux {}: {name} failed the first time", column_name(run));
        with(run, Outcome::Unsteady).map(sentence)
    };
    runs.iter().flat_map(of).collect()
}

/// More scenarios than this that pass only when they are repeated are no accident.
const MOST_UNSTEADY: usize = 2;

/// A sentence for each thing that is wrong.
pub(crate) fn failures(runs: &[Run]) -> Vec<String> {
    let mut failures = Vec::new();
    let repeated = unsteady(runs).len();
    if repeated > MOST_UNSTEADY {
        failures.push(format!("{repeated} scenarios failed the first time"));
    }
    for run in runs {
        let kernel = column_name(run);
        failures.extend(run.error.iter().map(|error| format!("Linux {kernel}: {error}")));
        for name in with(run, Outcome::Failed) {
            failures.push(format!("Linux {kernel}: {name}; its console above says why"));
        }
        for (program, instructions) in run.report.programs.iter().filter(|(_, n)| *n > TOO_NEAR) {
            failures.push(format!(
                "Linux {kernel}: the verifier needs {instructions} instructions for {program}, \
                 and gives up at {LIMIT}; more than {TOO_NEAR} is too near"
            ));
        }
    }
    failures
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use gotap_kernel_tests::report::Report;

    use super::*;

    fn run(asked: &str, report: &str) -> Run {
        let report = Report::parse(report);
        Run { asked: asked.into(), report, took: Duration::from_secs(21), error: None }
    }

    fn runs() -> [Run; 2] {
        let old = "kernel 5.10.0-46-cloud-amd64\nprogram 600000 probe_a\npassed 9 HTTP/1\ndone";
        let new = "kernel 7.3\nprogram 1200 go_site\nprogram 9 probe_a\nfailed 9 HTTP/1\ndone";
        [run("5.10", old), run("7", new)]
    }

    #[test]
    fn there_is_a_column_for_each_kernel() {
        let expected = "verified instructions  5.10.0-46     7.3\n\
                        go_site                        –    1200\n\
                        probe_a                   600000       9\n\
                        scenarios                   21 s    21 s\n\
                        HTTP/1                        ok  FAILED\n";
        assert_eq!(table(&runs()), expected);
    }

    #[test]
    fn what_passes_the_second_time_is_named() {
        let report = "kernel 7.3\npassed 1 doctor\nunsteady 9 HTTP/1\ndone";
        let runs = [run("7", report)];
        assert!(failures(&runs).is_empty());
        let many = [run("7", "kernel 7.3\nunsteady 1 a\nunsteady 1 b\nunsteady 1 c\ndone")];
        assert_eq!(failures(&many), ["3 scenarios failed the first time"]);
        assert_eq!(unsteady(&runs), ["Linux 7.3: HTTP/1 failed the first time"]);
        assert!(table(&runs).contains("HTTP/1                 unsteady"), "{}", table(&runs));
    }

    #[test]
    fn failed_scenarios_and_large_programs_are_failures() {
        let failures = failures(&runs());
        assert_eq!(failures.len(), 2, "{failures:?}");
        assert!(failures[0].contains("5.10.0-46") && failures[0].contains("600000"));
        assert!(failures[1].contains("7.3: HTTP/1"));
    }
}
