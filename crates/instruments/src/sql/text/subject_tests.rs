//! What statements are about: statement and summary.

use super::super::Dialect::{MySql, Other, PostgreSql, Sqlite};
use super::super::parse;

/// Statement and summary; an empty one is none.
const SUBJECTS: &[(&str, &str)] = &[
    ("select * from users where id = $1", "select users"),
    ("SELECT * FROM public.users u", "SELECT public.users"),
    ("SELECT * FROM \"public\".\"users\"", "SELECT public.users"),
    ("SELECT * FROM \"song list\", artists a, c", "SELECT \"song list\" artists c"),
    ("SELECT * FROM a LEFT JOIN b ON a.x IN (1, 2), c ORDER BY d, e", "SELECT a b c"),
    (
        "SELECT a FROM (SELECT * FROM orders o JOIN customers c ON 1) x, y",
        "SELECT SELECT orders customers y",
    ),
    ("SELECT (SELECT max(x) FROM b) FROM a", "SELECT SELECT b a"),
    ("SELECT extract(year FROM d), a IS DISTINCT FROM b FROM t", "SELECT t"),
    ("SELECT * FROM generate_series(1, 2) g, t", "SELECT t"),
    ("SELECT * FROM t (nolock)", "SELECT"),
    ("SELECT 1", "SELECT"),
    ("SELECT a FROM ?", "SELECT"),
    ("(SELECT a FROM b) UNION ALL (SELECT c FROM d)", "SELECT b SELECT d"),
    ("SELECT a FROM t FOR UPDATE OF t", "SELECT t"),
    (
        "INSERT INTO shipping_details(a, b) SELECT a, b FROM orders WHERE c = 1",
        "INSERT shipping_details SELECT orders",
    ),
    ("INSERT INTO t (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET a = 1, b = 2", "INSERT t"),
    ("INSERT INTO t SELECT * FROM s ON DUPLICATE KEY UPDATE a = 1, b = 2", "INSERT t SELECT s"),
    ("INSERT OR REPLACE INTO t VALUES (1)", "INSERT t"),
    ("REPLACE INTO t VALUES (1)", "REPLACE t"),
    ("UPDATE ONLY t SET a = 1, b = (SELECT c FROM d) FROM e", "UPDATE t SELECT d e"),
    ("UPDATE a, b SET a.x = 1, b.y = 2", "UPDATE a b"),
    ("DELETE FROM t WHERE a IN (SELECT a FROM s)", "DELETE t SELECT s"),
    (
        "MERGE INTO t USING s ON 1 WHEN MATCHED THEN UPDATE SET a = 1 WHEN NOT MATCHED THEN INSERT VALUES (1)",
        "MERGE t",
    ),
    (
        "WITH x AS (SELECT a FROM b), \"y\" AS (SELECT c FROM d) SELECT * FROM x JOIN y ON 1",
        "SELECT b SELECT d SELECT",
    ),
    (
        "WITH RECURSIVE x (a) AS (DELETE FROM b RETURNING *) INSERT INTO t SELECT * FROM x",
        "DELETE b INSERT t SELECT",
    ),
    ("EXPLAIN (ANALYZE, BUFFERS) SELECT * FROM t", "EXPLAIN SELECT t"),
    ("EXPLAIN WITH x AS (SELECT 1) DELETE FROM t", "EXPLAIN SELECT DELETE t"),
    ("BEGIN", "BEGIN"),
    ("BEGIN; UPDATE t SET a = 1; COMMIT;", "BEGIN UPDATE t COMMIT"),
    ("; SELECT a FROM t;", "SELECT t"),
    (
        "create table if not exists s.t (a int, b int REFERENCES u (c) ON DELETE CASCADE)",
        "create table s.t",
    ),
    ("CREATE TEMP TABLE t AS SELECT * FROM s", "CREATE TABLE t SELECT s"),
    (
        "CREATE OR REPLACE VIEW v AS WITH x AS (SELECT 1 FROM y) SELECT * FROM x",
        "CREATE VIEW v SELECT y SELECT",
    ),
    ("CREATE UNIQUE INDEX i ON t (a, b)", "CREATE INDEX t"),
    ("CREATE SOMETHING x", "CREATE"),
    ("DROP TABLE IF EXISTS a, b", "DROP TABLE a b"),
    ("DROP INDEX i, j", "DROP INDEX"),
    ("ALTER TABLE t ADD COLUMN a int, ADD COLUMN b int", "ALTER TABLE t"),
    ("TRUNCATE TABLE a, b", "TRUNCATE a b"),
    ("TRUNCATE a", "TRUNCATE a"),
    ("COPY t (a, b) FROM STDIN", "COPY t"),
    ("COPY (SELECT a FROM t) TO STDOUT", "COPY SELECT t"),
    ("LOCK TABLE t", "LOCK t"),
    ("GRANT SELECT, INSERT ON t TO r", "GRANT"),
    ("CALL p(1)", "CALL p"),
    ("SET a = 1", "SET"),
    ("SELECT a INTO OUTFILE 'x' FROM t", "SELECT t"),
    ("PREPARE p AS SELECT a FROM t", "PREPARE SELECT t"),
    ("'x'", ""),
    ("é", ""),
    ("SELECT * FROM unnest ($1::int[]) AS u(id)", "SELECT"),
    (
        "SELECT * FROM json_to_recordset ($1) AS x(a int) JOIN real_table USING (a)",
        "SELECT real_table",
    ),
    ("SELECT * FROM ROWS FROM (f(1), g(2)) x", "SELECT"),
    ("INSERT INTO t WITH x AS (SELECT 1 FROM a) SELECT * FROM x", "INSERT t SELECT a SELECT"),
    ("SELECT * FROM (WITH q AS (SELECT * FROM a) SELECT * FROM q) z", "SELECT SELECT a SELECT"),
    ("selec 1", ""),
    ("selec 1; SELECT a FROM t", "SELECT t"),
    ("it is SELECT a FROM t", ""),
    ("SELECT a FROM t1 UNION ALL SELECT b FROM t2", "SELECT t1 SELECT t2"),
    ("CALL pay(5)", "CALL pay"),
    ("call shop.pay($1)", "call shop.pay"),
    ("{call pay(?)}", "call pay"),
    ("{? = call pay(?)}", "call pay"),
    ("EXEC sp_x", "EXEC sp_x"),
    ("EXEC @rc = dbo.sp_x @a = 1", "EXEC dbo.sp_x"),
    ("EXEC ('SELECT 1')", "EXEC"),
    ("EXECUTE by_id (1)", "EXECUTE"),
    ("EXECUTE PROCEDURE p(1)", "EXECUTE p"),
    (
        "WITH RECURSIVE a AS (SELECT * FROM b), b AS (SELECT 1 FROM c) SELECT * FROM a",
        "SELECT SELECT c SELECT",
    ),
    ("SELECT * FROM t SETTINGS a = 1, b = 2", "SELECT t"),
    ("SELECT * FROM t ORDER BY a, b", "SELECT t"),
    ("SELECT a FROM t ARRAY JOIN b, c", "SELECT t"),
    ("SELECT a FROM t LATERAL VIEW explode(b) c AS d, e", "SELECT t"),
    ("SELECT STRAIGHT_JOIN a FROM t", "SELECT t"),
    ("SELECT a FROM FINAL TABLE (INSERT INTO t VALUES (1))", "SELECT"),
    ("SELECT a FROM t FOR SYSTEM_TIME FROM b TO c", "SELECT t"),
    ("SELECT a FROM WHERE b = 1", "SELECT"),
    ("FETCH NEXT FROM c INTO d", "FETCH"),
    ("UPDATE t SET a = 1 RETURNING b INTO c", "UPDATE t"),
    ("UPDATE STATISTICS t", "UPDATE"),
    ("ALTER TABLE ALL IN TABLESPACE a", "ALTER TABLE"),
    ("CREATE RULE r AS ON INSERT TO t DO NOTHING", "CREATE RULE"),
    ("CREATE TRIGGER r BEFORE INSERT OR UPDATE ON t EXECUTE FUNCTION f()", "CREATE TRIGGER t"),
    ("INSERT INTO FUNCTION f(1) VALUES (1)", "INSERT"),
    ("SELECT concat(insert(a, 1, 2, b)) FROM t", "SELECT t"),
    ("SELECT a FROM table_?", "SELECT"),
    ("SELECT a FROM t@remote", "SELECT"),
    ("IF EXISTS (SELECT 1 FROM a) UPDATE t SET b = 1", "SELECT a UPDATE t"),
    ("SHOW TABLES FROM d", "SHOW"),
    ("LOAD DATA INFILE 'x' INTO TABLE t", "LOAD t"),
];

