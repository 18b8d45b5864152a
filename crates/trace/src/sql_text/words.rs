//! Keywords before and after the names of tables, and how names are written. What they do is in
//! `subject`. They are few: what no client sends in numbers is missing.

use Keyword as K;

/// The longest word that is looked at.
const LONGEST: usize = 16;

/// A word in capitals as a number, which is quicker compared with a hundred others than text.
const fn number(capitals: &[u8]) -> u128 {
    let (mut number, mut at) = (0, capitals.len());
    while at > 0 {
        at -= 1;
        number = number << 8 | capitals[at] as u128;
    }
    number
}

macro_rules! keywords {
    ($($word:ident)*) => {
        /// The words that mean something here, and all others.
        #[allow(non_camel_case_types, clippy::upper_case_acronyms, reason = "as SQL writes them")]
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Keyword {
            None,
            $($word,)*
        }

        mod numbers {
            $(pub(super) const $word: u128 = super::number(stringify!($word).as_bytes());)*
        }

        fn keyword_of(number: u128) -> Keyword {
            match number {
                $(numbers::$word => Keyword::$word,)*
                _ => Keyword::None,
            }
        }
    };
}

keywords! {
    ABORT AGGREGATE ALTER ANALYZE AS BEGIN COPY CREATE DATABASE DELETE DISTINCT DOMAIN DROP
    DUMPFILE DUPLICATE EVENT EXCEPT EXISTS EXPLAIN EXTENSION EXTERNAL FAIL FETCH FOR FOREIGN
    FROM FULLTEXT FUNCTION GLOB GLOBAL GRANT GROUP HAVING IF IGNORE IN INDEX INSERT
    INTERSECT INTO JOIN LATERAL LIKE LIMIT LOCAL LOW_PRIORITY MATCH MATERIALIZED MERGE NOT
    OFFSET ON ONLY OR ORDER OUTFILE PLAN POLICY PROCEDURE PUBLICATION RECURSIVE REGEXP
    REPLACE RETURNING REVOKE ROLE ROLLBACK RULE SCHEMA SELECT SEQUENCE SERVER SET SPATIAL
    STRAIGHT_JOIN SUBSCRIPTION TABLE TABLESPACE TEMP TEMPORARY TRIGGER TRUNCATE TYPE UNION
    UNIQUE UNLOGGED UPDATE USER USING VALUES VERBOSE VIEW VIRTUAL WHERE WINDOW WITH
}

/// Which keyword the word is that stands in the text from `start` to `end`.
#[inline]
pub(super) fn keyword(text: &[u8], start: usize, end: usize) -> Keyword {
    let length = end.wrapping_sub(start);
    if !(2..=LONGEST).contains(&length) {
        return Keyword::None;
    }
    let mut room = [0; LONGEST];
    match text.get(start..).and_then(<[u8]>::first_chunk) {
        Some(all) => room = *all,
        None => room
            .iter_mut()
            .zip(text.get(start..end).unwrap_or_default())
            .for_each(|(to, from)| *to = *from),
    }
    room.make_ascii_uppercase();
    let word = u128::MAX >> (8 * (LONGEST - length));
    keyword_of(u128::from_le_bytes(room) & word)
}

/// Whether the word can be an operation: it has letters only, and not many.
pub(super) fn is_operation(word: &str) -> bool {
    word.len() <= LONGEST && word.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_')
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
pub(super) fn is_object(word: Keyword) -> bool {
    matches!(
        word,
        K::TABLE
            | K::VIEW
            | K::INDEX
            | K::SEQUENCE
            | K::SCHEMA
            | K::DATABASE
            | K::FUNCTION
            | K::PROCEDURE
            | K::TRIGGER
            | K::TYPE
            | K::EXTENSION
            | K::ROLE
            | K::USER
            | K::POLICY
            | K::DOMAIN
            | K::EVENT
            | K::TABLESPACE
            | K::SERVER
            | K::PUBLICATION
            | K::SUBSCRIPTION
            | K::AGGREGATE
            | K::RULE
    )
}

/// What may stand between `CREATE` and that.
pub(super) fn is_before_object(word: Keyword) -> bool {
    matches!(
        word,
        K::OR
            | K::REPLACE
            | K::TEMP
            | K::TEMPORARY
            | K::UNIQUE
            | K::UNLOGGED
            | K::MATERIALIZED
            | K::GLOBAL
            | K::LOCAL
            | K::VIRTUAL
            | K::RECURSIVE
            | K::FOREIGN
            | K::EXTERNAL
            | K::FULLTEXT
            | K::SPATIAL
    )
}

/// What may stand between FROM, INTO, UPDATE or TABLE and a name.
pub(super) fn is_before_table(word: Keyword) -> bool {
    matches!(
        word,
        K::ONLY
            | K::LATERAL
            | K::IF
            | K::NOT
            | K::EXISTS
            | K::OR
            | K::IGNORE
            | K::REPLACE
            | K::ABORT
            | K::FAIL
            | K::ROLLBACK
            | K::LOW_PRIORITY
            | K::TABLE
            | K::TEMP
            | K::TEMPORARY
            | K::UNLOGGED
            | K::OUTFILE
            | K::DUMPFILE
    )
}

/// Words that end a list of tables.
pub(super) fn is_after_tables(word: Keyword) -> bool {
    matches!(
        word,
        K::WHERE
            | K::GROUP
            | K::ORDER
            | K::HAVING
            | K::LIMIT
            | K::OFFSET
            | K::FETCH
            | K::UNION
            | K::EXCEPT
            | K::INTERSECT
            | K::SET
            | K::VALUES
            | K::WINDOW
            | K::RETURNING
            | K::FOR
            | K::USING
            | K::DUPLICATE
    )
}
