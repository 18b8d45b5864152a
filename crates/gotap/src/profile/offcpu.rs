//! `gotap profile offcpu`: where threads leave their processors, and for how long, by the kernel's own
//! tracepoint of the scheduler.

use std::time::Instant;

use anyhow::{Result, bail};
use gobin::Types;
use probes::{Features, Sampler, SamplerKind};
use wire::SampledCounter;

use super::naming::Namer;
use super::sampled::{self, Stacks};
use super::{Collected, Context, mappings};
use crate::opened::{monotonic, unix_nanoseconds};

pub(super) fn collect(context: &Context<'_, '_, '_>, types: &Types<'_, '_>) -> Result<Collected> {
    let target = context.target;
    let pid = context.args.pid;
    let plan = sampled::plan(context, types, false)?;
    let stop = context.stop;
    let mut mapped = mappings(target);
    let mut sampler = Sampler::attach(Features::probe(), &plan, pid, SamplerKind::OffCpu, None)?;
    let (started, began) = (Instant::now(), unix_nanoseconds());
    target.check()?;
    let mut stacks = Stacks::default();
    let end = stop.wait(target.process, context.args.duration(), None, || {
        stacks.read(&mut sampler)?;
        Ok(format!("{} switches", sampler.count(SampledCounter::Seen)?))
    })?;
    sampler.detach();
    let now = monotonic();
    let elapsed = started.elapsed();
    stacks.read(&mut sampler)?;
    mapped.read(target.process);
    let mut counts = sampler.stacks()?;
    // Those that have not come back count until now.
    for thread in sampler.off_threads()?.values() {
        if let Some(count) = counts.get_mut(&thread.hash) {
            count.samples += 1;
            count.nanoseconds += now.saturating_sub(thread.since);
        }
    }
    let mut profile = sampled::empty(target, ["switches", "offcpu"], 1, (began, elapsed));
    let namer = Namer::new(target, context.symbols, mapped);
    let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let mut tally = stacks.add_to(
        &mut profile,
        &namer,
        &counts,
        |count| vec![number(count.samples), number(count.nanoseconds)],
        |stack| {
            let state = if stack.is_preempted() { "preempted" } else { "waiting" };
            vec![("state".to_owned(), state.to_owned())]
        },
    );
    tally.add_losses(&sampler, &stacks)?;
    let seconds = elapsed.as_secs_f64();
    if tally.samples == 0 {
        bail!("process {pid}: none of its threads left its processor in {seconds:.1} s");
    }
    let mut notes = tally.notes();
    notes.extend(plan.missing().map(|why| format!("stacks end where Go changes them: {why}")));
    notes.extend(end.note(seconds));
    let total = profile.total(1) as f64 / 1e9;
    let what = format!(
        "{total:.2} s off processors in {seconds:.1} s ({:.1} threads), {} switches",
        total / seconds.max(1e-9),
        tally.samples
    );
    Ok(Collected { profile, seconds, what, notes })
}
