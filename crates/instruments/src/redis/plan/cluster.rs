//! Pipelines and transactions of go-redis's cluster clients. Each node gets its part of the commands
//! from a goroutine of its own, whose function calls what sends them.

use gobin::{Function, Site};
use wire::Probe;
use wire::raw::{self, NO_REGISTER, NONE};

use super::{AX_BX, Context, Plan, RedisSite, described};

/// What is done at one node: names of the function that spreads commands over nodes and of the one
/// that sends a node's, and of a method of version 8's hooks, which calls that.
const ROADS: [(RedisSite, &str, &str, &str); 2] = [
    (RedisSite::Batch, "processPipeline", "processPipelineNode", "processPipeline"),
    (RedisSite::Transaction, "processTxPipeline", "processTxPipelineNode", "processTxPipeline"),
];

/// x86's numbers of the registers of a method's arguments: a context, a node and a slice of commands.
const METHOD: (u8, [u8; 2], [u8; 2]) = (7, [3, 1], [6, 8]);
/// The same of a function that has no receiver and whose context is its closure's.
const CLOSURE: (u8, [u8; 2], [u8; 2]) = (0, [NO_REGISTER; 2], [3, 1]);

/// Where a road starts and ends.
struct Road {
    start: (String, Site, (u8, [u8; 2], [u8; 2])),
    end: (String, Site, raw::Site),
}

/// Adds what a program has of it.
pub(super) fn plan(
    context: &Context<'_, '_>,
    plan: &mut Plan,
    library: u8,
    package: &str,
) -> Result<(), String> {
    let linked = |name: &str| {
        let method = |prefix| format!("{package}.(*ClusterClient).{prefix}{name}");
        ["", "_"].map(method).iter().any(|name| context.binary.function(name).is_some())
    };
    let known = plan.own.redis.go_redis.get(usize::from(library));
    let known = known.is_some_and(|it| it.node_client != NONE && it.client_base != NONE);
    for (site, spread, node, hook) in ROADS {
        if !linked(spread) {
            continue;
        }
        if !known {
            return Err("a field of clusters' nodes was not found".to_owned());
        }
        let road = if library == 0 {
            road8(context, package, spread, node, hook)
        } else {
            road9(context, package, spread, node)
        };
        let missing = || format!("no site found for {spread} of clusters");
        let Road { start: (name, start, (base, at, commands)), end } = road.ok_or_else(missing)?;
        let found =
            raw::Site { base, context: at, text: commands, ..described(site, library, None) };
        plan.add_described(Probe::RedisStart, &name, start, found);
        let (name, end, found) = end;
        let found = raw::Site { operation: site as u8, library, ..found };
        plan.add_described(Probe::RedisEnd, &name, end, found);
    }
    Ok(())
}

/// Version 8: the goroutine's function looks at the error of a node's part, whose function newer
/// compilers inline into it.
fn road8(
    context: &Context<'_, '_>,
    package: &str,
    spread: &str,
    node: &str,
    hook: &str,
) -> Option<Road> {
    let binary = context.binary;
    let name = format!("{package}.(*ClusterClient)._{spread}.func1");
    let part = format!("{package}.(*ClusterClient)._{node}");
    let function = binary.function(&name)?;
    let error = raw::Site { error: AX_BX, ..raw::Site::ABSENT };
    let after = |callee: &Function<'_>| {
        Some((name.clone(), binary.branch_site(&function, Some(callee), 2)?, error))
    };
    if let Some(callee) = binary.function(&part)
        && let Some(end) = after(&callee)
    {
        return Some(Road { start: (part.clone(), context.entry(&part).ok()?, METHOD), end });
    }
    let end = after(&binary.function(&format!("{package}.hooks.{hook}"))?)?;
    Some(Road { start: (name.clone(), context.entry(&name).ok()?, CLOSURE), end })
}

/// Version 9: by then each command has its error. The goroutine's function ends with what it
/// deferred, or there is no goroutine and the outcome is looked at.
fn road9(context: &Context<'_, '_>, package: &str, spread: &str, node: &str) -> Option<Road> {
    let binary = context.binary;
    let method = |name: &str| format!("{package}.(*ClusterClient).{name}");
    let (part, caller) = (method(node), method(spread));
    let start = (part.clone(), context.entry(&part).ok()?, METHOD);
    let (callee, function) = (binary.function(&part)?, binary.function(&caller)?);
    if binary.call_site(&function, &callee).is_none() {
        let end = deferred(context, &format!("{caller}.func1"))?;
        return Some(Road { start, end });
    }
    let error_field = context.offset(&format!("{package}.txOutcome"), &["err"]);
    let looked_at = binary.branch_site(&function, Some(&callee), 1);
    if let Some(site) = looked_at
        && error_field != NONE
    {
        return Some(Road {
            start,
            end: (caller, site, raw::Site { base: 0, error_field, ..raw::Site::ABSENT }),
        });
    }
    // The race detector forgets the outcome first.
    let name = format!("{part}.func1");
    let connected = binary.function(&format!("{package}.(*baseClient).withPipelineConn"))?;
    let site = binary.branch_site(&binary.function(&name)?, Some(&connected), 2)?;
    Some(Road { start, end: (name, site, raw::Site { error: AX_BX, ..raw::Site::ABSENT }) })
}

/// The start of what a goroutine's function defers, which says that it is done.
fn deferred(context: &Context<'_, '_>, function: &str) -> Option<(String, Site, raw::Site)> {
    let binary = context.binary;
    let waits = ["Done", "Add"].map(|name| binary.function(&format!("sync.(*WaitGroup).{name}")));
    let names = ["deferwrap1", "1"].map(|name| format!("{function}.{name}"));
    names.into_iter().find_map(|name| {
        let found = binary.function(&name)?;
        let mut calls = waits.iter().flatten();
        calls.find(|wait| binary.call_site(&found, wait).is_some())?;
        let site = context.entry(&name).ok()?;
        Some((name, site, raw::Site::ABSENT))
    })
}