#[test]
fn subjects_are_found() {
    for dialect in [PostgreSql, MySql, Sqlite, Other] {
        for (statement, summary) in SUBJECTS {
            // Names in double quotes are strings, and others may be amounts of money.
            let differs = statement.contains('"') && dialect != PostgreSql;
            if differs || statement.contains("@remote") && matches!(dialect, Sqlite | Other) {
                continue;
            }
            assert_eq!(
                parse(statement, dialect, false).summary,
                *summary,
                "{dialect:?} {statement}"
            );
        }
    }
}

#[test]
fn names_in_double_quotes_are_tables_where_nothing_else_can_be() {
    for dialect in [Sqlite, Other] {
        for (statement, summary) in [
            ("SELECT \"a\" FROM \"users\" JOIN \"b\" ON 1", "SELECT users b"),
            ("SELECT a FROM \"s\".\"t\"", "SELECT s.t"),
            ("UPDATE \"t 1\" SET \"a\" = 1", "UPDATE \"t 1\""),
            ("SELECT a IS DISTINCT FROM \"b\"", "SELECT"),
            ("SELECT trim(\"a\" FROM \"b\")", "SELECT"),
        ] {
            assert_eq!(
                parse(statement, dialect, false).summary,
                summary,
                "{dialect:?} {statement}"
            );
        }
    }
}

#[test]
fn one_call_is_of_a_stored_procedure() {
    let procedure = |text| parse(text, Other, false).procedure.unwrap_or_default();
    assert_eq!(procedure("CALL pay(5)"), "pay");
    assert_eq!(procedure("EXEC [dbo].[sp_x] 1"), "dbo.sp_x");
    assert_eq!(procedure("{? = call shop.pay(?)};"), "shop.pay");
    for none in
        ["EXECUTE prepared", "EXEC (@text)", "SELECT pay(5)", "CALL a(); CALL b()", "CALL ?"]
    {
        assert_eq!(procedure(none), "", "{none}");
    }
    assert_eq!(parse("CALL pa", Other, true).procedure, None);
}

#[test]
fn more_names_of_queries_than_are_remembered_hide_all_tables() {
    let names: Vec<String> = (0..20).map(|n| format!("q{n} AS (SELECT 1)")).collect();
    let found =
        parse(&format!("WITH {} SELECT * FROM q19, t", names.join(", ")), PostgreSql, false);
    assert_eq!(found.summary, ["SELECT"; 21].join(" "));
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
