//! Words that stand for values: `TRUE`, what a `SET` sets, the arguments of a call, passwords.
//!
//! Queries, and statements that make tables and the like, are made of names; there a word is a value
//! only if it says so itself. In all others words are values, but for keywords and the name of what
//! the statement is about. What begins with no known command is one of these. Not here: literals that
//! are known by how they are written (`lexer`, `readings`).

use super::lexer::Token;
use super::words::{
    Keyword as K, is_before_object, is_before_setting, is_object_of_names, is_of_call, is_of_names,
    is_of_setting, is_query,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Before the first word of a statement.
    Start,
    /// Behind `CREATE`, `ALTER` or `DROP`.
    Object,
    /// Words are names.
    Query,
    /// The same, but for values of settings that are secret by their names.
    Names,
    /// Words are values, but for keywords.
    Others,
    /// Behind `SET`.
    Setting,
    /// Behind `CALL`.
    Call,
    /// Words are values.
    Values,
    /// All that follows is data.
    Data,
}

/// What the tokens before say of a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    Other,
    /// A name goes on.
    Dot,
    /// The name of something secret, before an equals sign.
    Secret,
    /// The value of something secret comes.
    Password,
    /// How somebody proves who he is, before the BY.
    Identified,
    /// `SET name TO`, before the value.
    SetTo,
    /// `FORMAT` of an INSERT, before its name.
    Format,
}

#[derive(Debug, Clone)]
pub(super) struct Bare {
    mode: Mode,
    before: Before,
    /// The name of what the statement is about was read.
    named: bool,
    /// The statement began with this.
    command: K,
    /// Nothing was read yet.
    first: bool,
    /// The word before was shown.
    shown: bool,
    /// A `SET` and a name were read.
    sets: bool,
}

impl Default for Bare {
    fn default() -> Self {
        Self {
            mode: Mode::Start,
            before: Before::Other,
            named: false,
            command: K::None,
            first: true,
            shown: true,
            sets: false,
        }
    }
}

impl Bare {
    /// The token, or a value in its place.
    pub(super) fn judge(&mut self, token: Token, text: &str) -> Token {
        let before = core::mem::replace(&mut self.before, Before::Other);
        let first = core::mem::replace(&mut self.first, false);
        if self.mode == Mode::Data {
            return Token::Rest;
        }
        let keyword = match token {
            Token::Word(keyword) => keyword,
            Token::Quoted => K::None,
            Token::Sign(sign) => {
                self.sign(sign, before);
                return token;
            }
            _ => {
                if before == Before::Identified {
                    self.before = before;
                }
                self.shown = true;
                return token;
            }
        };
        // A part of a name is shown if the one before was.
        let part = before == Before::Dot;
        let shown = if part { self.shown } else { self.word(keyword, text, before, first) };
        self.shown = shown;
        if shown { token } else { Token::Value }
    }

    fn sign(&mut self, sign: u8, before: Before) {
        match sign {
            b';' => *self = Self { first: false, ..Self::default() },
            b'.' => self.before = Before::Dot,
            b'=' if self.mode == Mode::Setting => self.mode = Mode::Values,
            b'=' if before == Before::Secret => self.before = Before::Password,
            b'=' | b':' | b'(' if before == Before::Password => self.before = before,
            b',' if before == Before::SetTo => self.before = before,
            _ => {}
        }
    }

    /// Whether the word is shown.
    fn word(&mut self, keyword: K, text: &str, before: Before, first: bool) -> bool {
        match (before, keyword) {
            (_, K::TRUE | K::FALSE) => return false,
            (_, K::IDENTIFIED) => {
                self.before = Before::Identified;
                return true;
            }
            (Before::Identified, K::BY | K::AS) => {
                self.before = Before::Password;
                return true;
            }
            // How, as in `WITH sha256_password BY`.
            (Before::Identified, K::WITH | K::None) => {
                self.before = before;
                return true;
            }
            (Before::Password | Before::SetTo, _) => return false,
            (Before::Format, K::VALUES | K::None) => {
                self.mode = Mode::Data;
                return true;
            }
            _ => {}
        }
        match self.mode {
            Mode::Start => self.start(keyword, first),
            Mode::Object => self.object(keyword),
            Mode::Query | Mode::Names => {
                self.name(keyword, text);
                true
            }
            Mode::Others => self.other(keyword, text),
            Mode::Setting => self.setting(keyword),
            Mode::Call => self.call(keyword),
            Mode::Values => matches!(keyword, K::NULL | K::DEFAULT),
            Mode::Data => false,
        }
    }

    fn start(&mut self, keyword: K, first: bool) -> bool {
        self.command = keyword;
        self.mode = match keyword {
            K::CREATE | K::ALTER | K::DROP => Mode::Object,
            K::SET | K::PRAGMA => Mode::Setting,
            K::CALL | K::EXEC | K::EXECUTE => Mode::Call,
            _ if is_query(keyword) => Mode::Query,
            _ if is_of_names(keyword) => Mode::Names,
            _ => Mode::Others,
        };
        self.named = self.mode == Mode::Others;
        first || keyword != K::None
    }

    fn object(&mut self, keyword: K) -> bool {
        let made_of_names = is_object_of_names(keyword);
        if !is_before_object(keyword) {
            self.mode = if made_of_names { Mode::Names } else { Mode::Others };
        }
        true
    }

    /// A word where words are names: says what comes behind it.
    fn name(&mut self, keyword: K, text: &str) {
        match keyword {
            K::SELECT | K::INSERT | K::UPDATE | K::DELETE => {
                (self.mode, self.command) = (Mode::Query, keyword);
            }
            K::FORMAT if self.command == K::INSERT => self.before = Before::Format,
            K::TO if self.sets => self.before = Before::SetTo,
            _ if self.mode == Mode::Names && is_secret(text) => self.before = Before::Secret,
            _ => {}
        }
        self.sets = keyword == K::SET || self.sets && keyword == K::None;
    }

    fn other(&mut self, keyword: K, text: &str) -> bool {
        match keyword {
            K::SET => {
                (self.mode, self.named) = (Mode::Setting, false);
                return true;
            }
            K::AS | K::BY | K::KEY | K::PASSWORD | K::TO | K::USING | K::WITH => self.named = true,
            _ => {}
        }
        if is_secret(text) {
            self.before = Before::Password;
        }
        let is_name = keyword == K::None && !core::mem::replace(&mut self.named, true);
        is_name || keyword != K::None
    }

    fn setting(&mut self, keyword: K) -> bool {
        if keyword == K::TO {
            self.mode = Mode::Values;
            return true;
        }
        if !self.named {
            self.named = !is_before_setting(keyword);
            return true;
        }
        is_of_setting(keyword)
    }

    fn call(&mut self, keyword: K) -> bool {
        if !self.named {
            self.named = !matches!(keyword, K::PROCEDURE | K::FUNCTION);
            return true;
        }
        is_of_call(keyword)
    }
}

/// Whether what has this name is a secret.
fn is_secret(name: &str) -> bool {
    const PARTS: [&[u8]; 7] =
        [b"PASSWORD", b"PASSWD", b"PASSPHRASE", b"SECRET", b"TOKEN", b"CREDENTIAL", b"KEY"];
    let name = name.as_bytes();
    let has = |part: &&[u8]| name.windows(part.len()).any(|at| at.eq_ignore_ascii_case(part));
    name.len() < 64 && PARTS.iter().any(has)
}
