//! What gotap says beside the spans: which counts are losses, and which are not.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Result, ensure};
use gotap_e2e::{App, Gotap, SOON, Summary, can_trace};

/// Stops a gotap that prints text; gives what it said and its counts.
fn stop(mut gotap: Gotap) -> Result<(Vec<String>, Summary)> {
    gotap.process.signal(libc::SIGINT)?;
    gotap.process.wait(SOON)?;
    let said = gotap.process.stderr();
    let summary = Summary::find(&said)?;
    Ok((said, summary))
}

/// A request that was being served when gotap attached is neither a span nor a loss.
#[test]
fn what_was_under_way_at_attach_is_not_called_lost() -> Result<()> {
    if !can_trace("what_was_under_way_at_attach_is_not_called_lost") {
        return Ok(());
    }
    let app = App::start(&App::newest()?)?;
    let mut client = TcpStream::connect(&app.address)?;
    client.write_all(b"POST /echo HTTP/1.1\r\nHost: e\r\nContent-Length: 2\r\n\r\na")?;
    // Long enough for its handler to wait for the rest of the body.
    std::thread::sleep(Duration::from_millis(500));
    let gotap = Gotap::start(&["trace", "http", "--pid", &app.pid().to_string()], &[])?;
    gotap.wait_ready()?;
    client.write_all(b"b")?;
    ensure!(client.read(&mut [0; 64])? > 0, "no answer");
    app.get("/hello", &[])?;
    gotap.wait_for_lines(1)?;
    let (said, summary) = stop(gotap)?;
    ensure!(summary.spans == 1 && summary.no_span.is_empty(), "{said:#?}");
    ensure!(summary.at_attach.get("start_unseen") == Some(&1), "{said:#?}");
    let all = said.join("\n");
    ensure!(!all.contains("dropped") && all.contains("1 span, none lost"), "{all}");
    Ok(())
}
