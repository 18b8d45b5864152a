//! `kernel-tests VERSION...`: boots these kernels, runs the scenarios on each, prints a table and
//! fails if anything did. `make test-kernels` builds what this needs and runs it.
//!
//! Exit codes: 0 all passed, 1 something failed, 2 wrong usage.

mod disk;
mod machine;
mod table;

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use gotap_kernel_tests::report::{Outcome, Report};
use gotap_testkit::setup;

/// A kernel that was asked for, and what became of it.
pub(crate) struct Run {
    /// The version as asked for.
    asked: String,
    report: Report,
    /// How long the machine ran.
    took: Duration,
    /// What is wrong beside what the report says.
    error: Option<String>,
}

impl Run {
    fn new(asked: &str, result: Result<(Report, Duration)>) -> Self {
        let asked = asked.to_owned();
        match result {
            Ok((report, took)) => Self { asked, report, took, error: None },
            Err(error) => {
                let (report, took) = (Report::default(), Duration::ZERO);
                Self { asked, report, took, error: Some(format!("{error:#}")) }
            }
        }
    }
}

fn main() -> ExitCode {
    let versions: Vec<String> = std::env::args().skip(1).collect();
    if versions.is_empty() || versions.iter().any(|v| !v.starts_with(|c: char| c.is_ascii_digit()))
    {
        eprintln!("usage: kernel-tests VERSION..., for example kernel-tests 5.10 7");
        return ExitCode::from(2);
    }
    match test(&versions) {
        Ok(runs) => {
            println!("\n{}", table::table(&runs));
            table::unsteady(&runs).iter().for_each(|one| println!("UNSTEADY: {one}"));
            let failures = table::failures(&runs);
            failures.iter().for_each(|failure| println!("FAILED: {failure}"));
            if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("kernel-tests: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn test(versions: &[String]) -> Result<Vec<Run>> {
    let programs = std::env::current_exe().context("find this program")?;
    let programs = programs.parent().context("this program is in a folder")?;
    let work = programs.join("kernel-tests-work");
    // Kernels first: what installs QEMU installs what the disk is made with, too.
    let kernels: Vec<_> = versions.iter().map(|version| (version, kernel(version))).collect();
    let disk = disk::build(programs, &work).context("build the disk")?;
    run_all(kernels, |version, kernel| boot(version, kernel, &disk, &work))
}

/// Runs as many machines at once as there are processors, as each keeps one busy. The result has
/// the order of `kernels`.
fn run_all(
    kernels: Vec<(&String, Result<PathBuf>)>,
    boot: impl Fn(&str, &Path) -> Result<(Report, Duration)> + Sync,
) -> Result<Vec<Run>> {
    let workers = thread::available_parallelism().map_or(1, NonZero::get);
    let queue = Mutex::new(kernels.into_iter().enumerate());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || {
        let run = |(i, (version, kernel)): (usize, (&String, Result<PathBuf>))| {
            (i, Run::new(version, kernel.and_then(|kernel| boot(version, &kernel))))
        };
        std::iter::from_fn(next).map(run).collect::<Vec<_>>()
    };
    let runs = thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(thread::ScopedJoinHandle::join).collect::<Result<Vec<_>, _>>()
    });
    let runs = runs.map_err(|_| anyhow!("a thread that ran machines panicked"))?;
    let mut runs: Vec<_> = runs.into_iter().flatten().collect();
    runs.sort_by_key(|(i, _)| *i);
    Ok(runs.into_iter().map(|(_, run)| run).collect())
}

/// The image of a kernel, which is fetched first if need be.
fn kernel(version: &str) -> Result<PathBuf> {
    setup(&["kernels", version]).with_context(|| format!("no kernel {version}"))
}

fn boot(version: &str, kernel: &Path, disk: &Path, work: &Path) -> Result<(Report, Duration)> {
    eprintln!("booting Linux {version}");
    let started = Instant::now();
    let machine = machine::run(kernel, disk, &work.join(version))?;
    let report = Report::parse(&machine.report);
    let wrong = report.scenarios.iter().filter(|(_, outcome, _)| *outcome != Outcome::Passed);
    for (name, ..) in wrong {
        println!("\n--- the console of Linux {version}:\n{}\n---", machine.console_of(name));
    }
    if !report.done {
        println!("\n--- the console of Linux {version}:\n{}\n---", machine.console_tail());
    }
    ensure!(report.done, "the machine {} before the scenarios were over", machine.ended);
    Ok((report, started.elapsed()))
}
