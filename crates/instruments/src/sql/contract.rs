//! The twin of `bpf/instruments/sql/contract.h`.

use wire::raw::{Header, Span};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The kind of its records (`GT_EVENT_SQL`).
pub(super) const EVENT_SQL: u16 = 11;

wire::numbered! {
    /// What was done with a database (`enum gt_sql_operation`).
    SqlOperation {
        /// A query for rows.
        Query = 0, "query";
        /// A statement without rows.
        Exec = 1, "exec";
        /// A statement was prepared.
        Prepare = 2, "prepare";
        /// A query by a statement that was prepared before.
        StmtQuery = 3, "stmt_query";
        /// The same without rows.
        StmtExec = 4, "stmt_exec";
        /// A transaction began.
        Begin = 5, "begin";
        /// It was committed.
        Commit = 6, "commit";
        /// It was rolled back.
        Rollback = 7, "rollback";
        /// Several statements were sent together.
        Batch = 8, "batch";
        /// Rows were copied to a table.
        Copy = 9, "copy";
    }
}

/// An operation on a database; its text follows (`struct gt_sql_event`).
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct Sql {
    pub(super) header: Header,
    pub(super) span: Span,
    pub(super) db: u64,
    pub(super) subject: u64,
    pub(super) number: u64,
    pub(super) operation: u8,
    pub(super) error: u8,
    pub(super) text_len: u16,
    pub(super) message_len: u16,
    pub(super) state_len: u16,
    pub(super) batch: u32,
    pub(super) library: u8,
    pub(super) pad: [u8; 3],
    pub(super) state: [u8; 8],
    pub(super) message: [u8; 48],
}

/// Bytes of a statement's text, which follows [`Sql`] as far as there is any.
pub(super) const SQL_TEXT: usize = 1024;

const _: () = assert!(size_of::<Sql>() + SQL_TEXT == 1192);
