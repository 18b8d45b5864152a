//! database/sql with any driver, and pgx without it. Its programs are in `bpf/instruments/sql`.

mod contract;
mod databases;
mod event;
mod pgx;
pub(crate) mod plan;
mod span;
pub mod text;

pub use databases::{ConnectorLayout, DatabaseLayout, Held, PgxLayout, Wrapper};
use trace::{Maker, Operation};
use wire::Probe;

use crate::instrument::Instrument;
use crate::plan::{Ability, Context, Plan};
use crate::registry::{Seen, Traced, Verb, known};

/// Its word in output, and for its operations.
const WORD: &str = "sql";
const ABILITY: Ability = Ability::Client(WORD);
const SQL: Seen = Seen::As(&[ABILITY]);

pub(crate) const INSTRUMENT: Instrument = Instrument {
    ability: |probe| matches!(probe, Probe::SqlStart | Probe::SqlEnd).then_some(ABILITY),
    plan: plan_all,
    error: databases::error,
    makers: &[Maker { kind: contract::EVENT_SQL, span: span::of_record }],
    traced: Some(Traced {
        word: WORD,
        verb: Verb {
            name: WORD,
            about: "What Go programs ask databases for, through database/sql",
            shows: |operation| matches!(operation, Operation::Database(query) if query.instrument == WORD),
        },
        abilities: &[ABILITY],
        standard: Some("database/sql"),
        libraries: &[
            known("github.com/lib/pq", SQL, &[("github.com/lib/pq", "1.10.4", "1.12.3")]),
            known(
                "github.com/jackc/pgx",
                Seen::Driver(ABILITY, "stdlib.(*Conn).QueryContext"),
                &[
                    ("github.com/jackc/pgx/v4", "4.10.1", "4.18.3"),
                    ("github.com/jackc/pgx/v5", "5.0.0", "5.13.0"),
                ],
            ),
            known(
                "github.com/go-sql-driver/mysql",
                SQL,
                &[("github.com/go-sql-driver/mysql", "1.6.0", "1.10.1")],
            ),
            known("modernc.org/sqlite", SQL, &[("modernc.org/sqlite", "1.18.2", "1.62.0")]),
            known(
                "github.com/mattn/go-sqlite3",
                SQL,
                &[("github.com/mattn/go-sqlite3", "1.14.16", "1.14.53")],
            ),
        ],
        sdk: &[
            "github.com/XSAM/otelsql",
            "github.com/uptrace/opentelemetry-go-extra/otelsql",
            "github.com/exaring/otelpgx",
        ],
    }),
};

fn plan_all(context: &Context<'_, '_>, plan: &mut Plan) {
    plan::plan(context, plan);
    pgx::plan(context, plan);
    databases::plan(context, plan);
}
