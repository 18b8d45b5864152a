//! Parca gets profiles of a program, and says in which functions its time goes.

use anyhow::{Context, Result, ensure};
use gotap_e2e::{Gotap, SOON, can_trace, eventually};
use gotap_testkit::go::{self, Mode, Version};
use gotap_testkit::parca::Parca;
use gotap_testkit::process::Running;

/// A profile type as Parca calls it: its name, the values' type and unit, and the period's.
const CPU: &str = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";

#[test]
fn parca_knows_where_a_program_spends_its_time() -> Result<()> {
    if !can_trace("parca_knows_where_a_program_spends_its_time") {
        return Ok(());
    }
    let parca = Parca::start()?;
    let program = go::build("xrayapp", Version::NEWEST, Mode::Stripped)?;
    let mut app = Running::start(&program, &["-clients", "2"], &[])?;
    app.wait_for("ready", SOON)?;
    app.signal(libc::SIGUSR1)?;
    let (pid, url) = (app.pid().to_string(), parca.endpoint());
    // Nobody takes the traces.
    let arguments = ["run", "--otlp-endpoint", "http://127.0.0.1:1", "--pid", &pid];
    let environment =
        [("GOTAP_PROFILES_PARCA_ENDPOINT", url.as_str()), ("GOTAP_PROFILES_INTERVAL", "2s")];
    let gotap = Gotap::start(&arguments, &environment)?;
    gotap.wait_ready()?;
    let selector = format!("{CPU}:delta{{service_name=\"xrayapp\", pid=\"{pid}\"}}");
    let spins = || -> Result<f64> {
        let found = parca.query(&selector)?;
        found["functions"]["main.spin"].as_f64().context("main.spin")
    };
    ensure!(eventually(SOON, || spins().is_ok_and(|time| time > 0.0)), "{:?}", spins());
    let ended = gotap.stop()?.stderr;
    let last = ended.iter().find(|line| line.contains("profiles of")).context("a summary")?;
    ensure!(last.contains("parca: ") && !last.contains("not delivered"), "{last}");
    let found = parca.query(&selector)?;
    let has = |list: &str, name: &str| {
        found[list].as_array().is_some_and(|all| all.iter().any(|one| one == name))
    };
    ensure!(
        has("types", CPU) && has("types", "process_cpu:samples:count:cpu:nanoseconds"),
        "{found}"
    );
    for label in ["service_name", "service_instance_id", "pid", "node"] {
        ensure!(has("labels", label), "no label {label}: {found}");
    }
    let of = |name: &str| found["functions"][name].as_f64().unwrap_or(0.0);
    ensure!(of("main.spin") > 1e8 && of("net/http.(*conn).serve") >= of("main.mix"), "{found}");
    Ok(())
}
