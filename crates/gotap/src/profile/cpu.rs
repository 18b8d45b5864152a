//! `gotap profile cpu`: where threads run, by a clock of each processor.

use std::time::Instant;

use anyhow::{Result, bail};
use gobin::Types;
use probes::{Features, Sampler, SamplerKind};
use wire::{SampledCounter, SampledStack, StackCount};

use super::naming::Namer;
use super::requests::{self, OfRequests, Traced};
use super::sampled::{self, Stacks};
use super::wait::End;
use super::{Collected, Context, mappings};
use crate::cli::CpuArgs;
use crate::opened::unix_nanoseconds;

pub(super) fn collect(
    context: &Context<'_, '_, '_>,
    types: &Types<'_, '_>,
    args: &CpuArgs,
) -> Result<Collected> {
    let target = context.target;
    let pid = context.args.pid;
    let plan = sampled::plan(context, types, args.goroutines)?;
    let stop = context.stop;
    let mut mapped = mappings(target);
    let served = context.traced.map(Traced::served);
    let kind = SamplerKind::Cpu { frequency: args.frequency };
    let mut sampler = Sampler::attach(Features::probe(), &plan, pid, kind, served)?;
    let (started, began) = (Instant::now(), unix_nanoseconds());
    // The sampler holds on to the program that it sees first.
    target.check()?;
    let (mut stacks, mut of_requests) = (Stacks::default(), OfRequests::default());
    let end = stop.wait(target.process, context.args.duration(), None, || {
        stacks.read(&mut sampler)?;
        of_requests.read(&sampler);
        Ok(format!("{} samples", sampler.count(SampledCounter::Seen)?))
    })?;
    sampler.detach();
    let elapsed = started.elapsed();
    stacks.read(&mut sampler)?;
    of_requests.read(&sampler);
    mapped.read(target.process);
    let period = 1_000_000_000 / args.frequency;
    let nanoseconds =
        |samples: u64| i64::try_from(samples.saturating_mul(period)).unwrap_or(i64::MAX);
    let mut profile = sampled::empty(target, ["samples", "cpu"], period, (began, elapsed));
    let namer = Namer::new(target, context.symbols, mapped);
    let values =
        |samples: u64| vec![i64::try_from(samples).unwrap_or(i64::MAX), nanoseconds(samples)];
    let (mut tally, others) = match context.traced {
        Some(traced) => of_requests.add_to(traced, &mut profile, &namer, &stacks, values),
        None => {
            let goid = |stack: &SampledStack| {
                let goid = stack.goid.map(|goid| ("goroutine".to_owned(), goid.to_string()));
                goid.into_iter().collect()
            };
            let (counts, of) = (sampler.stacks()?, |count: &StackCount| values(count.samples));
            (stacks.add_to(&mut profile, &namer, &counts, of, goid), Vec::new())
        }
    };
    tally.add_losses(&sampler, &stacks)?;
    let seconds = elapsed.as_secs_f64();
    if let (0, Some(traced), Some(route)) = (tally.samples, context.traced, &args.route) {
        bail!("process {pid}: {}", requests::nothing(traced, route));
    }
    if tally.samples == 0 {
        nothing(pid, seconds, tally.lost(), end)?;
    }
    let mut notes = tally.notes();
    notes.extend(others);
    notes.extend(plan.missing().map(|why| format!("stacks end where Go changes them: {why}")));
    notes.extend(end.note(seconds));
    let used = nanoseconds(tally.samples) as f64 / 1e9;
    let what = format!(
        "{used:.2} s of CPU in {seconds:.1} s ({:.2} processors), {} samples at {} Hz",
        used / seconds.max(1e-9),
        tally.samples,
        args.frequency
    );
    Ok(Collected { profile, seconds, what, notes })
}

/// Why there are no samples.
fn nothing(pid: u32, seconds: f64, lost: u64, end: End) -> Result<()> {
    if lost > 0 {
        bail!("all {lost} samples of process {pid} were lost");
    }
    if end == End::Exited {
        bail!("process {pid} ended before there was a sample");
    }
    bail!(
        "process {pid} was idle: it used no CPU that was sampled in {seconds:.1} s; see what it waits for \
         with `gotap profile wall {pid}`, or sample longer"
    )
}

impl End {
    /// What to say of an end that was not meant.
    pub(super) fn note(self, seconds: f64) -> Option<String> {
        match self {
            Self::Time => None,
            Self::Stopped => Some(format!("stopped after {seconds:.1} s")),
            Self::Exited => Some(format!("the process ended after {seconds:.1} s")),
        }
    }
}
