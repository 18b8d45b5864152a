//! Collections, one by one: as many as the program counts.

use anyhow::{Context, Result, ensure};
use gotap_e2e::goroutines::RuntimeApp;
use gotap_e2e::{SOON, binary};
use gotap_kernel_tests::program;
use gotap_testkit::go::Version;
use gotap_testkit::process::Running;
use serde_json::Value;

pub(crate) fn followed() -> Result<()> {
    let arguments = ["-quiet", "-allocate", "64"];
    let mut app = RuntimeApp::start(&program("runtimeapp", Version::NEWEST), &arguments, &[])?;
    let pid = app.process.pid().to_string();
    let mut gotap = Running::start(binary(), &["gc", &pid, "--follow", "--format", "json"], &[])?;
    gotap.wait_for_error("gotap: ready", SOON)?;
    let count = |report: Value| report["memory"]["NumGC"].as_u64().context("NumGC");
    let first = count(app.report()?)?;
    std::thread::sleep(std::time::Duration::from_secs(2));
    let last = count(app.report()?)?;
    gotap.signal(libc::SIGINT)?;
    ensure!(gotap.wait(SOON)?.success(), "{:?}", gotap.stderr());
    let mut told = 0;
    for line in gotap.stdout() {
        let number = serde_json::from_str::<Value>(&line)?["cycle"].as_u64();
        told += u64::from(number.is_some_and(|n| n > first && n <= last));
    }
    ensure!(told > 0 && told == last - first, "{told} of {}", last - first);
    Ok(())
}
