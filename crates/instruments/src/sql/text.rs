//! What a SQL statement may show: its text without literals, and what it is about.
//!
//! One pass: `Lexer` makes tokens, `Bare` finds the words among them that are values, `Output` writes
//! them, `Subject` notes operations and tables. Written here, because SQL parsers refuse what stands here:
//! text that is cut, of any vendor, of a dialect that is only guessed. This never fails; where the
//! reading is doubtful it removes too much rather than too little, and writes one `?` for all that
//! follows. Where the dialect is not known, what any dialect takes for a literal is removed.
//!
//! Not here: which dialect a driver speaks, which attributes come of it, and whether the grammar is
//! right.

mod bare;
mod bytes;
mod lexer;
mod names;
mod readings;
mod subject;
mod summary;
mod words;

use bare::Bare;
use lexer::{Lexer, Token};
use subject::Subject;

/// What is left of a statement without its literals, and what it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The statement without comments, and with `?` for every literal.
    pub text: String,
    /// All operations and their tables in order, as written: `db.query.summary`.
    pub summary: String,
    /// The stored procedure that is called, if nothing else is done.
    pub procedure: Option<String>,
}

/// How a statement is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `E''` strings, dollar quotes.
    PostgreSql,
    /// Backslash escapes, strings in double quotes.
    MySql,
    /// Names in brackets.
    Sqlite,
    /// Unknown: what is a literal in any dialect is one.
    Other,
}

/// Takes the literals out of a statement; `truncated` says that its end is missing.
pub fn parse(text: &str, dialect: Dialect, truncated: bool) -> Statement {
    let mut lexer = Lexer::new(text, dialect);
    let mut output = Output::new(text.len());
    let (mut subject, mut bare) = (Subject::default(), Bare::default());
    let mut before_doubt: Option<Subject<'_>> = None;
    while let Some(token) = lexer.next() {
        let (text, space) = (lexer.text(), lexer.space());
        output.space(space);
        if lexer.doubtful() && before_doubt.is_none() {
            output.mark = output.text.len();
            before_doubt = Some(subject.clone());
        }
        let is_name = || lexer.is_dotted() || subject.wants_name(dialect == Dialect::Sqlite);
        let token = match token {
            Token::Doubtful if is_name() => Token::Quoted,
            Token::Doubtful => Token::Value,
            token => token,
        };
        let token = bare.judge(token, text);
        if matches!(token, Token::Rest) {
            // A doubtful string was read wrongly, perhaps: what came since may be its content.
            output.rest(before_doubt.is_some());
            subject.push(Token::Value, text, space);
            subject = before_doubt.unwrap_or(subject);
            break;
        }
        output.push(token, text);
        // A word at the cut may be the beginning of another.
        let cut = truncated && lexer.at_end() && matches!(token, Token::Word(..));
        subject.push(if cut { Token::Value } else { token }, text, space);
    }
    let (summary, procedure) = subject.end(truncated);
    Statement { text: output.finish(truncated), summary, procedure }
}

/// The statement as it is shown.
struct Output {
    text: String,
    /// How much of the text stands before the first doubtful string.
    mark: usize,
    list: Option<List>,
    /// The end of a list that was shortened, when at most a comma came since.
    row: Option<usize>,
    /// The sign that came last, or zero if something else did.
    sign: u8,
}

/// A parenthesis that holds nothing but values so far.
struct List {
    start: usize,
    /// Where the shortened list ends that this one continues.
    row: Option<usize>,
    values: bool,
}

impl Output {
    fn new(capacity: usize) -> Self {
        let text = String::with_capacity(capacity.saturating_add(8));
        Self { text, mark: usize::MAX, list: None, row: None, sign: 0 }
    }

    fn space(&mut self, space: bool) {
        if space && !self.text.is_empty() {
            self.text.push(' ');
        }
    }

    fn push(&mut self, token: Token, text: &str) {
        let sign = if let Token::Sign(sign) = token { sign } else { 0 };
        let before = core::mem::replace(&mut self.sign, sign);
        match token {
            Token::Sign(b'(') => {
                let row = self.row.take();
                self.list = Some(List { start: self.text.len(), row, values: false });
            }
            Token::Sign(b')') => match self.list.take() {
                Some(list) if list.values => {
                    self.shorten(&list);
                    self.row = Some(self.text.len());
                    return;
                }
                _ => self.row = None,
            },
            Token::Sign(b',') => {}
            Token::Sign(b'-' | b'+') if matches!(before, b'(' | b',') => {}
            Token::Value | Token::Placeholder => match &mut self.list {
                Some(list) => list.values = true,
                None => self.row = None,
            },
            _ => (self.list, self.row) = (None, None),
        }
        match token {
            Token::Sign(sign) => self.text.push(char::from(sign)),
            Token::Value | Token::Doubtful | Token::Rest => self.text.push('?'),
            Token::Word(_) | Token::Quoted | Token::Placeholder => self.text.push_str(text),
        }
    }

    /// `(?, $2, ?)` becomes `(?)`, and nothing at all after another such list.
    fn shorten(&mut self, list: &List) {
        match list.row {
            Some(end) => self.cut(end),
            None => {
                self.cut(list.start);
                self.text.push_str("(?)");
            }
        }
    }

    /// Writes the value that is all the rest; `doubt` says that it began at the mark.
    fn rest(&mut self, doubt: bool) {
        if doubt {
            self.cut(self.mark);
            (self.list, self.row) = (None, None);
        }
        self.push(Token::Value, "");
    }

    fn cut(&mut self, at: usize) {
        self.mark = self.mark.min(at);
        // All positions were ends of this text; if one is not, nothing is better than a panic.
        if self.text.is_char_boundary(at) {
            self.text.truncate(at);
        } else {
            self.text.clear();
        }
    }

    fn finish(mut self, truncated: bool) -> String {
        if let Some(list) = self.list.take().filter(|list| list.values) {
            // The text ended within the list.
            self.shorten(&list);
            if list.row.is_none() {
                self.text.pop();
            }
        }
        if truncated {
            self.text.push('…');
        }
        self.text
    }
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;

#[cfg(test)]
mod places;
#[cfg(test)]
#[path = "text/secret_tests.rs"]
mod secret_tests;
