//! Tests of the mapping from HTTP events to spans.

use super::*;
use crate::Status;
use crate::test_support::{get, http_event as event, unread};

/// The span of an event that nothing came ahead of, without query strings.
fn span_of(event: &HttpEvent, process: &ProcessInfo, clock_offset: i64) -> Span {
    span(event, &Paths::default(), process, clock_offset, false)
}

fn client() -> HttpEvent {
    let mut event = event(Role::Client);
    event.tls = true;
    event.peer.value = CompactString::default();
    event.target.value = "/a b/ü".into();
    event.host.value = "[::1]:8443".into();
    event
}

#[test]
fn a_server_span_has_the_stable_names_and_no_query() {
    let span = span_of(&event(Role::Server), &ProcessInfo::default(), 10);
    assert_eq!(span.name, "GET /users/{id}");
    assert_eq!((span.start_unix_nano, span.end_unix_nano), (1_010, 3_510));
    assert_eq!(span.parent_span_id, None);
    let keys = ["http.route", "url.path", "url.scheme", "server.address", "server.port"];
    assert_eq!(
        keys.map(|k| get(&span, k)),
        ["/users/{id}", "/users/7", "http", "example.com", "8080"]
    );
    let keys = ["client.address", "network.peer.port", "http.response.status_code"];
    assert_eq!(keys.map(|k| get(&span, k)), ["127.0.0.1", "4711", "200"]);
    assert!(!format!("{span:?}").contains("secret"));
}

#[test]
fn a_client_url_is_escaped_and_keeps_its_port() {
    let span = span_of(&client(), &ProcessInfo::default(), 0);
    assert_eq!(span.name, "GET");
    assert_eq!(get(&span, "url.full"), "https://[::1]:8443/a%20b/%C3%BC");
    assert_eq!(get(&span, "server.address"), "::1");
    assert_eq!(get(&span, "server.port"), "8443");
}

#[test]
fn a_path_is_escaped_as_go_escapes_it() {
    let mut odd = client();
    odd.target.value = "/a(b)!*'[]{}|\"<>^`\\?#%&=+:@$,;~-_.\u{1}".into();
    let url = get(&span_of(&odd, &ProcessInfo::default(), 0), "url.full");
    let escaped = "%28b%29%21%2A%27%5B%5D%7B%7D%7C%22%3C%3E%5E%60%5C%3F%23%25&=+:@$,;~-_.%01";
    assert_eq!(url, format!("https://[::1]:8443/a{escaped}"));
}

#[test]
fn an_answer_to_head_has_no_body() {
    for mut event in [event(Role::Server), client()] {
        event.method.value = "HEAD".into();
        let span = span_of(&event, &ProcessInfo::default(), 0);
        assert_eq!(get(&span, "http.response.body.size"), "0");
    }
}

#[test]
fn statuses_follow_the_side() {
    let with = |mut event: HttpEvent, status| {
        event.status = Some(status);
        span_of(&event, &ProcessInfo::default(), 0).status
    };
    assert_eq!(with(event(Role::Server), 404), Status::Unset);
    assert_eq!(with(event(Role::Server), 500), Status::Error(String::new()));
    assert_eq!(with(client(), 404), Status::Error(String::new()));
}

#[test]
fn handlers_that_write_nothing_answer_200_unless_they_panic() {
    let mut silent = event(Role::Server);
    silent.status = None;
    assert_eq!(
        get(&span_of(&silent, &ProcessInfo::default(), 0), "http.response.status_code"),
        "200"
    );
    silent.span.outcome = Outcome::Aborted;
    let span = span_of(&silent, &ProcessInfo::default(), 0);
    assert_eq!(get(&span, "http.response.status_code"), "-");
    assert_eq!(get(&span, "error.type"), "panic");
}

