//! What a statement does, and to which tables: the names of spans.
//!
//! Follows the few words before which a table stands, without a grammar. A name is missing rather
//! than wrong where it cannot be told. Not here: what a literal is (`lexer`), which words
//! there are (`words`).

use super::lexer::Token;
use super::words::{
    Room, is_after_tables, is_before_object, is_before_table, is_object, is_word, unquoted, upper,
};

/// OpenTelemetry's limit for a summary.
const SUMMARY_CHARACTERS: usize = 255;
/// Names in a `WITH` that are remembered: each table is compared with all of them.
const COMMON_TABLES: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Expect {
    #[default]
    Operation,
    /// After `CREATE`.
    Object,
    /// A table, or a function or subquery in its place.
    Source,
    /// A table, maybe with columns in parentheses.
    Target,
    Nothing,
}

/// The token before, as far as it says what a word is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Previous {
    With,
    Comma,
    /// A statement may begin here.
    Border,
    Distinct,
    #[default]
    Other,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Subject<'a> {
    operation: Option<String>,
    /// The inner is none where something else than a table comes first.
    collection: Option<Option<String>>,
    summary: String,
    characters: usize,
    full: bool,
    expect: Expect,
    previous: Previous,
    depth: usize,
    /// The depth at which the operation stands.
    base: usize,
    /// By depth, one bit each: within a list of tables; within a query, where FROM is a clause.
    lists: u64,
    queries: u64,
    /// The name that is being read.
    name: Option<String>,
    /// The names that WITH gives to queries, and whether it goes on at the base.
    common: Vec<&'a str>,
    with: bool,
    /// The next ON names the table of an index or a trigger.
    on: bool,
    /// The words of a GRANT are no operations.
    rights: bool,
    begun: bool,
    ended: bool,
    several: bool,
}

impl<'a> Subject<'a> {
    pub(super) fn push(&mut self, token: Token<'a>, space: bool) {
        if matches!(token, Token::Sign(b';')) {
            return self.end_of_statement();
        }
        self.begun = true;
        self.several |= self.ended;
        if self.named(token, space) {
            return;
        }
        let previous = match token {
            Token::Word(word) => return self.word(word),
            Token::Quoted(name) => {
                self.common_table(name);
                Previous::Other
            }
            Token::Sign(b'(') => {
                self.depth = self.depth.saturating_add(1);
                self.lists &= !self.bit();
                self.queries &= !self.bit();
                Previous::Border
            }
            Token::Sign(b')') => {
                self.depth = self.depth.saturating_sub(1);
                Previous::Border
            }
            Token::Sign(b',') => {
                if self.lists & self.bit() != 0 {
                    self.expect = Expect::Source;
                }
                Previous::Comma
            }
            _ => Previous::Other,
        };
        self.previous = previous;
    }

    /// Operation, collection and summary.
    pub(super) fn end(mut self, truncated: bool) -> (Option<String>, Option<String>, String) {
        // A name at the cut may go on.
        self.end_of_name(truncated);
        let collection = if self.several { None } else { self.collection.flatten() };
        (self.operation, collection, self.summary)
    }

    /// Whether the token belongs to the name of a table.
    fn named(&mut self, token: Token<'a>, space: bool) -> bool {
        if let Some(name) = &mut self.name {
            match token {
                Token::Sign(b'.') => name.push('.'),
                Token::Word(part) if name.ends_with('.') => name.push_str(part),
                Token::Quoted(part) if name.ends_with('.') => name.push_str(unquoted(part)),
                _ => {
                    let call = matches!(token, Token::Sign(b'(')) && !space;
                    self.end_of_name(call && self.expect == Expect::Source);
                    return false;
                }
            }
            return true;
        }
        if !matches!(self.expect, Expect::Source | Expect::Target) {
            return false;
        }
        match token {
            Token::Word(word) if is_before_table(upper(word, &mut Room::default())) => {}
            Token::Word(part) => self.name = Some(part.to_owned()),
            Token::Quoted(part) => self.name = Some(unquoted(part).to_owned()),
            _ => {
                self.table(None);
                return false;
            }
        }
        self.previous = Previous::Other;
        true
    }

    fn end_of_name(&mut self, other: bool) {
        if let Some(name) = self.name.take() {
            let common = self.common.iter().any(|common| common.eq_ignore_ascii_case(&name));
            self.table(Some(name).filter(|name| !other && !common && !name.ends_with('.')));
        }
    }

    /// A table was named, or something else stands in its place.
    fn table(&mut self, name: Option<String>) {
        self.expect = Expect::Nothing;
        if let Some(name) = &name {
            self.piece(name);
        }
        if self.depth == self.base && self.collection.is_none() {
            self.collection = Some(name);
        }
    }

    fn end_of_statement(&mut self) {
        self.end_of_name(false);
        (self.depth, self.lists, self.queries) = (0, 0, 0);
        (self.expect, self.previous) = (Expect::Operation, Previous::Other);
        (self.with, self.on, self.rights) = (false, false, false);
        self.common.clear();
        self.ended |= self.begun;
    }

