//! The samples of an interval, and a profile of each process made of them. Not here: where they go.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use probes::Sampler;
use profile::{Profile, Sample, ValueType};
use trace::Resource;
use wire::{DecodeError, SampledStack, ToldSample};

use super::links::{Links, SpanId, TraceId};
use super::losses::{Counts, Loss, OF_KERNEL};
use super::targets::Targets;

/// After so many stacks the kernel forgets which it has seen, before it has no room.
const FORGET: usize = probes::STACKS_OF_MANY as usize / 2;
/// Different stacks that are kept, with their names.
const MAX_KNOWN: usize = 16_384;
/// Different stacks of one interval.
const MAX_STACKS: usize = 32_768;
/// Pairs of a stack and a request of one interval.
const MAX_PAIRS: usize = 1 << 18;

struct Stack {
    sampled: SampledStack,
    /// The edition of its process's book, and its locations in that.
    named: Option<(u32, Box<[usize]>)>,
}

/// What was sampled, of all processes.
pub(super) struct Samples {
    /// By hash.
    known: HashMap<u64, Stack>,
    /// Those of before the kernel forgot them, for one more interval.
    older: HashMap<u64, Stack>,
    /// Stacks that came since the kernel forgot all.
    fresh: usize,
    /// Of this interval.
    counts: HashMap<(u64, Option<SpanId>), u64>,
    links: Arc<Links>,
    frequency: u64,
    counted: Arc<Counts>,
}

impl Samples {
    pub(super) fn new(frequency: u64, links: Arc<Links>, counted: Arc<Counts>) -> Self {
        let (known, older, counts) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { known, older, fresh: 0, counts, links, frequency, counted }
    }

    /// Reads what there is.
    pub(super) fn read(&mut self, sampler: &mut Sampler) {
        self.read_stacks(sampler);
        let told = sampler.told();
        // Those of samples that came meanwhile.
        self.read_stacks(sampler);
        self.add(told);
        if self.fresh >= FORGET && sampler.forget_stacks().is_ok() {
            self.fresh = 0;
        }
        for (number, (counter, _)) in OF_KERNEL.iter().enumerate() {
            if let Ok(count) = sampler.count(*counter) {
                self.counted.in_kernel(number, count);
            }
        }
    }

    fn read_stacks(&mut self, sampler: &mut Sampler) {
        // What can't be read now is there the next time.
        while let Ok(stacks) = sampler.read() {
            if stacks.is_empty() {
                break;
            }
            self.fresh += stacks.len();
            for stack in stacks {
                match stack {
                    Ok(sampled) if self.known.len() < MAX_STACKS => {
                        let named = None;
                        self.known.entry(sampled.hash).or_insert(Stack { sampled, named });
                    }
                    // Its samples are counted as without a stack.
                    Ok(_) => {}
                    Err(_) => self.counted.lose(Loss::Invalid, 1),
                }
            }
        }
    }

    fn add(&mut self, told: Vec<Result<ToldSample, DecodeError>>) {
        let mut spans = Vec::new();
        for sample in told {
            let Ok(sample) = sample else {
                self.counted.lose(Loss::Invalid, 1);
                continue;
            };
            let mut key = (sample.hash, sample.span());
            if self.counts.len() >= MAX_PAIRS && !self.counts.contains_key(&key) {
                key.1 = None;
            }
            spans.extend(key.1);
            *self.counts.entry(key).or_default() += 1;
        }
        self.links.want(spans.into_iter());
    }

