//! The record of an operation as what it says, with what could not be read as unknown.

use trace::SqlLibrary;
use wire::raw::TypeRole;
use wire::record::{core, errno, read, text, texts_unread};
use wire::{DecodeError, SpanCore, Text, Unread};

use super::contract::{SQL_TEXT, Sql, SqlOperation};

/// One finished operation on a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SqlEvent {
    /// Ids, times, parent.
    pub(super) span: SpanCore,
    /// What was done.
    pub(super) operation: SqlOperation,
    /// What speaks to the database.
    pub(super) library: SqlLibrary,
    /// Statements of a batch.
    pub(super) batch: u32,
    /// Address of the `sql.DB`, or of pgx's configuration.
    pub(super) db: u64,
    /// Address of the error's type descriptor, 0 without an error.
    pub(super) error_type: u64,
    /// The error's number, where its driver has numbers.
    pub(super) number: Option<u64>,
    /// Operating system error that the error wraps.
    pub(super) errno: Option<u32>,
    /// SQLSTATE of the error, where its driver has that.
    pub(super) state: Text,
    /// Text of the error, when it is a plain string.
    pub(super) message: Text,
    /// The statement as it was given, with its literals.
    pub(super) text: Text,
}

pub(super) fn decode(bytes: &[u8]) -> Result<SqlEvent, DecodeError> {
    let (event, rest) = read::<Sql>(bytes)?;
    // As much of the text was sent as there is; the ring buffer pads it.
    let room = rest.len().min(SQL_TEXT);
    let number = (event.error == TypeRole::SqlNumber as u8).then_some(event.number);
    let mut span = core(&event.span)?;
    span.unread = span.unread.and(texts_unread(&[
        (Unread::Status, event.state_len),
        (Unread::Message, event.message_len),
        (Unread::Statement, event.text_len),
    ]));
    let number = number.filter(|_| !span.unread.has(Unread::Status));
    Ok(SqlEvent {
        span,
        operation: SqlOperation::from_number(event.operation.into())
            .ok_or(DecodeError::Field("operation"))?,
        library: SqlLibrary::from_number(event.library).ok_or(DecodeError::Field("library"))?,
        batch: event.batch,
        db: event.db,
        error_type: event.subject,
        number,
        errno: errno(event.error, event.number),
        state: text(&event.state, event.state_len),
        message: text(&event.message, event.message_len),
        text: text(&rest[..room], event.text_len),
    })
}

#[cfg(test)]
mod tests {
    use wire::record::TEXT_UNREAD;

    use super::*;

    /// A record with these bytes at their offsets.
    fn record(bytes: &[(usize, u8)]) -> SqlEvent {
        let mut record = vec![0u8; size_of::<Sql>()];
        bytes.iter().for_each(|(at, value)| record[*at] = *value);
        decode(&record).unwrap()
    }

    #[test]
    fn what_could_not_be_read_of_an_error_is_none() {
        let [low, high] = TEXT_UNREAD.to_le_bytes();
        // The role, the length of the message, and that the status is unread.
        let event = record(&[
            (97, TypeRole::SqlNumber as u8),
            (100, low),
            (101, high),
            (68, 1 << Unread::Status as u32),
        ]);
        assert_eq!((event.number, event.message.value.as_str()), (None, ""));
        assert!(event.span.unread.has(Unread::Message), "{event:?}");
        for (number, expected) in [(111, Some(111)), (0, None)] {
            assert_eq!(record(&[(97, TypeRole::Errno as u8), (88, number)]).errno, expected);
        }
    }
}
