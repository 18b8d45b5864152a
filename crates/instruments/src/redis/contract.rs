//! The twin of `bpf/instruments/redis/contract.h`.

use wire::raw::{Address, Header, Span};
use zerocopy::{FromBytes, Immutable, KnownLayout};

/// The kind of its records (`GT_EVENT_REDIS`).
pub(super) const EVENT_REDIS: u16 = 12;

wire::numbered! {
    /// What a site stands for; some are operations, too (`enum gt_redis_site`).
    RedisSite {
        /// An attempt of a command of go-redis.
        Command = 0, "command";
        /// Its pipelines and transactions, with all their attempts.
        Pipeline = 1, "pipeline";
        /// redigo's `Do`, with what was sent before.
        Do = 2, "do";
        /// go-redis has waited before another attempt.
        Retry = 3, "retry";
        /// redigo got a reply.
        Reply = 4, "reply";
        /// redigo's connection failed.
        Fatal = 5, "fatal";
        /// Commands for a node of a cluster, an attempt of them; redigo's that the program sends itself.
        Batch = 6, "batch";
        /// The same between `MULTI` and `EXEC`, which are not counted.
        Transaction = 7, "transaction";
        /// redigo sends what it has, and nobody waits yet.
        Flush = 8, "flush";
        /// redigo got a reply, which the program waits for itself.
        Receive = 9, "receive";
        /// redigo's connection is closed.
        Close = 10, "close";
    }
}

/// Commands of a client of Redis: one, or several that were sent together (`struct gt_redis_event`).
#[derive(FromBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct RedisCall {
    pub(super) header: Header,
    pub(super) span: Span,
    pub(super) subject: u64,
    pub(super) number: u64,
    pub(super) db: i64,
    pub(super) batch: u32,
    pub(super) args: u32,
    pub(super) operation: u8,
    pub(super) error: u8,
    pub(super) name_len: u16,
    pub(super) message_len: u16,
    pub(super) address_len: u16,
    pub(super) peer_port: u16,
    pub(super) peer_len: u8,
    pub(super) pad: [u8; 5],
    pub(super) peer: [u8; 16],
    pub(super) name: [u8; 32],
    pub(super) message: [u8; 48],
    pub(super) address: [u8; 64],
}

wire::constants! {
    /// Offsets in a version of go-redis (`struct gt_go_redis`).
    pub struct GoRedis {
        /// Type of the pool of clients that set up a connection.
        pub set_up_pool: Address,
        /// The type `string`.
        pub string: Address,
        /// `baseClient.connPool`.
        pub client_pool: u16,
        /// `baseClient.opt`.
        pub client_opt: u16,
        /// `Options.Addr`.
        pub opt_addr: u16,
        /// `Options.DB`.
        pub opt_db: u16,
        /// `baseCmd.args`.
        pub cmd_args: u16,
        /// `baseCmd.err`.
        pub cmd_err: u16,
        /// `clusterNode.Client`.
        pub node_client: u16,
        /// `Client.baseClient`.
        pub client_base: u16,
    }

    /// Offsets in redigo's `conn` and in `bufio.Writer` (`struct gt_redigo`).
    pub struct Redigo {
        /// `conn.pending`.
        pub pending: u16,
        /// `conn.conn`.
        pub conn: u16,
        /// `conn.bw`; none: pipelines that the program sends itself are not followed.
        pub bw: u16,
        /// `bufio.Writer.buf`.
        pub writer_buf: u16,
        /// `bufio.Writer.n`.
        pub writer_n: u16,
        /// Nothing.
        pub pad: [u16; 3],
    }

    /// Its constants of a process (`struct gt_redis`).
    pub struct Constants {
        /// go-redis 8 and 9.
        pub go_redis: [GoRedis; 2],
        /// redigo.
        pub redigo: Redigo,
    }
}

const _: () = assert!(size_of::<RedisCall>() == 280);
const _: () = assert!(size_of::<Constants>() == 80);