    /// Makes a profile of each process, and hands it on. The interval lasted from `began` to `now`, in nanoseconds
    /// since 1970.
    pub(super) fn cut(
        &mut self,
        sampler: &mut Sampler,
        targets: &mut Targets,
        began: u64,
        now: u64,
        mut hand_on: impl FnMut(&Resource, &Profile),
    ) {
        let traces = self.links.take();
        let mut by_target: BTreeMap<u32, Vec<(u64, Option<SpanId>, u64)>> = BTreeMap::new();
        for ((hash, span), count) in std::mem::take(&mut self.counts) {
            // It is known as long as it is met.
            if !self.known.contains_key(&hash)
                && let Some(stack) = self.older.remove(&hash)
            {
                self.known.insert(hash, stack);
            }
            match self.known.get(&hash) {
                Some(stack) => {
                    by_target.entry(stack.sampled.target).or_default().push((hash, span, count));
                }
                None => self.counted.lose(Loss::WithoutStack, count),
            }
        }
        for (number, mut counts) in by_target {
            // The most frequent first, in an order that does not change.
            counts.sort_unstable_by_key(|(hash, span, count)| (u64::MAX - count, *hash, *span));
            let mut profile = self.empty(began, now);
            let sampled = self.fill(&mut profile, targets, number, &counts, &traces);
            let all: u64 = counts.iter().map(|(_, _, count)| count).sum();
            self.counted.lose(Loss::Unnamed, all - sampled);
            self.counted.sampled(sampled);
            if let (Some(target), 1..) = (targets.get(number), sampled) {
                hand_on(&target.resource, &profile);
            }
            targets.shorten(number);
        }
        self.older.clear();
        if self.known.len() > MAX_KNOWN && sampler.forget_stacks().is_ok() {
            self.fresh = 0;
            self.older = std::mem::take(&mut self.known);
        }
        self.known.retain(|_, s| targets.get(s.sampled.target).is_some());
    }

    fn empty(&self, began: u64, now: u64) -> Profile {
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let cpu = ValueType::new("cpu", "nanoseconds");
        let mut profile = Profile::new(vec![ValueType::new("samples", "count"), cpu.clone()]);
        profile.period = Some((cpu, number(1_000_000_000 / self.frequency.max(1))));
        profile.time = number(began);
        profile.duration = number(now.saturating_sub(began));
        profile
    }

    /// Puts the samples of a process into a profile; gives how many have names.
    fn fill(
        &mut self,
        profile: &mut Profile,
        targets: &mut Targets,
        number: u32,
        counts: &[(u64, Option<SpanId>, u64)],
        traces: &HashMap<SpanId, TraceId>,
    ) -> u64 {
        let Some(edition) = targets.get(number).map(|target| target.edition) else { return 0 };
        self.name(targets, number, edition, counts);
        let Some(target) = targets.get(number) else { return 0 };
        profile.mappings.clone_from(&target.book.mappings);
        let period = profile.period.as_ref().map_or(0, |(_, period)| *period);
        let (mut sampled, mut unlinked) = (0, 0);
        for (hash, span, count) in counts {
            let stack = self.known.get(hash).and_then(|stack| stack.named.as_ref());
            let Some((_, places)) = stack.filter(|(of, _)| *of == edition) else { continue };
            sampled += count;
            let trace = span.and_then(|span| traces.get(&span).map(|trace| (span, trace)));
            unlinked += if span.is_some() && trace.is_none() { *count } else { 0 };
            let labels = trace.map_or_else(Vec::new, |(span, trace)| {
                let link = [("trace_id", hex(trace)), ("span_id", hex(&span))];
                link.map(|(key, text)| (key.to_owned(), text)).to_vec()
            });
            let found = places.iter().filter_map(|place| target.book.locations.get(*place));
            let stack = found.map(|place| profile.location(place.clone())).collect();
            let samples = i64::try_from(*count).unwrap_or(i64::MAX);
            let values = vec![samples, samples.saturating_mul(period)];
            profile.samples.push(Sample { stack, values, labels });
        }
        self.counted.unlinked(unlinked);
        sampled
    }

    /// Names the stacks that have no names yet.
    fn name(
        &mut self,
        targets: &mut Targets,
        number: u32,
        edition: u32,
        counts: &[(u64, Option<SpanId>, u64)],
    ) {
        let mut hashes: Vec<u64> = counts.iter().map(|(hash, _, _)| *hash).collect();
        hashes.sort_unstable();
        hashes.dedup();
        hashes.retain(|hash| {
            let named = self.known.get(hash).and_then(|stack| stack.named.as_ref());
            named.is_none_or(|(of, _)| *of != edition)
        });
        if hashes.is_empty() {
            return;
        }
        let stacks: Vec<_> =
            hashes.iter().filter_map(|hash| Some(&self.known.get(hash)?.sampled)).collect();
        // Samples without names are counted as such.
        let Ok(named) = targets.name(number, &stacks) else { return };
        for (hash, places) in hashes.iter().zip(named) {
            if let Some(stack) = self.known.get_mut(hash) {
                stack.named = Some((edition, places));
            }
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
