//! Where values stand in statements, and how dialects write them: for tests and the fuzz target, which
//! put a secret in each place. Not here: what is checked.

use super::Dialect;

/// A value of any form stands at the braces.
pub(crate) const PLACES: &[&str] = &[
    "SELECT {}",
    "SELECT a, {} AS b FROM t",
    "SELECT DISTINCT {} FROM t",
    "SELECT * FROM users WHERE day BETWEEN {} AND {}",
    "SELECT * FROM users WHERE name IS NOT {}",
    "SELECT * FROM users WHERE name IS DISTINCT FROM {}",
    "SELECT * FROM users WHERE (name, day) = ({}, {})",
    "SELECT * FROM users WHERE name = {} OR name <> {} OR name LIKE {} ESCAPE {}",
    "SELECT * FROM users WHERE name NOT IN ({}, ?, {})",
    "SELECT * FROM users WHERE name = ANY (ARRAY[{}, {}])",
    "SELECT * FROM users WHERE match(name) AGAINST ({} IN BOOLEAN MODE)",
    "SELECT CASE WHEN day > {} THEN {} ELSE {} END FROM users",
    "SELECT concat({}, name), trim({} FROM name), trim(name FROM {}) FROM users",
    "SELECT substring(name FROM {} FOR {}), extract(year FROM {}), position({} IN name) FROM t",
    "SELECT cast({} AS text), name::text || {} FROM t",
    "SELECT date {}, interval {} day, timestamp {} FROM t",
    "SELECT a FROM f({}, b => {}) x JOIN t ON t.a = {} AND {} = t.b",
    "SELECT a FROM t FOR SYSTEM_TIME FROM {} TO {}",
    "SELECT a FROM t GROUP BY b HAVING count(*) > {} ORDER BY nullif(a, {}) LIMIT {} OFFSET {}",
    "SELECT a FROM t SETTINGS b = {}, c = {}",
    "SELECT a INTO OUTFILE {} FROM t",
    "SELECT (SELECT max(a) FROM u WHERE b = {}) FROM t WHERE EXISTS (SELECT {} FROM u)",
    "SELECT a FROM t UNION ALL SELECT {}",
    "SELECT sum(a) OVER (ORDER BY b ROWS BETWEEN {} PRECEDING AND {} FOLLOWING) FROM t",
    "WITH x AS (SELECT {} FROM t) SELECT a FROM x WHERE b = {}",
    "VALUES ({}, 1), (2, {})",
    "INSERT INTO t (a, b) VALUES ({}, {}), (?, {})",
    "INSERT INTO t SELECT {}, 2",
    "INSERT INTO t SET a = {}",
    "INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET a = {} WHERE b = {} RETURNING {}",
    "UPDATE users SET name = replace(name, {}, 'b'), day = {} WHERE id = {}",
    "UPDATE t FOR PORTION OF p FROM {} TO {} SET a = {}",
    "DELETE FROM t WHERE a < {} LIMIT {}",
    "MERGE INTO t USING s ON t.a = {} WHEN MATCHED THEN UPDATE SET a = {} WHEN NOT MATCHED THEN \
     INSERT VALUES ({})",
    "CALL pay({}, 5)",
    "CALL pay(5, {})",
    "EXEC sp_x {}, @a = {}",
    "EXEC ({})",
    "EXECUTE IMMEDIATE {} USING {}",
    "EXECUTE prepared ({}, {})",
    "SET app.token = {}",
    "SET app.token TO {}, {}",
    "SET @a = {}, @b = {}",
    "SET PASSWORD FOR app = PASSWORD({})",
    "SET TIME ZONE {}",
    "PRAGMA key = {}",
    "PRAGMA key({})",
    "ATTACH DATABASE {} AS a KEY {}",
    "CREATE USER app IDENTIFIED BY {}",
    "CREATE USER app WITH PASSWORD {} VALID UNTIL {}",
    "ALTER USER app IDENTIFIED WITH sha256_password BY {} REPLACE {}",
    "CREATE TABLE t (a int DEFAULT {} CHECK (a > {}), b text COMMENT {}) COMMENT = {}",
    "CREATE TABLE t PARTITION OF u FOR VALUES FROM ({}) TO ({})",
    "CREATE VIEW v AS SELECT {} FROM t",
    "CREATE INDEX i ON t (a) WHERE b = {}",
    "CREATE SERVER s FOREIGN DATA WRAPPER w OPTIONS (host {}, password {})",
    "CREATE SUBSCRIPTION s CONNECTION {} PUBLICATION p",
    "ALTER TABLE t ALTER COLUMN a SET DEFAULT {}",
    "ALTER SYSTEM SET a = {}",
    "GRANT SELECT ON t TO a IDENTIFIED BY {}",
    "COMMENT ON TABLE t IS {}",
    "COPY t FROM {} CREDENTIALS {}",
    "LOAD DATA INFILE {} INTO TABLE t FIELDS TERMINATED BY {}",
    "RESTORE DATABASE d FROM {}",
    "BACKUP INTO {}",
    "SHOW TABLES FROM d LIKE {}",
    "NOTIFY channel, {}",
    "KILL {}",
    "DO {}",
    "BEGIN; SELECT {}; COMMIT; SELECT {}",
    "EXPLAIN SELECT a FROM t WHERE b = {}",
    "DECLARE c CURSOR FOR SELECT a FROM t WHERE b = {}",
    "selec {}, a",
    "{}",
];

