//! What the sampler has counted, gathered while it runs, as a profile.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Result, bail};
use gobin::Types;
use probes::{Sampler, SamplerPlan};
use profile::{Profile, Sample, ValueType};
use wire::{SampledCounter, SampledStack, StackCount};

use super::Context;
use super::naming::{Namer, main_mapping};
use crate::opened::Target;

/// What the sampler needs of a process. With `goroutines` samples have their goroutines' ids.
///
/// # Errors
/// When the process can't be sampled.
pub(super) fn plan(
    context: &Context<'_, '_, '_>,
    types: &Types<'_, '_>,
    goroutines: bool,
) -> Result<SamplerPlan> {
    let target = context.target;
    match SamplerPlan::new(target.binary, types, target.bias, goroutines) {
        Ok(plan) => Ok(plan),
        Err(why) => bail!("process {} can't be profiled: {why}", context.args.pid),
    }
}

/// A profile without samples, of counts and of the nanoseconds that they stand for, by their names. `period` is what
/// one sample stands for; the time is when it began, in nanoseconds since 1970, and how long it took.
pub(super) fn empty(
    target: &Target<'_, '_>,
    [counts, time]: [&'static str; 2],
    period: u64,
    (began, elapsed): (u64, Duration),
) -> Profile {
    let time = ValueType::new(time, "nanoseconds");
    let mut profile = Profile::new(vec![ValueType::new(counts, "count"), time.clone()]);
    profile.period = Some((time, i64::try_from(period).unwrap_or(i64::MAX)));
    profile.time = i64::try_from(began).unwrap_or(0);
    profile.duration = i64::try_from(elapsed.as_nanos()).unwrap_or(i64::MAX);
    profile.mappings.push(main_mapping(target));
    profile
}

/// Stacks by their hashes.
#[derive(Default)]
pub(super) struct Stacks {
    known: HashMap<u64, SampledStack>,
    /// Records that could not be understood.
    invalid: u64,
}

/// What was found of stacks and of samples that were lost.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Samples that are in the profile.
    pub(super) samples: u64,
    deep: u64,
    deep_in_kernel: u64,
    untold_in_kernel: u64,
    broken: u64,
    from_c: u64,
    without_stack: u64,
    lost: Vec<(u64, &'static str)>,
}

impl Stacks {
    /// Reads what is there.
    pub(super) fn read(&mut self, sampler: &mut Sampler) -> Result<()> {
        loop {
            let stacks = sampler.read()?;
            if stacks.is_empty() {
                return Ok(());
            }
            for stack in stacks {
                match stack {
                    Ok(stack) => drop(self.known.insert(stack.hash, stack)),
                    Err(_) => self.invalid += 1,
                }
            }
        }
    }

    /// A stack by its hash.
    pub(super) fn get(&self, hash: u64) -> Option<&SampledStack> {
        self.known.get(&hash)
    }

    /// Adds a sample for each stack that was counted. `values` makes its values of the counts.
    pub(super) fn add_to(
        &self,
        profile: &mut Profile,
        namer: &Namer<'_, '_, '_>,
        counts: &HashMap<u64, StackCount>,
        values: impl Fn(&StackCount) -> Vec<i64>,
        label: impl Fn(&SampledStack) -> Vec<(String, String)>,
    ) -> Tally {
        let mut tally = Tally::default();
        let mut counted: Vec<_> = counts.iter().filter(|(_, count)| count.samples > 0).collect();
        // Each run gives the same order.
        counted.sort_unstable_by_key(|(hash, count)| (u64::MAX - count.samples, **hash));
        for (hash, count) in counted {
            let Some(stack) = self.known.get(hash) else {
                tally.without_stack += count.samples;
                continue;
            };
            tally.add(stack, count.samples);
            let sample = namer.stack(profile, stack);
            let (values, labels) = (values(count), label(stack));
            profile.samples.push(Sample { stack: sample, values, labels });
        }
        tally
    }
}

impl Tally {
    /// So many samples have this stack.
    pub(super) fn add(&mut self, stack: &SampledStack, samples: u64) {
        self.samples += samples;
        self.deep += if stack.is_deep() { samples } else { 0 };
        self.deep_in_kernel += if stack.is_deep_in_kernel() { samples } else { 0 };
        self.untold_in_kernel += if stack.is_untold_in_kernel() { samples } else { 0 };
        self.broken += if stack.is_broken() { samples } else { 0 };
        self.from_c += if stack.is_from_c() { samples } else { 0 };
    }

    /// So many have one that was not received.
    pub(super) fn without_stack(&mut self, samples: u64) {
        self.without_stack += samples;
    }

    /// Adds what the programs have lost.
    pub(super) fn add_losses(&mut self, sampler: &Sampler, stacks: &Stacks) -> Result<()> {
        use SampledCounter as C;
        for (counter, why) in [
            (C::RingFull, "new stacks came faster than gotap read them"),
            (C::StacksFull, "there were more than 65536 different stacks"),
            (C::Collided, "two stacks have the same hash"),
            (C::OtherProgram, "the process ended its program meanwhile"),
            (C::ThreadsFull, "there were more than 16384 threads"),
            (C::Untold, "they came faster than gotap read to which requests they belong"),
        ] {
            self.lost.push((sampler.count(counter)?, why));
        }
        self.lost.push((self.without_stack, "their stacks were not received"));
        self.lost.push((stacks.invalid, "their records could not be understood"));
        self.lost.retain(|(count, _)| *count > 0);
        Ok(())
    }

    /// What to say of it.
    pub(super) fn notes(&self) -> Vec<String> {
        let share = |part: u64| 100.0 * part as f64 / self.samples.max(1) as f64;
        let mut out = Vec::new();
        let mut say = |count: u64, what: &str| {
            if count > 0 {
                out.push(format!("{count} samples ({:.1}%) {what}", share(count)));
            }
        };
        say(
            self.deep,
            &format!("have more than {} frames: the outer ones are left out", wire::USER_FRAMES),
        );
        say(
            self.deep_in_kernel,
            &format!(
                "have {} frames of the kernel or more: further ones are left out",
                wire::KERNEL_FRAMES
            ),
        );
        say(self.untold_in_kernel, "were in the kernel, which does not tell its frames");
        say(self.broken, "have callers that are not known");
        say(self.from_c, "were in C code: its callers in C are not known");
        for (count, why) in &self.lost {
            out.push(format!("{count} samples were lost: {why}"));
        }
        out
    }

    /// Samples that are not in the profile, by reason.
    pub(super) fn lost(&self) -> u64 {
        self.lost.iter().map(|(count, _)| count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stack as the sampler sends it, with these flags and so many frames of the kernel and of the program.
    fn stack(flags: u32, kernel: u32, user: u32) -> SampledStack {
        let mut bytes = [0; 16].to_vec();
        for word in [0, flags, kernel, user, 0, 0] {
            bytes.extend(word.to_ne_bytes());
        }
        bytes.extend(vec![7; 8 * (kernel + user) as usize]);
        wire::decode_sampled(&bytes).unwrap()
    }

    #[test]
    fn what_lacks_frames_is_said() {
        const KERNEL: u32 = 8;
        const CUT: u32 = 16;
        let mut tally = Tally::default();
        tally.add(&stack(0, 0, 3), 5);
        tally.add(&stack(KERNEL, 9, 3), 1);
        assert!(tally.notes().is_empty());
        tally.add(&stack(KERNEL | CUT, 64, 3), 3);
        tally.add(&stack(KERNEL | CUT, 0, 3), 1);
        let expected = [
            "3 samples (30.0%) have 64 frames of the kernel or more: further ones are left out",
            "1 samples (10.0%) were in the kernel, which does not tell its frames",
        ];
        assert_eq!(tally.notes(), expected);
    }
}
