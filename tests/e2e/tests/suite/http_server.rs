//! Requests that are served: connections, bodies, panics, odd requests.

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Gotap, Span, can_trace};
use gotap_testkit::go::{Mode, Version};

/// Starts the newest build and traces it.
fn observed() -> Result<(App, Gotap)> {
    observed_with(Version::NEWEST)
}

fn observed_with(version: Version) -> Result<(App, Gotap)> {
    let app = App::start(&App::build(version, Mode::Plain)?)?;
    let gotap = Gotap::trace_pid(app.pid())?;
    Ok((app, gotap))
}

/// Gives the only span.
fn single(gotap: Gotap) -> Result<Span> {
    gotap.finish(1)?.pop().context("a span")
}

#[test]
fn a_kept_connection_has_a_span_for_each_request() -> Result<()> {
    if !can_trace("a_kept_connection_has_a_span_for_each_request") {
        return Ok(());
    }
    let (app, gotap) = observed()?;
    let mut connection = app.connect()?;
    for i in 0..50 {
        connection.get(&format!("/users/{i}"), &[])?;
    }
    let port = i64::from(connection.local_port()?);
    let spans = gotap.finish(50)?;
    for (i, span) in spans.iter().enumerate() {
        ensure!(span.target() == format!("/users/{i}"), "{span:#?}");
        ensure!(span.int("network.peer.port") == Some(port), "{span:#?}");
    }
    ensure!(spans.windows(2).all(|pair| pair[0].end <= pair[1].start), "spans overlap");
    Ok(())
}

#[test]
fn pipelined_requests_have_a_span_each() -> Result<()> {
    if !can_trace("pipelined_requests_have_a_span_each") {
        return Ok(());
    }
    let (app, gotap) = observed()?;
    let mut connection = app.connect()?;
    let paths = ["/hello", "/users/1", "/status/404", "/chunked", "/hello"];
    let pipeline: Vec<u8> =
        paths.iter().flat_map(|path| connection.head("GET", path, &[])).collect();
    connection.send_raw(&pipeline)?;
    for _ in paths {
        connection.read_response()?;
    }
    let spans = gotap.finish(paths.len())?;
    let found: Vec<_> = spans.iter().map(Span::target).collect();
    ensure!(found == paths, "{found:?}");
    Ok(())
}

#[test]
fn bodies_have_their_sizes() -> Result<()> {
    if !can_trace("bodies_have_their_sizes") {
        return Ok(());
    }
    let (app, gotap) = observed()?;
    let mut connection = app.connect()?;
    connection.request("POST", "/echo", &[], Some(b"twelve bytes"))?;
    connection.request_chunked("POST", "/echo", &[], &[b"some ", b"chunks"])?;
    connection.get("/chunked", &[])?;
    connection.request("POST", "/echo", &[], Some(&vec![b'x'; 100_000]))?;
    connection.get("/status/204", &[])?;
    let spans = gotap.finish(5)?;
    let sizes: Vec<_> = spans
        .iter()
        .map(|span| (span.int("http.request.body.size"), span.int("http.response.body.size")))
        .collect();
    let expected = [
        (Some(12), Some(12)),
        (None, Some(11)), // nobody knows the size when the request starts
        (Some(0), Some(24)),
        (Some(100_000), Some(100_000)),
        (Some(0), Some(0)),
    ];
    ensure!(sizes == expected, "{sizes:?}");
    ensure!(spans[0].name == "POST /echo", "{:#?}", spans[0]);
    Ok(())
}

#[test]
fn methods_are_named() -> Result<()> {
    if !can_trace("methods_are_named") {
        return Ok(());
    }
    let (app, gotap) = observed()?;
    let mut connection = app.connect()?;
    for method in ["HEAD", "DELETE", "BREW", "get"] {
        connection.request(method, "/hello", &[], None)?;
    }
    let spans = gotap.finish(4)?;
    let found: Vec<_> = spans
        .iter()
        .map(|span| {
            let original = span.text("http.request.method_original");
            (span.name.as_str(), span.text("http.request.method"), original)
        })
        .collect();
    let expected = [
        ("HEAD /hello", Some("HEAD"), None),
        ("DELETE /hello", Some("DELETE"), None),
        ("HTTP /hello", Some("_OTHER"), Some("BREW")),
        ("HTTP /hello", Some("_OTHER"), Some("get")),
    ];
    ensure!(found == expected, "{found:?}");
    Ok(())
}

#[test]
fn handlers_that_panic_have_spans_with_an_error() -> Result<()> {
    if !can_trace("handlers_that_panic_have_spans_with_an_error") {
        return Ok(());
    }
    for version in [Version::NEWEST, Version::of(21), Version::OLDEST] {
        let (app, gotap) = observed_with(version)?;
        for path in ["/panic", "/panic-after-write", "/abort"] {
            let answer = app.get(path, &[]);
            ensure!(answer.is_err(), "{path} was answered: {answer:?}");
        }
        app.get("/hello", &[])?;
        let spans = gotap.finish(4)?;
        let last = spans.iter().find(|s| s.target() == "/hello").context("the last request")?;
        ensure!(last.status == "unset", "{last:#?}");
        for (path, error, status) in [
            ("/panic", "panic", None),
            ("/panic-after-write", "panic", Some(200)),
            ("/abort", "http.ErrAbortHandler", None),
        ] {
            let span = spans.iter().find(|span| span.target() == path).context(path)?;
            ensure!(span.text("error.type") == Some(error), "Go {version}: {span:#?}");
            ensure!(span.status == "error" && !span.message.is_empty(), "{span:#?}");
            ensure!(span.int("http.response.status_code") == status, "{span:#?}");
        }
    }
    Ok(())
}

