//! What is asked of Redis as spans: the semantic conventions for database clients, and those for
//! Redis. Of what a server answers, only the code is told: its text may quote what was asked.

use compact_str::ToCompactString;
use trace::{Ended, Endpoint, Kind, Operation, ProcessInfo, Query, Span, client_error, host_port};
use wire::record::read;
use wire::{DecodeError, Outcome, Unread};

use super::WORD;
use super::contract::RedisSite;
use super::event::{RedisEvent, decode};

/// How many keys a command has, of those where that follows from the number of its arguments.
#[derive(Clone, Copy)]
enum Keys {
    One,
    /// All arguments but so many at the end.
    AllBut(u32),
    /// Each key has a value.
    Pairs,
}

const KEYS: [(&[&str], Keys); 3] = [
    (
        &[
            "APPEND",
            "DECR",
            "DECRBY",
            "DUMP",
            "EXPIRE",
            "EXPIREAT",
            "GEOADD",
            "GET",
            "GETDEL",
            "GETEX",
            "GETRANGE",
            "GETSET",
            "HDEL",
            "HEXISTS",
            "HGET",
            "HGETALL",
            "HINCRBY",
            "HKEYS",
            "HLEN",
            "HMGET",
            "HMSET",
            "HSCAN",
            "HSET",
            "HSETNX",
            "HVALS",
            "INCR",
            "INCRBY",
            "INCRBYFLOAT",
            "LINDEX",
            "LLEN",
            "LPOP",
            "LPUSH",
            "LRANGE",
            "LREM",
            "LSET",
            "LTRIM",
            "PERSIST",
            "PEXPIRE",
            "PFADD",
            "PSETEX",
            "PTTL",
            "RPOP",
            "RPUSH",
            "SADD",
            "SCARD",
            "SET",
            "SETEX",
            "SETNX",
            "SISMEMBER",
            "SMEMBERS",
            "SPOP",
            "SREM",
            "SSCAN",
            "STRLEN",
            "TTL",
            "TYPE",
            "XADD",
            "XLEN",
            "XRANGE",
            "ZADD",
            "ZCARD",
            "ZCOUNT",
            "ZINCRBY",
            "ZRANGE",
            "ZRANGEBYSCORE",
            "ZRANK",
            "ZREM",
            "ZREVRANGE",
            "ZSCORE",
        ],
        Keys::One,
    ),
    (
        &[
            "DEL", "EXISTS", "MGET", "PFCOUNT", "RENAME", "SDIFF", "SINTER", "SUNION", "TOUCH",
            "UNLINK", "WATCH",
        ],
        Keys::AllBut(0),
    ),
    (&["MSET", "MSETNX"], Keys::Pairs),
];
/// The same with a time-out after the keys.
const BLOCKING: [&str; 4] = ["BLPOP", "BRPOP", "BZPOPMIN", "BZPOPMAX"];

/// Errors of go-redis's own that stand for an answer; others of its own quote that.
const OWN: [&str; 2] = ["redis: nil", "redis: transaction failed"];

/// The span of a record.
pub(super) fn of_record(
    bytes: &[u8],
    process: &ProcessInfo,
    clock_offset: i64,
) -> Result<Span, DecodeError> {
    let (record, _) = read(bytes)?;
    Ok(span(&decode(&record)?, process, clock_offset))
}

fn span(event: &RedisEvent, process: &ProcessInfo, clock_offset: i64) -> Span {
    let mut query = Query {
        instrument: WORD,
        system: "redis",
        namespace: event.db.map(|db| db.to_compact_string()),
        server: server(event),
        ..Query::default()
    };
    operation(event, &mut query);
    let ended = outcome(event, process, &mut query);
    let name = query.operation.clone().unwrap_or_else(|| "redis".into());
    let query = Operation::Database(Box::new(query));
    Span::new(&event.span, name, Kind::Client, ended, query, process, clock_offset)
}

/// Adds what was asked for.
fn operation(event: &RedisEvent, query: &mut Query) {
    let name = command(event);
    let named = !event.name.value.is_empty() || event.span.unread.has(Unread::Command);
    let (batch, of_last) = (event.batch, u32::from(named));
    let (operation, size) = match (event.operation, name.as_str()) {
        // Commands that a transaction wraps are counted, and not those that it consists of.
        (RedisSite::Pipeline, "MULTI") => ("MULTI", batch.saturating_sub(2)),
        (RedisSite::Transaction, _) => ("MULTI", batch),
        (RedisSite::Pipeline | RedisSite::Batch, _) if batch != 1 => ("PIPELINE", batch),
        (RedisSite::Do, "EXEC") if batch > 0 => ("MULTI", batch - 1),
        (RedisSite::Do, _) if batch + of_last > 1 => ("PIPELINE", batch + of_last),
        _ => {
            if !name.is_empty() {
                query.own =
                    key_count(&name, event.args).map(|keys| ("gotap.redis.key_count", keys));
                query.operation = Some(name.into());
            }
            return;
        }
    };
    query.operation = Some(operation.into());
    query.batch_size = Some(size);
}

/// The command's name, if what stands in its place can be one.
fn command(event: &RedisEvent) -> String {
    let name = &event.name.value;
    let plausible = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if event.name.truncated || !name.chars().all(plausible) {
        return String::new();
    }
    name.to_ascii_uppercase().into()
}

/// How many keys a command with `args` arguments has, its name included.
fn key_count(name: &str, args: u32) -> Option<u32> {
    let given = args.checked_sub(1)?;
    let known = KEYS.iter().find(|(names, _)| names.contains(&name)).map(|(_, keys)| *keys);
    let known = known.or_else(|| BLOCKING.contains(&name).then_some(Keys::AllBut(1)))?;
    match known {
        Keys::One => Some(given.min(1)),
        Keys::AllBut(others) => given.checked_sub(others),
        Keys::Pairs => Some(given / 2),
    }
}

fn server(event: &RedisEvent) -> Endpoint {
    let address = event.address.value.as_str();
    match (host_port(address), event.peer) {
        // Without a host it is this machine, by whichever of its addresses.
        (Some(("", Some(port))), _) => Endpoint { address: None, port: Some(port) },
        (Some((host, Some(port))), _) => Endpoint::new(host, Some(port)),
        (Some(_), _) if address.starts_with('/') => Endpoint::new(address, None),
        (None, Some(peer)) => Endpoint::new(peer.ip().to_compact_string(), Some(peer.port())),
        // A failover client's options hold a word instead of an address.
        (Some(_), _) | (None, None) => Endpoint::default(),
    }
}

/// Adds the code; gives how it ended.
fn outcome(event: &RedisEvent, process: &ProcessInfo, query: &mut Query) -> Ended {
    let text = event.message.value.as_str();
    // go-redis tells of a key that is not there as if it was an error.
    if event.span.outcome != Outcome::Error && event.error_type == 0
        || event.answered && text == "redis: nil"
        // It may be that.
        || event.answered && event.span.unread.has(Unread::Message)
    {
        return Ended::default();
    }
    if !event.answered {
        return client_error(process, event.error_type, event.errno, &event.message);
    }
    let code = text.split(' ').next().unwrap_or_default();
    let is_code = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    if !code.is_empty() && code.chars().all(is_code) {
        query.code = Some(code.into());
        Ended::error(code, "")
    } else if OWN.contains(&text) {
        Ended::error(text, "")
    } else {
        Ended::error("_OTHER", "")
    }
}

#[cfg(test)]
#[path = "span_tests.rs"]
mod tests;
