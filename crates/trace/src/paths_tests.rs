//! Tests of what paths become.

use proptest::prelude::*;

use super::*;

#[test]
fn what_varies_is_replaced() {
    for (path, expected) in [
        ("/", "/"),
        ("/users/7", "/users/{id}"),
        ("/users/7/posts/12/", "/users/{id}/posts/{id}/"),
        ("/users/-7", "/users/{id}"),
        ("/o/6f1b2c3d-0a1b-4c2d-8e3f-123456789abc/x", "/o/{uuid}/x"),
        ("/o/6F1B2C3D-0A1B-4C2D-8E3F-123456789ABC", "/o/{uuid}"),
        ("/commits/9fceb02d0ae598e95dc970b74767f19372d61af8", "/commits/{hash}"),
        ("/reports/2024-05-17", "/reports/{date}"),
        ("/reports/2024-05-17T10:00:00Z", "/reports/{date}"),
        ("/users/ada@example.com", "/users/{email}"),
        ("/users/ada%40example.com/x", "/users/{email}/x"),
        ("/t/dGhpcyBpcyBhIHNlY3JldA0K91x", "/t/{token}"),
        ("/t/01ARZ3NDEKTSV4RRFFQ69G5FAV", "/t/{token}"),
        ("/search/%E4%BD%A0%E5%A5%BD", "/search/{token}"),
        ("/a/b/c/d/e/f/g/h/i/j", "/a/b/c/d/e/f/g/h/*"),
    ] {
        assert_eq!(cluster(path), expected, "{path}");
    }
}

#[test]
fn names_stay() {
    for path in [
        "/static/app.js",
        "/api/v1/things",
        "/oauth2/callback",
        "/getUserByIdAndName",
        "/deadbeef",
        "/internationalization-settings",
        "/facade/decade/added",
        "/@ada",
        "/.well-known/openid-configuration",
        "/files/report-2024.pdf",
        "/s3/ec2/k8s/i18n",
        "/health_check_v2",
    ] {
        assert_eq!(cluster(path), path);
    }
}

#[test]
fn clusters_are_few() {
    let mut clusters = Clusters::with_limit(2);
    assert_eq!(clusters.of("/a/1", true).as_deref(), Some("/a/{id}"));
    assert_eq!(clusters.of("/b", true).as_deref(), Some("/b"));
    assert_eq!(clusters.of("/c", true).as_deref(), Some(OTHER));
    assert_eq!(clusters.of("/a/2", true).as_deref(), Some("/a/{id}"));
    assert_eq!(clusters.of("/a/3", false).as_deref(), Some("/a/{id}"));
    assert_eq!(clusters.of("/d", false), None);
}

#[test]
fn requests_for_what_is_not_there_make_no_clusters() {
    let mut clusters = Clusters::with_limit(1);
    assert_eq!(clusters.of("/wp-login.php", false), None);
    assert_eq!(clusters.of("/a", true).as_deref(), Some("/a"));
}

proptest! {
    #[test]
    fn any_number_is_the_same(number in any::<i64>(), name in "[a-z]{1,10}") {
        prop_assert_eq!(cluster(&format!("/{name}/{number}")), format!("/{name}/{{id}}"));
    }

    #[test]
    fn a_cluster_is_its_own_cluster(path in "/[a-zA-Z0-9%@./-]{0,80}") {
        let once = cluster(&path);
        prop_assert!(once.starts_with('/'));
        prop_assert_eq!(cluster(&once), once.clone());
    }

    #[test]
    fn there_are_never_more_than_the_limit(paths in proptest::collection::vec("/[a-z/]{0,8}", 0..80)) {
        let mut clusters = Clusters::with_limit(5);
        let all: HashSet<_> = paths.iter().filter_map(|p| clusters.of(p, true)).collect();
        prop_assert!(all.len() <= 6);
    }
}
