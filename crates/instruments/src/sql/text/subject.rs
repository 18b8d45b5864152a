//! What a statement does, and to which tables: the names of spans.
//!
//! Follows the few words before which a table stands, without a grammar. A name is missing rather
//! than wrong where it is not known. Not here: what a literal is (`lexer`, `readings`), which words
//! there are (`words`), how much of it is shown (`summary`).

use super::lexer::Token;
use super::summary::Summary;
use super::words::{
    Keyword as K, has_into, is_after_tables, is_before_object, is_before_table,
    is_before_table_word, is_command, is_object, is_reserved, unquoted,
};

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
    /// A stored procedure.
    Procedure,
    Nothing,
    /// The statement begins with no command that is known: spans say nothing of it.
    Unknown,
}

/// The token before, as far as it says what a word is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Previous {
    With,
    Comma,
    /// A statement may begin here.
    Border,
    Distinct,
    Array,
    #[default]
    Other,
}

/// What was read last of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Reading {
    #[default]
    Nothing,
    Part,
    Dot,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Subject<'a> {
    summary: Summary<'a>,
    /// The stored procedure that is called.
    procedure: Option<String>,
    /// What the statement begins with.
    command: Option<K>,
    expect: Expect,
    previous: Previous,
    depth: usize,
    /// By depth, one bit each: within a list of tables; before the FROM of a query; behind it, where
    /// JOIN comes before a table; before an INTO; within the names of a WITH.
    lists: u64,
    queries: u64,
    sources: u64,
    intos: u64,
    withs: u64,
    /// The name that is being read, as far as it is wanted.
    name: String,
    reading: Reading,
    /// What a WITH may give a name to, and the depth.
    candidate: Option<(&'a str, usize)>,
    /// The next ON names the table of an index or a trigger.
    on: bool,
    /// The words of a GRANT are no operations.
    rights: bool,
    begun: bool,
    ended: bool,
    several: bool,
}

impl<'a> Subject<'a> {
    /// Whether nothing but a name can stand here; `listed` also where it is one of several.
    pub(super) fn wants_name(&self, listed: bool) -> bool {
        let table = matches!(self.expect, Expect::Source | Expect::Target);
        table
            && self.reading != Reading::Part
            && (listed || self.previous != Previous::Comma || self.reading == Reading::Dot)
    }

