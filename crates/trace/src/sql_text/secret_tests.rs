//! Whatever a literal holds is not shown, wherever the text is cut.

use super::Dialect::{MySql, Other, PostgreSql, Sqlite};
use super::*;
use proptest::prelude::*;

const DIALECTS: [Dialect; 4] = [PostgreSql, MySql, Sqlite, Other];

fn string(content: &str, quote: char, backslashes: bool) -> String {
    let content = content.replace(quote, &format!("{quote}{quote}"));
    let content = if backslashes { content.replace('\\', r"\\") } else { content };
    format!("{quote}{content}{quote}")
}

fn escaped(content: &str) -> String {
    format!("'{}'", content.replace('\\', r"\\").replace('\'', r"\'"))
}

/// The content, or the number, as each kind of literal and comment that the dialect knows.
fn literals(dialect: Dialect, content: &str, n: u32) -> Vec<String> {
    let mysql = dialect == MySql;
    let comment = content.replace('*', "");
    let mut all = vec![
        string(content, '\'', mysql),
        format!("N{}", string(content, '\'', mysql)),
        format!("/* {comment} */"),
        format!("-- {}\n", content.replace('\n', "")),
        format!("{n}"),
        format!("-{n}.{n}"),
        format!(".{n}e-{n}"),
        format!("0x{n}"),
        format!("f({n},{n})"),
    ];
    all.extend(match dialect {
        PostgreSql => vec![
            format!("E{}", escaped(content)),
            format!("e{}", string(content, '\'', true)),
            format!("$${}$$", content.replace('$', "")),
            format!("$é1${content}$é1$"),
            format!("U&{}", string(content, '\'', false)),
            format!("/* /* {comment} */ {comment} */"),
            format!("$1+{n}::int, a[{n}:{n}]"),
        ],
        MySql => vec![
            escaped(content),
            string(content, '"', true),
            format!("_utf8mb4{}", escaped(content)),
            format!("# {}\n", content.replace('\n', "")),
            format!("/*! {comment} */"),
            format!("a--{n}"),
        ],
        Sqlite => vec![format!("= \"{}\"", content.replace('"', "")), format!("x'{n}'")],
        Other => vec![format!("$${}$$", content.replace('$', "")), escaped(content)],
    });
    all
}

type Part = (usize, usize, String, String, u32);

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
        // An unknown dialect may read a quote in a name as the beginning of a string.
        let names = matches!(dialect, MySql | Other);
        out += &if names { before.replace("\"it's\"", "`its`") } else { before };
        let content = format!("{left} zq{number} zq{number} {right}");
        let literals = literals(dialect, &content, *number);
        out += &format!(" {} ", literals[kind % literals.len()]);
    }
    out
}

/// Nothing of the secrets is in anything that is shown, wherever the text is cut.
fn assert_hidden(text: &str, dialect: Dialect) {
    for end in text.char_indices().map(|(at, _)| at).chain([text.len()]) {
        let cut = &text[..end];
        for truncated in [true, false] {
            let shown = format!("{:?}", parse(cut, dialect, truncated));
            assert!(!shown.contains("zq") && !shown.contains("44"), "{dialect:?} {cut:?}: {shown}");
        }
    }
}

/// Characters that open and close something, and some that do not.
const NOISE: &str = r#"['"`$\\\[\]/*#a-c \n;,().é😀%@:?-]{0,6}"#;
const MORE_NOISE: &str = r#"['"`$\\\[\]/*#a-c \n;,().é😀%@:?E-]{0,60}"#;

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
            (0usize..10, 0usize..100, NOISE, NOISE, 444_000_000u32..444_999_999),
            1..5,
        )
    ) {
        for dialect in DIALECTS {
            assert_hidden(&statement(dialect, &parts), dialect);
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
                    MySql => string(&content, '\'', false),
                    _ => escaped(&content),
                };
            }
            let shown = format!("{:?}", parse(&text, dialect, false));
            prop_assert!(!shown.contains("zq"), "{dialect:?} {text:?}: {shown}");
        }
    }
}
