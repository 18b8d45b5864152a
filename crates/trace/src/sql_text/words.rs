//! Keywords before and after the names of tables, and how names are written. What they do is in
//! `subject`. They are few: what no client sends in numbers is missing.

/// Where a word is put in capitals.
#[derive(Default)]
pub(super) struct Room([u8; 16]);

/// The word in capitals if it can be a keyword, else nothing.
pub(super) fn upper<'r>(word: &str, room: &'r mut Room) -> &'r str {
    let Some(room) = room.0.get_mut(..word.len()) else { return "" };
    for (to, from) in room.iter_mut().zip(word.bytes()) {
        if !from.is_ascii_alphabetic() && from != b'_' {
            return "";
        }
        *to = from.to_ascii_uppercase();
    }
    core::str::from_utf8(room).unwrap_or_default()
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
pub(super) fn is_object(word: &str) -> bool {
    matches!(
        word,
        "TABLE"
            | "VIEW"
            | "INDEX"
            | "SEQUENCE"
            | "SCHEMA"
            | "DATABASE"
            | "FUNCTION"
            | "PROCEDURE"
            | "TRIGGER"
            | "TYPE"
            | "EXTENSION"
            | "ROLE"
            | "USER"
            | "POLICY"
            | "DOMAIN"
            | "EVENT"
            | "TABLESPACE"
            | "SERVER"
            | "PUBLICATION"
            | "SUBSCRIPTION"
            | "AGGREGATE"
            | "RULE"
    )
}

/// What may stand between `CREATE` and that.
pub(super) fn is_before_object(word: &str) -> bool {
    matches!(
        word,
        "OR" | "REPLACE"
            | "TEMP"
            | "TEMPORARY"
            | "UNIQUE"
            | "UNLOGGED"
            | "MATERIALIZED"
            | "GLOBAL"
            | "LOCAL"
            | "VIRTUAL"
            | "RECURSIVE"
            | "FOREIGN"
            | "EXTERNAL"
            | "FULLTEXT"
            | "SPATIAL"
    )
}

/// What may stand between FROM, INTO, UPDATE or TABLE and a name.
pub(super) fn is_before_table(word: &str) -> bool {
    matches!(
        word,
        "ONLY"
            | "LATERAL"
            | "IF"
            | "NOT"
            | "EXISTS"
            | "OR"
            | "IGNORE"
            | "REPLACE"
            | "ABORT"
            | "FAIL"
            | "ROLLBACK"
            | "LOW_PRIORITY"
            | "TABLE"
            | "TEMP"
            | "TEMPORARY"
            | "UNLOGGED"
            | "OUTFILE"
            | "DUMPFILE"
    )
}

/// Words that end a list of tables.
pub(super) fn is_after_tables(word: &str) -> bool {
    matches!(
        word,
        "WHERE"
            | "GROUP"
            | "ORDER"
            | "HAVING"
            | "LIMIT"
            | "OFFSET"
            | "FETCH"
            | "UNION"
            | "EXCEPT"
            | "INTERSECT"
            | "SET"
            | "VALUES"
            | "WINDOW"
            | "RETURNING"
            | "FOR"
            | "USING"
            | "DUPLICATE"
    )
}
