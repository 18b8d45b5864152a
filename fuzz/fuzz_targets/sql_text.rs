//! A secret as a literal, in any of the forms that the dialect knows, between any texts. Nothing
//! of it may be in what is shown, and what is shown is not longer than what came in.
//!
//! The first byte chooses dialect and form, the second where the text is cut. Then comes what
//! stands before the literal, what is around the secret inside of it, and what follows, separated
//! by bytes 0xff.

#![no_main]

use libfuzzer_sys::fuzz_target;
use trace::sql_text::{Dialect, Statement, parse};

const DIALECTS: [Dialect; 4] =
    [Dialect::PostgreSql, Dialect::MySql, Dialect::Sqlite, Dialect::Other];
/// In no word of the surroundings: those lose these letters and digits.
const SECRET: &str = "zq77";
const NUMBER: &str = "7755";

/// The literal of a secret between two texts that may hold what opens and closes others.
fn literal(dialect: Dialect, form: u8, left: &str, right: &str) -> String {
    let content = format!("{left} {SECRET} {right}");
    let doubled = |quote: &str| content.replace(quote, &quote.repeat(2));
    let backslashes = |text: &str| text.replace('\\', r"\\");
    let escaped = backslashes(&content).replace('\'', r"\'");
    let mysql = dialect == Dialect::MySql;
    let string = if mysql { backslashes(&doubled("'")) } else { doubled("'") };
    let comment = content.replace(['*', '/'], "");
    match (dialect, form % 16) {
        (_, 0) => format!("'{string}'"),
        (_, 1) => format!("N'{string}'"),
        (_, 2) => format!("/* {comment} */"),
        (_, 3) => format!("-- {}\n", content.replace(['\n', '\r'], "")),
        (_, 4) => NUMBER.to_owned(),
        (_, 5) => format!("-{NUMBER}.{NUMBER}e-{NUMBER}"),
        (_, 6) => format!("0x{NUMBER}"),
        (_, 7) => format!(".{NUMBER}"),
        (_, 8) => format!("({NUMBER},{NUMBER})"),
        (Dialect::PostgreSql, 9) => format!("E'{escaped}'"),
        (Dialect::PostgreSql, 10) => format!("$${}$$", content.replace('$', "")),
        (Dialect::PostgreSql, 11) => format!("$tag$ {} $tag$", content.replace('$', "")),
        (Dialect::PostgreSql, 12) => format!("/* /* {comment} */ {comment} */"),
        (Dialect::PostgreSql, 13) => format!("U&'{string}'"),
        (Dialect::MySql, 9) => format!("'{escaped}'"),
        (Dialect::MySql, 10) => format!("\"{}\"", backslashes(&doubled("\""))),
        (Dialect::MySql, 11) => format!("_utf8mb4'{escaped}'"),
        (Dialect::MySql, 12) => format!("# {}\n", content.replace('\n', "")),
        (Dialect::MySql, 13) => format!("/*!50001 {comment} */"),
        (Dialect::Sqlite, 9) => format!("x'{NUMBER}'"),
        (Dialect::Sqlite, 10) => format!("= \"{}\"", content.replace('"', "")),
        (Dialect::Other, 9) => format!("'{escaped}'"),
        _ => format!("'{string}'"),
    }
}

/// A text that opens no literal, comment or name that would go on into what follows, and that has
/// none of the letters and digits of the secrets.
fn harmless(text: &str) -> String {
    let text = text.chars().filter(|c| !r#"zqZQ75'"`[]\#*$"#.contains(*c)).collect::<String>();
    text.replace('-', "- ")
}

fn check(text: &str, found: &Statement) {
    // A sign may be put for each of two literals that touch, and a mark for a cut.
    assert!(found.text.len() <= text.len() + 4, "{text:?}: {found:?}");
    assert!(found.summary.chars().count() <= 255, "{text:?}: {found:?}");
    for shown in [&found.operation, &found.collection].into_iter().flatten() {
        assert!(!shown.is_empty() && shown.len() <= text.len() + 8, "{text:?}: {found:?}");
    }
}

fuzz_target!(|input: &[u8]| {
    let [choice, cut, texts @ ..] = input else { return };
    let dialect = DIALECTS[usize::from(choice % 4)];
    // Whatever it is, it has a result.
    let any = String::from_utf8_lossy(texts);
    for truncated in [false, true] {
        check(&any, &parse(&any, dialect, truncated));
    }

    let mut parts = texts.split(|b| *b == 0xff).map(String::from_utf8_lossy);
    let mut part = || parts.next().unwrap_or_default();
    let (before, left, right, after) = (harmless(&part()), part(), part(), part());
    let literal = literal(dialect, choice / 4, &left, &right);
    let text = format!("{before} {literal} {after}");
    let end = before.len() + 2 + literal.len() * usize::from(*cut) / 255;
    let end = (0..=end.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    for text in [&text[..], &text[..end.unwrap_or(0)]] {
        let outside = (before.clone() + &after).to_lowercase();
        for truncated in [false, true] {
            let found = parse(text, dialect, truncated);
            check(text, &found);
            let shown = format!("{found:?}");
            for secret in [SECRET, NUMBER] {
                let fair = !outside.contains(secret);
                assert!(!fair || !shown.contains(secret), "{dialect:?} {text:?}: {shown}");
            }
        }
    }
});
