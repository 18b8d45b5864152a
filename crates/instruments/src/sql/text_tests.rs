//! What is left of statements, dialect by dialect.

use super::Dialect::{MySql, Other, PostgreSql, Sqlite};
use super::*;

const DIALECTS: [Dialect; 4] = [PostgreSql, MySql, Sqlite, Other];

fn check(dialects: &[Dialect], table: &[(&str, &str)]) {
    for dialect in dialects {
        for (statement, expected) in table {
            let text = parse(statement, *dialect, false).text;
            assert_eq!(text, *expected, "{dialect:?}: {statement}");
        }
    }
}

#[test]
fn literals_go_in_all_dialects() {
    check(
        &DIALECTS,
        &[
            ("", ""),
            (" \n\t ", ""),
            ("SELECT 1", "SELECT ?"),
            (
                "select  a,\n\tb from t1 where col_2 = 'it''s'",
                "select a, b from t1 where col_2 = ?",
            ),
            (
                "SELECT 1.5, .5, 1e5, 1e-9, 1E+9, 0x1F, 0b01, 1_000, 5.",
                "SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?",
            ),
            ("SELECT -1, a-1, a - 1, a+.5, 2*3", "SELECT -?, a-?, a - ?, a+?, ?*?"),
            ("SELECT x$1, t1.c2, é3 FROM t_9", "SELECT x$1, t1.c2, é3 FROM t_9"),
            ("SELECT 1e-9-x, 0x1E-y", "SELECT ?-x, ?-y"),
            ("SELECT N'a', n'a', B'01', x'1F', E'a', U&'d\\0061t'", "SELECT ?, ?, ?, ?, ?, ?"),
            ("SELECT DATE '2020-01-01', DATE'2020-01-01'", "SELECT DATE ?, DATE?"),
            ("SELECT TRUE, false, NULL", "SELECT ?, ?, NULL"),
            ("SELECT t.true FROM t", "SELECT t.true FROM t"),
            ("SELECT '😀', 😀 FROM 'é'", "SELECT ?, 😀 FROM ?"),
            ("SELECT 'a' 'b'", "SELECT ? ?"),
            ("SELECT a -- 'x' 1\nFROM t", "SELECT a FROM t"),
            ("SELECT/* 'x */1", "SELECT ?"),
            ("/* traceparent='00-1-2-01' */ SELECT a /* b */", "SELECT a"),
            ("SELECT a -- it's", "SELECT a"),
            ("SELECT a IN (1, 2, 3) AND b", "SELECT a IN (?) AND b"),
            ("SELECT a IN ( 'x' ,\n -5,$1, :n, @p1, %s, ?)", "SELECT a IN (?)"),
            ("SELECT a IN (1, b, 3)", "SELECT a IN (?, b, ?)"),
            ("SELECT a IN (1, (2, 3), 4)", "SELECT a IN (?, (?), ?)"),
            ("SELECT a IN ()", "SELECT a IN ()"),
            ("VALUES (1, 'a'), (2, 'b'),\n(3, 'c') RETURNING id", "VALUES (?) RETURNING id"),
            ("VALUES(?, ?), (now(), ?), (?, ?)", "VALUES(?), (now(), ?), (?)"),
            ("SELECT (a, b) IN ((1, 2), (3, 4))", "SELECT (a, b) IN ((?))"),
            ("SELECT f(1), g(2)", "SELECT f(?), g(?)"),
            ("SELECT a = ? AND b = %s OR c = @p1", "SELECT a = ? AND b = %s OR c = @p1"),
            ("SELECT a %s5, a % 5, a %5", "SELECT a %s5, a % ?, a %?"),
            ("SELECT 'abc", "SELECT ?"),
            ("SELECT 'abc''", "SELECT ?"),
            ("SELECT /* abc", "SELECT ?"),
            ("SELECT a FROM \"abc", "SELECT a FROM ?"),
            ("SELECT a IN (1, 'abc", "SELECT a IN (?"),
            // Where a string was read wrongly, all the rest may be one.
            ("SELECT 'it's', secret", "SELECT ?"),
        ],
    );
    check(&[PostgreSql, MySql, Sqlite], &[("SELECT $123456", "SELECT $?")]);
}

