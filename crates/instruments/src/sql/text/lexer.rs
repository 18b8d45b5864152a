//! A statement as words, names, values and signs, as each dialect reads them.
//!
//! Where settings of a server read a text differently, the reading is chosen that makes a literal of
//! more. Where the dialect is not known, `readings` says what is a literal in any. Not here: what the
//! tokens mean together (`subject`, `bare`).

use super::Dialect;
use super::bytes::{may_be_blank, word_byte, word_start};
use super::readings::Removed;
use super::words::{Keyword, keyword};

/// The kind of a token; what it reads is `Lexer::text`. So small that it stays in a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    Word(Keyword),
    /// An identifier with its quotes.
    Quoted,
    /// In double quotes: an identifier or a string, as the place says.
    Doubtful,
    Value,
    Placeholder,
    Sign(u8),
    /// A literal that goes on to the end, as far as is known.
    Rest,
}

pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
    /// Where the token begins.
    start: usize,
    /// Whether there is space before it.
    space: bool,
    dialect: Dialect,
    /// What is a literal or comment to any dialect, if this one is not known.
    removed: Removed,
    /// There was a string that ends elsewhere with another setting of the server.
    doubtful: bool,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str, dialect: Dialect) -> Self {
        let removed = match dialect {
            Dialect::Other => Removed::of(text),
            _ => Removed::default(),
        };
        Self { text, at: 0, start: 0, space: false, dialect, removed, doubtful: false }
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

    /// What the token reads.
    #[inline]
    pub(super) fn text(&self) -> &'a str {
        self.text.get(self.start..self.at).unwrap_or("?")
    }

    /// Whether there is space before the token.
    pub(super) fn space(&self) -> bool {
        self.space
    }

    fn is(&self, dialects: &[Dialect]) -> bool {
        dialects.contains(&self.dialect)
    }

    /// The next token.
    #[inline]
    pub(super) fn next(&mut self) -> Option<Token> {
        let (blank, doubtful) = (self.at, self.doubtful);
        let skips = self.peek(0).is_some_and(may_be_blank);
        if skips && (!self.blank() || doubtful && self.odd_quotes(blank)) {
            self.space = true;
            return Some(Token::Rest);
        }
        let start = self.at;
        (self.start, self.space) = (start, blank < start);
        let byte = self.peek(0)?;
        if let Some(end) = self.removed.end(start) {
            self.at = end;
            // Nobody writes a word here, so that was the beginning of a string and not its end.
            let begins = matches!(self.before(), Some(b'\'' | b'"'))
                && self.peek(0).is_some_and(|b| word_byte(b) || b == b'\\');
            return Some(if begins { Token::Rest } else { Token::Value });
        }
        let token = self.token(byte);
        if doubtful && !self.is_string(byte, token) && self.odd_quotes(start) {
            return Some(Token::Rest);
        }
        if self.removed.touches(start, self.at, token == Token::Doubtful) {
            self.at = self.removed.end(self.at).unwrap_or(self.at);
            return Some(Token::Value);
        }
        Some(token)
    }

    /// Whether the name in double quotes is a part of one with dots, which no string can be.
    pub(super) fn is_dotted(&self) -> bool {
        let byte = |at: usize| self.text.as_bytes().get(at).copied();
        let may_end = |b: u8| word_byte(b) || matches!(b, b'"' | b'`' | b']');
        let may_begin = |b: u8| word_start(b) || matches!(b, b'"' | b'`' | b'[' | b'*');
        let after = byte(self.at) == Some(b'.') && byte(self.at + 1).is_some_and(may_begin);
        let before = self.start >= 2
            && byte(self.start - 1) == Some(b'.')
            && byte(self.start - 2).is_some_and(may_end);
        after || before
    }

    /// Whether the token, which begins with this byte, is a string or the like.
    fn is_string(&self, byte: u8, token: Token) -> bool {
        match byte {
            b'$' => false,
            b'"' => self.dialect == Dialect::MySql,
            _ => matches!(token, Token::Value),
        }
    }

    /// After a doubtful string, a comment or name with one quote may be the end of another string.
    fn odd_quotes(&self, start: usize) -> bool {
        let text = self.text.as_bytes().get(start..self.at).unwrap_or_default();
        let strings = self.dialect == Dialect::MySql;
        let odd = text.iter().fold((false, false), |(single, double), byte| {
            (single ^ (*byte == b'\''), double ^ (*byte == b'"'))
        });
        odd.0 || strings && odd.1
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

    fn token(&mut self, byte: u8) -> Token {
        use Dialect::{MySql, Other, PostgreSql, Sqlite};
        if word_start(byte) {
            return self.word();
        }
        let digit_follows = || self.peek(1).is_some_and(|b| b.is_ascii_digit());
        match byte {
            b'\'' => self.string(byte, false),
            b'"' if self.dialect == MySql => self.string(byte, false),
            // SQLite takes an unknown name for a string, and its users write it so.
            b'"' => match self.quoted(byte) {
                Token::Quoted if self.dialect != PostgreSql => Token::Doubtful,
                token => token,
            },
            b'`' if self.dialect != PostgreSql => self.quoted(byte),
            b'[' if self.is(&[Sqlite, Other]) && self.bracketed() => self.quoted(b']'),
            b'0'..=b'9' => self.number(),
            b'.' if digit_follows() && !self.named() => self.number(),
            b'$' if self.is(&[PostgreSql, Other]) => self.dollar(),
            b'$' | b'?' | b'%' | b'@' | b':' => self.placeholder(byte),
            // It stands in strings only, so this is one, and its beginning was taken for an end.
            b'\\' => Token::Rest,
            _ => {
                self.at += 1;
                Token::Sign(byte)
            }
        }
    }

    /// A string that begins here; `escapes` says that it surely has backslash escapes.
    fn string(&mut self, quote: u8, escapes: bool) -> Token {
        let mut escaped = false;
        self.at += 1;
        while let Some(byte) = self.peek(0) {
            self.at += 1;
            if byte != quote {
                escaped = byte == b'\\' && !escaped;
                continue;
            }
            let after_backslash = core::mem::take(&mut escaped);
            self.doubtful |= after_backslash && !escapes;
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

    fn quoted(&mut self, end: u8) -> Token {
        self.at += 1;
        while let Some(byte) = self.peek(0) {
            self.at += 1;
            if byte == end {
                if end == b']' || self.peek(0) != Some(end) {
                    return Token::Quoted;
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
    fn number(&mut self) -> Token {
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
    fn dollar(&mut self) -> Token {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let tag = rest.iter().skip(1).take_while(|b| word_byte(**b) && **b != b'$').count();
        let quotes =
            rest.get(tag + 1) == Some(&b'$') && !self.peek(1).is_some_and(|b| b.is_ascii_digit());
        let Some((quote, mut content)) = rest.split_at_checked(tag + 2).filter(|_| quotes) else {
            return self.placeholder(b'$');
        };
        // No tag has a dollar, so all comparisons together look at each byte once.
        while !content.starts_with(quote) {
            let Some(next) = content.iter().skip(1).position(|b| *b == b'$') else {
                return Token::Rest;
            };
            content = content.get(next + 1..).unwrap_or_default();
        }
        self.at = self.text.len() - content.len() + quote.len();
        Token::Value
    }

    /// `$1`, `?`, `?1`, `%s`, `@p1`, `:name` and what else begins so.
    fn placeholder(&mut self, sigil: u8) -> Token {
        let before = self.before();
        let first = self.peek(1);
        let starts_word = first.is_some_and(word_start);
        // `a[1:2]` and `@ 1` have numbers.
        let may_be_numbered = first.is_some_and(|b| b.is_ascii_digit())
            && (sigil == b'$' || self.is(&[Dialect::Sqlite, Dialect::Other]) && !self.named());
        // An amount of money to some.
        let money = sigil == b'$' && self.dialect == Dialect::Other;
        self.at += 1;
        match sigil {
            b'%' if first == Some(b's') && !self.peek(1).is_some_and(word_byte) => self.at += 1,
            b':' | b'@' if before == Some(sigil) || first == Some(sigil) => {
                return Token::Sign(sigil);
            }
            b':' | b'@' if starts_word => self.skip_word(),
            b'$' if starts_word && self.dialect != Dialect::PostgreSql => self.skip_word(),
            b'$' if money && may_be_numbered => return self.number(),
            b'$' | b':' | b'@' | b'?' if may_be_numbered && self.skip_number() => {}
            b'?' => {}
            _ => return Token::Sign(sigil),
        }
        Token::Placeholder
    }

    fn skip_word(&mut self) {
        while self.peek(0).is_some_and(word_byte) {
            self.at += 1;
        }
    }

    /// Skips a parameter's number. No database takes a hundred thousand parameters.
    fn skip_number(&mut self) -> bool {
        const DIGITS: usize = 5;
        let digit = |ahead| self.peek(ahead).is_some_and(|b: u8| b.is_ascii_digit());
        let digits = (0..=DIGITS).take_while(|ahead| digit(*ahead)).count();
        let fraction = self.peek(digits) == Some(b'.') && digit(digits + 1);
        let number = (1..=DIGITS).contains(&digits)
            && !fraction
            && !self.peek(digits).is_some_and(word_byte);
        self.at += if number { digits } else { 0 };
        number
    }

    fn word(&mut self) -> Token {
        self.skip_word();
        if self.at - self.start > 1 {
            return Token::Word(keyword(self.text.as_bytes(), self.start, self.at));
        }
        if !matches!(self.peek(0), Some(b'\'' | b'"' | b'&')) {
            return Token::Word(Keyword::None);
        }
        let word = self.text();
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
            _ => Token::Word(Keyword::None),
        }
    }
}
