//! `gotap sched`: processors, run queues, latency and preemptions by the runtime's own counters, and for which share of
//! the time each processor was in use, by looking again and again. Not here: the timeline (`timeline`).

use std::time::{Duration, Instant};

use anyhow::Result;
use goruntime::timeline::Sampler;
use goruntime::usage::{Usage, Used};
use goruntime::{Counters, Processor, Scheduler};
use serde_json::{Value, json};

use crate::cli::SchedArgs;
use crate::gc::{histogram, missing, read, show, with};
use crate::live::{Latest, thread_time};
use crate::opened::{Target, plain, unix_nanoseconds};
use crate::output::note;
use crate::timeline;

/// Between two looks at the processors, and the share of one of the machine's processors that looking may take.
const INTERVAL: Duration = Duration::from_millis(5);
const SHARE: f64 = 0.02;

/// Runs the command.
pub(crate) fn run(args: &SchedArgs) -> Result<()> {
    if let Some(path) = &args.output {
        return timeline::run(args, path);
    }
    with(args.memory.pid, |target| {
        let before = Read::now(target)?;
        let mut latest = Latest::new();
        let (usage, failed) = look(target, args.duration, &mut latest)?;
        let (after, ended) = latest.end(target, || Read::now(target))?;
        ended.iter().for_each(note);
        show(args.memory.format, &to_json(target, &before, &after, (&usage, failed)))
    })
}

/// What the runtime has counted at one moment.
struct Read {
    at: Instant,
    scheduler: Scheduler,
    counters: Counters,
}

impl Read {
    fn now(target: &Target<'_, '_>) -> Result<Self> {
        let at = Instant::now();
        let (scheduler, counters) = read(target)?;
        Ok(Self { at, scheduler, counters })
    }
}

/// Looks at the processors for so long. Where they can't be read there is no sample. How many looks failed is the
/// second.
fn look(
    target: &Target<'_, '_>,
    duration: Duration,
    latest: &mut Latest<Read>,
) -> Result<(Usage, u64)> {
    let (mut usage, mut failed) = (Usage::default(), 0);
    let Ok(mut sampler) = Sampler::new(&target.layout, target.bias) else {
        std::thread::sleep(duration);
        return Ok((usage, failed));
    };
    let (began, cpu) = (Instant::now(), thread_time());
    while began.elapsed() < duration {
        match sampler.take(&target.memory) {
            Ok(sample) => usage.add(&sample),
            // A list was replaced meanwhile, or is none.
            Err(goruntime::Error::Contradiction(_)) => failed += 1,
            Err(_) if !target.process.is_alive() => break,
            Err(error) => return Err(plain(error)),
        }
        latest.renew(|| Read::now(target));
        let affordable = (thread_time() - cpu).div_f64(SHARE).saturating_sub(began.elapsed());
        let left = duration.saturating_sub(began.elapsed());
        std::thread::sleep(affordable.max(INTERVAL).min(left));
    }
    Ok((usage, failed))
}

fn to_json(
    target: &Target<'_, '_>,
    before: &Read,
    after: &Read,
    (usage, failed): (&Usage, u64),
) -> Value {
    let latency = match (&before.counters.scheduling, &after.counters.scheduling) {
        (Some(before), Some(after)) => Some(after.since(before)),
        _ => None,
    };
    let (scheduler, counters) = (&after.scheduler, &after.counters);
    // What is not known of the heap is no matter here.
    let of_counters = counters.missing.iter().filter(|m| ["scheduling", "stops"].contains(&m.what));
    let of_both: Vec<_> = of_counters.chain(&scheduler.missing).cloned().collect();
    let mut all_missing = missing(target, &of_both);
    if usage.samples() == 0 {
        let why = "the processors and all threads could not be read at once";
        all_missing.push(json!({"what": "use of processors", "why": why}));
    }
    let seconds = after.at.duration_since(before.at).as_secs_f64();
    let one = |now: &Processor| {
        let then = before.scheduler.processors.iter().flatten().find(|then| then.id == now.id);
        processor(now, then, usage.of(now.id), seconds)
    };
    let processors = scheduler.processors.as_ref();
    json!({
        "pid": target.process.pid,
        "service": target.service,
        "goVersion": target.binary.build_info().go_version,
        "timeUnixNano": unix_nanoseconds(),
        "seconds": seconds,
        "maxProcessors": scheduler.max_processors,
        "processors": processors.map(|all| all.iter().map(one).collect::<Vec<_>>()),
        "utilization": usage.running(),
        "samples": Some(usage.samples()).filter(|n| *n > 0),
        "failedSamples": failed + usage.in_part(),
        "threads": scheduler.machines.as_ref().map(Vec::len),
        "idleProcessors": scheduler.idle_processors,
        "spinningThreads": scheduler.spinning,
        "queued": scheduler.queued,
        "goroutinesCreated": counters.created,
        "schedulingLatency": latency.as_ref().map(histogram),
        "preemptionSignals": scheduler.preemptions_since(&before.scheduler),
        "missing": all_missing,
    })
}

/// One processor; what was counted since `then`, if there was this processor, and how it was seen to be used.
fn processor(
    now: &Processor,
    then: Option<&Processor>,
    used: Option<&Used>,
    seconds: f64,
) -> Value {
    // These counters are modulo 2^32.
    let rate = |of: fn(&Processor) -> u32| {
        then.map(|then| f64::from(of(now).wrapping_sub(of(then))) / seconds)
    };
    let share = |of: fn(&Used) -> u64| used.and_then(|used| used.share(of(used)));
    json!({
        "id": now.id,
        "state": now.status,
        "queued": now.queued,
        "runningShare": share(|used| used.running),
        "switchingShare": share(|used| used.switching),
        "syscallShare": share(|used| used.syscall),
        "stoppedShare": share(|used| used.stopped),
        "switches": now.switches,
        "switchesPerSecond": rate(|p| p.switches),
        "syscalls": now.syscalls,
        "syscallsPerSecond": rate(|p| p.syscalls),
    })
}
