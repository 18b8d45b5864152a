//! What a statement does, and to which tables: the names of spans.
//!
//! Follows the few words before which a table stands, without a grammar. A name is missing rather
//! than wrong where it cannot be told. Not here: what a literal is (`lexer`), which words
//! there are (`words`).

use super::lexer::Token;
use super::names::Names;
use super::words::{
    Keyword as K, is_after_tables, is_before_object, is_before_table, is_object, is_operation,
    unquoted,
};

/// OpenTelemetry's limit for a summary.
const SUMMARY_CHARACTERS: usize = 255;

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

/// What was read last of the name of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Reading {
    #[default]
    Nothing,
    Part,
    Dot,
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
    /// The name that is being read, as far as it is wanted.
    name: String,
    reading: Reading,
    /// The names that WITH gives to queries, and whether it goes on at the base.
    common: Names<'a>,
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
    pub(super) fn push(&mut self, token: Token, text: &'a str, space: bool) {
        if matches!(token, Token::Sign(b';')) {
            return self.end_of_statement();
        }
        self.begun = true;
        self.several |= self.ended;
        let reads = self.reading != Reading::Nothing
            || matches!(self.expect, Expect::Source | Expect::Target);
        if reads && self.named(token, text, space) {
            return;
        }
        self.previous = match token {
            Token::Word(keyword) => return self.word(text, keyword),
            Token::Quoted => {
                self.common_table(text);
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
    }

    /// Operation, collection and summary.
    pub(super) fn end(mut self, truncated: bool) -> (Option<String>, Option<String>, String) {
        // A name at the cut may go on.
        self.end_of_name(truncated);
        let collection = if self.several { None } else { self.collection.flatten() };
        (self.operation, collection, self.summary)
    }

    /// Whether the token belongs to the name of a table.
    fn named(&mut self, token: Token, text: &'a str, space: bool) -> bool {
        match (token, self.reading) {
            (Token::Word(keyword), Reading::Nothing) if is_before_table(keyword) => {
                self.previous = Previous::Other;
            }
            (Token::Word(_), Reading::Nothing | Reading::Dot) => self.part(text),
            (Token::Quoted, Reading::Nothing | Reading::Dot) => self.part(unquoted(text)),
            (_, Reading::Nothing) => {
                self.table("");
                return false;
            }
            (Token::Sign(b'.'), _) => {
                if self.wanted() {
                    self.name.push('.');
                }
                self.reading = Reading::Dot;
            }
            _ => {
                let call = matches!(token, Token::Sign(b'(')) && !space;
                self.end_of_name(call && self.expect == Expect::Source);
                return false;
            }
        }
        true
    }

    fn part(&mut self, part: &str) {
        if self.wanted() {
            self.name.push_str(part);
        }
        (self.reading, self.previous) = (Reading::Part, Previous::Other);
    }

    /// Whether a name would be shown. There may be thousands after those.
    fn wanted(&self) -> bool {
        !self.full || self.collection.is_none() && self.depth == self.base
    }

    fn end_of_name(&mut self, other: bool) {
        let reading = core::mem::take(&mut self.reading);
        if reading != Reading::Nothing {
            let mut name = core::mem::take(&mut self.name);
            let table = !other && reading != Reading::Dot && self.wanted();
            let shown = table && !self.common.contains(&name);
            self.table(if shown { &name } else { "" });
            name.clear();
            self.name = name;
        }
    }

    /// A table was named, or something else stands in its place, which has no name.
    fn table(&mut self, name: &str) {
        self.expect = Expect::Nothing;
        if !name.is_empty() {
            self.piece(name);
        }
        if self.depth == self.base && self.collection.is_none() {
            self.collection = Some(Some(name.to_owned()).filter(|name| !name.is_empty()));
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

    fn word(&mut self, word: &'a str, keyword: K) {
        let previous = self.previous;
        match self.expect {
            Expect::Operation => self.operation(word, keyword),
            Expect::Object => self.object(word, keyword),
            _ if self.with && self.depth == self.base => match keyword {
                K::SELECT
                | K::INSERT
                | K::UPDATE
                | K::DELETE
                | K::MERGE
                | K::REPLACE
                | K::VALUES => {
                    self.operation(word, keyword);
                }
                K::RECURSIVE => {}
                _ => self.common_table(word),
            },
            _ => self.clause(word, keyword, previous),
        }
        self.previous = match keyword {
            K::WITH | K::RECURSIVE => Previous::With,
            K::AS | K::EXPLAIN | K::ANALYZE | K::VERBOSE | K::PLAN | K::BEGIN => Previous::Border,
            K::DISTINCT => Previous::Distinct,
            _ => Previous::Other,
        };
    }

    fn operation(&mut self, word: &str, keyword: K) {
        self.base = self.depth;
        self.with = keyword == K::WITH;
        self.expect = Expect::Nothing;
        if self.with || !is_operation(word) {
            return;
        }
        if self.operation.is_none() && !self.several {
            self.operation = Some(word.to_ascii_uppercase());
        }
        self.verb(word, keyword);
    }

    fn verb(&mut self, word: &str, keyword: K) {
        self.capital_piece(word);
        let bit = self.bit();
        self.lists &= !bit;
        self.expect = match keyword {
            K::CREATE | K::ALTER | K::DROP => Expect::Object,
            K::UPDATE | K::TRUNCATE | K::COPY | K::TABLE => Expect::Target,
            _ => Expect::Nothing,
        };
        match keyword {
            K::SELECT | K::DELETE => self.queries |= bit,
            K::UPDATE => (self.queries, self.lists) = (self.queries | bit, self.lists | bit),
            K::DROP | K::TRUNCATE => self.lists |= bit,
            K::GRANT | K::REVOKE => self.rights = true,
            _ => {}
        }
    }

    /// The word after `CREATE`.
    fn object(&mut self, word: &str, keyword: K) {
        if is_before_object(keyword) {
            return;
        }
        self.expect = Expect::Nothing;
        if is_object(keyword) {
            self.capital_piece(word);
            if let Some(operation) = self.operation.as_mut().filter(|_| !self.several) {
                operation.push(' ');
                operation.push_str(&word.to_ascii_uppercase());
            }
            self.on = matches!(keyword, K::INDEX | K::TRIGGER | K::POLICY | K::RULE);
        }
        if matches!(keyword, K::TABLE | K::VIEW) {
            self.expect = Expect::Target;
        } else {
            self.lists &= !self.bit();
        }
    }

    fn clause(&mut self, word: &str, keyword: K, previous: Previous) {
        let bit = self.bit();
        let query = self.queries & bit != 0;
        match keyword {
            _ if self.rights => {}
            K::SELECT => self.verb(word, keyword),
            K::INSERT | K::DELETE | K::MERGE | K::UPDATE if previous == Previous::Border => {
                self.verb(word, keyword);
            }
            K::WITH if previous == Previous::Border && self.depth == self.base => {
                self.with = true;
            }
            K::FROM if query && previous != Previous::Distinct => {
                self.lists |= bit;
                self.expect = Expect::Source;
            }
            K::JOIN | K::STRAIGHT_JOIN if query => self.expect = Expect::Source,
            K::INTO => self.expect = Expect::Target,
            K::TABLE if !query && self.depth == self.base && self.collection.is_none() => {
                self.expect = Expect::Target;
            }
            K::ON if self.on => (self.on, self.expect) = (false, Expect::Target),
            _ if is_after_tables(keyword) => self.lists &= !bit,
            _ => {}
        }
    }

    fn common_table(&mut self, name: &'a str) {
        let here = self.with && self.depth == self.base;
        let first = matches!(self.previous, Previous::With | Previous::Comma);
        if here && first {
            self.common.insert(unquoted(name));
        }
    }

    fn capital_piece(&mut self, word: &str) {
        if !self.full {
            self.piece(&word.to_ascii_uppercase());
        }
    }

    fn piece(&mut self, piece: &str) {
        if self.full {
            return;
        }
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
