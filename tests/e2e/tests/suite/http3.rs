//! HTTP/3, which is not traced: who has it is told so.

use anyhow::{Result, ensure};
use gotap_e2e::{App, Gotap, can_trace};
use gotap_testkit::go::{self, Mode, Version};

#[test]
fn a_server_of_http3_is_told_that_it_is_not_traced() -> Result<()> {
    if !can_trace("a_server_of_http3_is_told_that_it_is_not_traced") {
        return Ok(());
    }
    let program = go::build("http3app", Version::NEWEST, Mode::Plain)?;
    let app = App::start(&program)?;
    let gotap = Gotap::trace_pid(app.pid())?;
    let said = gotap.stop()?.stderr.join("\n");
    ensure!(said.contains("http3: github.com/quic-go/quic-go/http3 is not traced yet"), "{said}");
    Ok(())
}
