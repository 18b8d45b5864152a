//! Builds that are guided by a profile, in which the compiler inlines what probes would stand in: that is said,
//! and nothing wrong is told.
//!
//! `apps/alone/inlined.pprof` says that `net/http.(*conn).serve` of Go 1.27.3 spends all its time in its calls
//! of `serverHandler.ServeHTTP` and `(*response).finishRequest`; `go tool preprofile -i` prints it.

use anyhow::{Result, ensure};
use gotap_e2e::{App, Gotap, SOON, Span, can_trace};
use gotap_testkit::go::{self, Mode, Version};

const SERVER: &str = "alone/cmd/httpserver";
const INLINED: [&str; 2] =
    ["net/http.serverHandler.ServeHTTP", "net/http.(*response).finishRequest"];

fn is_said(text: &str) -> bool {
    let into = |name| format!("{name} is inlined into net/http.(*conn).serve");
    INLINED.iter().all(|name| text.contains(&into(name)))
}

#[test]
fn functions_that_a_profile_has_inlined_are_named() -> Result<()> {
    if !can_trace("functions_that_a_profile_has_inlined_are_named") {
        return Ok(());
    }
    for guided in [true, false] {
        let program = if guided {
            go::build_guided(SERVER, "inlined.pprof", Version::NEWEST)?
        } else {
            go::build(SERVER, Version::NEWEST, Mode::Plain)?
        };
        let app = App::start(&program)?;
        let pid = app.pid().to_string();
        let mut ps = Gotap::start(&["ps", "--format", "json", "--pid", &pid], &[])?;
        ps.process.wait(SOON)?;
        let listed = ps.process.stdout().join("\n");
        ensure!(is_said(&listed) == guided, "guided {guided}: {listed}");
        let gotap = Gotap::trace_pid(app.pid())?;
        ensure!(app.get("/hello", &[])?.status == 200, "the program answers");
        if !guided {
            gotap.wait_for_lines(1)?;
        }
        let ended = gotap.stop()?;
        ensure!(is_said(&ended.stderr.join("\n")) == guided, "{guided}: {:?}", ended.stderr);
        let told = Span::list(&ended.spans);
        ensure!(ended.spans.len() == usize::from(!guided), "guided {guided}: {told}");
        ensure!(ended.summary.dropped.is_empty(), "{:?}", ended.summary);
    }
    Ok(())
}
