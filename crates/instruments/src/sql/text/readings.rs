//! What any dialect takes for a literal or a comment, where the dialect is not known.
//!
//! Dialects begin and end strings and comments at different places. So the text is read as each
//! would, and what is a literal in one of the readings is one. Readings that the text makes no
//! difference to are left out. Not here: numbers, and words that are values, which all dialects write
//! in the same way (`lexer`, `bare`).

use super::bytes::{word_byte, word_start};

/// How names in double quotes are meant.
const NAMES: u32 = 1 << 0;
/// Backslash escapes in single quotes; in double quotes; in backquotes.
const BACKSLASH: u32 = 1 << 1;
const BACKSLASH_DOUBLE: u32 = 1 << 2;
const BACKSLASH_BACK: u32 = 1 << 3;
/// Quotes that names have.
const BACKQUOTE: u32 = 1 << 4;
const BRACKET: u32 = 1 << 5;
const BRACKET_TWICE: u32 = 1 << 6;
/// Comments.
const HASH: u32 = 1 << 7;
const DASHES_SPACE: u32 = 1 << 8;
const SLASHES: u32 = 1 << 9;
const BRACES: u32 = 1 << 10;
const RETURNS: u32 = 1 << 11;
const NESTED: u32 = 1 << 12;
/// MySQL executes what is in comments that begin with an exclamation mark.
const EXECUTED: u32 = 1 << 13;
/// Strings.
const E_STRING: u32 = 1 << 14;
const DOLLAR: u32 = 1 << 15;
const Q_STRING: u32 = 1 << 16;
const TRIPLE: u32 = 1 << 17;
const RAW: u32 = 1 << 18;

/// The readings: PostgreSQL's with either setting of `standard_conforming_strings`, MySQL's with its
/// settings, those of SQLite, SQL Server, Oracle, BigQuery, ClickHouse, Snowflake, Informix, Spark.
const READINGS: [u32; 15] = [
    NAMES | E_STRING | DOLLAR | NESTED | RETURNS,
    NAMES | BACKSLASH | DOLLAR | NESTED | RETURNS,
    BACKSLASH | BACKSLASH_DOUBLE | BACKQUOTE | HASH | DASHES_SPACE,
    BACKSLASH | BACKSLASH_DOUBLE | BACKQUOTE | HASH | DASHES_SPACE | EXECUTED,
    NAMES | BACKSLASH | BACKQUOTE | HASH | DASHES_SPACE,
    BACKQUOTE | HASH | DASHES_SPACE,
    BACKQUOTE | HASH | DASHES_SPACE | EXECUTED,
    NAMES | BACKQUOTE | BRACKET,
    NAMES | BRACKET | BRACKET_TWICE | NESTED,
    NAMES | Q_STRING,
    BACKSLASH | BACKSLASH_DOUBLE | BACKQUOTE | BACKSLASH_BACK | HASH | TRIPLE,
    NAMES | BACKSLASH | BACKSLASH_DOUBLE | BACKQUOTE | BACKSLASH_BACK | HASH | DOLLAR,
    NAMES | BACKSLASH | DOLLAR | SLASHES,
    BRACES,
    BACKSLASH | BACKSLASH_DOUBLE | BACKQUOTE | NESTED | RAW,
];

/// Part of a literal or comment.
const REMOVED: u8 = 1;
/// Part of what is a string to some and a name to others.
const DOUBTFUL: u8 = 2;

/// What is removed of a text, by byte; nothing where it is empty.
#[derive(Debug, Default)]
pub(super) struct Removed {
    bytes: Vec<u8>,
}

impl Removed {
    /// Reads the text in all ways.
    pub(super) fn of(text: &str) -> Self {
        let Some(relevant) = relevant(text) else { return Self::default() };
        let mut done: Vec<u32> = Vec::with_capacity(READINGS.len());
        let mut bytes = vec![0; text.len()];
        for reading in READINGS {
            let reading = reading & relevant;
            if !done.contains(&reading) {
                done.push(reading);
                Scan { text: text.as_bytes(), removed: &mut bytes, at: 0, reading }.run();
            }
        }
        Self { bytes }
    }

    /// Where what is removed here ends; `None` where nothing is.
    pub(super) fn end(&self, at: usize) -> Option<usize> {
        let rest = self.bytes.get(at..)?;
        let length = rest.iter().take_while(|byte| **byte & REMOVED != 0).count();
        (length > 0).then_some(at + length)
    }

    /// Whether something between these places is removed; `name` says that it is one in double quotes.
    pub(super) fn touches(&self, start: usize, end: usize, name: bool) -> bool {
        let kinds = if name { REMOVED } else { REMOVED | DOUBTFUL };
        self.bytes.get(start..end).is_some_and(|part| part.iter().any(|byte| byte & kinds != 0))
    }
}

