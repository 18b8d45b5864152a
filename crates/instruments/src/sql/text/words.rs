//! Keywords, what sorts of them there are, and how names are written. What they do is in `subject` and
//! `bare`. They are few: what no client sends in numbers is missing.

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

        /// All of them, sorted into a table by a hash, with the numbers by which they are compared.
        const ALL: &[(u128, Keyword)] = &[$((numbers::$word, Keyword::$word),)*];
    };
}

keywords! {
    ABORT ADD ADMIN AFTER AGGREGATE ALL ALTER ANALYZE AND ANY ARRAY AS ATTACH AUDIT AUTHORIZATION
    BACKUP BEFORE BEGIN BETWEEN BY BYPASSRLS CACHE CALL CASCADE CASE CHANGE CHARACTER
    CHARACTERISTICS CHECK CHECKPOINT CHECKSUM CLOSE CLUSTER COLUMN COMMENT COMMIT COMMITTED
    CONNECT CONNECTION CONSTRAINT CONSTRAINTS COPY CREATE CREATEDB CREATEROLE CREDENTIAL CROSS
    CURRENT DATA DATABASE DEALLOCATE DECLARE DEFAULT DEFERRABLE DEFERRED DELETE DESC DESCRIBE
    DETACH DISCARD DISTINCT DO DOMAIN DROP DUMPFILE DUPLICATE ELSE ENCRYPTED ENCRYPTION END
    ENGINE EVENT EXCEPT EXEC EXECUTE EXISTS EXPIRE EXPLAIN EXPORT EXTENSION EXTERNAL FAIL FALSE
    FETCH FLUSH FOR FOREIGN FORMAT FROM FULL FULLTEXT FUNCTION GLOBAL GRANT GRANTED GROUP HANDLER
    HAVING IDENTIFIED IF IGNORE IMMEDIATE IMPORT IN INDEX INDEXED INHERIT INNER INSERT INSTALL
    INSTANCE INTERSECT INTO IS ISOLATION JOIN KEY KILL LATERAL LEFT LEVEL LIKE LIMIT LINK LISTEN
    LOAD LOCAL LOCK LOGIN LOW_PRIORITY MATCHED MATERIALIZED MEMBER MERGE MINUS MOVE MUST_CHANGE
    NATURAL NOBYPASSRLS NOCREATEDB NOCREATEROLE NOINHERIT NOLOGIN NONE NOREPLICATION NOSUPERUSER
    NOT NOTIFY NULL OF OFF OFFSET ON ONLY OPEN OPTIMIZE OPTION OPTIONS OR ORDER OUT OUTER OUTFILE
    OUTPUT OWNER PASSWORD PERSIST PLAN POLICY PRAGMA PREPARE PREWHERE PRINT PRIVILEGES PROCEDURE
    PROFILE PUBLICATION PURGE QUALIFY QUOTA READ REASSIGN RECOMPILE RECURSIVE REFRESH REINDEX
    RELEASE RENAME REPAIR REPEATABLE REPLACE REPLICATION REQUIRE RESET RESTORE RESTRICT RETURN
    RETURNING REVOKE RIGHT ROLE ROLLBACK ROUTINE ROWS RULE SAVEPOINT SCHEMA SECURITY SELECT
    SEQUENCE SERIALIZABLE SERVER SESSION SET SETTINGS SHOW SNAPSHOT SPATIAL SSL START STATISTICS
    STRAIGHT_JOIN SUBSCRIPTION SUPERUSER SYSTEM TABLE TABLES TABLESPACE TEMP TEMPORARY THEN TIME
    TO TRANSACTION TRIGGER TRUE TRUNCATE TYPE UNCOMMITTED UNDROP UNENCRYPTED UNION UNIQUE
    UNLISTEN UNLOCK UNLOGGED UNTIL UPDATE UPSERT USE USER USING VACUUM VALID VALUES VERBOSE VIEW
    VIRTUAL WHEN WHERE WHILE WINDOW WITH WITHOUT WRITE X509 XA ZONE
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

/// Slots of the table: a power of two, most of which stay empty.
const SLOTS: usize = 1024;

/// Where a number stands, if nothing else does.
const fn slot(number: u128) -> usize {
    let folded = (number as u64) ^ ((number >> 64) as u64).rotate_left(23);
    (folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54) as usize
}

/// The keywords by their slots, else by those behind.
static TABLE: [(u128, Keyword); SLOTS] = {
    let mut table = [(0, Keyword::None); SLOTS];
    let mut next = 0;
    while next < ALL.len() {
        let mut at = slot(ALL[next].0);
        while table[at].0 != 0 {
            at = (at + 1) % SLOTS;
        }
        table[at] = ALL[next];
        next += 1;
    }
    table
};

fn keyword_of(number: u128) -> Keyword {
    let mut at = slot(number);
    loop {
        match TABLE.get(at) {
            Some((found, keyword)) if *found == number => return *keyword,
            Some((0, _)) | None => return Keyword::None,
            Some(_) => at = (at + 1) % SLOTS,
        }
    }
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

macro_rules! sets {
    ($($(#[$doc:meta])* $name:ident: $($word:ident)*;)*) => {$(
        $(#[$doc])*
        pub(super) fn $name(word: Keyword) -> bool {
            matches!(word, $(Keyword::$word)|*)
        }
    )*};
}

sets! {
    /// What a statement may begin with, in any dialect.
    is_command:
        ABORT ALTER ANALYZE ATTACH AUDIT BACKUP BEGIN CACHE CALL CHECK CHECKPOINT CHECKSUM CLOSE
        CLUSTER COMMENT COMMIT CONNECT COPY CREATE DEALLOCATE DECLARE DELETE DESC DESCRIBE DETACH
        DISCARD DO DROP END EXEC EXECUTE EXPLAIN EXPORT FETCH FLUSH GRANT HANDLER IMPORT INSERT
        INSTALL KILL LISTEN LOAD LOCK MERGE MOVE NOTIFY OPEN OPTIMIZE PRAGMA PREPARE PRINT PURGE
        REASSIGN REFRESH REINDEX RELEASE RENAME REPAIR REPLACE RESET RESTORE RETURN REVOKE ROLLBACK
        SAVEPOINT SECURITY SELECT SET SHOW START SYSTEM TABLE TRUNCATE UNDROP UNLISTEN UNLOCK UPDATE
        UPSERT USE VACUUM VALUES XA;
    /// Those of them that reach for data by a language of names, where a bare word is no value.
    is_query:
        DELETE DESC DESCRIBE EXPLAIN INSERT MERGE REPLACE SELECT TABLE UPDATE UPSERT VALUES WITH;
    /// The others in which a bare word is a name.
    is_of_names:
        ABORT ANALYZE BEGIN CHECK CHECKPOINT CLOSE CLUSTER COMMENT COMMIT COPY DEALLOCATE DECLARE
        DETACH DISCARD END FETCH FLUSH GRANT HANDLER IF LISTEN LOAD LOCK MOVE NOTIFY OPEN OPTIMIZE
        PREPARE PURGE REASSIGN REFRESH REINDEX RELEASE RENAME REPAIR RESET RETURN REVOKE ROLLBACK
        SAVEPOINT SHOW START TRUNCATE UNLISTEN UNLOCK USE VACUUM WHILE XA;
    /// What `CREATE`, `ALTER` and `DROP` are about.
    is_object:
        AGGREGATE DATABASE DOMAIN EVENT EXTENSION FUNCTION INDEX POLICY PROCEDURE PUBLICATION ROLE
        RULE SCHEMA SEQUENCE SERVER SUBSCRIPTION TABLE TABLESPACE TRIGGER TYPE USER VIEW;
    /// Those of them that are made of names.
    is_object_of_names:
        AGGREGATE DOMAIN EVENT EXTENSION FUNCTION INDEX POLICY PROCEDURE PUBLICATION RULE SCHEMA
        SEQUENCE TABLE TRIGGER TYPE VIEW;
    /// What may stand between `CREATE` and that.
    is_before_object:
        EXTERNAL FOREIGN FULLTEXT GLOBAL LOCAL MATERIALIZED OR RECURSIVE REPLACE SPATIAL TEMP
        TEMPORARY UNIQUE UNLOGGED VIRTUAL;
    /// What may stand between FROM, INTO, UPDATE or TABLE and a name.
    is_before_table:
        ABORT EXISTS FAIL IF IGNORE LATERAL LOW_PRIORITY NOT ONLY OR REPLACE ROLLBACK TABLE TEMP
        TEMPORARY UNLOGGED;
    /// What names no table unless it is quoted.
    is_reserved:
        ALL ALTER AND ANY AS BETWEEN BY CASE CREATE CROSS DATABASE DEFAULT DELETE DISTINCT DROP
        DUMPFILE ELSE EXCEPT FALSE FETCH FOR FROM FULL FUNCTION GRANT GROUP HAVING IN INNER INSERT
        INTERSECT INTO IS JOIN LEFT LIKE LIMIT NATURAL NULL OF OFFSET ON ORDER OUTFILE PROCEDURE
        RETURNING RIGHT SELECT SET STATISTICS STRAIGHT_JOIN THEN TO TRUE UNION UPDATE USING VALUES
        WHEN WHERE WINDOW WITH;
    /// Words that end a list of tables.
    is_after_tables:
        BY DUPLICATE EXCEPT FETCH FOR FORMAT GROUP HAVING INTERSECT INTO LATERAL LIMIT MINUS OFFSET
        OPTION ORDER PREWHERE QUALIFY RETURNING SET SETTINGS START UNION USING VALUES WHERE WINDOW;
    /// Commands that may name a table behind the word TABLE.
    is_before_table_word:
        ANALYZE CACHE CHECK CHECKSUM COMMENT COPY DESC DESCRIBE EXPORT FLUSH IMPORT INSERT LOAD
        LOCK OPTIMIZE REFRESH REINDEX RENAME REPAIR SHOW UNDROP VACUUM;
    /// Commands with INTO before a table.
    has_into: COPY IMPORT INSERT LOAD MERGE REPLACE SELECT UPSERT;
    /// What may stand between SET and the name of what is set.
    is_before_setting: GLOBAL INSTANCE LOCAL PERSIST SESSION;
    /// Behind that name, what is no value.
    is_of_setting:
        ALL AS AUTHORIZATION CHARACTERISTICS COMMITTED CONSTRAINTS DEFERRABLE DEFERRED FOR IMMEDIATE
        ISOLATION LEVEL NOT NULL ONLY PASSWORD READ REPEATABLE SERIALIZABLE SET SNAPSHOT TRANSACTION
        UNCOMMITTED WRITE ZONE;
    /// Behind the name of a procedure, what is no value.
    is_of_call: AS DEFAULT NULL OUT OUTPUT RECOMPILE USING WITH;
}
