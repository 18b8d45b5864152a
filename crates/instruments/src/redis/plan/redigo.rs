//! redigo: its `Do`, and pipelines of `Send`, `Flush` and `Receive`.

use gobin::Function;
use wire::Probe;
use wire::raw::{self, NONE, SITE_QUIET};

use super::{ABILITY, BX_CX, Context, Plan, REDIGO, RedisSite, described};
use crate::plan::net;
use crate::redis::contract::Redigo;

/// CX and DI by x86's numbers.
const CX_DI: [u8; 2] = [1, 7];
/// The stack pointer.
const SP: u8 = 4;

pub(super) fn plan(context: &Context<'_, '_>, plan: &mut Plan) -> Option<()> {
    let binary = context.binary;
    let (name, fatal) =
        (format!("{REDIGO}.(*conn).DoWithTimeout"), format!("{REDIGO}.(*conn).fatal"));
    let start = context.entry(&name).ok()?;
    let failed = context.entry(&fatal).ok()?;
    let reply = binary.function(&format!("{REDIGO}.(*conn).readReply"))?;
    let replies = binary.branch_sites(&binary.function(&name)?, &reply, 4);
    let conn = |field| context.offset(&format!("{REDIGO}.conn"), &[field]);
    net::connections(context, plan);
    let mut found = Redigo {
        pending: conn("pending"),
        conn: conn("conn"),
        bw: NONE,
        writer_buf: context.offset("bufio.Writer", &["buf"]),
        writer_n: context.offset("bufio.Writer", &["n"]),
        pad: [NONE; 3],
    };
    if replies.is_empty() || found.pending == NONE || found.conn == NONE {
        return None;
    }
    if binary.function(&format!("{REDIGO}.(*conn).Flush")).is_some() {
        let known = found.writer_buf != NONE && found.writer_n != NONE && conn("bw") != NONE;
        match known.then(|| by_hand(context, plan, &reply)).flatten() {
            Some(()) => found.bw = conn("bw"),
            None => plan.miss(
                ABILITY,
                format!("pipelines of Send, Flush and Receive of {REDIGO}: no site found"),
            ),
        }
    }
    plan.own.redis.redigo = found;
    plan.add_described(Probe::RedisStart, &name, start, described(RedisSite::Do, 0, None));
    for site in replies {
        let found = described(RedisSite::Reply, 0, Some(CX_DI));
        plan.add_described(Probe::RedisEnd, &name, site, found);
    }
    let found = raw::Site { flags: SITE_QUIET, ..described(RedisSite::Fatal, 0, Some(BX_CX)) };
    plan.add_rare(Probe::RedisEnd, &fatal, failed, found);
    Some(())
}

/// A pipeline of `Send`, `Flush` and `Receive`: where it is sent, where each answer comes, and where it is given up.
fn by_hand(context: &Context<'_, '_>, plan: &mut Plan, reply: &Function<'_>) -> Option<()> {
    let method = |name: &str| format!("{REDIGO}.(*conn).{name}");
    let (flush, receive, close) = (method("Flush"), method("ReceiveWithTimeout"), method("Close"));
    let (sent, closed) = (context.entry(&flush).ok()?, context.entry(&close).ok()?);
    let function = context.binary.function(&receive)?;
    let received = context.binary.branch_site(&function, Some(reply), 4)?;
    let conn = u16::try_from(context.binary.receiver_slot(&function)?).ok()?;
    let site = |site| described(site, 0, None);
    plan.add_described(Probe::RedisStart, &flush, sent, site(RedisSite::Flush));
    let found = raw::Site { base: SP, base_slot: conn, ..site(RedisSite::Receive) };
    plan.add_described(Probe::RedisEnd, &receive, received, found);
    plan.add_rare(Probe::RedisEnd, &close, closed, site(RedisSite::Close));
    Some(())
}
