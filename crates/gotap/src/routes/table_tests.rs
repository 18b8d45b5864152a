//! Tests of how routers choose among their routes.

use super::*;

fn ask<'a>(method: &'a str, host: &'a str, path: &'a str) -> Routed<'a> {
    let (raw_path, escaped, pattern) = ("", path, "");
    Routed { server: 1, method, authority: host, host, path, raw_path, escaped, pattern }
}

fn table(choice: Choice, routes: Vec<Route>) -> Table {
    Table { choice, lookup: Lookup::Decoded, changes: Changes::default(), routes }
}

fn colons(method: &str, text: &str) -> Route {
    Route::new(method, text.into(), Pattern::colons(text).unwrap())
}

fn braces(method: &str, text: &str) -> Route {
    Route::new(method, text.into(), Pattern::braces(text).unwrap())
}

fn expression(text: &str) -> Route {
    Route::new("", text.into(), Pattern::expression(text, false, false).unwrap())
}

fn get(table: &Table, path: &str) -> Option<String> {
    table.find(&ask("GET", "h", path))
}

#[test]
fn the_most_special_route_of_the_method_is_chosen() {
    let routes = [("GET", "/*all"), ("GET", "/users/:id"), ("GET", "/users/new"), ("PUT", "/a/b")];
    let table = table(Choice::Special, routes.map(|(m, text)| colons(m, text)).into());
    assert_eq!(get(&table, "/users/new").as_deref(), Some("/users/new"));
    assert_eq!(get(&table, "/users/newer").as_deref(), Some("/users/:id"));
    assert_eq!(get(&table, "/users/7/x").as_deref(), Some("/*all"));
    assert_eq!(get(&table, "/a/b").as_deref(), Some("/*all"));
    assert_eq!(table.find(&ask("POST", "h", "/users/7")), None);
}

#[test]
fn routes_of_a_host_hide_the_others() {
    let mut hosted = colons("GET", "/:hosted");
    hosted.host = Some("Example.com".into());
    let table = table(Choice::SpecialOfHost, vec![colons("GET", "/a"), hosted]);
    assert_eq!(table.find(&ask("GET", "example.com", "/a")).as_deref(), Some("/:hosted"));
    assert_eq!(get(&table, "/a").as_deref(), Some("/a"));
    assert_eq!(get(&table, "/b"), None);
}

#[test]
fn a_mounted_router_gets_what_is_below_it() {
    let inner = table(Choice::Special, vec![braces("GET", "/"), braces("GET", "/users/{id}")]);
    let inner = Arc::new(inner);
    let mount = |text: &str| {
        let mut route = braces("", text);
        route.mounted = Some(inner.clone());
        route
    };
    let outer = vec![mount("/api/*"), mount("/api/"), mount("/api"), braces("GET", "/api/{x}/y")];
    let table = table(Choice::Special, outer);
    assert_eq!(get(&table, "/api/users/7").as_deref(), Some("/api/users/{id}"));
    assert_eq!(get(&table, "/api").as_deref(), Some("/api"));
    assert_eq!(get(&table, "/api/").as_deref(), Some("/api"));
    assert_eq!(get(&table, "/api/none"), None);
    assert_eq!(get(&table, "/api/users/y").as_deref(), Some("/api/{x}/y"));
}

#[test]
fn the_first_route_wins_unless_one_before_it_can_not_be_judged() {
    let mut perhaps = expression("/a/{perhaps}");
    perhaps.certain = false;
    let mut nothing = expression("/dead/{end}");
    nothing.text.clear();
    let routes = vec![perhaps, expression("/{any}/{thing}"), nothing, expression("/{a:.*}/x/{b}")];
    let table = table(Choice::First, routes);
    assert_eq!(get(&table, "/b/c").as_deref(), Some("/{any}/{thing}"));
    assert_eq!(get(&table, "/a/c"), None);
    assert_eq!(get(&table, "/k/l/x/m").as_deref(), Some("/{a:.*}/x/{b}"));
    assert_eq!(get(&table, "/none"), None);
}

#[test]
fn an_escaped_slash_separates_nothing_where_the_router_looks_at_what_was_sent() {
    let mut table = table(Choice::Special, vec![colons("GET", "/a/:b")]);
    let mut request = ask("GET", "h", "/a/b/c");
    request.raw_path = "/a/b%2Fc";
    assert_eq!(table.find(&request), None);
    table.lookup = Lookup::Raw;
    assert_eq!(table.find(&request).as_deref(), Some("/a/:b"));
    request.raw_path = "";
    request.escaped = "/a/b%2Fc";
    assert_eq!(table.find(&request), None);
    table.lookup = Lookup::Escaped;
    assert_eq!(table.find(&request).as_deref(), Some("/a/:b"));
}