/// A word that is a value stands at the braces.
pub(crate) const WORDS: &[&str] = &[
    "SET app.token TO {}",
    "SET app.token = {}",
    "SET SESSION app.token = {}, b = {}",
    "SET ROLE {}",
    "SET LOCAL ROLE {}",
    "SET SESSION AUTHORIZATION {}",
    "SET NAMES {}",
    "SET SCHEMA {}",
    "SET PASSWORD {}",
    "PRAGMA key = {}",
    "PRAGMA key({})",
    "ALTER SYSTEM SET a = {}",
    "ALTER SESSION SET a = {}",
    "ALTER DATABASE d SET a TO {}",
    "ALTER ROLE app SET a TO {}",
    "ALTER USER app IDENTIFIED BY {}",
    "ALTER USER app IDENTIFIED BY {} REPLACE {}",
    "CREATE USER app IDENTIFIED BY {}",
    "CREATE USER app IDENTIFIED WITH sha256 BY {}",
    "CREATE USER app PASSWORD {}",
    "CREATE LOGIN app WITH PASSWORD = {}",
    "CREATE DATABASE LINK l CONNECT TO a IDENTIFIED BY {}",
    "CREATE SECRET s (TYPE s3, KEY_ID {}, SECRET {})",
    "CREATE FUNCTION f() RETURNS int SET a.b TO {} AS 'x'",
    "CREATE TABLE t (a int) WITH (api_key = {})",
    "GRANT SELECT ON t TO a IDENTIFIED BY {}",
    "SET ROLE a IDENTIFIED BY {}",
    "ATTACH DATABASE a AS b KEY {}",
    "CONNECT a IDENTIFIED BY {}",
    "CONNECT a/{}",
    "CALL pay({})",
    "EXEC sp_x {}, @a = {}",
    "login app {}",
    "COPY t FROM STDIN;\n{}\t{}",
];

fn string(content: &str, quote: char, backslashes: bool) -> String {
    let content = content.replace(quote, &format!("{quote}{quote}"));
    let content = if backslashes { content.replace('\\', r"\\") } else { content };
    format!("{quote}{content}{quote}")
}

fn escaped(content: &str, quote: char) -> String {
    let content = content.replace('\\', r"\\").replace(quote, &format!("\\{quote}"));
    format!("{quote}{content}{quote}")
}

fn without(content: &str, signs: &[char]) -> String {
    content.replace(signs, "")
}

/// The content, or the number, as each kind of literal and comment that the dialect knows, or any does.
pub(crate) fn literals(dialect: Dialect, content: &str, n: u32) -> Vec<String> {
    let mut all = families(content, n);
    match dialect {
        Dialect::PostgreSql => all.swap_remove(0),
        Dialect::MySql => all.swap_remove(1),
        Dialect::Sqlite => all.swap_remove(2),
        Dialect::Other => all.into_iter().flatten().collect(),
    }
}

/// The same by dialect: in no statement there are some of several.
pub(crate) fn families(content: &str, n: u32) -> Vec<Vec<String>> {
    let with = |backslashes, own: Vec<String>| {
        let mut all = common(content, n, backslashes);
        all.extend(own);
        all
    };
    let no_quotes = without(content, &['\'', '"', '\\']);
    vec![
        with(false, postgresql(content, n)),
        with(true, mysql(content, n)),
        with(false, sqlite(content, n)),
        // Oracle, BigQuery, Snowflake, Informix, SQL Server.
        with(
            false,
            vec![
                format!("q'[{}]'", without(content, &[']'])),
                format!("Nq'!{}!'", without(content, &['!'])),
            ],
        ),
        vec![
            escaped(content, '\''),
            escaped(content, '"'),
            format!("r\"{no_quotes}\""),
            format!("'''{no_quotes} ' {no_quotes}'''"),
            format!("\"\"\"{no_quotes} \" {no_quotes}\"\"\""),
        ],
        with(
            true,
            vec![
                escaped(content, '\''),
                format!("// {}\n", without(content, &['\n'])),
                format!("$${}$$", without(content, &['$'])),
            ],
        ),
        with(
            false,
            vec![format!("{{x {}}}", without(content, &['}'])), string(content, '"', false)],
        ),
        with(false, vec![format!("${n}.{n}"), format!("${}", n % 100_000)]),
    ]
}

/// What all have, but for backslashes.
fn common(content: &str, n: u32, backslashes: bool) -> Vec<String> {
    let comment = without(content, &['*', '/']);
    vec![
        string(content, '\'', backslashes),
        format!("N{}", string(content, '\'', backslashes)),
        format!("/* {comment} */"),
        format!("-- {}\n", without(content, &['\n', '\r'])),
        format!("{n}"),
        format!("-{n}.{n}"),
        format!(".{n}e-{n}"),
        format!("0x{n}"),
        format!("f({n},{n})"),
        "TRUE".into(),
    ]
}

fn postgresql(content: &str, n: u32) -> Vec<String> {
    let comment = without(content, &['*', '/']);
    let no_dollar = without(content, &['$']);
    vec![
        format!("E{}", escaped(content, '\'')),
        format!("e{}", string(content, '\'', true)),
        format!("$${no_dollar}$$"),
        format!("$é1${no_dollar}$é1$"),
        format!("U&{}", string(content, '\'', false)),
        format!("/* /* {comment} */ {comment} */"),
        format!("a[{n}:{n}]"),
    ]
}

fn mysql(content: &str, n: u32) -> Vec<String> {
    let comment = without(content, &['*', '/']);
    vec![
        escaped(content, '\''),
        escaped(content, '"'),
        string(content, '"', true),
        format!("_utf8mb4{}", escaped(content, '\'')),
        format!("# {}\n", without(content, &['\n'])),
        format!("/*! {comment} */"),
        format!("a--{n}"),
    ]
}

fn sqlite(content: &str, n: u32) -> Vec<String> {
    vec![
        string(content, '"', false),
        format!("x'{n}'"),
        format!("({})", string(content, '"', false)),
    ]
}
