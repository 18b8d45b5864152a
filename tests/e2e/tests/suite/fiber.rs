//! Requests that fiber serves, upon fasthttp: their routes, at no more traps, and the parents of calls.

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Gotap, Span, binary, can_trace};
use gotap_testkit::go::{Mode, Version};
use gotap_testkit::http::Connection;

use crate::fasthttp::program;

/// Programs with fiber 2 and 3, versions by the list of dependencies, of Go, and builds.
const BUILDS: [(&str, Option<&str>, u32, Mode); 7] = [
    ("fiberapp", Some("old"), 19, Mode::Plain),
    ("fiberapp", Some("old"), 24, Mode::Pie),
    ("fiberapp", None, 21, Mode::Plain),
    ("fiberapp", None, 23, Mode::Stripped),
    ("fiberapp", None, 27, Mode::Race),
    ("fiber3app", None, 27, Mode::Race),
    ("fiber3app", None, 27, Mode::Stripped),
];

/// What is asked for, its route, and the status.
const CASES: [(&str, &str, Option<&str>, i64); 13] = [
    ("GET", "/", Some("/"), 200),
    ("GET", "/users/7?x=1", Some("/users/:id"), 200),
    ("GET", "/users/%37", Some("/users/:id"), 200),
    ("GET", "/files/a/b", Some("/files/*"), 200),
    ("POST", "/echo", Some("/echo"), 200),
    ("GET", "/api/v1/things/x", Some("/api/v1/things/:thing"), 200),
    ("GET", "/mounted/deep/x", Some("/mounted/deep/:name"), 200),
    ("GET", "/error", Some("/error"), 500),
    // fiber recovers, as it is asked to.
    ("GET", "/panic", Some("/panic"), 500),
    // Middleware answered, so that no route was taken.
    ("GET", "/denied/never", None, 403),
    ("GET", "/nothing", None, 404),
    ("DELETE", "/users/7", None, 405),
    ("BREW", "/users/7", None, 0),
];

fn with_each(check: impl Fn(&App, Gotap, &str) -> Result<()>) -> Result<()> {
    let mut failures = Vec::new();
    for (name, dependencies, minor, mode) in BUILDS {
        let version = Version::of(minor);
        let result = program(name, dependencies, version, mode).and_then(|program| {
            let (app, _backend) = App::start_pair(&program)?;
            let gotap = Gotap::trace_pid(app.pid())?;
            check(&app, gotap, name)
        });
        if let Err(error) = result {
            let versions = dependencies.unwrap_or("newest");
            failures.push(format!("Go {version}, {mode}, {versions} {name}: {error:#}"));
        }
    }
    ensure!(failures.is_empty(), "{}", failures.join("\n\n"));
    Ok(())
}

#[test]
fn fiber_tells_the_routes_of_requests() -> Result<()> {
    if !can_trace("fiber_tells_the_routes_of_requests") {
        return Ok(());
    }
    with_each(|app, gotap, _| {
        let mut connection = app.connect()?;
        for (method, target, ..) in CASES {
            let body = (method == "POST").then_some(&b"body"[..]);
            connection.request(method, target, &[], body)?;
        }
        let ended = gotap.wait_for_spans(CASES.len()).and_then(|_| gotap.stop())?;
        ensure!(ended.summary.dropped.is_empty(), "{:?}", ended.summary.dropped);
        ensure!(ended.spans.len() == CASES.len(), "{}", Span::list(&ended.spans));
        let traps = ended.summary.trapped(&["fasthttp_server"]);
        ensure!(traps == 2 * CASES.len() as u64, "{traps} traps: {:?}", ended.summary.traps);
        for ((method, target, route, status), span) in CASES.iter().zip(&ended.spans) {
            let what = || format!("{method} {target}: {span:#?}");
            ensure!(span.text("url.path") == target.split('?').next(), "{}", what());
            ensure!(span.text("http.route") == *route, "route of {}", what());
            let method = if *method == "BREW" { "HTTP" } else { *method };
            let name = route.map_or(method.to_owned(), |route| format!("{method} {route}"));
            ensure!(span.name == name, "name of {}", what());
            let found = span.int("http.response.status_code");
            ensure!(*status == 0 || found == Some(*status), "status of {}", what());
            ensure!(span.int("network.peer.port").is_some(), "peer of {}", what());
        }
        let echo = &ended.spans[4];
        ensure!(echo.int("http.request.body.size") == Some(4), "{echo:#?}");
        ensure!(echo.int("http.response.body.size") == Some(4), "{echo:#?}");
        Ok(())
    })
}

