//! The record of an operation as what it says, with what could not be read as unknown.

use core::net::SocketAddr;

use wire::raw::TypeRole;
use wire::record::{ADDRESS_UNREAD, address, core, errno, text, texts_unread};
use wire::{DecodeError, SpanCore, Text, Unread};

use super::contract::{RedisCall, RedisSite};

/// One finished operation of a client of Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RedisEvent {
    /// Ids, times, parent.
    pub(super) span: SpanCore,
    /// `Command`, `Pipeline` or `Do`.
    pub(super) operation: RedisSite,
    /// How many commands; of redigo those that were sent ahead of the last one.
    pub(super) batch: u32,
    /// Arguments of a single command, its name included.
    pub(super) args: u32,
    /// Name of the first command, of redigo the last one's, as the program wrote it.
    pub(super) name: Text,
    /// The database's index.
    pub(super) db: Option<u64>,
    /// `host:port` or a path, as the client was given it.
    pub(super) address: Text,
    /// The other side's address, when it is one of TCP and `address` is not known.
    pub(super) peer: Option<SocketAddr>,
    /// Address of the error's type descriptor, 0 without an error.
    pub(super) error_type: u64,
    /// Operating system error that the error wraps.
    pub(super) errno: Option<u32>,
    /// Whether the server answered with the error. Its text may then hold what it was asked.
    pub(super) answered: bool,
    /// Text of the error, when it is a plain string.
    pub(super) message: Text,
}

pub(super) fn decode(event: &RedisCall) -> Result<RedisEvent, DecodeError> {
    let mut span = core(&event.span)?;
    let unread = texts_unread(&[
        (Unread::Command, event.name_len),
        (Unread::Message, event.message_len),
        (Unread::Address, event.address_len),
    ]);
    span.unread = span.unread.and(unread).with(Unread::Peer, event.peer_len == ADDRESS_UNREAD);
    let known = !span.unread.has(Unread::Database);
    Ok(RedisEvent {
        span,
        operation: RedisSite::from_number(event.operation.into())
            .ok_or(DecodeError::Field("operation"))?,
        batch: event.batch,
        args: event.args,
        name: text(&event.name, event.name_len),
        db: u64::try_from(event.db).ok().filter(|_| known),
        address: text(&event.address, event.address_len),
        peer: address(&event.peer, event.peer_len, event.peer_port),
        error_type: event.subject,
        errno: errno(event.error, event.number),
        answered: event.error == TypeRole::Answer as u8,
        message: text(&event.message, event.message_len),
    })
}

#[cfg(test)]
mod tests {
    use zerocopy::FromZeros;

    use super::*;

    #[test]
    fn a_database_that_could_not_be_read_is_unknown() {
        let mut record = RedisCall::new_zeroed();
        assert_eq!(decode(&record).map(|event| event.db), Ok(Some(0)));
        record.span.unread = 1 << Unread::Database as u32;
        assert_eq!(decode(&record).map(|event| event.db), Ok(None));
    }
}