    pub(super) fn push(&mut self, token: Token, text: &'a str, space: bool) {
        if matches!(token, Token::Sign(b';')) {
            return self.end_of_statement();
        }
        self.begun = true;
        self.several |= self.ended;
        let reads = self.reading != Reading::Nothing
            || matches!(self.expect, Expect::Source | Expect::Target | Expect::Procedure);
        if reads && self.named(token, text, space) {
            return;
        }
        self.with_name(token, text);
        self.previous = match token {
            Token::Word(keyword) => return self.word(text, keyword),
            Token::Sign(b'(') => {
                self.depth = self.depth.saturating_add(1);
                let others = !self.bit();
                self.lists &= others;
                self.queries &= others;
                self.sources &= others;
                self.intos &= others;
                self.withs &= others;
                let begins = self.previous == Previous::Border || self.command == Some(K::COPY);
                if begins { Previous::Border } else { Previous::Other }
            }
            Token::Sign(b')') => {
                self.depth = self.depth.saturating_sub(1);
                // Behind the condition of an IF.
                if self.command.is_none() { Previous::Border } else { Previous::Other }
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

    /// The summary, and the stored procedure that all of it is about.
    pub(super) fn end(mut self, truncated: bool) -> (String, Option<String>) {
        // A name at the cut may go on.
        self.end_of_name(truncated);
        let procedure = if self.several { None } else { self.procedure };
        (self.summary.finish(), procedure)
    }

    /// Whether the token belongs to a name.
    fn named(&mut self, token: Token, text: &'a str, space: bool) -> bool {
        match (token, self.reading) {
            (Token::Word(K::PROCEDURE | K::FUNCTION), Reading::Nothing)
                if self.expect == Expect::Procedure => {}
            (Token::Word(keyword), Reading::Nothing)
                if self.expect != Expect::Procedure && is_before_table(keyword) =>
            {
                self.previous = Previous::Other;
            }
            (Token::Word(keyword), Reading::Nothing) if is_reserved(keyword) => {
                self.no_table();
                return false;
            }
            (Token::Word(_), Reading::Nothing | Reading::Dot) => self.part(text),
            (Token::Quoted, Reading::Nothing | Reading::Dot) => self.part(unquoted(text)),
            // `@result = name`
            (Token::Placeholder | Token::Sign(b'='), Reading::Nothing)
                if self.expect == Expect::Procedure => {}
            (_, Reading::Nothing) => {
                self.no_table();
                return false;
            }
            (Token::Sign(b'.'), _) => {
                if self.summary.wants() {
                    self.name.push('.');
                }
                self.reading = Reading::Dot;
            }
            _ => {
                self.end_of_name(!self.may_follow(token, space));
                return false;
            }
        }
        true
    }

    /// Whether the token may stand behind the name of a table, and does not make it a function, a
    /// setting, or a part of a name that is put together.
    fn may_follow(&self, token: Token, space: bool) -> bool {
        let source = self.expect == Expect::Source;
        match token {
            Token::Sign(b'(') => !source,
            Token::Sign(b',' | b')' | b';' | b'*' | b'}') => true,
            Token::Word(K::FROM | K::TABLE) => !source,
            Token::Word(_) | Token::Quoted => true,
            Token::Value | Token::Placeholder => space,
            Token::Sign(_) | Token::Doubtful | Token::Rest => false,
        }
    }

    fn part(&mut self, part: &str) {
        if self.summary.wants() {
            self.name.push_str(part);
        }
        (self.reading, self.previous) = (Reading::Part, Previous::Other);
    }

    fn end_of_name(&mut self, other: bool) {
        let reading = core::mem::take(&mut self.reading);
        if reading == Reading::Nothing {
            return;
        }
        if !other && reading == Reading::Part {
            self.summary.table(&self.name);
            if self.expect == Expect::Procedure && self.procedure.is_none() && !self.several {
                self.procedure = Some(self.name.clone());
            }
        }
        self.name.clear();
        self.expect = Expect::Nothing;
    }

    /// Something else stands where a table could.
    fn no_table(&mut self) {
        self.expect = Expect::Nothing;
    }

    fn end_of_statement(&mut self) {
        self.end_of_name(false);
        self.summary.end_of_statement();
        (self.depth, self.lists, self.queries, self.sources) = (0, 0, 0, 0);
        (self.intos, self.withs) = (0, 0);
        (self.expect, self.previous) = (Expect::Operation, Previous::Other);
        (self.on, self.rights) = (false, false);
        (self.candidate, self.command) = (None, None);
        self.ended |= self.begun;
    }

    fn word(&mut self, word: &'a str, keyword: K) {
        let previous = self.previous;
        match self.expect {
            Expect::Operation => self.operation(word, keyword),
            Expect::Object => self.object(word, keyword),
            Expect::Unknown => {}
            _ => self.clause(word, keyword, previous),
        }
        self.previous = match keyword {
            K::WITH | K::RECURSIVE => Previous::With,
            K::EXPLAIN | K::ANALYZE | K::VERBOSE | K::PLAN | K::BEGIN => Previous::Border,
            K::AS if self.before_statement() => Previous::Border,
            K::NOT | K::MATERIALIZED => previous,
            K::DISTINCT => Previous::Distinct,
            K::ARRAY => Previous::Array,
            _ => Previous::Other,
        };
    }

    /// Whether a statement may come behind this AS, and not only a name.
    fn before_statement(&self) -> bool {
        let first = self.depth == 0 && self.sources & 1 == 0;
        let takes = matches!(self.command, Some(K::CREATE | K::PREPARE | K::DECLARE));
        self.withs & self.bit() != 0 || first && takes
    }

    /// What a statement begins with.
    fn operation(&mut self, word: &str, keyword: K) {
        self.expect = Expect::Nothing;
        if matches!(keyword, K::WITH | K::IF | K::WHILE) {
            return;
        }
        if !is_command(keyword) {
            self.expect = Expect::Unknown;
            return;
        }
        self.command = Some(keyword);
        self.verb(word, keyword);
    }

    fn verb(&mut self, word: &str, keyword: K) {
        self.summary.operation(word);
        let bit = self.bit();
        self.lists &= !bit;
        self.sources &= !bit;
        self.queries &= !bit;
        self.withs &= !bit;
        self.intos = self.intos & !bit | if has_into(keyword) { bit } else { 0 };
        self.expect = match keyword {
            K::CREATE | K::ALTER | K::DROP => Expect::Object,
            K::UPDATE | K::TRUNCATE | K::COPY | K::TABLE => Expect::Target,
            K::CALL | K::EXEC | K::EXECUTE => Expect::Procedure,
            _ => Expect::Nothing,
        };
        match keyword {
            K::SELECT | K::DELETE => self.queries |= bit,
            K::UPDATE => {
                self.queries |= bit;
                self.sources |= bit;
                self.lists |= bit;
            }
            K::DROP | K::TRUNCATE => self.lists |= bit,
            K::GRANT | K::REVOKE => self.rights = true,
            // It executes what was prepared, or a text, unless it says that it is a procedure.
            K::EXECUTE => self.expect = Expect::Nothing,
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
            self.summary.operation(word);
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
        match keyword {
            _ if self.rights => {}
            K::SELECT => self.verb(word, keyword),
            K::INSERT | K::DELETE | K::MERGE | K::UPDATE
                if previous == Previous::Border || self.withs & bit != 0 =>
            {
                self.verb(word, keyword);
            }
            K::PROCEDURE if self.command == Some(K::EXECUTE) => self.expect = Expect::Procedure,
            K::FROM if self.queries & bit != 0 && previous != Previous::Distinct => {
                self.queries &= !bit;
                self.sources |= bit;
                self.lists |= bit;
                self.expect = Expect::Source;
            }
            K::JOIN if previous == Previous::Array => self.lists &= !bit,
            K::JOIN | K::STRAIGHT_JOIN if self.sources & bit != 0 => self.expect = Expect::Source,
            K::INTO if self.intos & bit != 0 => {
                self.intos &= !bit;
                self.lists &= !bit;
                self.expect = Expect::Target;
            }
            K::TABLE if self.command.is_some_and(is_before_table_word) && self.depth == 0 => {
                self.expect = Expect::Target;
            }
            K::ON if self.on => (self.on, self.expect) = (false, Expect::Target),
            _ if is_after_tables(keyword) => {
                self.lists &= !bit;
                if matches!(keyword, K::RETURNING) {
                    self.intos &= !bit;
                }
                if matches!(keyword, K::FOR) {
                    // `FOR PORTION OF a FROM b`
                    self.queries &= !bit;
                }
            }
            _ => {}
        }
    }

    /// `WITH name [(columns)] AS …, name …`
    fn with_name(&mut self, token: Token, text: &'a str) {
        let bit = self.bit();
        let listed = self.previous == Previous::Comma && self.withs & bit != 0;
        match token {
            Token::Word(K::RECURSIVE) if self.previous == Previous::With => {}
            Token::Word(K::AS) => {
                if let Some((name, _)) = self.candidate.take_if(|(_, depth)| *depth == self.depth) {
                    self.summary.common_table(name);
                    self.withs |= bit;
                }
            }
            Token::Word(_) | Token::Quoted if self.previous == Previous::With || listed => {
                self.candidate = Some((unquoted(text), self.depth));
            }
            Token::Word(_) | Token::Quoted => {
                self.candidate.take_if(|(_, depth)| *depth >= self.depth);
            }
            _ => {}
        }
    }

    fn bit(&self) -> u64 {
        1 << self.depth.min(63)
    }
}

#[cfg(test)]
#[path = "subject_tests.rs"]
mod tests;
