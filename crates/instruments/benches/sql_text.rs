//! How long taking the literals out of statements takes: `cargo bench -p instruments --bench sql_text`.
//!
//! Printed is, for each statement, the slowest dialect: the best and the median of some rounds, in
//! nanoseconds per 100 bytes. None is meant to need more than 1000; one that does is marked, and
//! the exit code is 1. What is shorter than 100 bytes counts as 100. The hostile are those that a
//! lexer does most for, byte by byte, or that would make a careless one slower than linear: they
//! come in two lengths, and the longer must not cost more per byte.

use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use instruments::sql_text::{Dialect, parse};

const ROUNDS: usize = 25;
/// How long a round takes at least.
const ROUND: Duration = Duration::from_micros(1500);
/// Nanoseconds per 100 bytes.
const LIMIT: f64 = 1000.0;
/// Lengths of the hostile: what a probe copies at most, and what shows more than linear time.
const LENGTHS: [usize; 2] = [4 << 10, 128 << 10];

const DIALECTS: [Dialect; 4] =
    [Dialect::PostgreSql, Dialect::MySql, Dialect::Sqlite, Dialect::Other];

/// As libraries and people write them.
const ORDINARY: [(&str, &str); 8] = [
    ("begin", "BEGIN"),
    ("by key", "SELECT id, name, email FROM users WHERE id = $1"),
    (
        "gorm",
        "SELECT `orders`.`id`,`orders`.`created_at`,`orders`.`deleted_at`,`Customer`.`id` AS \
         `Customer__id`,`Customer`.`name` AS `Customer__name` FROM `orders` LEFT JOIN `customers` \
         `Customer` ON `orders`.`customer_id` = `Customer`.`id` WHERE (state = 'open' AND total > \
         12.5) AND `orders`.`deleted_at` IS NULL ORDER BY `orders`.`id` DESC LIMIT 20",
    ),
    (
        "ent",
        "SELECT DISTINCT \"users\".\"id\", \"users\".\"age\", \"users\".\"name\" FROM \"users\" \
         JOIN (SELECT \"user_groups\".\"user_id\" FROM \"user_groups\" WHERE \
         \"user_groups\".\"group_id\" = $1) AS \"t1\" ON \"users\".\"id\" = \"t1\".\"user_id\" \
         WHERE \"users\".\"age\" >= $2",
    ),
    (
        "insert",
        "INSERT INTO \"users\" (\"created_at\",\"updated_at\",\"name\",\"email\") VALUES \
         ('2024-05-06 07:08:09.123','2024-05-06 07:08:09.123','ada','ada@example.com') ON CONFLICT \
         (\"email\") DO UPDATE SET \"name\"=\"excluded\".\"name\" RETURNING \"id\"",
    ),
    (
        "update",
        "update products set price = price * 1.07, changed = now(), note = 'it''s dearer' where \
         category_id in (3, 5, 8) and price < 100.00",
    ),
    (
        "report",
        "-- name: SalesByMonth :many\nWITH monthly AS (\n    SELECT date_trunc('month', o.created_at) \
         AS month, p.category, sum(l.quantity * l.price) AS total\n    FROM orders o\n    JOIN \
         order_lines l ON l.order_id = o.id\n    JOIN products p ON p.id = l.product_id\n    WHERE \
         o.created_at >= $1 AND o.state <> 'cancelled'\n    GROUP BY 1, 2\n)\nSELECT month, category, \
         total, rank() OVER (PARTITION BY month ORDER BY total DESC)\nFROM monthly\nWHERE total > \
         1000\nORDER BY month, 4 /* top first */\nLIMIT 100",
    ),
    (
        "create",
        "CREATE TABLE IF NOT EXISTS accounts (id bigserial PRIMARY KEY, owner text NOT NULL, balance \
         numeric(12,2) NOT NULL DEFAULT 0, created timestamptz NOT NULL DEFAULT now())",
    ),
];

/// Hardly more than tokens: the beginning, what is repeated, and how often.
const DENSE: [(&str, &str, &str, usize); 7] = [
    ("in numbers", "SELECT a,b,c FROM t WHERE x IN (1", ",2", 500),
    ("in placeholders", "SELECT a,b,c FROM t WHERE x IN ($1", ",$12", 300),
    ("in strings", "SELECT a,b,c FROM t WHERE x IN ('a'", ",'b'", 300),
    ("rows", "INSERT INTO t (a,b,c) VALUES (1,'a',?)", ",(2,'b',?)", 120),
    ("rows of calls", "INSERT INTO t (a,b) VALUES (1,f(2))", ",(2,f(3))", 120),
    ("columns", "SELECT a", ",b", 500),
    ("conditions", "SELECT a FROM t WHERE b=1", " OR b=2 AND c<>d", 80),
];

