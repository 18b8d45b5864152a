//! Where requests run: samples of the processors, each with the request that it belongs to. A goroutine that runs
//! has no stack in memory that could be looked at. Not here: how long requests run, which looks tell (`times`).

use std::collections::{BTreeMap, HashMap};

use anyhow::Result;
use gobin::Types;
use goruntime::Symbols;
use native::Mappings;
use probes::{Features, Sampler, SamplerKind, SamplerPlan, Served};
use profile::Profile;
use wire::SampledStack;

use super::tally::{Found, Operation};
use super::times::{Place, Stack};
use crate::opened::Target;
use crate::profile::{Namer, mappings};

/// Samples a second of each processor.
const FREQUENCY: u64 = 99;
/// Pairs of a request and a stack that are kept.
const MAX_PAIRS: usize = 1 << 18;

/// Nanoseconds by stack, the longest first, of each operation.
pub(super) type ByOperation = BTreeMap<Operation, Vec<(Stack, u64)>>;

/// The sampler and what it told.
pub(super) struct OnCpu<'s> {
    sampler: std::result::Result<Sampler, String>,
    stacks: HashMap<u64, SampledStack>,
    samples: HashMap<([u8; 8], u64), u64>,
    lost: u64,
    mapped: Mappings,
    _served: std::marker::PhantomData<&'s ()>,
}

impl<'s> OnCpu<'s> {
    /// Starts to sample. Where that can't be done, all else goes on.
    pub(super) fn start(
        target: &Target<'_, '_>,
        types: &Types<'_, '_>,
        served: Served<'s>,
    ) -> Self {
        let plan = SamplerPlan::new(target.binary, types, target.bias, false);
        let sampler = plan.and_then(|plan| {
            let kind = SamplerKind::Cpu { frequency: FREQUENCY };
            let (pid, features) = (target.process.pid, Features::probe());
            Sampler::attach(features, &plan, pid, kind, Some(served)).map_err(|e| e.to_string())
        });
        let (stacks, samples, lost) = (HashMap::new(), HashMap::new(), 0);
        let mapped = mappings(target);
        Self { sampler, stacks, samples, lost, mapped, _served: std::marker::PhantomData }
    }

    /// Why there are no samples.
    pub(super) fn missing(&self) -> Option<&str> {
        self.sampler.as_ref().err().map(String::as_str)
    }

    /// Reads what there is.
    pub(super) fn read(&mut self) -> Result<()> {
        let Ok(sampler) = &mut self.sampler else { return Ok(()) };
        loop {
            let (stacks, told) = (sampler.read()?, sampler.told());
            if stacks.is_empty() && told.is_empty() {
                return Ok(());
            }
            self.stacks.extend(stacks.into_iter().flatten().map(|stack| (stack.hash, stack)));
            for sample in told.into_iter().flatten() {
                let key = sample.span().map(|span| (span, sample.hash));
                let known = |key| self.samples.contains_key(key);
                match key {
                    Some(key) if self.samples.len() < MAX_PAIRS || known(&key) => {
                        *self.samples.entry(key).or_default() += 1;
                    }
                    Some(_) => self.lost += 1,
                    None => {}
                }
            }
        }
    }

    /// Stops, and reads what is left.
    pub(super) fn stop(&mut self) {
        if let Ok(sampler) = &mut self.sampler {
            sampler.detach();
        }
        // What can't be read any more is missing in the list of stacks, and nowhere else.
        let _ = self.read();
    }

    /// What was sampled of the requests that were found.
    pub(super) fn of<'a, 'd>(
        &mut self,
        found: &Found,
        target: &Target<'a, 'd>,
        symbols: &Symbols<'a, 'd>,
    ) -> ByOperation {
        self.mapped.read(target.process);
        let namer = Namer::new(target, symbols, std::mem::take(&mut self.mapped));
        let (mut profile, mut named) = (Profile::new(Vec::new()), HashMap::new());
        let mut sums: BTreeMap<Operation, HashMap<Stack, u64>> = BTreeMap::new();
        for ((span, hash), count) in &self.samples {
            let (Some(operation), Some(stack)) = (found.spans.get(span), self.stacks.get(hash))
            else {
                continue;
            };
            let stack: &Stack =
                named.entry(*hash).or_insert_with(|| places(&namer, &mut profile, stack));
            let of = sums.entry(operation.clone()).or_default();
            *of.entry(stack.clone()).or_default() += count * (1_000_000_000 / FREQUENCY);
        }
        let sorted = |sums: HashMap<Stack, u64>| {
            let mut out: Vec<_> = sums.into_iter().collect();
            out.sort_by(|a, b| (b.1, &a.0).cmp(&(a.1, &b.0)));
            out
        };
        sums.into_iter().map(|(operation, sums)| (operation, sorted(sums))).collect()
    }
}

/// The frames of a sampled stack.
fn places(namer: &Namer<'_, '_, '_>, profile: &mut Profile, stack: &SampledStack) -> Stack {
    let locations = namer.stack(profile, stack);
    let frames = locations.iter().filter_map(|at| profile.locations.get(*at));
    let place = |frame: &profile::Frame| Place {
        function: goruntime::printed(&frame.function).into(),
        file: (&*frame.file).into(),
        line: frame.line,
    };
    frames.flat_map(|location| location.frames.iter().map(place)).collect()
}
