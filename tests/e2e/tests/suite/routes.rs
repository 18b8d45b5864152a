//! `http.route` of the routers that programs use beside `http.ServeMux`, whose requests do not name
//! the route that they took: old and new versions of them and of Go.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Gotap, binary, can_trace};
use gotap_testkit::go::{self, Mode, Version};
use gotap_testkit::http::Connection;

/// Versions of the routers, by the list of dependencies that names them, of Go, and builds.
const BUILDS: [(Option<&str>, u32, Mode); 4] = [
    (Some("old"), 21, Mode::Plain),
    (Some("old"), 24, Mode::Pie),
    (None, 26, Mode::Plain),
    (None, 27, Mode::Stripped),
];

/// What is asked for, and the route; none where the request takes none.
type Case = (&'static str, &'static str, Option<&'static str>);

/// What gin, echo and httprouter have in common.
const COLONS: [Case; 8] = [
    ("GET", "/", Some("/")),
    ("GET", "/static?x=1", Some("/static")),
    ("GET", "/users/7", Some("/users/:id")),
    ("POST", "/users/%37", Some("/users/:id")),
    ("GET", "/users/7/posts/9", Some("/users/:id/posts/:post")),
    ("GET", "/api/v1/things/x", Some("/api/v1/things/:thing")),
    ("GET", "/many/omega", Some("/many/omega")),
    ("GET", "/none", None),
];
/// What chi and gorilla have in common.
const BRACES: [Case; 9] = [
    ("GET", "/", Some("/")),
    ("GET", "/static", Some("/static")),
    ("GET", "/users/new", Some("/users/new")),
    ("GET", "/users/7", Some("/users/{id:[0-9]+}")),
    ("POST", "/users/7", Some("/users/{id}")),
    ("GET", "/users/7/posts/9", Some("/users/{id}/posts/{post}")),
    ("GET", "/api/v1/things/x", Some("/api/v1/things/{thing}")),
    ("GET", "/many/omega", Some("/many/omega")),
    ("GET", "/none", None),
];
const GIN: [Case; 2] =
    [("GET", "/users/new", Some("/users/new")), ("GET", "/files/a/b", Some("/files/*path"))];
const ECHO: [Case; 3] = [
    ("GET", "/users/new", Some("/users/new")),
    ("GET", "/files/a/b", Some("/files/*")),
    ("PATCH", "/many/mu", Some("/many/mu")),
];
const HTTP_ROUTER: [Case; 2] =
    [("GET", "/users/new", Some("/users/:id")), ("GET", "/files/a/b", Some("/files/*path"))];
const CHI: [Case; 7] = [
    ("PUT", "/files/a/b", Some("/files/*")),
    ("GET", "/reports/2024-05.csv", Some("/reports/{year}-{month}.csv")),
    ("GET", "/api/v1", Some("/api/v1")),
    ("GET", "/api/v2/things", Some("/api/{version}/things")),
    // The mounted router has it, and does not know the path.
    ("GET", "/api/v1/none", None),
    ("GET", "/users/ada", None),
    ("DELETE", "/static", None),
];
const GORILLA: [Case; 5] = [
    ("GET", "/files/a/b", Some("/files/")),
    ("HEAD", "/users/new", Some("/users/new")),
    // A function decides whether an earlier route takes it.
    ("GET", "/hidden", None),
    ("GET", "/hiding", Some("/{page:hid.*}")),
    ("GET", "/hosts", None),
];

/// What only a pattern for everything takes has no route, but for the path that it names.
const MOUNTED: [Case; 1] = [("GET", "/none", None)];

/// A ServeMux that gets a copy of the request does not name its pattern in the one that is known.
const COPIED: [Case; 4] = [
    ("GET", "/static", Some("/static")),
    ("GET", "/files/a/b", Some("/files/")),
    ("GET", "/files/../static", None),
    ("GET", "/none", None),
];

/// Where nothing but the path says what chi looks up.
const MOVED: [Case; 2] = [
    ("GET", "/users/7", Some("/users/{id}")),
    ("GET", "/v1/users/7", Some("/{version}/users/{id}")),
];

/// Where a route is a guess at most, which `tests/replay` asks for.
const UNKNOWN: [Case; 4] = [
    ("GET", "/static", None),
    ("GET", "/users/7", None),
    ("GET", "/api/v1/things/x", None),
    ("GET", "/users/x9", None),
];

/// Cases by the name of the server.
fn cases(name: &str) -> Vec<Case> {
    match name {
        "gin" => [&COLONS[..], &GIN].concat(),
        "echo" | "echo5" => [&COLONS[..], &ECHO].concat(),
        "httprouter" => [&COLONS[..], &HTTP_ROUTER].concat(),
        "gorilla" => [&BRACES[..], &GORILLA].concat(),
        "mounted" | "default" => {
            let known = BRACES.iter().chain(&GORILLA).filter(|(.., route)| route.is_some());
            known.copied().chain(MOUNTED).collect()
        }
        "copied" => COPIED.to_vec(),
        "unmoved" => MOVED.to_vec(),
        name if name.starts_with("moved") => {
            MOVED.iter().map(|(method, path, _)| (*method, *path, None)).collect()
        }
        "chi" | "wrapped" => [&BRACES[..], &CHI].concat(),
        // Which of two routers it is can't be known, nor what a closure holds.
        _ => UNKNOWN.to_vec(),
    }
}

fn build(dependencies: Option<&str>, version: Version, mode: Mode) -> Result<PathBuf> {
    match dependencies {
        Some(name) => go::build_with("routerapp", name, version, mode),
        None => go::build("routerapp", version, mode),
    }
}

#[test]
fn routers_tell_the_routes_of_requests() -> Result<()> {
    if !can_trace("routers_tell_the_routes_of_requests") {
        return Ok(());
    }
    let mut failures = Vec::new();
    for (dependencies, minor, mode) in BUILDS {
        let version = Version::of(minor);
        let result = build(dependencies, version, mode).and_then(|program| {
            let app = App::start(&program)?;
            let gotap = Gotap::trace_pid(app.pid())?;
            let servers = servers(&app);
            let expected = 11 + usize::from(dependencies.is_none());
            ensure!(servers.len() == expected, "{servers:?}");
            check(gotap, &servers)
        });
        if let Err(error) = result {
            let name = dependencies.unwrap_or("newest");
            failures.push(format!("Go {version}, {mode}, {name} routers: {error:#}"));
        }
    }
    ensure!(failures.is_empty(), "{}", failures.join("\n\n"));
    Ok(())
}

/// Middleware of a program's own may say what chi looks up, in many ways: what may be so has no route.
#[test]
fn a_path_that_middleware_sets_gives_no_route() -> Result<()> {
    if !can_trace("a_path_that_middleware_sets_gives_no_route") {
        return Ok(());
    }
    for (minor, mode) in [(24, Mode::Pie), (27, Mode::Stripped)] {
        let app = App::start(&go::build("movedapp", Version::of(minor), mode)?)?;
        let gotap = Gotap::trace_pid(app.pid())?;
        let servers = servers(&app);
        ensure!(servers.len() == 4, "{servers:?}");
        check(gotap, &servers).with_context(|| format!("Go 1.{minor}, {mode}"))?;
    }
    Ok(())
}

/// The whole path is looked up, also where what is shown of it is cut.
#[test]
fn long_paths_have_routes() -> Result<()> {
    if !can_trace("long_paths_have_routes") {
        return Ok(());
    }
    let app = App::start(&build(None, Version::of(27), Mode::Stripped)?)?;
    let gotap = Gotap::trace_pid(app.pid())?;
    let mut asked = Vec::new();
    for (name, address) in servers(&app) {
        let route = match name.as_str() {
            "gin" | "echo" | "echo5" | "httprouter" => "/users/:id/posts/:post",
            "chi" | "gorilla" => "/users/{id}/posts/{post}",
            _ => continue,
        };
        let mut connection = Connection::open(&address)?;
        for (length, query, known) in
            [(200, 0, true), (230, 0, true), (300, 0, true), (300, 4000, true), (90, 400, true)]
                .into_iter()
                .chain([(3900, 0, true), (4100, 0, false)])
        {
            let target = format!("/users/{}/posts/9?{}", "x".repeat(length), "q".repeat(query));
            connection.get(&target, &[])?;
            // The newest echo tells the request its pattern.
            let known = known || name == "echo5";
            asked.push((name.clone(), target, known.then_some(route)));
        }
    }
    ensure!(asked.len() == 6 * 7, "{}", asked.len());
    let mut spans = gotap.finish(asked.len())?;
    spans.sort_by_key(|span| span.start);
    for ((name, target, route), span) in asked.iter().zip(&spans) {
        let path = target.split('?').next().unwrap_or_default();
        let shown = span.text("url.path").unwrap_or_default();
        let whole = path.len() <= 252;
        ensure!(whole == (shown == path), "{name}: {span:#?}");
        ensure!(whole || shown.strip_suffix('…').is_some_and(|s| path.starts_with(s)), "{shown}");
        ensure!(span.text("http.route") == *route, "{name}, {} bytes: {span:#?}", path.len());
    }
    Ok(())
}

#[test]
fn routers_are_listed() -> Result<()> {
    if !can_trace("routers_are_listed") {
        return Ok(());
    }
    let app = App::start(&build(None, Version::of(26), Mode::Plain)?)?;
    let mut command = std::process::Command::new(binary());
    let output = command.args(["ps", "-v", "--pid", &app.pid().to_string()]).output()?;
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    for router in ["gin", "chi", "gorilla", "echo", "httprouter"] {
        ensure!(table.matches(&format!("routes:{router}")).count() == 1, "{router}: {table}");
    }
    Ok(())
}

/// Names and addresses.
fn servers(app: &App) -> Vec<(String, String)> {
    let lines = app.process.stdout();
    let pairs = lines.iter().filter_map(|line| line.split_once(' '));
    let pairs = pairs.filter(|(name, _)| *name != "listening");
    pairs.map(|(name, address)| (name.to_owned(), address.to_owned())).collect()
}

/// Asks each server for all of its cases, and looks at each span.
fn check(gotap: Gotap, servers: &[(String, String)]) -> Result<()> {
    let mut asked = Vec::new();
    for (name, address) in servers {
        let mut connection = Connection::open(address)?;
        for (method, target, route) in cases(name) {
            let response = connection.request(method, target, &[], None)?;
            asked.push((name, method, target, route, response.status));
        }
    }
    let mut spans = gotap.finish(asked.len())?;
    spans.sort_by_key(|span| span.start);
    for ((name, method, target, route, status), span) in asked.iter().zip(&spans) {
        let what = || format!("{name}: {method} {target}: {span:#?}");
        ensure!(span.text("url.path") == target.split('?').next(), "{}", what());
        ensure!(span.text("http.route") == *route, "route of {}", what());
        let expected = match route {
            Some(route) => format!("{method} {route}"),
            None => (*method).to_owned(),
        };
        ensure!(span.name == expected, "name of {}", what());
        // What has a route was answered by its handler.
        ensure!(route.is_none() || *status == 200, "{status} of {}", what());
    }
    Ok(())
}
