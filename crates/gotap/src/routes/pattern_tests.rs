//! Tests of single patterns, in each syntax.

use proptest::prelude::*;

use super::*;

fn colons(pattern: &str, path: &str) -> bool {
    Pattern::colons(pattern).unwrap().matches(path).is_some()
}

fn braces(pattern: &str, path: &str) -> bool {
    Pattern::braces(pattern).unwrap().matches(path).is_some()
}

fn expression(pattern: &str, path: &str) -> bool {
    Pattern::expression(pattern, false, false).unwrap().matches(path).is_some()
}

#[test]
fn a_colon_starts_a_parameter_that_ends_at_a_slash() {
    assert!(colons("/users/:id", "/users/7"));
    assert!(!colons("/users/:id", "/users/"));
    assert!(!colons("/users/:id", "/users/7/"));
    assert!(!colons("/users/:id", "/users/7/posts"));
    assert!(colons("/users/:id/posts/:post", "/users/7/posts/9"));
    assert!(colons("/v:version/x", "/v2/x"));
    assert!(!colons("/v:version/x", "/v/x"));
    assert!(colons("/a/b\\:c", "/a/b:c"));
    assert!(!colons("/a/b\\:c", "/a/bx"));
    assert!(colons("/ü/:id", "/ü/ö"));
}

#[test]
fn a_star_takes_the_rest() {
    assert!(colons("/files/*path", "/files/a/b"));
    assert!(colons("/files/*path", "/files/"));
    assert!(!colons("/files/*path", "/files"));
    assert!(braces("/files/*", "/files/a/b"));
    let found = Pattern::braces("/api/*").unwrap().matches("/api/users/7").unwrap();
    assert_eq!(found.rest, Some(5));
}

#[test]
fn braces_may_hold_an_expression() {
    assert!(braces("/users/{id:[0-9]+}", "/users/7"));
    assert!(!braces("/users/{id:[0-9]+}", "/users/7a"));
    assert!(!braces("/users/{id:[0-9]+}", "/users/a7"));
    assert!(braces("/d/{day:\\d{4}-\\d{2}}", "/d/2024-05"));
    assert!(!braces("/d/{day:\\d{4}-\\d{2}}", "/d/2024-5"));
    assert!(braces("/{year}-{month}.csv", "/2024-05.csv"));
    assert!(!braces("/{year}-{month}.csv", "/2024.csv"));
    // One that is not understood says that it is some segment.
    assert!(braces("/x/{id:(?=a)b}", "/x/y"));
    assert!(Pattern::braces("/x/{id").is_none());
    assert!(Pattern::braces("/x}").is_none());
}

#[test]
fn an_expression_may_go_over_slashes() {
    assert!(expression("/files/{path:.*}", "/files/a/b"));
    assert!(!expression("/files/{path}", "/files/a/b"));
    assert!(expression("/a.b/{c}", "/a.b/c"));
    assert!(!expression("/a.b/{c}", "/axb/c"));
    let prefix = Pattern::expression("/files/", true, false).unwrap();
    assert!(prefix.matches("/files/a/b").is_some());
    assert!(prefix.matches("/file").is_none());
    let slash = Pattern::expression("/a/", false, true).unwrap();
    assert!(slash.matches("/a").is_some() && slash.matches("/a/").is_some());
    assert!(slash.matches("/a/b").is_none());
}

#[test]
fn text_is_more_special_than_a_parameter_and_that_more_than_a_rest() {
    let of = |pattern: &str| Pattern::braces(pattern).unwrap().matches("/users/7/x").unwrap();
    let order = [
        "/users/7/x",
        "/users/7/{x}",
        "/users/{id:[0-9]+}/x",
        "/users/{id}/x",
        "/users/{id}/*",
        "/users/*",
        "/{a}/7/x",
        "/*",
    ];
    for pair in order.windows(2) {
        assert!(of(pair[0]).is_more_special(&of(pair[1])), "{pair:?}");
        assert!(!of(pair[1]).is_more_special(&of(pair[0])), "{pair:?}");
    }
}

#[test]
fn a_parameter_ends_where_the_text_behind_it_starts_first() {
    assert!(braces("/{a}-{b}", "/x-y-z"));
    assert!(!braces("/{a}-x", "/p-q-x"), "chi does not look for another end");
    assert!(braces("/{a}-x", "/-x"));
    let of = |pattern: &str| Pattern::braces(pattern).unwrap().matches("/p-x").unwrap();
    assert!(of("/{a}-x").is_more_special(&of("/{b}")));
}

#[test]
fn a_last_parameter_may_take_all_that_follows() {
    let mut pattern = Pattern::colons("/users/:id").unwrap();
    pattern.take_remainder();
    assert!(pattern.matches("/users/7/x").is_some());
    assert!(pattern.matches("/users/").is_none());
    let rest = Pattern::colons("/users/*").unwrap().matches("/users/7/x").unwrap();
    assert!(pattern.matches("/users/7/x").unwrap().is_more_special(&rest));
}

#[test]
fn a_hostile_pattern_ends() {
    let many = "{a}-".repeat(30) + "x";
    let path = format!("/{}", "-".repeat(4000));
    assert!(Pattern::braces(&format!("/{many}")).unwrap().matches(&path).is_none());
    assert!(Pattern::braces(&"/{a}".repeat(1000)).is_none());
}

proptest! {
    #[test]
    fn a_pattern_matches_what_is_put_into_it(
        texts in proptest::collection::vec("[a-z]{1,6}", 1..6),
        values in proptest::collection::vec("[A-Z0-9._~-]{1,8}", 6),
    ) {
        let (mut colons, mut braces, mut path) = (String::new(), String::new(), String::new());
        for (text, value) in texts.iter().zip(&values) {
            colons += &format!("/{text}/:{text}");
            braces += &format!("/{text}/{{{text}}}");
            path += &format!("/{text}/{value}");
        }
        let all = [
            Pattern::colons(&colons),
            Pattern::braces(&braces),
            Pattern::expression(&braces, false, false),
        ];
        for pattern in all {
            let pattern = pattern.unwrap();
            prop_assert!(pattern.matches(&path).is_some());
            let longer = format!("{path}/more");
            prop_assert!(pattern.matches(&longer).is_none());
        }
    }

    #[test]
    fn nothing_panics(pattern in "[/a:*{}ü\\\\\\[+]{0,20}", path in "[/aü]{0,20}") {
        for pattern in [
            Pattern::colons(&pattern),
            Pattern::braces(&pattern),
            Pattern::expression(&pattern, true, true),
        ] {
            pattern.and_then(|p| p.matches(&path));
        }
    }
}
