//! Build information against what was asked of the toolchain, and what the program says.

use anyhow::{Result, ensure};
use gotap_testkit::go::Mode;

use crate::fixture::{Fixture, all, each};
use crate::truth::Truth;

#[test]
fn version_module_and_settings_are_those_of_the_build() {
    for app in ["oracle", "httpapp"] {
        each(app, all, compare_with_request);
    }
}

fn compare_with_request(fixture: &Fixture) -> Result<()> {
    let binary = fixture.parse()?;
    let info = binary.build_info();
    let minor = binary.minor().0;
    ensure!(info.go_version == format!("go{}", fixture.version), "{}", info.go_version);
    ensure!(u32::from(minor) == fixture.version.minor, "minor {minor}");
    ensure!(!binary.is_unknown_version(), "{} is called unknown", info.go_version);
    let module = format!("gotap/apps/{}", fixture.app);
    ensure!(info.path == Some(&module), "package {:?}", info.path);
    ensure!(info.main.as_ref().is_some_and(|m| m.path == module), "module {:?}", info.main);
    ensure!(info.deps.is_empty(), "{:?} although nothing is required", info.deps);
    let arm = fixture.mode == Mode::Arm64;
    let cgo = fixture.mode == Mode::Cgo;
    let pie = fixture.mode == Mode::Pie;
    ensure!(info.setting("GOARCH") == Some(if arm { "arm64" } else { "amd64" }), "GOARCH");
    ensure!(info.setting("CGO_ENABLED") == Some(if cgo { "1" } else { "0" }), "CGO_ENABLED");
    let build_mode = if pie { "pie" } else { "exe" };
    // Go before 1.20 does not write it down.
    let wanted = (fixture.version.minor >= 20).then_some(build_mode);
    ensure!(info.setting("-buildmode") == wanted, "{:?}", info.setting("-buildmode"));
    ensure!(binary.is_cgo() == cgo, "cgo: {}", binary.is_cgo());
    ensure!(binary.image().is_pie() == pie, "PIE: {}", binary.image().is_pie());
    ensure!(binary.is_stripped() != fixture.has_symbols(), "stripped: {}", binary.is_stripped());
    Ok(())
}

#[test]
fn version_is_that_of_the_running_program() {
    each(
        "oracle",
        |_, mode| mode.runs_here(),
        |fixture| {
            let truth = Truth::of(fixture)?;
            let binary = fixture.parse()?;
            let version = binary.build_info().go_version;
            ensure!(truth.go_version()? == version, "{version} and {}", truth.go_version()?);
            Ok(())
        },
    );
}
