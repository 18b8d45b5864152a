//! Tests of which route a request has.

use std::sync::Arc;

use wire::{PathEvent, Role};

use super::*;
use crate::test_support::http_event;

/// A router that knows two paths.
#[derive(Debug)]
struct Router;

impl crate::Routes for Router {
    fn route(&self, request: &Routed<'_>) -> Option<String> {
        let Routed { server, method, authority, host, path, raw_path, pattern, .. } = *request;
        assert!(["", "GET example.com/", "example.com/", "/{path...}", "/api/"].contains(&pattern));
        assert_eq!(
            (server, method, authority, host),
            (7, "GET", "example.com:8080", "example.com")
        );
        match (path, raw_path) {
            ("/a b" | "/a", "") => Some("/:a".to_owned()),
            ("/x/y", "") => Some("/x/*".to_owned()),
            ("/x/y", "/x%2Fy") => Some("/:x".to_owned()),
            _ if path.len() > 300 && path.ends_with("/end") => Some("/:long/end".to_owned()),
            _ => None,
        }
    }
}

fn ask(event: &HttpEvent, paths: &Paths) -> Option<String> {
    let process = ProcessInfo { routes: Some(Arc::new(Router)), ..ProcessInfo::default() };
    of(event, paths, &process).map(String::from)
}

/// A request without a pattern.
fn asked(target: &str) -> HttpEvent {
    let mut event = http_event(Role::Server);
    event.target.value = target.into();
    event.route.value = CompactString::default();
    event.server = 7;
    event
}

fn at_end(path: &str, raw_len: u16) -> Paths {
    let mut paths = Paths::default();
    let text = Text { value: path.into(), truncated: false };
    paths.add(PathEvent { span_id: [0; 8], part: PathPart::AtEnd { raw_len }, text });
    paths
}

#[test]
fn a_router_is_asked_for_the_route_of_a_request_that_names_none() {
    let none = Paths::default();
    let mut event = asked("/a%20b?c");
    assert_eq!(ask(&event, &none).as_deref(), Some("/:a"));
    event.route.value = "GET /users/{id}".into();
    assert_eq!(ask(&event, &none).as_deref(), Some("/users/{id}"));
    // Behind such a one there may be another router.
    event.route.value = "GET example.com/".into();
    assert_eq!(ask(&event, &none).as_deref(), Some("/:a"));
    event.server = 0;
    event.route.value = CompactString::default();
    assert_eq!(ask(&event, &none), None);
}

#[test]
fn what_takes_every_path_is_a_route_of_its_own_path_only() {
    let none = Paths::default();
    let mut event = asked("/other?x");
    event.route.value = "example.com/".into();
    assert_eq!(ask(&event, &none), None);
    event.target.value = "/?x".into();
    assert_eq!(ask(&event, &none).as_deref(), Some("/"));
    event.route.value = "/{path...}".into();
    assert_eq!(ask(&event, &none), None);
    event.route.value = "/api/".into();
    assert_eq!(ask(&event, &none).as_deref(), Some("/api/"));
}

#[test]
fn a_path_that_was_changed_has_a_route_only_if_both_have_the_same() {
    let mut event = asked("/a%20b");
    event.path_kept = false;
    assert_eq!(ask(&event, &Paths::default()), None, "nothing is known of its end");
    assert_eq!(ask(&event, &at_end("/a b", 0)).as_deref(), Some("/:a"), "it is the same");
    assert_eq!(ask(&event, &at_end("/a", 0)).as_deref(), Some("/:a"));
    assert_eq!(ask(&event, &at_end("/x/y", 0)), None);
    assert_eq!(ask(&event, &at_end("/", 0)), None);
    assert_eq!(ask(&event, &at_end("/a b", 6)), None, "something else set a raw path");
    let mut event = asked("/x%2Fy");
    event.path_kept = false;
    assert_eq!(ask(&event, &at_end("/x/y", 6)).as_deref(), Some("/:x"));
    assert_eq!(ask(&event, &at_end("/x/y", 0)), None, "it would be another route");
}

#[test]
fn long_paths_come_whole() {
    let none = Paths::default();
    let target = format!("/{}/end?query", "x".repeat(400));
    let mut event = asked(&target[..200]);
    event.target.truncated = true;
    assert_eq!(ask(&event, &none), None);
    let long = |text: &str, truncated| {
        let mut paths = Paths::default();
        let text = Text { value: text.into(), truncated };
        paths.add(PathEvent { span_id: [0; 8], part: PathPart::Sent, text });
        paths
    };
    assert_eq!(ask(&event, &long(&target, false)).as_deref(), Some("/:long/end"));
    // A cut in the query leaves the path whole.
    assert_eq!(ask(&event, &long(&target, true)).as_deref(), Some("/:long/end"));
    assert_eq!(ask(&event, &long("/x/end", true)), None);
}

#[test]
fn what_stands_for_everything_is_known_in_all_syntaxes() {
    for all in ["/", "*", "/*", "/*path", "/{path...}", "/{path:.*}", "/{rest:.+}", "/+"] {
        assert!(stands_for_everything(all), "{all}");
    }
    for some in ["/a", "/a/", "/a/*", "/:id", "/{id}", "/{id}/{rest...}", "/*/b", "/{id:[0-9]+}"] {
        assert!(!stands_for_everything(some), "{some}");
    }
}

#[test]
fn paths_are_parsed_as_go_parses_them() {
    let parsed = |sent| Url::parse(sent).map(|url| (url.path.into_owned(), url.raw_path));
    let of = |path: &str, raw| Some((path.to_owned(), raw));
    // What Go's EscapedPath makes of the path is not kept a second time.
    assert_eq!(parsed("/a%20b"), of("/a b", ""));
    assert_eq!(parsed("/a:b@c;d,e=f&g$h+i"), of("/a:b@c;d,e=f&g$h+i", ""));
    assert_eq!(parsed("/a%2Fb"), of("/a/b", "/a%2Fb"));
    assert_eq!(parsed("/%37"), of("/7", "/%37"));
    assert_eq!(parsed("/(a)"), of("/(a)", "/(a)"));
    assert_eq!(parsed("/\u{e9}"), of("/\u{e9}", "/\u{e9}"));
    assert_eq!(parsed("/%C3%A9"), of("/\u{e9}", ""));
    assert_eq!(parsed("/%c3%a9"), of("/\u{e9}", "/%c3%a9"));
    assert_eq!(parsed("/%ff"), None);
}

#[test]
fn escaped_paths_are_what_go_gives() {
    let escaped = |sent| Url::parse(sent).map(|url| url.escaped().into_owned());
    for same in ["/a%2Fb", "/%37", "/(a)", "/a%20b", "/[a]'!*"] {
        assert_eq!(escaped(same).as_deref(), Some(same));
    }
    assert_eq!(escaped("/\u{e9}").as_deref(), Some("/%C3%A9"));
    assert_eq!(escaped("/a\"b%2f").as_deref(), Some("/a%22b/"));
}