#[test]
fn postgresql_has_its_quotes() {
    check(
        &[PostgreSql],
        &[
            (r"SELECT 'a\', b", "SELECT ?, b"),
            (r"SELECT E'\'', e'a\'b''c\\', x", "SELECT ?, ?, x"),
            ("SELECT $$it's$$, $tag$ $$ $other$ 1 $tag$, $1", "SELECT ?, ?, $1"),
            ("SELECT 1$$a b$$", "SELECT ??"),
            ("SELECT $é$ x $é$ y", "SELECT ? y"),
            ("SELECT $$abc", "SELECT ?"),
            ("SELECT $a$abc$b$ 'x", "SELECT ?"),
            (
                "SELECT a = $1 AND b = $12::int AND c = $2.5",
                "SELECT a = $1 AND b = $12::int AND c = $?",
            ),
            (
                r#"SELECT "weird ""name""", "t 1"."c" FROM x"#,
                r#"SELECT "weird ""name""", "t 1"."c" FROM x"#,
            ),
            (r#"SELECT U&"d\0061t""#, r#"SELECT U&"d\0061t""#),
            ("SELECT /* a /* 'b' */ 'c' */ 1", "SELECT ?"),
            ("SELECT a -- b\r, c", "SELECT a , c"),
            (
                "SELECT a[1:2], ARRAY[1, 2], b::text, d @ 5",
                "SELECT a[?:?], ARRAY[?, ?], b::text, d @ ?",
            ),
            ("SELECT j->'a'->>1, j #> '{a,1}', j ? 'x'", "SELECT j->?->>?, j #> ?, j ? ?"),
            ("SELECT a ` 'x'", "SELECT a ` ?"),
            (r"SELECT a LIKE 'x' ESCAPE '\' AND b = $1", "SELECT a LIKE ? ESCAPE ? AND b = $1"),
            // With standard_conforming_strings off.
            (r"SELECT 'it\'s secret', 1", "SELECT ?"),
            (r"SELECT a, 'x\' secret', b FROM t", "SELECT a, ?"),
        ],
    );
}

#[test]
fn mysql_has_its_quotes() {
    check(
        &[MySql],
        &[
            (r"SELECT 'it\'s', 'a\\', b", "SELECT ?, ?, b"),
            (r#"SELECT "it's", "a""b", "c\"d" FROM `t``1`"#, "SELECT ?, ?, ? FROM `t``1`"),
            (r"SELECT a, 'it\'s' FROM t /* a='b' */", "SELECT a, ? FROM t"),
            (r"SELECT a, 'it\'s' FROM t /* don't */", "SELECT a, ?"),
            ("SELECT a FROM `t'1`", "SELECT a FROM `t'1`"),
            ("SELECT _utf8mb4'a', _latin1\"b\"", "SELECT _utf8mb4?, _latin1?"),
            ("SELECT a # it's\n, 1", "SELECT a , ?"),
            ("SELECT a--1, b -- it's\n", "SELECT a--?, b"),
            ("SELECT /*!50001 'a' */ /*+ HINT(1) */ 1", "SELECT ?"),
            ("SELECT /* /* */ 1", "SELECT ?"),
            ("SELECT @@sql_mode, @v := 1, @'a b'", "SELECT @@sql_mode, @v := ?, @?"),
            ("CREATE USER 'a'@'%' IDENTIFIED BY 'b'", "CREATE USER ?@? IDENTIFIED BY ?"),
            // With NO_BACKSLASH_ESCAPES.
            (r"SELECT a, '\', ' secret', b FROM t", "SELECT a, ?"),
            (r"SELECT a IN ('\', ' secret') AND b", "SELECT a IN (?"),
            (r"SELECT a IN (1, '\', ' x', 2) AND b = 'x", "SELECT a IN (?, ?"),
            ("SELECT a /*! 'x */ secret' */", "SELECT a ?"),
        ],
    );
}

#[test]
fn sqlite_and_unknown_dialects_have_their_quotes() {
    check(
        &[Sqlite, Other],
        &[
            ("SELECT [name], `a 1`, \"b 1\" FROM [t]", "SELECT [name], `a 1`, ? FROM [t]"),
            (
                "SELECT a = ?1 AND b = :name AND c = @c AND d = $d AND e = :2",
                "SELECT a = ?1 AND b = :name AND c = @c AND d = $d AND e = :2",
            ),
            // A string, if there is no such column.
            ("SELECT a = \"x\" AND b IN (\"y\", \"z\")", "SELECT a = ? AND b IN (?)"),
            ("INSERT INTO \"t\" (\"a\") VALUES (\"x\"), (?)", "INSERT INTO \"t\" (?) VALUES (?)"),
            ("UPDATE \"t\" SET \"a\" = \"x\", b = 1", "UPDATE \"t\" SET ? = ?, b = ?"),
            (
                "SELECT ON \"a\".\"b\" = \"c\".\"d\" AND e",
                "SELECT ON \"a\".\"b\" = \"c\".\"d\" AND e",
            ),
            ("SELECT a FROM \"t\" JOIN \"u\" x ON b", "SELECT a FROM \"t\" JOIN \"u\" x ON b"),
            ("SELECT a INTO OUTFILE \"x\" FROM \"t\"", "SELECT a INTO OUTFILE ? FROM \"t\""),
        ],
    );
    check(
        &[Sqlite],
        &[
            ("SELECT [a 'b' 1], `it's`", "SELECT [a 'b' 1], `it's`"),
            ("SELECT a FROM \"t\", \"u\"", "SELECT a FROM \"t\", \"u\""),
            ("SELECT [abc", "SELECT ?"),
            (r"SELECT 'a\', b", "SELECT ?, b"),
        ],
    );
}

#[test]
fn unknown_dialects_have_the_literals_of_all() {
    check(
        &[Other],
        &[
            ("SELECT [1, 'a'], x[1], [abc", "SELECT [?, ?], x[?], [abc"),
            (r"SELECT 'a\', secret", "SELECT ?"),
            (r"SELECT 'a\'b', secret", "SELECT ?"),
            (r"SELECT 'a\\b', c", "SELECT ?, c"),
            (r"SELECT 'a\'b', secret, 'c', d", "SELECT ?"),
            ("SELECT $$a$$, $1", "SELECT ?, ?"),
            ("SELECT `it's`, secret", "SELECT ?"),
            ("SELECT /* /* */ 'x' */ 1", "SELECT ?"),
            ("SELECT /* /* */ 'x', b */ a", "SELECT a"),
            ("SELECT 1 FROM users # secret\n WHERE id = 1", "SELECT ? FROM users ? WHERE id = ?"),
            ("SELECT a // secret\n, b", "SELECT a ? , b"),
            ("SELECT a -- b\n, c -- d", "SELECT a , c"),
            ("SELECT a--1\n, c", "SELECT a , c"),
            ("SELECT a, {secret} b FROM t", "SELECT a, ? b FROM t"),
            ("SELECT {d '2020-01-01'}, {fn now()}", "SELECT {d ?}, {fn now()}"),
            ("SELECT q'[the ' secret ']' FROM dual", "SELECT q? FROM dual"),
            (r#"SELECT b"secret", """secret""" FROM t"#, "SELECT b?, ? FROM t"),
            (r#"SELECT """a" secret""" FROM t"#, "SELECT ?"),
            ("SELECT replace(a, '''', 'b') FROM t", "SELECT replace(a, ?"),
            ("SELECT a FROM t /*! WHERE b = 'c' */ LIMIT 1", "SELECT a FROM t LIMIT ?"),
            ("SELECT a FROM t /*! 'b */ secret' */ LIMIT 1", "SELECT a FROM t ?"),
            ("INSERT INTO t FORMAT CSV\nsecret,1", "INSERT INTO t FORMAT CSV ?"),
            ("SELECT a FROM \"t\\\"\" WHERE b", "SELECT a FROM ?"),
        ],
    );
}

#[test]
fn words_that_are_values_go() {
    check(
        &DIALECTS,
        &[
            (
                "UPDATE patients SET hiv_positive = TRUE, active = FALSE WHERE id = 7",
                "UPDATE patients SET hiv_positive = ?, active = ? WHERE id = ?",
            ),
            ("SET app.token TO secret", "SET app.token TO ?"),
            ("SET SESSION app.token = secret", "SET SESSION app.token = ?"),
            ("SET LOCAL search_path TO a, b", "SET LOCAL search_path TO ?, ?"),
            ("SET ROLE secret", "SET ROLE ?"),
            ("SET SESSION AUTHORIZATION secret", "SET SESSION AUTHORIZATION ?"),
            ("SET NAMES utf8mb4", "SET NAMES ?"),
            (
                "SET TRANSACTION ISOLATION LEVEL READ COMMITTED",
                "SET TRANSACTION ISOLATION LEVEL READ COMMITTED",
            ),
            ("SET a = (SELECT b FROM c)", "SET a = (?)"),
            ("PRAGMA key = secret", "PRAGMA key = ?"),
            ("PRAGMA key(secret)", "PRAGMA key(?)"),
            ("ALTER USER app IDENTIFIED BY secret", "ALTER USER app IDENTIFIED BY ?"),
            (
                "ALTER USER app IDENTIFIED BY user REPLACE b",
                "ALTER USER app IDENTIFIED BY ? REPLACE ?",
            ),
            (
                "CREATE USER app IDENTIFIED WITH sha256 AS secret",
                "CREATE USER app IDENTIFIED WITH sha256 AS ?",
            ),
            ("CREATE ROLE app LOGIN PASSWORD secret", "CREATE ROLE app LOGIN PASSWORD ?"),
            ("CREATE LOGIN app WITH PASSWORD = user", "CREATE LOGIN app WITH PASSWORD = ?"),
            ("GRANT SELECT ON t TO a IDENTIFIED BY b", "GRANT SELECT ON t TO a IDENTIFIED BY ?"),
            ("SET PASSWORD FOR app = PASSWORD('a')", "SET PASSWORD FOR ? = ?(?)"),
            ("ALTER SYSTEM SET a.b = secret", "ALTER SYSTEM SET a.b = ?"),
            ("ALTER ROLE app SET a TO secret", "ALTER ROLE app SET a TO ?"),
            ("CREATE FUNCTION f() SET a.b TO secret AS c", "CREATE FUNCTION f() SET a.b TO ? AS c"),
            (
                "CREATE TABLE t (a int) WITH (api_key = secret)",
                "CREATE TABLE t (a int) WITH (api_key = ?)",
            ),
            (
                "CREATE TABLE t (password text, token text)",
                "CREATE TABLE t (password text, token text)",
            ),
            ("SELECT a FROM t WHERE token = b", "SELECT a FROM t WHERE token = b"),
            (
                "CREATE VIEW v AS SELECT a FROM t WHERE token = b",
                "CREATE VIEW v AS SELECT a FROM t WHERE token = b",
            ),
            ("ATTACH DATABASE a AS b KEY c", "ATTACH DATABASE ? AS ? KEY ?"),
            ("CALL pay(secret, 5)", "CALL pay(?)"),
            ("EXEC dbo.sp_x secret, @a = b OUTPUT", "EXEC dbo.sp_x ?, @a = ? OUTPUT"),
            ("connect scott/tiger", "connect ?/?"),
            ("selec a from secret", "selec ? from ?"),
            ("COPY t FROM STDIN;\nsecret\tb", "COPY t FROM STDIN; ? ?"),
            ("SELECT identified FROM t ORDER BY a", "SELECT identified FROM t ORDER BY a"),
        ],
    );
}

#[test]
fn cut_statements_keep_what_is_sure() {
    let table = [
        ("SELECT a FROM use", "SELECT a FROM use…", "SELECT"),
        ("SELECT a FROM users", "SELECT a FROM users…", "SELECT"),
        ("SELECT a FROM users w", "SELECT a FROM users w…", "SELECT users"),
        ("SELECT a FROM public.", "SELECT a FROM public.…", "SELECT"),
        ("SELECT a FROM \"use", "SELECT a FROM ?…", "SELECT"),
        ("SEL", "SEL…", ""),
        ("SELECT a FROM t WHERE b = 12", "SELECT a FROM t WHERE b = ?…", "SELECT t"),
        ("UPDATE t SET a = 'it", "UPDATE t SET a = ?…", "UPDATE t"),
        ("UPDATE t /* a", "UPDATE t ?…", "UPDATE t"),
        ("INSERT INTO t VALUES (1, 2), (3, ", "INSERT INTO t VALUES (?)…", "INSERT t"),
        ("INSERT INTO t VALUES (1, ", "INSERT INTO t VALUES (?…", "INSERT t"),
        ("", "…", ""),
    ];
    for (statement, text, summary) in table {
        let found = parse(statement, PostgreSql, true);
        assert_eq!(found.text, text, "{statement}");
        assert_eq!(found.summary, summary, "{statement}");
    }
}
