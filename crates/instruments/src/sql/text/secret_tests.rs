//! Whatever a literal holds is not shown, wherever it stands and wherever the text is cut.

use super::Dialect::{MySql, Other, PostgreSql, Sqlite};
use super::places::{PLACES, WORDS, families, literals};
use super::*;
use proptest::prelude::*;

const DIALECTS: [Dialect; 4] = [PostgreSql, MySql, Sqlite, Other];

type Part = (usize, usize, String, String, u32);

/// Several values, one after the other.
fn statement(dialect: Dialect, parts: &[Part]) -> String {
    const BEFORE: [&str; 10] = [
        "SELECT a FROM t1 WHERE b =",
        "INSERT INTO t (a, b) VALUES (",
        ") , (",
        "UPDATE t SET a =",
        " IN (?, $1,",
        ",",
        " AND \"it's\".b LIKE ",
        "; WITH x AS (",
        " /* it's */ || ",
        " -- it's\n (",
    ];
    let mut out = String::new();
    for (before, kind, left, right, number) in parts {
        let before = BEFORE[*before].to_owned();
        let names = matches!(dialect, MySql | Other);
        out += &if names { before.replace("\"it's\"", "`its`") } else { before };
        let content = format!("{left} zq{number} zq{number} {right}");
        let literals = match dialect {
            Other => {
                // Of one dialect all of them, whichever it is.
                let mut families = families(&content, *number);
                families.swap_remove(parts[0].1 % families.len())
            }
            _ => literals(dialect, &content, *number),
        };
        out += &format!(" {} ", literals[kind % literals.len()]);
    }
    out
}

fn shows_secret(shown: &str) -> bool {
    shown.contains("zq") || shown.contains("44") || shown.to_uppercase().contains("TRUE")
}

/// Nothing of the secrets is in anything that is shown, wherever the text is cut.
fn assert_hidden(text: &str, dialect: Dialect) {
    for end in text.char_indices().map(|(at, _)| at).chain([text.len()]) {
        let cut = &text[..end];
        for truncated in [true, false] {
            let shown = format!("{:?}", parse(cut, dialect, truncated));
            assert!(!shows_secret(&shown), "{dialect:?} {cut:?}: {shown}");
        }
    }
}

#[test]
fn no_place_shows_a_value() {
    let contents = ["zq", "zq it''s zq", r"zq \ zq", "zq\n-- zq", "zq /* zq", "zq; zq ( zq"];
    for dialect in DIALECTS {
        // Brackets are SQLite's quotes of names.
        let fit = |place: &&&str| dialect != Sqlite || !place.contains('[');
        for place in PLACES.iter().filter(fit) {
            for content in contents {
                for literal in literals(dialect, content, 444_123_456) {
                    let text = place.replace("{}", &literal);
                    let shown = format!("{:?}", parse(&text, dialect, false));
                    assert!(!shows_secret(&shown), "{dialect:?} {text:?}: {shown}");
                }
            }
        }
    }
}

#[test]
fn no_word_that_is_a_value_is_shown() {
    for dialect in DIALECTS {
        for place in WORDS {
            for word in ["zq", "zq_1$é", "\"zq\"", "[zq]", "`zq`", "a.zq"] {
                let bare = !word.starts_with(['[', '`', '"']);
                if bare || dialect == Other || word.starts_with('"') {
                    let text = place.replace("{}", word);
                    let shown = format!("{:?}", parse(&text, dialect, false));
                    assert!(!shows_secret(&shown), "{dialect:?} {text:?}: {shown}");
                }
            }
        }
    }
}

#[test]
fn what_is_no_value_stays() {
    for (dialect, text) in [
        (PostgreSql, r#"SELECT "a 1", t."b" FROM "t" WHERE "c" = $1 AND d IS NULL"#),
        (MySql, "SELECT `a 1`, t.`b` FROM `t` WHERE `c` = ? AND d IS NULL"),
        (Sqlite, "SELECT `a 1`, [b 1], t.\"c\" FROM \"t\" WHERE d = ?1"),
        (Other, "SELECT `a 1`, [b], t.\"c\" FROM \"t\" JOIN [u] ON d = ? AND e = :f AND g = @h"),
        (Other, "CREATE TABLE t (a int NOT NULL, password text)"),
        (Other, "GRANT SELECT, INSERT ON t TO alice"),
        (Other, "SELECT a FROM t WHERE b = @p1 ORDER BY c"),
    ] {
        assert_eq!(parse(text, dialect, false).text, text, "{dialect:?}");
    }
}

/// Characters that open and close something, and some that do not.
const NOISE: &str = r#"['"`$\\\[\]/*#a-c \n;,().é😀%@:?{}!-]{0,6}"#;
const MORE_NOISE: &str = r#"['"`$\\\[\]/*#a-c \n;,().é😀%@:?Eq{}!-]{0,60}"#;

proptest! {
    #[test]
    fn any_text_has_a_result(text in any::<String>(), signs in MORE_NOISE) {
        for dialect in DIALECTS {
            for truncated in [false, true] {
                parse(&text, dialect, truncated);
                let found = parse(&signs, dialect, truncated);
                prop_assert!(found.text.len() <= signs.len() + 4);
                prop_assert!(found.summary.chars().count() <= 255);
            }
        }
    }

    #[test]
    fn no_literal_is_shown(
        parts in prop::collection::vec(
            (0usize..10, 0usize..1000, NOISE, NOISE, 444_000_000u32..444_999_999),
            1..5,
        )
    ) {
        for dialect in DIALECTS {
            assert_hidden(&statement(dialect, &parts), dialect);
        }
    }

    #[test]
    fn no_place_shows_any_value(
        place in 0..PLACES.len(), kind in 0usize..1000, left in NOISE, right in NOISE,
    ) {
        for dialect in DIALECTS {
            let literals = literals(dialect, &format!("{left} zq {right}"), 444_123_456);
            let place = if dialect == Sqlite { PLACES[place].replace('[', "(") } else { PLACES[place].into() };
            let text = place.replace("{}", &literals[kind % literals.len()]);
            assert_hidden(&text, dialect);
        }
    }

    /// With NO_BACKSLASH_ESCAPES in MySQL; in the others with backslashes, which they do not know.
    #[test]
    fn no_literal_is_shown_with_other_settings(
        parts in prop::collection::vec((NOISE, NOISE, 0usize..3), 1..4)
    ) {
        for dialect in [PostgreSql, MySql, Sqlite] {
            let mut text = "SELECT a".to_owned();
            for (left, right, before) in &parts {
                let content = format!("{left} zq {right}");
                text += [", ", " AND b = ", " x, "][*before];
                text += &match dialect {
                    MySql => format!("'{}'", content.replace('\'', "''")),
                    _ => format!("'{}'", content.replace('\\', r"\\").replace('\'', r"\'")),
                };
            }
            let shown = format!("{:?}", parse(&text, dialect, false));
            prop_assert!(!shown.contains("zq"), "{dialect:?} {text:?}: {shown}");
        }
    }
}
