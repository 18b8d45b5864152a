//! A secret as a literal, in any of the forms that the dialect knows, in each place where a value can
//! stand, and between any texts. Nothing of it may be in what is shown, and what is shown is not longer
//! than what came in.
//!
//! The first byte chooses the dialect, the second the form of the literal, the third the place, the
//! fourth where the text is cut. Then comes what stands before the literal, what is around the secret
//! inside of it, and what follows, separated by bytes 0xff.

#![no_main]

use libfuzzer_sys::fuzz_target;
use instruments::sql_text::{Dialect, Statement, parse};

#[path = "../../crates/instruments/src/sql/text/places.rs"]
mod places;

use places::{PLACES, WORDS, literals};

const DIALECTS: [Dialect; 4] =
    [Dialect::PostgreSql, Dialect::MySql, Dialect::Sqlite, Dialect::Other];
/// In no word of the surroundings: those lose these letters and digits.
const SECRET: &str = "zq77";
const NUMBER: u32 = 775_577_557;

/// A text that opens no literal, comment or name that would go on into what follows, and that has
/// none of the letters and digits of the secrets.
fn harmless(text: &str) -> String {
    let text = text.chars().filter(|c| !r#"zqZQ75'"`[]{}\#*/$"#.contains(*c)).collect::<String>();
    text.replace('-', "- ")
}

fn check(text: &str, found: &Statement) {
    // A sign may be put for each of two literals that touch, and a mark for a cut.
    assert!(found.text.len() <= text.len() + 4, "{text:?}: {found:?}");
    assert!(found.summary.chars().count() <= 255, "{text:?}: {found:?}");
    if let Some(procedure) = &found.procedure {
        assert!(!procedure.is_empty() && procedure.len() <= text.len(), "{text:?}: {found:?}");
    }
}

/// Checks the text as it is, and up to where it is cut.
fn hides(text: &str, end: usize, dialect: Dialect) {
    let end = (0..=end.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    for text in [text, &text[..end.unwrap_or(0)]] {
        for truncated in [false, true] {
            let found = parse(text, dialect, truncated);
            check(text, &found);
            let shown = format!("{found:?}");
            for secret in [SECRET, "775577557", "77557"] {
                assert!(!shown.contains(secret), "{dialect:?} {text:?}: {shown}");
            }
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let [dialect, form, place, cut, texts @ ..] = input else { return };
    let dialect = DIALECTS[usize::from(dialect % 4)];
    // Whatever it is, it has a result.
    let any = String::from_utf8_lossy(texts);
    for truncated in [false, true] {
        check(&any, &parse(&any, dialect, truncated));
    }

    let mut parts = texts.split(|b| *b == 0xff).map(String::from_utf8_lossy);
    let mut part = || parts.next().unwrap_or_default();
    let (before, left, right, after) = (harmless(&part()), part(), part(), part());
    let forms = literals(dialect, &format!("{left} {SECRET} {right}"), NUMBER);
    let literal = &forms[usize::from(*form) % forms.len()];
    let at = |length: usize| length * usize::from(*cut) / 255;

    let text = format!("SELECT {before} {literal} {after}");
    if !after.contains(SECRET) && !after.contains("77") {
        hides(&text, before.len() + 9 + at(literal.len()), dialect);
    }
    // Brackets are SQLite's quotes of names.
    let place = usize::from(*place) % (PLACES.len() + WORDS.len());
    match PLACES.get(place).filter(|place| dialect != Dialect::Sqlite || !place.contains('[')) {
        Some(place) => {
            let text = place.replace("{}", literal);
            hides(&text, at(text.len()), dialect);
        }
        None => {
            let word = WORDS[place % WORDS.len()].replace("{}", SECRET);
            hides(&word, word.len(), dialect);
        }
    }
});
