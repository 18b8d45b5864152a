//! The summary of a text: operations and tables in their order, statement by statement.
//!
//! The names that a `WITH` gives to queries are no tables, also where they are used before they are
//! given. So what a statement names waits for its end. Not here: what an operation or a table is
//! (`subject`).

use super::names::Names;

/// OpenTelemetry's limit for a summary.
const CHARACTERS: usize = 255;
/// What waits of a statement: more bytes than so many characters have.
const BYTES: usize = 4 * CHARACTERS;

#[derive(Debug, Clone, Default)]
pub(super) struct Summary<'a> {
    text: String,
    characters: usize,
    /// A piece found no room. What comes after it is not shown either.
    full: bool,
    /// The pieces of the statement, one after the other.
    waiting: String,
    pieces: Vec<Piece>,
    common: Names<'a>,
}

#[derive(Debug, Clone, Copy)]
struct Piece {
    start: usize,
    end: usize,
    table: bool,
}

impl<'a> Summary<'a> {
    /// Whether a further piece may be shown.
    pub(super) fn wants(&self) -> bool {
        !self.full && self.waiting.len() <= BYTES
    }

    /// Notes a name that a `WITH` gives to a query.
    pub(super) fn common_table(&mut self, name: &'a str) {
        self.common.insert(name);
    }

    /// A word of an operation.
    pub(super) fn operation(&mut self, word: &str) {
        if self.wants() {
            self.piece(word, false);
        }
    }

    /// A table, or what else an operation is about.
    pub(super) fn table(&mut self, name: &str) {
        if self.wants() {
            self.piece(name, true);
        }
    }

    fn piece(&mut self, piece: &str, table: bool) {
        let start = self.waiting.len();
        self.waiting.push_str(piece);
        self.pieces.push(Piece { start, end: self.waiting.len(), table });
    }

    /// The statement has ended.
    pub(super) fn end_of_statement(&mut self) {
        let pieces = core::mem::take(&mut self.pieces);
        for piece in &pieces {
            let text = self.waiting.get(piece.start..piece.end).unwrap_or_default();
            if self.full || piece.table && self.common.may_contain(text) {
                continue;
            }
            let space = usize::from(!self.text.is_empty());
            let characters = self.characters.saturating_add(text.chars().count() + space);
            self.full = characters > CHARACTERS;
            if !self.full {
                self.characters = characters;
                self.text.push_str(if space > 0 { " " } else { "" });
                self.text.push_str(text);
            }
        }
        self.pieces = pieces;
        self.pieces.clear();
        self.full |= self.waiting.len() > BYTES;
        self.waiting.clear();
        self.common.clear();
    }

    pub(super) fn finish(mut self) -> String {
        self.end_of_statement();
        self.text
    }
}
