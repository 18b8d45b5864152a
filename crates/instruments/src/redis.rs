//! Clients of Redis: go-redis 8 (from 8.8 on) and 9, and redigo. Its programs are in `bpf/instruments/redis`.

mod contract;
mod event;
mod plan;
mod span;

use trace::{Maker, Operation};
use wire::Probe;

pub use contract::Constants;

use crate::instrument::Instrument;
use crate::plan::Ability;
use crate::registry::{Seen, Traced, Verb, known};

/// Its word in output, and for its operations.
const WORD: &str = "redis";
const ABILITY: Ability = Ability::Client(WORD);

pub(crate) const INSTRUMENT: Instrument = Instrument {
    ability: |probe| matches!(probe, Probe::RedisStart | Probe::RedisEnd).then_some(ABILITY),
    plan: plan::plan,
    error: plan::error,
    makers: &[Maker { kind: contract::EVENT_REDIS, span: span::of_record }],
    traced: Some(Traced {
        word: WORD,
        verb: Verb {
            name: WORD,
            about: "What Go programs ask Redis for: go-redis and redigo",
            shows: |operation| matches!(operation, Operation::Database(query) if query.instrument == WORD),
        },
        abilities: &[ABILITY],
        standard: None,
        libraries: &[
            known(
                "github.com/redis/go-redis",
                Seen::Inside(ABILITY),
                &[("github.com/redis/go-redis/v9", "9.0.0", "9.23.0")],
            ),
            known(
                "github.com/go-redis/redis",
                Seen::Inside(ABILITY),
                &[("github.com/go-redis/redis/v8", "8.8.0", "8.11.5")],
            ),
            known(
                "github.com/gomodule/redigo",
                Seen::Inside(ABILITY),
                &[("github.com/gomodule/redigo", "1.8.2", "1.9.3")],
            ),
        ],
        sdk: &[
            "github.com/redis/go-redis/extra/redisotel",
            "github.com/go-redis/redis/extra/redisotel",
        ],
    }),
};
