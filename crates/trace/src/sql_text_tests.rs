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
            ("SELECT TRUE, false, NULL", "SELECT TRUE, false, NULL"),
            ("SELECT '😀', 😀 FROM 'é'", "SELECT ?, 😀 FROM ?"),
            ("SELECT 'a' 'b'", "SELECT ? ?"),
            ("SELECT a -- 'x' 1\nFROM t", "SELECT a FROM t"),
            ("SELECT/* 'x */1", "SELECT ?"),
            ("/* traceparent='00-1-2-01' */ SELECT a /* b */", "SELECT a"),
            ("SELECT a -- it's", "SELECT a"),
            ("a IN (1, 2, 3) AND b", "a IN (?) AND b"),
            ("a IN ( 'x' ,\n -5,$1, :n, @p1, %s, ?)", "a IN (?)"),
            ("a IN (1, b, 3)", "a IN (?, b, ?)"),
            ("a IN (1, (2, 3), 4)", "a IN (?, (?), ?)"),
            ("a IN ()", "a IN ()"),
            ("VALUES (1, 'a'), (2, 'b'),\n(3, 'c') RETURNING id", "VALUES (?) RETURNING id"),
            ("VALUES(?, ?), (now(), ?), (?, ?)", "VALUES(?), (now(), ?), (?)"),
            ("(a, b) IN ((1, 2), (3, 4))", "(a, b) IN ((?))"),
            ("f(1), g(2)", "f(?), g(?)"),
            ("a = ? AND b = %s OR c = @p1", "a = ? AND b = %s OR c = @p1"),
            ("a %s5, a % 5, a %5", "a %s5, a % ?, a %?"),
            ("SELECT 'abc", "SELECT ?"),
            ("SELECT 'abc''", "SELECT ?"),
            ("SELECT /* abc", "SELECT ?"),
            ("SELECT a FROM \"abc", "SELECT a FROM ?"),
            ("a IN (1, 'abc", "a IN (?"),
            // Where a string was read wrongly, all the rest may be one.
            ("SELECT 'it's', secret", "SELECT ?"),
            ("SELECT $123456", "SELECT $?"),
        ],
    );
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
            ("a = $1 AND b = $12::int AND c = $2.5", "a = $1 AND b = $12::int AND c = $?"),
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
            (r"a LIKE 'x' ESCAPE '\' AND b = $1", "a LIKE ? ESCAPE ? AND b = $1"),
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
            (r"a IN ('\', ' secret') AND b", "a IN (?"),
            (r"a IN (1, '\', ' x', 2) AND b = 'x", "a IN (?, ?"),
            ("SELECT a /*! 'x */ secret' */", "SELECT a ?"),
        ],
    );
}

#[test]
fn sqlite_and_unknown_dialects_have_their_quotes() {
    check(
        &[Sqlite, Other],
        &[
            ("SELECT [name], `a 1`, \"b 1\" FROM [t]", "SELECT [name], `a 1`, \"b 1\" FROM [t]"),
            (
                "a = ?1 AND b = :name AND c = @c AND d = $d AND e = :2",
                "a = ?1 AND b = :name AND c = @c AND d = $d AND e = :2",
            ),
            // A string, if there is no such column.
            ("a = \"x\" AND b IN (\"y\", \"z\")", "a = ? AND b IN (?)"),
            (
                "INSERT INTO \"t\" (\"a\") VALUES (\"x\"), (?)",
                "INSERT INTO \"t\" (\"a\") VALUES (?)",
            ),
            ("UPDATE t SET \"a\" = \"x\", \"b\" = 1", "UPDATE t SET \"a\" = ?, \"b\" = ?"),
            ("ON \"a\".\"b\" = \"c\".\"d\" AND e", "ON \"a\".\"b\" = \"c\".\"d\" AND e"),
        ],
    );
    check(
        &[Sqlite],
        &[
            ("SELECT [a 'b' 1], `it's`", "SELECT [a 'b' 1], `it's`"),
            ("SELECT [abc", "SELECT ?"),
            (r"SELECT 'a\', b", "SELECT ?, b"),
        ],
    );
    check(
        &[Other],
        &[
            ("SELECT [1, 'a'], x[1], [abc", "SELECT [?, ?], x[?], [abc"),
            (r"SELECT 'a\', secret", "SELECT ?"),
            (r"SELECT 'a\'b', secret", "SELECT ?"),
            ("SELECT $$a$$, $1", "SELECT ?, $1"),
            ("SELECT `it's`, secret", "SELECT ?"),
            ("SELECT /* /* */ 'x' */ 1", "SELECT ?"),
        ],
    );
}

#[test]
fn cut_statements_keep_what_is_sure() {
    let table = [
        ("SELECT a FROM use", "SELECT a FROM use…", Some("SELECT"), None, "SELECT"),
        ("SELECT a FROM users", "SELECT a FROM users…", Some("SELECT"), None, "SELECT"),
        (
            "SELECT a FROM users w",
            "SELECT a FROM users w…",
            Some("SELECT"),
            Some("users"),
            "SELECT users",
        ),
        ("SELECT a FROM public.", "SELECT a FROM public.…", Some("SELECT"), None, "SELECT"),
        ("SELECT a FROM \"use", "SELECT a FROM ?…", Some("SELECT"), None, "SELECT"),
        ("SEL", "SEL…", None, None, ""),
        (
            "SELECT a FROM t WHERE b = 12",
            "SELECT a FROM t WHERE b = ?…",
            Some("SELECT"),
            Some("t"),
            "SELECT t",
        ),
        ("UPDATE t SET a = 'it", "UPDATE t SET a = ?…", Some("UPDATE"), Some("t"), "UPDATE t"),
        ("UPDATE t /* a", "UPDATE t ?…", Some("UPDATE"), Some("t"), "UPDATE t"),
        (
            "INSERT INTO t VALUES (1, 2), (3, ",
            "INSERT INTO t VALUES (?)…",
            Some("INSERT"),
            Some("t"),
            "INSERT t",
        ),
        (
            "INSERT INTO t VALUES (1, ",
            "INSERT INTO t VALUES (?…",
            Some("INSERT"),
            Some("t"),
            "INSERT t",
        ),
        ("", "…", None, None, ""),
    ];
    for (statement, text, operation, collection, summary) in table {
        let found = parse(statement, PostgreSql, true);
        assert_eq!(found.text, text, "{statement}");
        assert_eq!(found.operation.as_deref(), operation, "{statement}");
        assert_eq!(found.collection.as_deref(), collection, "{statement}");
        assert_eq!(found.summary, summary, "{statement}");
    }
}