/// The ways of reading that make a difference; `None` if nothing does.
fn relevant(text: &str) -> Option<u32> {
    let mut found = [false; 256];
    for byte in text.bytes() {
        if let Some(found) = found.get_mut(usize::from(byte)) {
            *found = true;
        }
    }
    let has = |byte: u8| found.get(usize::from(byte)).copied().unwrap_or_default();
    if !br#"'"`[#-/{$"#.iter().any(|byte| has(*byte)) {
        return None;
    }
    let escapes = has(b'\\');
    let comments = has(b'*') && text.contains("/*");
    let triples = ["'''", "\"\"\""];
    let rules = [
        (has(b'"'), NAMES),
        (escapes, BACKSLASH | BACKSLASH_DOUBLE | BACKSLASH_BACK | E_STRING | RAW),
        (has(b'`'), BACKQUOTE),
        (has(b'['), BRACKET | BRACKET_TWICE),
        (has(b'#'), HASH),
        (has(b'-') && text.contains("--"), DASHES_SPACE),
        (has(b'/') && text.contains("//"), SLASHES),
        (has(b'{'), BRACES),
        (has(b'\r'), RETURNS),
        (comments, NESTED),
        (comments && has(b'!'), EXECUTED),
        (has(b'$'), DOLLAR),
        (["q'", "Q'"].iter().any(|quote| text.contains(quote)), Q_STRING),
        (triples.iter().any(|quotes| text.contains(quotes)), TRIPLE),
    ];
    Some(rules.iter().filter(|(holds, _)| *holds).fold(0, |all, (_, ways)| all | ways))
}

/// The text as one dialect reads it.
struct Scan<'a> {
    text: &'a [u8],
    removed: &'a mut [u8],
    at: usize,
    reading: u32,
}

