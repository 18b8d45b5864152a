//! The goroutine tracker: as many goroutines as the program counts.

use anyhow::{Context, Result, ensure};
use gotap_e2e::Tracked;
use gotap_kernel_tests::program;
use gotap_testkit::go::Version;
use serde_json::Value;

pub(crate) fn tracked() -> Result<()> {
    let pool = ["-workers", "500", "-rate", "1000"];
    let tracked = Tracked::start(&program("poolapp", Version::NEWEST), &pool, &[])?;
    let (truth, lines) = tracked.run()?;
    for (kind, count) in [("created", "workers"), ("exited", "ended")] {
        let is_one = |line: &&Value| line["event"] == kind && line["function"] == "main.worker";
        let told = lines.iter().filter(is_one).count();
        ensure!(truth[count] == told, "{told} {kind} of {truth}");
    }
    let lost = lines.last().and_then(|line| line["summary"]["lost"].as_object());
    let lost = lost.context("what was lost")?;
    ensure!(lost.values().all(|n| n == 0), "{lost:?}");
    Ok(())
}