#[test]
fn a_slow_request_takes_as_long_as_it_takes() -> Result<()> {
    if !can_trace("a_slow_request_takes_as_long_as_it_takes") {
        return Ok(());
    }
    let (app, gotap) = observed()?;
    let begun = std::time::Instant::now();
    app.get("/slow?ms=70", &[])?;
    let took = begun.elapsed().as_nanos();
    let span = single(gotap)?;
    let duration = span.end - span.start;
    ensure!(duration >= 70_000_000 && u128::from(duration) <= took, "{duration} of {took} ns");
    Ok(())
}

#[test]
fn a_client_that_goes_away_ends_the_request() -> Result<()> {
    if !can_trace("a_client_that_goes_away_ends_the_request") {
        return Ok(());
    }
    let (app, gotap) = observed()?;
    let mut connection = app.connect()?;
    connection.send_raw(&connection.head("GET", "/slow?ms=15000", &[]))?;
    std::thread::sleep(std::time::Duration::from_millis(100));
    drop(connection);
    let span = single(gotap)?;
    ensure!(span.target() == "/slow" && span.end - span.start < 10_000_000_000, "{span:#?}");
    Ok(())
}

#[test]
fn long_paths_are_cut_and_marked() -> Result<()> {
    if !can_trace("long_paths_are_cut_and_marked") {
        return Ok(());
    }
    let (app, gotap) = observed()?;
    let path_of = |spans: &[Span], i: usize| -> Result<String> {
        Ok(spans.get(i).and_then(|span| span.text("url.path")).context("a path")?.to_owned())
    };
    app.get(&format!("/{}", "b".repeat(5000)), &[])?;
    let long = path_of(&gotap.wait_for_spans(1)?, 0)?;
    let kept = long.strip_suffix('…').context("a mark at the end")?.len();
    ensure!((200..=300).contains(&kept), "{kept} bytes are kept");
    ensure!(long[..kept] == format!("/{}", "b".repeat(kept - 1)), "{long}");

    let fits = format!("/{}", "a".repeat(kept - 1));
    let query = format!("/{}?secret={}", "c".repeat(kept - 50), "d".repeat(500));
    let accent = format!("/{}é-and-more", "e".repeat(kept - 2));
    for path in [&fits, &query, &accent] {
        app.get(path, &[])?;
    }
    let spans = gotap.finish(4)?;
    ensure!(path_of(&spans, 1)? == fits, "{:#?}", spans[1]);
    ensure!(path_of(&spans, 2)? == query[..=kept - 50], "{:#?}", spans[2]);
    // The cut goes through a letter, of which nothing is left.
    let cut = format!("{}…", &accent[..kept - 1]);
    ensure!(path_of(&spans, 3)? == cut, "{:#?}", spans[3]);
    Ok(())
}

#[test]
fn odd_bytes_in_paths_are_kept() -> Result<()> {
    if !can_trace("odd_bytes_in_paths_are_kept") {
        return Ok(());
    }
    let (app, gotap) = observed()?;
    let paths = ["/%C3%A9%00/x%2Fy", "/é/\u{1f600}", "/a;b=c/%3F"];
    for path in paths {
        app.get(path, &[])?;
    }
    let mut connection = app.connect()?;
    connection.send_raw(b"GET /bad-\xff-utf8 HTTP/1.1\r\nHost: h\r\n\r\n")?;
    connection.read_response()?;
    let spans = gotap.finish(4)?;
    let found: Vec<_> = spans.iter().map(Span::target).collect();
    ensure!(found[..3] == paths, "{found:#?}");
    ensure!(found[3] == "/bad-\u{fffd}-utf8", "{found:#?}");
    Ok(())
}

#[test]
fn old_and_absolute_requests_are_understood() -> Result<()> {
    if !can_trace("old_and_absolute_requests_are_understood") {
        return Ok(());
    }
    let (app, gotap) = observed()?;
    for request in [
        "GET /hello?q=1 HTTP/1.0\r\n\r\n",
        "GET http://example.com:8080/hello?q=1 HTTP/1.1\r\nHost: other\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost: [::1]:99\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost: plain.example\r\n\r\n",
    ] {
        let mut connection = app.connect()?;
        connection.send_raw(request.as_bytes())?;
        connection.read_response().with_context(|| request.to_owned())?;
    }
    let spans = gotap.finish(4)?;
    let found: Vec<_> = spans
        .iter()
        .map(|span| {
            let version = span.text("network.protocol.version").unwrap_or("-");
            (version, span.target(), span.text("server.address"), span.int("server.port"))
        })
        .collect();
    let expected = [
        ("1.0", "/hello", None, None),
        ("1.1", "/hello", Some("example.com"), Some(8080)),
        ("1.1", "/hello", Some("::1"), Some(99)),
        ("1.1", "/hello", Some("plain.example"), Some(80)),
    ];
    ensure!(found == expected, "{found:#?}");
    Ok(())
}