    fn word(&mut self, word: &'a str) {
        let mut room = Room::default();
        let upper = upper(word, &mut room);
        let previous = self.previous;
        match self.expect {
            Expect::Operation => self.operation(upper),
            Expect::Object => self.object(upper),
            _ if self.with && self.depth == self.base => match upper {
                b"SELECT" | b"INSERT" | b"UPDATE" | b"DELETE" | b"MERGE" | b"REPLACE"
                | b"VALUES" => {
                    self.operation(upper);
                }
                b"RECURSIVE" => {}
                _ => self.common_table(word),
            },
            _ => self.clause(upper, previous),
        }
        self.previous = match upper {
            b"WITH" | b"RECURSIVE" => Previous::With,
            b"AS" | b"EXPLAIN" | b"ANALYZE" | b"VERBOSE" | b"PLAN" | b"BEGIN" => Previous::Border,
            b"DISTINCT" => Previous::Distinct,
            _ => Previous::Other,
        };
    }

    fn operation(&mut self, upper: &[u8]) {
        self.base = self.depth;
        self.with = false;
        match upper {
            _ if !is_word(upper) => self.expect = Expect::Nothing,
            b"WITH" => (self.expect, self.with) = (Expect::Nothing, true),
            _ => {
                if self.operation.is_none() && !self.several {
                    self.operation = Some(String::from_utf8_lossy(upper).into_owned());
                }
                self.verb(upper);
            }
        }
    }

    fn verb(&mut self, verb: &[u8]) {
        self.piece(&String::from_utf8_lossy(verb));
        let bit = self.bit();
        self.lists &= !bit;
        self.expect = match verb {
            b"CREATE" | b"ALTER" | b"DROP" => Expect::Object,
            b"UPDATE" | b"TRUNCATE" | b"COPY" | b"TABLE" => Expect::Target,
            _ => Expect::Nothing,
        };
        match verb {
            b"SELECT" | b"DELETE" => self.queries |= bit,
            b"UPDATE" => (self.queries, self.lists) = (self.queries | bit, self.lists | bit),
            b"DROP" | b"TRUNCATE" => self.lists |= bit,
            b"GRANT" | b"REVOKE" => self.rights = true,
            _ => {}
        }
    }

    /// The word after `CREATE`.
    fn object(&mut self, upper: &[u8]) {
        if is_before_object(upper) {
            return;
        }
        self.expect = Expect::Nothing;
        if is_object(upper) {
            let object = String::from_utf8_lossy(upper);
            self.piece(&object);
            if let Some(operation) = self.operation.as_mut().filter(|_| !self.several) {
                operation.push(' ');
                operation.push_str(&object);
            }
            self.on = matches!(upper, b"INDEX" | b"TRIGGER" | b"POLICY" | b"RULE");
        }
        if matches!(upper, b"TABLE" | b"VIEW") {
            self.expect = Expect::Target;
        } else {
            self.lists &= !self.bit();
        }
    }

    fn clause(&mut self, upper: &[u8], previous: Previous) {
        let bit = self.bit();
        let query = self.queries & bit != 0;
        match upper {
            _ if self.rights => {}
            b"SELECT" => self.verb(upper),
            b"INSERT" | b"DELETE" | b"MERGE" | b"UPDATE" if previous == Previous::Border => {
                self.verb(upper);
            }
            b"WITH" if previous == Previous::Border && self.depth == self.base => {
                self.with = true;
            }
            b"FROM" if query && previous != Previous::Distinct => {
                self.lists |= bit;
                self.expect = Expect::Source;
            }
            b"JOIN" | b"STRAIGHT_JOIN" if query => self.expect = Expect::Source,
            b"INTO" => self.expect = Expect::Target,
            b"TABLE" if !query && self.depth == self.base && self.collection.is_none() => {
                self.expect = Expect::Target;
            }
            b"ON" if self.on => (self.on, self.expect) = (false, Expect::Target),
            _ if is_after_tables(upper) => self.lists &= !bit,
            _ => {}
        }
    }

    fn common_table(&mut self, name: &'a str) {
        let here = self.with && self.depth == self.base;
        let first = matches!(self.previous, Previous::With | Previous::Comma);
        if here && first && self.common.len() < COMMON_TABLES {
            self.common.push(unquoted(name));
        }
    }

    fn piece(&mut self, piece: &str) {
        let space = usize::from(!self.summary.is_empty());
        let characters = self.characters.saturating_add(piece.chars().count() + space);
        self.full |= characters > SUMMARY_CHARACTERS;
        if self.full {
            return;
        }
        if space > 0 {
            self.summary.push(' ');
        }
        self.summary.push_str(piece);
        self.characters = characters;
    }

    fn bit(&self) -> u64 {
        1 << self.depth.min(63)
    }
}

#[cfg(test)]
#[path = "subject_tests.rs"]
mod tests;
