//! Keywords before and after the names of tables, and how names are written. What they do is in
//! `subject`. They are few: what no client sends in numbers is missing.

/// Where a word is put in capitals.
pub(super) type Room = [u8; 16];

/// The word in capitals; nothing if it is longer than any keyword.
pub(super) fn upper<'r>(word: &str, room: &'r mut Room) -> &'r [u8] {
    let Some(room) = room.get_mut(..word.len()) else { return b"" };
    room.copy_from_slice(word.as_bytes());
    room.make_ascii_uppercase();
    room
}

/// Whether these are letters, and some.
pub(super) fn is_word(upper: &[u8]) -> bool {
    !upper.is_empty() && upper.iter().all(|b| b.is_ascii_uppercase() || *b == b'_')
}

/// A name without its quotes, if it needs none.
pub(super) fn unquoted(name: &str) -> &str {
    let mut inner = name.chars();
    let quotes = (inner.next(), inner.next_back());
    let simple = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | '-');
    match quotes {
        (Some('"' | '`' | '['), Some('"' | '`' | ']'))
            if !inner.as_str().is_empty() && inner.as_str().chars().all(simple) =>
        {
            inner.as_str()
        }
        _ => name,
    }
}

/// What `CREATE`, `ALTER` and `DROP` are about.
pub(super) fn is_object(word: &[u8]) -> bool {
    matches!(
        word,
        b"TABLE"
            | b"VIEW"
            | b"INDEX"
            | b"SEQUENCE"
            | b"SCHEMA"
            | b"DATABASE"
            | b"FUNCTION"
            | b"PROCEDURE"
            | b"TRIGGER"
            | b"TYPE"
            | b"EXTENSION"
            | b"ROLE"
            | b"USER"
            | b"POLICY"
            | b"DOMAIN"
            | b"EVENT"
            | b"TABLESPACE"
            | b"SERVER"
            | b"PUBLICATION"
            | b"SUBSCRIPTION"
            | b"AGGREGATE"
            | b"RULE"
    )
}

/// What may stand between `CREATE` and that.
pub(super) fn is_before_object(word: &[u8]) -> bool {
    matches!(
        word,
        b"OR"
            | b"REPLACE"
            | b"TEMP"
            | b"TEMPORARY"
            | b"UNIQUE"
            | b"UNLOGGED"
            | b"MATERIALIZED"
            | b"GLOBAL"
            | b"LOCAL"
            | b"VIRTUAL"
            | b"RECURSIVE"
            | b"FOREIGN"
            | b"EXTERNAL"
            | b"FULLTEXT"
            | b"SPATIAL"
    )
}

/// What may stand between FROM, INTO, UPDATE or TABLE and a name.
pub(super) fn is_before_table(word: &[u8]) -> bool {
    matches!(
        word,
        b"ONLY"
            | b"LATERAL"
            | b"IF"
            | b"NOT"
            | b"EXISTS"
            | b"OR"
            | b"IGNORE"
            | b"REPLACE"
            | b"ABORT"
            | b"FAIL"
            | b"ROLLBACK"
            | b"LOW_PRIORITY"
            | b"TABLE"
            | b"TEMP"
            | b"TEMPORARY"
            | b"UNLOGGED"
            | b"OUTFILE"
            | b"DUMPFILE"
    )
}

/// Words that end a list of tables.
pub(super) fn is_after_tables(word: &[u8]) -> bool {
    matches!(
        word,
        b"WHERE"
            | b"GROUP"
            | b"ORDER"
            | b"HAVING"
            | b"LIMIT"
            | b"OFFSET"
            | b"FETCH"
            | b"UNION"
            | b"EXCEPT"
            | b"INTERSECT"
            | b"SET"
            | b"VALUES"
            | b"WINDOW"
            | b"RETURNING"
            | b"FOR"
            | b"USING"
            | b"DUPLICATE"
    )
}
