//! A statement as words, names, values and signs, as each dialect reads them.
//!
//! Where dialects or settings of a server read a text differently, the reading is chosen that makes
//! a literal of more. Not here: what the tokens mean together (`subject`).

use super::Dialect;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    Word(&'a str),
    /// An identifier with its quotes.
    Quoted(&'a str),
    Value,
    Placeholder(&'a str),
    Sign(u8),
    /// A literal that goes on to the end, as far as can be told.
    Rest,
}

/// Whether a name in double quotes would be a string here, where the server knows no such name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operand {
    No,
    Next,
    List,
}

pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
    dialect: Dialect,
    operand: Operand,
    /// There was a string that ends elsewhere with another setting of the server.
    doubtful: bool,
}

/// The bytes of words. Letters of all scripts are, so that no token ends within a character.
const WORD: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0u8;
    while byte < u8::MAX {
        byte += 1;
        table[byte as usize] =
            byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || byte >= 0x80;
    }
    table
};

fn word_byte(byte: u8) -> bool {
    WORD[usize::from(byte)]
}

fn word_start(byte: u8) -> bool {
    word_byte(byte) && !byte.is_ascii_digit() && byte != b'$'
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str, dialect: Dialect) -> Self {
        Self { text, at: 0, dialect, operand: Operand::No, doubtful: false }
    }

    pub(super) fn at_end(&self) -> bool {
        self.at >= self.text.len()
    }

    pub(super) fn doubtful(&self) -> bool {
        self.doubtful
    }

    #[inline]
    fn peek(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at.saturating_add(ahead)).copied()
    }

    fn before(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at.wrapping_sub(1)).copied()
    }

    /// Whether a name, or what stands for one, touches what begins here.
    fn named(&self) -> bool {
        self.before().is_some_and(|b| word_byte(b) || matches!(b, b'"' | b'`' | b']' | b')'))
    }

    fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or("?")
    }

    fn is(&self, dialects: &[Dialect]) -> bool {
        dialects.contains(&self.dialect)
    }

    /// The next token, and whether there is space before it.
    pub(super) fn next(&mut self) -> Option<(Token<'a>, bool)> {
        let (blank, doubtful) = (self.at, self.doubtful);
        if !self.blank() || doubtful && self.odd_quotes(self.since(blank)) {
            return Some((Token::Rest, true));
        }
        let start = self.at;
        let byte = self.peek(0)?;
        let mut token = self.token(byte);
        let string = match byte {
            b'$' => false,
            b'"' => self.dialect == Dialect::MySql,
            _ => matches!(token, Token::Value),
        };
        if doubtful && !string && self.odd_quotes(self.since(start)) {
            token = Token::Rest;
        }
        if self.is(&[Dialect::Sqlite, Dialect::Other]) {
            let is =
                |word: &str, words: &[&str]| words.iter().any(|w| w.eq_ignore_ascii_case(word));
            self.operand = match token {
                Token::Word(word) if is(word, &["IN", "VALUES"]) => Operand::List,
                Token::Word(word) if is(word, &["LIKE", "GLOB", "MATCH", "REGEXP"]) => {
                    Operand::Next
                }
                Token::Sign(b'=' | b'<' | b'>' | b'|') => Operand::Next,
                Token::Word(_) => Operand::No,
                _ if self.operand == Operand::Next => Operand::No,
                _ => self.operand,
            };
        }
        Some((token, blank < start))
    }

    /// After a doubtful string, a comment or name with one quote may be the end of another string.
    fn odd_quotes(&self, text: &str) -> bool {
        let odd = |quote| text.bytes().filter(|b| *b == quote).count() % 2 == 1;
        odd(b'\'') || self.dialect == Dialect::MySql && odd(b'"')
    }

    /// Skips whitespace and comments; false where a comment does not end.
    fn blank(&mut self) -> bool {
        loop {
            match self.peek(0) {
                Some(0..=b' ') => self.at += 1,
                Some(b'-') if self.peek(1) == Some(b'-') && self.comment() => self.line(),
                Some(b'#') if self.dialect == Dialect::MySql => self.line(),
                Some(b'/') if self.peek(1) == Some(b'*') => {
                    if !self.block() {
                        return false;
                    }
                }
                _ => return true,
            }
        }
    }

    /// Whether two dashes begin a comment: MySQL reads `a--1` as a difference.
    fn comment(&self) -> bool {
        self.dialect != Dialect::MySql || self.peek(2).is_none_or(|b| b <= b' ' || b == 0x7f)
    }

    fn line(&mut self) {
        let returns = self.dialect == Dialect::PostgreSql;
        while self.peek(0).is_some_and(|b| b != b'\n' && !(returns && b == b'\r')) {
            self.at += 1;
        }
    }

    fn block(&mut self) -> bool {
        let nests = self.is(&[Dialect::PostgreSql, Dialect::Other]);
        // MySQL reads on in these, and may find the comment's end within a string.
        let read = self.dialect == Dialect::MySql
            && matches!((self.peek(2), self.peek(3)), (Some(b'!'), _) | (Some(b'M'), Some(b'!')));
        let mut depth = 0usize;
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some(b'/'), Some(b'*')) if nests || depth == 0 => {
                    (depth, self.at) = (depth + 1, self.at + 2)
                }
                (Some(b'*'), Some(b'/')) => (depth, self.at) = (depth - 1, self.at + 2),
                (Some(byte), _) => {
                    self.doubtful |= read && matches!(byte, b'\'' | b'"');
                    self.at += 1;
                }
                (None, _) => return false,
            }
            if depth == 0 {
                return true;
            }
        }
    }

    fn token(&mut self, byte: u8) -> Token<'a> {
        use Dialect::{MySql, Other, PostgreSql, Sqlite};
        let digit_follows = || self.peek(1).is_some_and(|b| b.is_ascii_digit());
        match byte {
            b'\'' => self.string(byte, false),
            b'"' if self.dialect == MySql => self.string(byte, false),
            b'"' => {
                // SQLite takes an unknown name for a string, and its users write it so.
                let operand = self.operand != Operand::No && self.before() != Some(b'.');
                match self.quoted(byte) {
                    Token::Quoted(_) if operand && self.peek(0) != Some(b'.') => Token::Value,
                    token => token,
                }
            }
            b'`' if self.dialect != PostgreSql => self.quoted(byte),
            b'[' if self.is(&[Sqlite, Other]) && self.bracketed() => self.quoted(b']'),
            b'0'..=b'9' => self.number(),
            b'.' if digit_follows() && !self.named() => self.number(),
            b'$' if self.is(&[PostgreSql, Other]) => self.dollar(),
            b'$' | b'?' | b'%' | b'@' | b':' => self.placeholder(byte),
            // It stands in strings only, so this is one, and its beginning was taken for an end.
            b'\\' => Token::Rest,
            _ if word_start(byte) => self.word(),
            _ => {
                self.at += 1;
                Token::Sign(byte)
            }
        }
    }

    /// A string that begins here; `escapes` says that it surely has backslash escapes.
    fn string(&mut self, quote: u8, escapes: bool) -> Token<'a> {
        let mut escaped = false;
        self.at += 1;
        while let Some(byte) = self.peek(0) {
            self.at += 1;
            if byte != quote {
                escaped = byte == b'\\' && !escaped;
                continue;
            }
            let after_backslash = core::mem::take(&mut escaped);
            if after_backslash && !escapes {
                if self.dialect == Dialect::Other {
                    return Token::Rest;
                }
                self.doubtful = true;
            }
            if after_backslash && (escapes || self.dialect == Dialect::MySql) {
                continue;
            }
            match self.peek(0) {
                Some(next) if next == quote => self.at += 1,
                // Nobody writes a word here, so this was the beginning of a string and not its end.
                Some(next) if word_byte(next) || next == b'\\' => return Token::Rest,
                _ => return Token::Value,
            }
        }
        Token::Rest
    }

    fn quoted(&mut self, end: u8) -> Token<'a> {
        let start = self.at;
        self.at += 1;
        while let Some(byte) = self.peek(0) {
            self.at += 1;
            if byte == b'\'' && self.dialect == Dialect::Other {
                return Token::Rest;
            }
            if byte == end {
                if end == b']' || self.peek(0) != Some(end) {
                    return Token::Quoted(self.since(start));
                }
                self.at += 1;
            }
        }
        Token::Rest
    }

    /// Whether the bracket is a quote: not of an array or an index, in an unknown dialect.
    fn bracketed(&self) -> bool {
        let inside = self.text.as_bytes().get(self.at + 1..).unwrap_or_default();
        let length = inside.iter().take_while(|b| word_byte(**b)).count();
        let simple =
            inside.first().copied().is_some_and(word_start) && inside.get(length) == Some(&b']');
        self.dialect == Dialect::Sqlite || simple
    }

    /// Takes all that touches: rather a word too much than half of a number.
    fn number(&mut self) -> Token<'a> {
        let mut decimal = true;
        while let Some(byte) = self.peek(0) {
            match byte {
                b'0'..=b'9' | b'.' | b'_' => {}
                b'e' | b'E' if decimal && matches!(self.peek(1), Some(b'+' | b'-')) => self.at += 1,
                b'$' => break,
                _ if word_byte(byte) => decimal = false,
                _ => break,
            }
            self.at += 1;
        }
        Token::Value
    }

    /// A dollar quote, or a placeholder.
    fn dollar(&mut self) -> Token<'a> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let tag = rest.bytes().skip(1).take_while(|b| word_byte(*b) && *b != b'$').count();
        let quotes = rest.as_bytes().get(tag + 1) == Some(&b'$')
            && !self.peek(1).is_some_and(|b| b.is_ascii_digit());
        let Some((quote, content)) = rest.split_at_checked(tag + 2).filter(|_| quotes) else {
            return self.placeholder(b'$');
        };
        match content.find(quote) {
            Some(length) => {
                self.at += 2 * quote.len() + length;
                Token::Value
            }
            None => Token::Rest,
        }
    }

    /// `$1`, `?`, `?1`, `%s`, `@p1`, `:name` and what else begins so.
    fn placeholder(&mut self, sigil: u8) -> Token<'a> {
        let start = self.at;
        let (before, named) = (self.before(), self.named());
        self.at += 1;
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        let word = rest.iter().take_while(|b| word_byte(**b)).count();
        let fraction =
            rest.get(digits) == Some(&b'.') && rest.get(digits + 1).is_some_and(u8::is_ascii_digit);
        // No database takes a hundred thousand parameters; and `a[1:2]` and `@ 1` have numbers.
        let numbered = (1..6).contains(&digits)
            && digits == word
            && !fraction
            && (sigil == b'$' || self.is(&[Dialect::Sqlite, Dialect::Other]) && !named);
        let starts_word = rest.first().copied().is_some_and(word_start);
        let takes = match sigil {
            b'%' if word == 1 && rest.first() == Some(&b's') => word,
            b':' | b'@' if before == Some(sigil) || rest.first() == Some(&sigil) => {
                return Token::Sign(sigil);
            }
            b':' | b'@' if starts_word => word,
            b'$' if starts_word && self.dialect != Dialect::PostgreSql => word,
            b'$' | b':' | b'@' | b'?' if numbered => digits,
            b'?' => 0,
            _ => return Token::Sign(sigil),
        };
        self.at += takes;
        Token::Placeholder(self.since(start))
    }

    fn word(&mut self) -> Token<'a> {
        let start = self.at;
        let rest = self.text.as_bytes().get(start..).unwrap_or_default();
        self.at += rest.iter().take_while(|b| word_byte(**b)).count();
        let word = self.since(start);
        if word.len() > 1 {
            return Token::Word(word);
        }
        let unicode = matches!(word, "U" | "u") && self.peek(0) == Some(b'&');
        let prefix = matches!(word, "E" | "e" | "N" | "n" | "B" | "b" | "X" | "x");
        match self.peek(usize::from(unicode)) {
            Some(quote @ (b'\'' | b'"'))
                if (unicode || prefix) && (quote == b'\'' || self.dialect == Dialect::MySql) =>
            {
                self.at += usize::from(unicode);
                let escapes = self.dialect == Dialect::PostgreSql && matches!(word, "E" | "e");
                self.string(quote, escapes)
            }
            _ => Token::Word(word),
        }
    }
}