#[test]
fn errors_are_named_by_type_and_told_by_errno() {
    let mut refused = client();
    refused.status = None;
    refused.span.outcome = Outcome::Error;
    refused.error_type = 0x10;
    refused.errno = 111;
    let type_names = std::sync::Arc::new([(0x10, "*net.OpError".to_owned())].into());
    let process = ProcessInfo { type_names, ..ProcessInfo::default() };
    let span = span_of(&refused, &process, 0);
    assert_eq!(get(&span, "error.type"), "*net.OpError");
    assert_eq!(span.status, Status::Error("connection refused".into()));
}

#[test]
fn odd_methods_and_targets_stay_low_in_cardinality() {
    let mut odd = event(Role::Server);
    odd.method.value = "BREW".into();
    odd.route.value = CompactString::default();
    odd.target.value = "http://proxy.example/x?y".into();
    let span = span_of(&odd, &ProcessInfo::default(), 0);
    assert_eq!(span.name, "HTTP");
    assert_eq!(get(&span, "http.request.method_original"), "BREW");
    assert_eq!(get(&span, "url.path"), "/x");
}

#[test]
fn cuts_are_visible() {
    let mut long = event(Role::Server);
    long.target = Text { value: "/aaaa".into(), truncated: true };
    assert_eq!(get(&span_of(&long, &ProcessInfo::default(), 0), "url.path"), "/aaaa…");
    long.target.value = "/a?bbb".into();
    assert_eq!(get(&span_of(&long, &ProcessInfo::default(), 0), "url.path"), "/a");
}

#[test]
fn paths_are_clustered_only_where_it_is_wanted_and_no_route_is_known() {
    let mut assembler = crate::Assembler::new();
    assembler.add_process(1, ProcessInfo::default());
    let take = |assembler: &mut crate::Assembler, route: &str, status| {
        let mut event = event(Role::Server);
        event.route.value = route.into();
        event.status = Some(status);
        let span = assembler.on_event(wire::Event::Http(Box::new(event)), 0).unwrap();
        (span.name.to_string(), get(&span, "http.route"))
    };
    let named = |name: &str, route: &str| (name.to_owned(), route.to_owned());
    assert_eq!(take(&mut assembler, "", 200), named("GET", "-"));
    assembler.cluster_paths();
    assert_eq!(take(&mut assembler, "", 404), named("GET", "-"));
    assert_eq!(take(&mut assembler, "/users/{u}", 200), named("GET /users/{u}", "/users/{u}"));
    assert_eq!(take(&mut assembler, "", 200), named("GET /users/{id}", "/users/{id}"));
    assert_eq!(take(&mut assembler, "", 404), named("GET /users/{id}", "/users/{id}"));
    let client = wire::Event::Http(Box::new(client()));
    assert_eq!(assembler.on_event(client, 0).unwrap().name, "GET");
}

#[test]
fn what_could_not_be_read_is_left_out_and_named() {
    let mut served = event(Role::Server);
    served.span.unread = unread(&[Unread::Method, Unread::Scheme, Unread::Status]);
    (served.method, served.status) = (Text::default(), None);
    let made = span_of(&served, &ProcessInfo::default(), 0);
    assert_eq!(made.name, "HTTP /users/{id}");
    let keys = ["http.request.method", "url.scheme", "http.response.status_code", "error.type"];
    assert_eq!(keys.map(|k| get(&made, k)), ["-"; 4]);
    assert_eq!(get(&made, "gotap.unread"), "method,scheme,status");
    // Nothing that was read, but nothing that failed either, is the default of both.
    served.span.unread = unread(&[]);
    let made = span_of(&served, &ProcessInfo::default(), 0);
    assert_eq!(keys.map(|k| get(&made, k)), ["GET", "http", "200", "-"]);
    assert_eq!(get(&made, "gotap.unread"), "-");

    let mut called = client();
    called.span.unread = unread(&[Unread::Host, Unread::Resend, Unread::Status]);
    (called.span.resend, called.status) = (1, None);
    let made = span_of(&called, &ProcessInfo::default(), 0);
    let keys = ["url.full", "http.request.resend_count", "http.response.status_code"];
    assert_eq!(keys.map(|k| get(&made, k)), ["-"; 3]);
    assert_eq!((made.status.clone(), get(&made, "error.type")), (Status::Unset, "-".into()));
    assert_eq!(get(&made, "gotap.unread"), "host,status,resend");
}

