//! Frames of HTTP/2 as no client in Go would send them, written by hand.

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, ensure};
use gotap_e2e::{App, Gotap, can_trace};
use gotap_testkit::go::{Mode, Version};
use gotap_testkit::http::Connection;

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
/// END_STREAM and END_HEADERS.
const COMPLETE: u8 = 5;
/// The code CANCEL.
const CANCEL: [u8; 4] = [0, 0, 0, 8];

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("payloads are small").to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A request without a body; each field is a literal that no table is asked for.
fn request(stream: u32, fields: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| {
        let length = u8::try_from(text.len()).expect("fields are short");
        assert!(length < 127, "{text} needs a longer length");
        [&[length], text.as_bytes()].concat()
    };
    let literal = |(name, value): &(&str, &str)| [vec![0], text(name), text(value)].concat();
    frame(HEADERS, COMPLETE, stream, &fields.iter().flat_map(literal).collect::<Vec<_>>())
}

fn get(stream: u32, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let fields = [(":method", "GET"), (":scheme", "http"), (":authority", "h:81"), (":path", path)];
    request(stream, &[&fields, more].concat())
}

/// A connection on which the preface was sent.
fn open(app: &App) -> Result<Connection> {
    let mut connection = app.connect()?;
    connection.send_raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")?;
    connection.send_raw(&frame(SETTINGS, 0, 0, &[]))?;
    Ok(connection)
}

/// Runs `test` with versions that speak HTTP/2 without TLS.
fn with_each(test: impl Fn(&App) -> Result<()>) -> Result<()> {
    for version in [24, 26, 27].map(Version::of) {
        let app = App::start_with(&App::build(version, Mode::Plain)?, &["-h2c"], &[])?;
        test(&app).map_err(|error| error.context(format!("Go {version}")))?;
    }
    Ok(())
}

/// What HTTP/2 forbids is answered before a handler is asked: there is no request to miss.
#[test]
fn streams_that_are_refused_are_not_missed() -> Result<()> {
    if !can_trace("streams_that_are_refused_are_not_missed") {
        return Ok(());
    }
    with_each(|app| {
        let gotap = Gotap::trace_pid(app.pid())?;
        let mut connection = open(app)?;
        connection.send_raw(&get(1, "/refused", &[("connection", "close")]))?;
        connection.send_raw(&get(3, "/refused", &[("te", "gzip")]))?;
        connection.send_raw(&get(5, "/hello", &[]))?;
        let spans = gotap.finish(1)?;
        ensure!(spans[0].target() == "/hello", "{spans:#?}");
        Ok(())
    })
}

/// Each stream is reset right after its request, as attackers do.
#[test]
fn streams_that_are_reset_at_once_end() -> Result<()> {
    if !can_trace("streams_that_are_reset_at_once_end") {
        return Ok(());
    }
    with_each(|app| {
        let gotap = Gotap::trace_pid(app.pid())?;
        let mut connection = open(app)?;
        let opened: Vec<u8> = (0..200)
            .flat_map(|i| {
                let stream = 2 * i + 1;
                let path = format!("/slow?ms=3000&i={i}");
                [get(stream, &path, &[]), frame(RST_STREAM, 0, stream, &CANCEL)].concat()
            })
            .collect();
        connection.send_raw(&opened)?;
        sleep(Duration::from_millis(300));
        // The server may have closed the connection on this client.
        let mut other = open(app)?;
        other.send_raw(&get(1, "/hello", &[]))?;
        gotap.wait_for_spans(2)?;
        sleep(Duration::from_millis(300));
        let ended = gotap.stop()?;
        ensure!(ended.summary.dropped.is_empty(), "{:?}", ended.summary);
        ensure!(ended.spans.iter().any(|s| s.target() == "/hello"), "{:#?}", ended.spans);
        let reset: Vec<_> = ended.spans.iter().filter(|s| s.target() == "/slow").collect();
        ensure!((1..=200).contains(&reset.len()), "{} spans", reset.len());
        // Go cancels a stream's context before it notes that it was reset: a handler may be quicker.
        let told = reset.iter().filter(|s| s.text("error.type") == Some("stream reset")).count();
        ensure!(told >= reset.len().div_ceil(2), "{told} of {} are resets", reset.len());
        for span in &reset {
            ensure!(span.end - span.start < 2_900_000_000, "{span:#?}");
        }
        let ids: BTreeSet<_> = reset.iter().map(|span| &span.span_id).collect();
        ensure!(ids.len() == reset.len(), "a span twice");
        Ok(())
    })
}

#[test]
fn odd_requests_in_http2_are_understood() -> Result<()> {
    if !can_trace("odd_requests_in_http2_are_understood") {
        return Ok(());
    }
    with_each(|app| {
        let gotap = Gotap::trace_pid(app.pid())?;
        let mut connection = open(app)?;
        let plain = [(":method", "BREW"), (":scheme", "http"), (":path", "/hello?secret=1")];
        for (stream, request) in [
            (1, get(1, "/%C3%A9%00/x%2Fy", &[("traceparent", "nonsense")])),
            (3, request(3, &[&plain[..], &[("host", "[::1]:99")]].concat())),
            (5, request(5, &[(":method", "OPTIONS"), (":scheme", "http"), (":path", "*")])),
            (7, request(7, &[(":method", "CONNECT"), (":authority", "far.example:443")])),
        ] {
            connection.send_raw(&request)?;
            gotap.wait_for_lines(stream / 2 + 1)?;
        }
        let ended = gotap.stop()?;
        let told = |i: usize| {
            let span = &ended.spans[i];
            let port = span.int("server.port");
            (span.text("http.request.method"), span.target(), span.text("server.address"), port)
        };
        ensure!(ended.spans.len() == 4, "{ended:#?}");
        ensure!(told(0) == (Some("GET"), "/%C3%A9%00/x%2Fy", Some("h"), Some(81)), "{ended:#?}");
        ensure!(told(1) == (Some("_OTHER"), "/hello", Some("::1"), Some(99)), "{ended:#?}");
        ensure!(told(2).0 == Some("OPTIONS") && told(2).1 == "*", "{ended:#?}");
        ensure!(told(3).0 == Some("CONNECT") && told(3).3 == Some(443), "{ended:#?}");
        ensure!(ended.summary.drops("traceparent_invalid") == 1, "{:?}", ended.summary);
        Ok(())
    })
}
