//! What statements are about.

use super::super::Dialect::{MySql, Other, PostgreSql, Sqlite};
use super::super::parse;

/// Statement, operation, collection and summary; empty is none.
const SUBJECTS: &[(&str, &str, &str, &str)] = &[
    ("select * from users where id = $1", "SELECT", "users", "SELECT users"),
    ("SELECT * FROM public.users u", "SELECT", "public.users", "SELECT public.users"),
    ("SELECT * FROM \"public\".\"users\"", "SELECT", "public.users", "SELECT public.users"),
    (
        "SELECT * FROM \"song list\", artists a, c",
        "SELECT",
        "\"song list\"",
        "SELECT \"song list\" artists c",
    ),
    (
        "SELECT * FROM a LEFT JOIN b ON a.x IN (1, 2), c ORDER BY d, e",
        "SELECT",
        "a",
        "SELECT a b c",
    ),
    (
        "SELECT a FROM (SELECT * FROM orders o JOIN customers c ON 1) x, y",
        "SELECT",
        "",
        "SELECT SELECT orders customers y",
    ),
    ("SELECT (SELECT max(x) FROM b) FROM a", "SELECT", "a", "SELECT SELECT b a"),
    ("SELECT extract(year FROM d), a IS DISTINCT FROM b FROM t", "SELECT", "t", "SELECT t"),
    ("SELECT * FROM generate_series(1, 2) g, t", "SELECT", "", "SELECT t"),
    ("SELECT * FROM t (nolock)", "SELECT", "t", "SELECT t"),
    ("SELECT 1", "SELECT", "", "SELECT"),
    ("SELECT a FROM ?", "SELECT", "", "SELECT"),
    ("(SELECT a FROM b) UNION ALL (SELECT c FROM d)", "SELECT", "b", "SELECT b SELECT d"),
    ("SELECT a FROM t FOR UPDATE OF t", "SELECT", "t", "SELECT t"),
    (
        "INSERT INTO shipping_details(a, b) SELECT a, b FROM orders WHERE c = 1",
        "INSERT",
        "shipping_details",
        "INSERT shipping_details SELECT orders",
    ),
    (
        "INSERT INTO t (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET a = 1, b = 2",
        "INSERT",
        "t",
        "INSERT t",
    ),
    (
        "INSERT INTO t SELECT * FROM s ON DUPLICATE KEY UPDATE a = 1, b = 2",
        "INSERT",
        "t",
        "INSERT t SELECT s",
    ),
    ("INSERT OR REPLACE INTO t VALUES (1)", "INSERT", "t", "INSERT t"),
    ("REPLACE INTO t VALUES (1)", "REPLACE", "t", "REPLACE t"),
    ("UPDATE ONLY t SET a = 1, b = (SELECT c FROM d) FROM e", "UPDATE", "t", "UPDATE t SELECT d e"),
    ("UPDATE a, b SET a.x = 1, b.y = 2", "UPDATE", "a", "UPDATE a b"),
    ("DELETE FROM t WHERE a IN (SELECT a FROM s)", "DELETE", "t", "DELETE t SELECT s"),
    (
        "MERGE INTO t USING s ON 1 WHEN MATCHED THEN UPDATE SET a = 1 WHEN NOT MATCHED THEN INSERT VALUES (1)",
        "MERGE",
        "t",
        "MERGE t",
    ),
    (
        "WITH x AS (SELECT a FROM b), \"y\" AS (SELECT c FROM d) SELECT * FROM x JOIN y ON 1",
        "SELECT",
        "",
        "SELECT b SELECT d SELECT",
    ),
    (
        "WITH RECURSIVE x (a) AS (DELETE FROM b RETURNING *) INSERT INTO t SELECT * FROM x",
        "INSERT",
        "t",
        "DELETE b INSERT t SELECT",
    ),
    ("EXPLAIN (ANALYZE, BUFFERS) SELECT * FROM t", "EXPLAIN", "t", "EXPLAIN SELECT t"),
    ("EXPLAIN WITH x AS (SELECT 1) DELETE FROM t", "EXPLAIN", "t", "EXPLAIN SELECT DELETE t"),
    ("BEGIN", "BEGIN", "", "BEGIN"),
    ("BEGIN; UPDATE t SET a = 1; COMMIT;", "BEGIN", "", "BEGIN UPDATE t COMMIT"),
    ("; SELECT a FROM t;", "SELECT", "t", "SELECT t"),
    (
        "create table if not exists s.t (a int, b int REFERENCES u (c) ON DELETE CASCADE)",
        "CREATE TABLE",
        "s.t",
        "CREATE TABLE s.t",
    ),
    ("CREATE TEMP TABLE t AS SELECT * FROM s", "CREATE TABLE", "t", "CREATE TABLE t SELECT s"),
    (
        "CREATE OR REPLACE VIEW v AS WITH x AS (SELECT 1 FROM y) SELECT * FROM x",
        "CREATE VIEW",
        "v",
        "CREATE VIEW v SELECT y SELECT",
    ),
    ("CREATE UNIQUE INDEX i ON t (a, b)", "CREATE INDEX", "t", "CREATE INDEX t"),
    ("CREATE SOMETHING x", "CREATE", "", "CREATE"),
    ("DROP TABLE IF EXISTS a, b", "DROP TABLE", "a", "DROP TABLE a b"),
    ("DROP INDEX i, j", "DROP INDEX", "", "DROP INDEX"),
    ("ALTER TABLE t ADD COLUMN a int, ADD COLUMN b int", "ALTER TABLE", "t", "ALTER TABLE t"),
    ("TRUNCATE TABLE a, b", "TRUNCATE", "a", "TRUNCATE a b"),
    ("TRUNCATE a", "TRUNCATE", "a", "TRUNCATE a"),
    ("COPY t (a, b) FROM STDIN", "COPY", "t", "COPY t"),
    ("COPY (SELECT a FROM t) TO STDOUT", "COPY", "", "COPY SELECT t"),
    ("LOCK TABLE t", "LOCK", "t", "LOCK t"),
    ("GRANT SELECT, INSERT ON t TO r", "GRANT", "", "GRANT"),
    ("CALL p(1)", "CALL", "", "CALL"),
    ("SET a = 1", "SET", "", "SET"),
    ("SELECT a INTO OUTFILE 'x' FROM t", "SELECT", "", "SELECT t"),
    ("PREPARE p AS SELECT a FROM t", "PREPARE", "t", "PREPARE SELECT t"),
    ("'x'", "", "", ""),
    ("é", "", "", ""),
];

#[test]
fn subjects_are_found() {
    for dialect in [PostgreSql, MySql, Sqlite, Other] {
        for (statement, operation, collection, summary) in SUBJECTS {
            if dialect == MySql && statement.contains('"') {
                continue;
            }
            let found = parse(statement, dialect, false);
            assert_eq!(found.operation.unwrap_or_default(), *operation, "{dialect:?} {statement}");
            assert_eq!(
                found.collection.unwrap_or_default(),
                *collection,
                "{dialect:?} {statement}"
            );
            assert_eq!(found.summary, *summary, "{dialect:?} {statement}");
        }
    }
}

#[test]
fn long_summaries_end_at_a_name() {
    let tables: Vec<String> = (0..100).map(|number| format!("täble_{number:02}")).collect();
    let found = parse(&format!("SELECT * FROM {}", tables.join(", ")), PostgreSql, false);
    // The operation and 27 names of 8 characters.
    assert_eq!(found.summary.chars().count(), 6 + 27 * 9);
    assert!(found.summary.ends_with("täble_26"));
    let long = parse(&format!("SELECT * FROM {}, b", "a".repeat(300)), PostgreSql, false);
    assert_eq!(long.summary, "SELECT");
}
