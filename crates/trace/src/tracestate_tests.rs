//! The lists of the public test suite of W3C Trace Context, at its strict level, and more.

use super::*;

fn of(fields: &[&str]) -> Option<String> {
    let expected = u16::try_from(fields.len()).unwrap();
    let text = |value: &str| Text { value: value.into(), truncated: false };
    let mut all = Fields { expected, ..Fields::default() };
    for (number, field) in (0..).zip(fields) {
        all.add(number, &text(field));
    }
    all.list()
}

fn numbered(from: usize, to: usize) -> String {
    let members: Vec<_> = (from..=to).map(|n| format!("bar{n:02}={n:02}")).collect();
    members.join(",")
}

#[test]
fn fields_are_joined_in_their_order() {
    let cases: [(&[&str], &str); 12] = [
        (&["foo=1"], "foo=1"),
        (&["foo=1,bar=2"], "foo=1,bar=2"),
        (&["foo=1,bar=2", "rojo=1,congo=2", "baz=3"], "foo=1,bar=2,rojo=1,congo=2,baz=3"),
        (&[""], ""),
        (&["foo=1", ""], "foo=1"),
        (&["", "foo=1"], "foo=1"),
        (&["foo=1,", ",bar=2"], "foo=1,bar=2"),
        (&["foo=1 \t , \t bar=2, \t baz=3"], "foo=1,bar=2,baz=3"),
        (&["foo=1\t \t,\t \tbar=2,\t \tbaz=3"], "foo=1,bar=2,baz=3"),
        (&["\t foo=1 \t"], "foo=1"),
        (&["foo=1 , , bar=2"], "foo=1,bar=2"),
        (&["1a@b=x y"], "1a@b=x y"),
    ];
    for (fields, expected) in cases {
        assert_eq!(of(fields).as_deref(), Some(expected), "{fields:?}");
    }
}

#[test]
fn all_characters_that_are_allowed_stay() {
    let key = "abcdefghijklmnopqrstuvwxyz0123456789_-*/";
    let value: String = (' '..='~').filter(|c| !matches!(c, ',' | '=')).collect();
    for key in [key.to_owned(), format!("{key}@a-z0-9_-*/")] {
        let list = format!("{key}={value}");
        assert_eq!(of(&[&list]), Some(list));
    }
}

#[test]
fn what_is_no_list_is_dropped_as_a_whole() {
    let bad = [
        "foo=1,foo=1",
        "foo=1,foo=2",
        "foo =1",
        "FOO=1",
        "foo.bar=1",
        "foo@=1,bar=2",
        "@foo=1,bar=2",
        "foo@@bar=1,bar=2",
        "foo@bar@baz=1,bar=2",
        "foo=bar=baz",
        "foo=,bar=3",
        "no equals,foo=1",
        "=1",
        "1foo=1",
        "a=\u{fffd}",
        "a=é",
        "a=\u{7f}",
    ];
    for list in bad {
        assert_eq!(of(&[list]), None, "{list}");
        assert_eq!(of(&["z=9", list]), None, "{list}");
    }
    assert_eq!(of(&["foo=1", "foo=2"]), None);
}

#[test]
fn lengths_and_numbers_are_limited() {
    let (z, t, v) = (|n| "z".repeat(n), |n| "t".repeat(n), |n| "v".repeat(n));
    for key in [z(256), format!("{}@{}", t(241), v(14))] {
        assert_eq!(of(&["foo=1", &format!("{key}=1")]), Some(format!("foo=1,{key}=1")));
    }
    for key in [z(257), format!("{}@v", t(242)), format!("t@{}", v(15))] {
        assert_eq!(of(&["foo=1", &format!("{key}=1")]), None, "{key}");
    }
    assert!(of(&[&format!("a={}", v(256))]).is_some());
    assert_eq!(of(&[&format!("a={}", v(257))]), None);
    let parts = [numbered(1, 10), numbered(11, 20), numbered(21, 30)];
    let fields = |last: &str| of(&[&parts[0], &parts[1], &parts[2], last]);
    assert_eq!(fields(&numbered(31, 32)), Some(numbered(1, 32)));
    assert_eq!(fields(&numbered(31, 33)), None);
}

#[test]
fn long_lists_lose_whole_members_at_their_end() {
    let cut = Text { value: "a=1,b=2,c=3".into(), truncated: true };
    let mut fields = Fields::first(0, 2, &cut);
    fields.add(1, &Text { value: "d=4".into(), truncated: false });
    assert_eq!(fields.list().as_deref(), Some("a=1,b=2"));
    let long: Vec<String> = (0..20).map(|n| format!("k{n}={}", "v".repeat(250))).collect();
    let kept = of(&long.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    assert!(kept.len() <= MAX_BYTES && kept == long[..8].join(","), "{kept}");
}

#[test]
fn a_list_of_which_a_field_is_missing_is_none() {
    let text = |value: &str| Text { value: value.into(), truncated: false };
    assert_eq!(Fields::first(0, 2, &text("a=1")).list(), None);
    assert_eq!(Fields::first(1, 2, &text("a=1")).list(), None);
    let mut gap = Fields::first(0, 3, &text("a=1"));
    gap.add(2, &text("b=1"));
    assert_eq!(gap.list(), None);
}

proptest::proptest! {
    #[test]
    fn any_text_is_a_list_or_none(list in "[a-z@=, \t0-9é]{0,80}") {
        if let Some(found) = of(&[&list]) {
            proptest::prop_assert_eq!(of(&[&found]), Some(found.clone()));
        }
    }
}