/// The beginning, and what is repeated up to the length.
const HOSTILE: [(&str, &str); 57] = [
    ("", "a b "),
    ("", "a.1+"),
    ("", "-"),
    ("(1,", "-1,"),
    ("", "("),
    ("", ")"),
    ("", "()"),
    ("", "(1)"),
    ("", "(1),"),
    ("", "((1),"),
    ("", ";"),
    ("", "a;"),
    ("", "SELECT "),
    ("", "or "),
    ("", "''"),
    ("", "'' "),
    ("", "'',"),
    ("", "\"\" "),
    ("", "`` "),
    ("", "[a] "),
    ("", "["),
    ("", "[a"),
    ("'\\' ", "\"\","),
    ("'\\' ", "a,"),
    ("'\\','", ",'"),
    ("", "$"),
    ("", "$1$"),
    ("", "$1"),
    ("", "$1."),
    ("", "$a "),
    ("", "$$$$"),
    ("", "$a$$a$"),
    ("$ab$", "$a$ab"),
    ("$aa$", "$a"),
    ("", "?1"),
    ("", "@"),
    ("", ":a"),
    ("", "%s"),
    ("", "%a"),
    ("", "/**/"),
    ("", "/*"),
    ("", "/*/**/*/"),
    ("", "--\n"),
    ("", "1 "),
    ("", "1."),
    ("", "1e+"),
    ("", "E''"),
    ("", "or in as on if is of my "),
    ("CREATE ", "or replace "),
    ("", "INTO a "),
    ("", "SELECT a FROM b;"),
    ("", "é "),
    ("SELECT 1 FROM a", ",a"),
    ("SELECT 1 FROM a", ",a.b"),
    ("SELECT 1 FROM a", ",\"é\""),
    (
        "WITH aa AS(),ab AS(),ac AS(),ad AS(),ae AS(),af AS(),ag AS(),ah AS(),ai AS(),aj AS(),ak \
         AS(),al AS(),am AS(),an AS(),ao AS(),ap AS()SELECT 1 FROM ap",
        ",ap",
    ),
    ("", "é\u{3000}-"),
];

/// The slowest dialect's best and median, in nanoseconds per 100 bytes.
fn measure(text: &str) -> (f64, f64, Dialect) {
    let hundreds = text.len().max(100) as f64 / 100.0;
    let all = DIALECTS.map(|dialect| {
        let mut times = Vec::with_capacity(ROUNDS);
        for _ in 0..ROUNDS {
            let (start, mut runs) = (Instant::now(), 0u32);
            while start.elapsed() < ROUND {
                black_box(parse(black_box(text), dialect, false));
                runs += 1;
            }
            times.push(start.elapsed().as_nanos() as f64 / f64::from(runs) / hundreds);
        }
        times.sort_by(f64::total_cmp);
        (times[0], times[ROUNDS / 2], dialect)
    });
    all.into_iter().max_by(|a, b| a.0.total_cmp(&b.0)).expect("there are dialects")
}

/// Prints a line; false if it took too long.
fn line(name: &str, text: &str) -> bool {
    let (best, median, dialect) = measure(text);
    let dialect = format!("{dialect:?}");
    let slow = if best > LIMIT { "  TOO SLOW" } else { "" };
    println!(
        "  {name:<24} {:>7} bytes  best {best:5.0} ns, median {median:5.0} ns  {dialect}{slow}",
        text.len()
    );
    best <= LIMIT
}

fn main() -> ExitCode {
    // `cargo test` runs benches, too: there it is enough that they compile.
    if !std::env::args().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    let mut fast = true;
    println!("ordinary statements, per 100 bytes");
    for (name, text) in ORDINARY {
        fast &= line(name, text);
    }
    println!("dense statements");
    for (name, begin, more, times) in DENSE {
        fast &= line(name, &format!("{begin}{})", more.repeat(times)));
    }
    println!("hostile text");
    for (begin, more) in HOSTILE {
        for length in LENGTHS {
            let text = format!("{begin}{}", more.repeat(length / more.len()));
            fast &= line(&format!("{:?}…", format!("{begin:.8}{more}")), &text);
        }
    }
    if fast { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