#[test]
fn an_answer_that_is_given_up_is_no_crash() {
    let told = |outcome, version, closed: &str, unknown: &[Unread]| {
        let mut event = event(Role::Server);
        (event.span.outcome, event.version) = (outcome, version);
        event.span.unread = unread(unknown);
        event.error_text.value = closed.into();
        let span = span_of(&event, &ProcessInfo::default(), 0);
        let Status::Error(message) = &span.status else { panic!("{outcome:?}") };
        assert!(crate::messages::is_constant(message), "it does not leave: {message}");
        assert_eq!(get(&span, "http.response.status_code"), "200");
        get(&span, "error.type")
    };
    assert_eq!(told(Outcome::Aborted, (1, 1), "", &[]), "panic");
    assert_eq!(told(Outcome::Aborted, (1, 1), "", &[Unread::Error]), "_OTHER");
    assert_eq!(told(Outcome::GivenUp, (1, 1), "", &[]), "http.ErrAbortHandler");
    assert_eq!(told(Outcome::Left, (1, 1), "", &[]), "client disconnected");
    assert_eq!(told(Outcome::Left, (2, 0), "http2: stream closed", &[]), "stream reset");
    assert_eq!(told(Outcome::Left, (2, 0), "client disconnected", &[]), "client disconnected");
    assert_eq!(told(Outcome::Left, (2, 0), "", &[]), "stream closed");
}

#[test]
fn query_strings_are_told_when_they_are_asked_for() {
    let told = |event: &HttpEvent| span(event, &Paths::default(), &ProcessInfo::default(), 0, true);
    let mut server = event(Role::Server);
    server.target.value = "/search?q=go&sig=secret".into();
    assert_eq!(get(&told(&server), "url.query"), "q=go&sig=REDACTED");
    assert_eq!(get(&told(&server), "url.path"), "/search");
    assert_eq!(get(&span_of(&server, &ProcessInfo::default(), 0), "url.query"), "-");
    let mut client = client();
    client.query = Text { value: "a=b&Signature=sec".into(), truncated: true };
    let url = "https://[::1]:8443/a%20b/%C3%BC";
    assert_eq!(get(&told(&client), "url.full"), format!("{url}?a=b&Signature=REDACTED…"));
    assert_eq!(get(&span_of(&client, &ProcessInfo::default(), 0), "url.full"), url);
}

#[test]
fn what_is_given_as_the_whole_target_is_sent_as_it_is() {
    let mut event = client();
    (event.opaque, event.raw_path) = (true, true);
    let cases = [
        ("//user:secret@other:1/x%2fy?q=1", "https://other:1/x%2fy", "https://other:1/x%2fy?q=1"),
        ("/x%2fy?sig=1", "https://[::1]:8443/x%2fy", "https://[::1]:8443/x%2fy?sig=REDACTED"),
        ("x", "https:x", "https:x"),
    ];
    for (target, without, with) in cases {
        event.target.value = target.into();
        let full = |queries| span(&event, &Paths::default(), &ProcessInfo::default(), 0, queries);
        assert_eq!(get(&full(false), "url.full"), without);
        assert_eq!(get(&full(true), "url.full"), with);
    }
}

#[test]
fn a_request_that_the_client_refuses_is_an_error() {
    let mut event = client();
    event.span.outcome = Outcome::Refused;
    event.status = None;
    let refused = span_of(&event, &ProcessInfo::default(), 0);
    assert_eq!(get(&refused, "error.type"), "request refused");
    assert!(matches!(refused.status, Status::Error(_)));
    event.known_scheme = false;
    assert_eq!(get(&span_of(&event, &ProcessInfo::default(), 0), "url.full"), "-");
}