#[test]
fn a_serve_mux_names_the_path_of_its_pattern() {
    let patterns = ["/a/", "example.com/b"];
    let routes = patterns.map(|text| Route::new("", text.into(), Pattern::Everything));
    let table = table(Choice::ServeMux, routes.into());
    assert_eq!(table.find(&ask("GET", "example.com", "/b")).as_deref(), Some("/b"));
    assert_eq!(get(&table, "/a/x").as_deref(), Some("/a/"));
    assert_eq!(get(&table, "/b"), None);
}

#[test]
fn a_router_behind_a_pattern_knows_better() {
    let inner = Arc::new(table(Choice::Special, vec![colons("GET", "/a/:id")]));
    let mount = |text: &str| {
        let mut route = Route::new("", text.into(), Pattern::Everything);
        route.mounted = Some(inner.clone());
        route
    };
    let old = table(Choice::ServeMux, vec![mount("/")]);
    assert_eq!(get(&old, "/a/7").as_deref(), Some("/a/:id"));
    assert_eq!(get(&old, "/b").as_deref(), Some("/"));
    let parsed = vec![Parsed::of("GET h/").unwrap()];
    let new = table(Choice::NamedByRequest(parsed), vec![mount("GET h/")]);
    // A copy of the request that was passed on has the pattern.
    assert_eq!(get(&new, "/a/7").as_deref(), Some("/a/:id"));
    assert_eq!(new.find(&ask("GET", "other", "/a/7")), None);
    let named = |pattern, path| new.find(&Routed { pattern, ..ask("GET", "h", path) });
    assert_eq!(named("GET h/", "/a/7").as_deref(), Some("/a/:id"));
    assert_eq!(named("GET h/", "/b").as_deref(), Some("/"));
    assert_eq!(named("/x/", "/a/7").as_deref(), Some("/x/"));
    let other = Routed { pattern: "/x/", ..ask("GET", "h", "/a/7") };
    assert_eq!(inner.find(&other), None);
}

#[test]
fn what_middleware_does_to_a_path_is_done_before_it_is_looked_up() {
    let with = |changes| Table {
        changes,
        ..table(Choice::Special, vec![braces("GET", "/users/{id}"), braces("", "/*")])
    };
    let none = Changes::default();
    assert_eq!(get(&with(none), "/users/7/").as_deref(), Some("/*"));
    let stripped = with(Changes { stripped: true, ..none });
    assert_eq!(get(&stripped, "/users/7/").as_deref(), Some("/users/{id}"));
    assert_eq!(get(&stripped, "/").as_deref(), Some("/*"));
    let cleaned = with(Changes { cleaned: true, ..none });
    assert_eq!(get(&cleaned, "/users/../7"), None);
    assert_eq!(get(&cleaned, "/users/7").as_deref(), Some("/users/{id}"));
    let extension = with(Changes { extension: true, ..none });
    assert_eq!(get(&extension, "/users/7.json"), None);
    assert_eq!(get(&extension, "/v1.2/7").as_deref(), Some("/*"));
    assert_eq!(get(&with(Changes { unknown: true, ..none }), "/users/7"), None);
    let mut head = with(Changes { head_as_get: true, ..none });
    let ask_head = |table: &Table| table.find(&ask("HEAD", "h", "/users/7"));
    assert_eq!(ask_head(&head).as_deref(), Some("/*"), "it takes all methods");
    head.routes.truncate(1);
    assert_eq!(ask_head(&head).as_deref(), Some("/users/{id}"));
}

#[test]
fn of_routes_that_are_equal_none_is_told() {
    let routes = vec![braces("GET", "/{a:[0-9]+}"), braces("GET", "/{b:[0-7]+}")];
    let equal = table(Choice::Special, routes);
    assert_eq!(get(&equal, "/7"), None);
    assert_eq!(get(&equal, "/8").as_deref(), Some("/{a:[0-9]+}"));
    // An expression that is not understood may take it, or leave it to the next.
    let routes = vec![braces("GET", "/{a:(?=a)b}"), braces("GET", "/{b}")];
    assert_eq!(get(&table(Choice::Special, routes), "/x"), None);
}

#[test]
fn echo_ends_its_search_at_what_takes_the_rest_for_other_methods() {
    let routes = [("PUT", "/a/*"), ("GET", "/:x/:y"), ("GET", "/a/b")];
    let routes = routes.map(|(method, text)| colons(method, text));
    let echo = table(Choice::SpecialOfHost, routes.into());
    assert_eq!(get(&echo, "/a/7"), None);
    assert_eq!(get(&echo, "/a/b").as_deref(), Some("/a/b"));
    assert_eq!(get(&echo, "/b/7").as_deref(), Some("/:x/:y"));
}
