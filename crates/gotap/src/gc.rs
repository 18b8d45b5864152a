//! `gotap gc`: what the runtime counts of collections and the heap, read from its memory. Not here: following
//! collections one by one (`follow`), and the scheduler (`sched`).

mod follow;
mod pauses;
mod print;
mod sums;

use anyhow::Result;
use goruntime::{Counters, Histogram, Missing, Scheduler};
use serde_json::{Value, json};

use crate::cli::{Format, GcArgs};
use crate::opened::{Opened, Target, plain, unix_nanoseconds};
use crate::output::line;

/// The numbers of the scheduler and of the heap, at one moment.
pub(crate) fn read(target: &Target<'_, '_>) -> Result<(Scheduler, Counters)> {
    let (memory, layout, bias) = (&target.memory, &target.layout, target.bias);
    let scheduler = Scheduler::read(memory, layout, bias).map_err(plain)?;
    let counters = Counters::read(memory, layout, bias, &scheduler).map_err(plain)?;
    Ok((scheduler, counters))
}

/// Runs `gotap gc`.
pub(crate) fn run(args: &GcArgs) -> Result<()> {
    with(args.memory.pid, |target| {
        if args.follow || args.duration.is_some() {
            return follow::run(args, target);
        }
        let (_, counters) = read(target)?;
        target.check()?;
        let mut shown = gc(target, &counters);
        let has_none = counters.memory_limit.is_none() && counters.heap_in_use.is_some();
        if args.memory.format == Format::Text && has_none {
            shown["memoryLimitBytes"] = json!("none");
        }
        show(args.memory.format, &shown)
    })
}

/// Opens a process and does something with it.
pub(crate) fn with(pid: u32, run: impl Fn(&Target<'_, '_>) -> Result<()>) -> Result<()> {
    let opened = Opened::new(pid)?;
    let binary = opened.binary()?;
    let types = binary.types();
    run(&opened.target(&binary, &types)?)
}

fn gc(target: &Target<'_, '_>, c: &Counters) -> Value {
    let seconds = |n: u64| n as f64 / 1e9;
    let pauses = c.pauses.iter().take(8).map(|n| seconds(*n));
    json!({
        "pid": target.process.pid,
        "service": target.service,
        "goVersion": target.binary.build_info().go_version,
        "timeUnixNano": unix_nanoseconds(),
        "collections": c.collections,
        "forcedCollections": c.forced_collections,
        "lastCollectionUnixNano": c.last_collection,
        "pauseTotalSeconds": c.pause_total.map(seconds),
        "lastPausesSeconds": c.collections.map(|_| pauses.collect::<Vec<_>>()),
        "gcStops": c.gc_stops.as_ref().map(histogram),
        "otherStops": c.other_stops.as_ref().map(histogram),
        "heapLiveBytes": c.heap_live,
        "heapGoalBytes": c.heap_goal,
        "heapMarkedBytes": c.heap_marked,
        "heapInUseBytes": c.heap_in_use,
        "heapReleasedBytes": c.heap_released,
        "allocatedBytes": c.allocated,
        "freedBytes": c.freed,
        "mappedBytes": c.mapped,
        "gcPercent": c.gc_percent,
        "memoryLimitBytes": c.memory_limit,
        "missing": missing(target, &c.missing),
    })
}

/// A histogram of the runtime's, with quantiles.
pub(crate) fn histogram(histogram: &Histogram) -> Value {
    let seconds = |share| histogram.quantile(share).map(|n| n as f64 / 1e9);
    let buckets = histogram.buckets.iter().filter(|(_, count)| *count > 0);
    json!({
        "count": histogram.count(),
        "p50Seconds": seconds(0.5),
        "p99Seconds": seconds(0.99),
        "buckets": buckets.map(|(from, n)| json!({"fromSeconds": *from as f64 / 1e9, "count": n}))
            .collect::<Vec<_>>(),
    })
}

/// What is missing of the program, and `more`.
pub(crate) fn missing(target: &Target<'_, '_>, more: &[Missing]) -> Vec<Value> {
    let all = target.layout.missing().iter().chain(more);
    all.map(|missing| json!({"what": missing.what, "why": missing.why})).collect()
}

/// One line of JSON, or a line for each value.
pub(crate) fn show(format: Format, value: &Value) -> Result<()> {
    if let (Format::Text, Some(fields)) = (format, value.as_object()) {
        for (name, value) in fields {
            let text = match value {
                Value::Null => "not known".to_owned(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            line(format!("{name:<24} {text}"))?;
        }
        return Ok(());
    }
    Ok(line(value)?)
}
