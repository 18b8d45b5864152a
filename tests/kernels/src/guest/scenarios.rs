//! The scenarios, one after the other. Each is a function that fails with a sentence; a new one is
//! added to [`ALL`].

use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Result, ensure};
use gotap_e2e::binary;
use gotap_kernel_tests::report::{Line, Outcome};
use probes::{Features, verify};

use crate::{calls, clock, collections, databases, goroutines, host, http1, logs, profile, tls};

/// Name, whether it tests anything on a kernel with these features, and function.
type Scenario = (&'static str, fn(&Features) -> bool, fn() -> Result<()>);

/// All of them, the quick and telling ones first.
const ALL: [Scenario; 21] = [
    ("load all programs", always, load_all),
    ("doctor", always, doctor),
    ("goroutine tracker", always, goroutines::tracked),
    ("collections", always, collections::followed),
    ("programs that start and end", always, host::exec),
    ("TCP connections", always, host::tcp),
    ("flows through an interface", always, host::flows),
    ("CPU profile", always, profile::cpu),
    ("off-CPU profile", always, profile::off_cpu),
    ("X-ray of requests", always, profile::xray),
    ("lines of logs", always, logs::lines),
    ("continuous profiles", always, profile::continuous),
    ("HTTP/1", always, http1::newest_and_oldest_go),
    // The way of older kernels; on those, it is what all scenarios test.
    ("HTTP/1, no uprobe_multi", |features| features.uprobe_multi, http1::one_by_one),
    ("HTTP/1, exact lineage", always, http1::exact_lineage),
    ("TLS and HTTP/2", always, tls::http1_and_http2),
    ("gRPC", always, calls::grpc),
    ("database/sql", always, databases::sql),
    ("pgx", always, databases::pgx),
    ("Redis", always, databases::redis),
    ("clock is set", always, clock::is_set),
];

/// What comes out the same however often it is asked for.
const ONCE: [&str; 2] = ["load all programs", "doctor"];

fn always(_: &Features) -> bool {
    true
}

/// Runs all, and reports on standard output. Failures are in the report; the exit code says only
/// whether there is one.
pub(crate) fn run_all() -> ExitCode {
    println!("{}", Line::Kernel(release()));
    let features = Features::probe();
    for (name, _, run) in ALL.iter().filter(|(_, applies, _)| applies(&features)) {
        eprintln!("--- {name}");
        let started = Instant::now();
        let outcome = outcome(name, *run);
        let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        println!("{}", Line::Scenario { name: (*name).into(), outcome, millis });
    }
    println!("{}", Line::Done);
    ExitCode::SUCCESS
}

/// Runs a scenario, and once more if it failed: an emulated machine stands still now and then while its host does
/// something else. The result names it all the same.
fn outcome(name: &str, run: fn() -> Result<()>) -> Outcome {
    let Err(error) = run() else { return Outcome::Passed };
    eprintln!("{name}: {error:?}");
    if ONCE.contains(&name) {
        return Outcome::Failed;
    }
    eprintln!("--- {name}, again");
    let Err(error) = run() else { return Outcome::Unsteady };
    eprintln!("{name}: {error:?}");
    Outcome::Failed
}

fn release() -> String {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    release.trim_end().to_owned()
}

/// What this kernel can do, and the same without uprobe_multi if it has that.
fn load_all() -> Result<()> {
    let features = Features::probe();
    let mut programs = verify(features)?;
    if features.uprobe_multi {
        programs.extend(verify(features.without_uprobe_multi())?);
    }
    ensure!(!programs.is_empty(), "the verifier's log has no counts");
    programs.sort_by(|a, b| a.program.cmp(&b.program));
    programs.dedup_by(|a, b| a.program == b.program);
    for program in programs {
        println!("{}", Line::Program(program.program, program.instructions));
    }
    Ok(())
}

/// Has no complaint about a kernel that is supported.
fn doctor() -> Result<()> {
    let output = Command::new(binary()).arg("doctor").output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    eprint!("{said}");
    ensure!(
        output.status.success() && !said.contains("FAIL"),
        "doctor ended with {}",
        output.status
    );
    Ok(())
}
