//! What a byte of a statement may be, in every dialect. Not here: what it is (`lexer`).

/// Letters of all scripts are in words, so that no token ends within a character.
const WORD: u8 = 1;
/// What a word may begin with.
const START: u8 = 2;
/// Between tokens, or the beginning of a comment.
const BLANK: u8 = 4;

/// What each byte may be.
const CLASSES: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < table.len() {
        let is = byte as u8;
        let start = is.is_ascii_alphabetic() || is == b'_' || is >= 0x80;
        let word = start || is.is_ascii_digit() || is == b'$';
        let blank = is <= b' ' || matches!(is, b'-' | b'#' | b'/');
        table[byte] = if start { START } else { 0 }
            | if word { WORD } else { 0 }
            | if blank { BLANK } else { 0 };
        byte += 1;
    }
    table
};

fn is(byte: u8, class: u8) -> bool {
    CLASSES[usize::from(byte)] & class != 0
}

pub(super) fn word_byte(byte: u8) -> bool {
    is(byte, WORD)
}

pub(super) fn word_start(byte: u8) -> bool {
    is(byte, START)
}

/// Whether the byte is between tokens, or the first of a comment, perhaps.
pub(super) fn may_be_blank(byte: u8) -> bool {
    is(byte, BLANK)
}