#[test]
fn calls_in_fiber_are_children_of_their_requests() -> Result<()> {
    if !can_trace("calls_in_fiber_are_children_of_their_requests") {
        return Ok(());
    }
    with_each(|app, gotap, _| {
        let cases = [("context", "context"), ("user-context", "goroutine"), ("go", "ancestor")];
        let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let mut connection = app.connect()?;
        for (case, _) in cases {
            let headers = [("X-Id", case), ("traceparent", traceparent)];
            connection.get(&format!("/call/{case}"), &headers)?;
        }
        let spans = gotap.finish(2 * cases.len())?;
        for (case, how) in cases {
            let path = format!("/call/{case}");
            let server = spans.iter().find(|s| s.target() == path).context(path.clone())?;
            ensure!(server.parent == "remote", "{server:#?}");
            let client = spans
                .iter()
                .find(|s| s.is_client() && s.target().ends_with(&format!("/id/{case}")));
            let client = client.with_context(|| format!("the call of {case}"))?;
            ensure!(client.parent == how && client.is_child_of(server), "{case}: {client:#?}");
        }
        Ok(())
    })
}

/// fiber makes a context also to tell of an error, without a request.
#[test]
fn what_fiber_refuses_is_no_request() -> Result<()> {
    if !can_trace("what_fiber_refuses_is_no_request") {
        return Ok(());
    }
    with_each(|app, gotap, _| {
        let mut refused = Connection::open(&app.address)?;
        refused.send_raw(b"nonsense\r\n\r\n")?;
        let _ = refused.read_response();
        let mut connection = app.connect()?;
        connection.get("/users/1", &[])?;
        connection.send_raw(b"nonsense\r\n\r\n")?;
        let _ = connection.read_response();
        gotap.finish(1).map(drop)
    })
}

#[test]
fn fasthttp_and_fiber_are_listed_as_traced() -> Result<()> {
    if !can_trace("fasthttp_and_fiber_are_listed_as_traced") {
        return Ok(());
    }
    let programs = [
        ("fastapp", &["github.com/valyala/fasthttp"][..]),
        ("fiberapp", &["github.com/valyala/fasthttp", "github.com/gofiber/fiber/v2"]),
        ("fiber3app", &["github.com/valyala/fasthttp", "github.com/gofiber/fiber/v3"]),
    ];
    for (name, libraries) in programs {
        let app = App::start(&program(name, None, Version::NEWEST, Mode::Stripped)?)?;
        let mut command = std::process::Command::new(binary());
        let arguments = ["ps", "--format", "json", "--pid", &app.pid().to_string()];
        let output = command.args(arguments).output()?;
        let line: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        let sees = line["sees"].as_array().context("sees")?;
        ensure!(sees.iter().any(|seen| seen == "fasthttp-server"), "{line:#}");
        for module in libraries {
            let all = line["libraries"].as_array().context("libraries")?;
            let library = all.iter().find(|library| library["module"] == *module);
            let library = library.with_context(|| format!("no {module}: {line:#}"))?;
            ensure!(library["instruments"] == serde_json::json!(["fasthttp-server"]), "{line:#}");
        }
        // None of what is hit for each request is single-stepped.
        let probes = line["probes"].as_array().context("probes")?;
        let hot = probes.iter().filter(|p| p["function"].as_str().is_some_and(is_server));
        let hot: Vec<_> = hot.filter(|probe| probe["hot"] == true).collect();
        ensure!(hot.len() == 2, "{line:#}");
        ensure!(hot.iter().all(|probe| probe["instruction"] != "SingleStep"), "{line:#}");
    }
    Ok(())
}

fn is_server(function: &str) -> bool {
    function.contains("/fasthttp.") || function.contains("/fiber/")
}