impl Scan<'_> {
    fn has(&self, way: u32) -> bool {
        self.reading & way != 0
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.text.get(self.at.saturating_add(ahead)).copied()
    }

    fn run(&mut self) {
        while let Some(byte) = self.peek(0) {
            let start = self.at;
            match byte {
                b'\'' => self.string(start, byte, self.has(BACKSLASH)),
                b'"' => self.double(start),
                b'`' if self.has(BACKQUOTE) => self.name(byte, self.has(BACKSLASH_BACK), true),
                b'[' if self.has(BRACKET) => self.name(b']', false, self.has(BRACKET_TWICE)),
                b'#' if self.has(HASH) => self.line(),
                b'-' if self.peek(1) == Some(b'-') && self.dashes() => self.line(),
                b'/' if self.peek(1) == Some(b'/') && self.has(SLASHES) => self.line(),
                b'/' if self.peek(1) == Some(b'*') => self.block(),
                b'{' if self.has(BRACES) && !self.escape() => self.to(b'}'),
                b'$' if self.has(DOLLAR) => self.dollar(),
                _ if word_start(byte) => self.word(start),
                _ if byte.is_ascii_digit() => {
                    self.skip(|b| b != b'$' && word_byte(b));
                }
                _ => self.at += 1,
            }
        }
    }

    fn skip(&mut self, takes: impl Fn(u8) -> bool) {
        let rest = self.text.get(self.at..).unwrap_or_default();
        self.at += rest.iter().take_while(|byte| takes(**byte)).count();
    }

    /// Removes what was read since the start.
    fn remove(&mut self, start: usize, how: u8) {
        let end = self.at.min(self.text.len());
        self.removed.get_mut(start..end).unwrap_or_default().iter_mut().for_each(|b| *b |= how);
    }

    fn rest(&mut self, start: usize) {
        self.at = self.text.len();
        self.remove(start, REMOVED);
    }

    /// Reads past the quote that ends what begins here; false without one.
    fn quoted(&mut self, end: u8, escapes: bool, twice: bool) -> bool {
        self.at += 1;
        while let Some(byte) = self.peek(0) {
            self.at += 1;
            if byte == b'\\' && escapes {
                self.at += 1;
            } else if byte == end {
                if !(twice && self.peek(0) == Some(end)) {
                    return true;
                }
                self.at += 1;
            }
        }
        false
    }

    fn string(&mut self, start: usize, quote: u8, escapes: bool) {
        if self.has(TRIPLE) && self.triple(start, quote) {
            return;
        }
        if self.quoted(quote, escapes, true) {
            self.remove(start, REMOVED);
        } else {
            self.rest(start);
        }
    }

    /// A string in three quotes, if one begins here.
    fn triple(&mut self, start: usize, quote: u8) -> bool {
        let quotes = [quote; 3];
        let rest = self.text.get(start..).unwrap_or_default();
        let Some(content) = rest.strip_prefix(&quotes) else { return false };
        let mut escaped = false;
        let end = content.windows(3).position(|window| {
            let found = window == quotes && !escaped;
            escaped = window.first() == Some(&b'\\') && !escaped;
            found
        });
        match end {
            Some(end) => {
                self.at = start + end + 6;
                self.remove(start, REMOVED);
            }
            None => self.rest(start),
        }
        true
    }

    fn double(&mut self, start: usize) {
        let escapes = self.has(BACKSLASH_DOUBLE);
        if self.has(NAMES) {
            return self.name(b'"', escapes, true);
        }
        if self.has(TRIPLE) && self.triple(start, b'"') {
            return;
        }
        if !self.quoted(b'"', escapes, true) {
            return self.rest(start);
        }
        let content = self.text.get(start..self.at).unwrap_or_default();
        self.remove(start, if content.contains(&b'\\') { REMOVED } else { DOUBTFUL });
    }

    /// A name in quotes. One that does not end is none, and nobody can read on.
    fn name(&mut self, end: u8, escapes: bool, twice: bool) {
        if !self.quoted(end, escapes, twice) {
            self.at = self.text.len();
        }
    }

    /// Strings that a word begins.
    fn word(&mut self, start: usize) {
        self.skip(word_byte);
        let word = self.text.get(start..self.at).unwrap_or_default();
        let quote = self.at;
        match (word, self.peek(0)) {
            ([b'e' | b'E'], Some(b'\'')) if self.has(E_STRING) => self.string(quote, b'\'', true),
            ([.., b'r' | b'R'], Some(byte @ (b'\'' | b'"'))) if self.has(RAW) && word.len() < 3 => {
                self.string(quote, byte, false);
            }
            ([b'q' | b'Q'] | [b'n' | b'N', b'q' | b'Q'], Some(b'\'')) if self.has(Q_STRING) => {
                self.q_string(quote);
            }
            _ => {}
        }
    }

    /// Oracle's `q'[…]'`.
    fn q_string(&mut self, start: usize) {
        let end = match self.peek(1) {
            Some(b'[') => b']',
            Some(b'(') => b')',
            Some(b'{') => b'}',
            Some(b'<') => b'>',
            Some(other) => other,
            None => return self.rest(start),
        };
        let rest = self.text.get(start + 2..).unwrap_or_default();
        match rest.windows(2).position(|window| window == [end, b'\'']) {
            Some(length) => {
                self.at = start + 2 + length + 2;
                self.remove(start, REMOVED);
            }
            None => self.rest(start),
        }
    }

    fn dashes(&self) -> bool {
        !self.has(DASHES_SPACE) || self.peek(2).is_none_or(|b| b <= b' ' || b == 0x7f)
    }

    fn line(&mut self) {
        let (start, returns) = (self.at, self.has(RETURNS));
        self.skip(|b| b != b'\n' && !(returns && b == b'\r'));
        self.remove(start, REMOVED);
    }

    fn block(&mut self) {
        let start = self.at;
        let executed =
            matches!((self.peek(2), self.peek(3)), (Some(b'!'), _) | (Some(b'M'), Some(b'!')));
        if executed && self.has(EXECUTED) {
            self.at += 3;
            return;
        }
        let mut depth = 0usize;
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some(b'/'), Some(b'*')) if depth == 0 || self.has(NESTED) => {
                    (depth, self.at) = (depth + 1, self.at + 2);
                }
                (Some(b'*'), Some(b'/')) => (depth, self.at) = (depth - 1, self.at + 2),
                (Some(_), _) => self.at += 1,
                (None, _) => return self.rest(start),
            }
            if depth == 0 {
                return self.remove(start, REMOVED);
            }
        }
    }

    /// Whether what a brace begins is an escape of ODBC.
    fn escape(&self) -> bool {
        const ESCAPES: [&[u8]; 7] = [b"call", b"d", b"escape", b"fn", b"oj", b"t", b"ts"];
        let rest = self.text.get(self.at + 1..).unwrap_or_default().trim_ascii_start();
        let length = rest.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
        let (word, after) = rest.split_at_checked(length).unwrap_or_default();
        let result = after.strip_prefix(b"?").map(<[u8]>::trim_ascii_start);
        length == 0 && result.is_some_and(|rest| rest.starts_with(b"="))
            || ESCAPES.iter().any(|escape| word.eq_ignore_ascii_case(escape))
    }

    fn to(&mut self, end: u8) {
        let start = self.at;
        self.skip(|b| b != end);
        self.at += 1;
        self.remove(start, REMOVED);
    }

    fn dollar(&mut self) {
        let start = self.at;
        let rest = self.text.get(start..).unwrap_or_default();
        let tag = rest.iter().skip(1).take_while(|b| word_byte(**b) && **b != b'$').count();
        let digit = rest.get(1).is_some_and(u8::is_ascii_digit);
        let quotes = rest.get(tag + 1) == Some(&b'$') && !digit;
        let Some((quote, mut content)) = rest.split_at_checked(tag + 2).filter(|_| quotes) else {
            self.at += 1 + tag;
            return;
        };
        while !content.starts_with(quote) {
            let Some(next) = content.iter().skip(1).position(|b| *b == b'$') else {
                return self.rest(start);
            };
            content = content.get(next + 1..).unwrap_or_default();
        }
        self.at = self.text.len() - content.len() + quote.len();
        self.remove(start, REMOVED);
    }
}
