//! Profiles of requests: `--route`. Samples and looks are joined with the requests that tracing sees. Not here:
//! tracing (`agent`), looking at goroutines (`xray`).

use std::cell::RefCell;
use std::collections::HashMap;

use anyhow::{Result, bail};
use probes::{Sampler, Served};
use profile::{Frame, Location, Profile, Sample, ValueType};

use super::naming::{Namer, main_mapping, plain};
use super::sampled::{Stacks, Tally};
use super::{Collected, Context};
use crate::opened::unix_nanoseconds;
use crate::xray::{self, Found, Sums, Watched};

/// Pairs of a request and a stack that are kept.
const MAX_PAIRS: usize = 1 << 20;

/// A process whose requests are traced.
pub(crate) struct Traced<'w> {
    watched: &'w Watched,
    instance: u32,
    /// Ends the tracing, and waits for the last spans.
    end: RefCell<Option<Box<dyn FnOnce()>>>,
}

impl<'w> Traced<'w> {
    /// Waits until the process is traced.
    ///
    /// # Errors
    /// When it has ended.
    pub(crate) fn new(
        watched: &'w Watched,
        pid: u32,
        end: Box<dyn FnOnce()>,
    ) -> Result<Option<Self>> {
        let Some(instance) = watched.wait(pid)? else { return Ok(None) };
        Ok(Some(Self { watched, instance, end: RefCell::new(Some(end)) }))
    }

    /// For what counts by request.
    pub(crate) fn served(&self) -> Served<'_> {
        Served { maps: &self.watched.maps, instance: self.instance }
    }

    /// Ends the tracing; what requests there were.
    pub(crate) fn finish(&self) -> Found {
        if let Some(end) = self.end.borrow_mut().take() {
            end();
        }
        self.watched.tally.found()
    }
}

/// Samples by the request that they belong to and their stack.
#[derive(Default)]
pub(super) struct OfRequests {
    counts: HashMap<([u8; 8], u64), u64>,
    of_none: u64,
    full: u64,
}

impl OfRequests {
    /// Reads what was told.
    pub(super) fn read(&mut self, sampler: &Sampler) {
        for sample in sampler.told().into_iter().flatten() {
            let Some(span) = sample.span() else {
                self.of_none += 1;
                continue;
            };
            let key = (span, sample.hash);
            if self.counts.len() >= MAX_PAIRS && !self.counts.contains_key(&key) {
                self.full += 1;
            } else {
                *self.counts.entry(key).or_default() += 1;
            }
        }
    }

    /// Adds those of the route to a profile, and what is to be said of the others.
    pub(super) fn add_to(
        &self,
        traced: &Traced<'_>,
        profile: &mut Profile,
        namer: &Namer<'_, '_, '_>,
        stacks: &Stacks,
        values: impl Fn(u64) -> Vec<i64>,
    ) -> (Tally, Vec<String>) {
        let found = traced.finish();
        let mut tally = Tally::default();
        let mut others = 0;
        let mut all: Vec<_> = self.counts.iter().collect();
        // Each run gives the same order.
        all.sort_unstable_by_key(|((span, hash), count)| (u64::MAX - **count, *hash, *span));
        for ((span, hash), count) in all {
            let Some(operation) = found.spans.get(span) else {
                others += count;
                continue;
            };
            let Some(stack) = stacks.get(*hash) else {
                tally.without_stack(*count);
                continue;
            };
            tally.add(stack, *count);
            let id: String = span.iter().map(|byte| format!("{byte:02x}")).collect();
            let mut labels =
                vec![("route".to_owned(), operation.to_string()), ("span_id".to_owned(), id)];
            labels.extend(stack.goid.map(|goid| ("goroutine".to_owned(), goid.to_string())));
            let stack = namer.stack(profile, stack);
            profile.samples.push(Sample { stack, values: values(*count), labels });
        }
        let mut notes = Vec::new();
        let mut say = |count: u64, what: &str| {
            if count > 0 {
                notes.push(format!("{count} samples {what}"));
            }
        };
        say(self.of_none, "belong to no request, and are not shown");
        say(others, "are of requests of other routes, or that had not ended, and are not shown");
        say(self.full, "are left out: there were too many requests");
        (tally, notes)
    }
}

/// What there was instead, of a route that no request took.
pub(super) fn nothing(traced: &Traced<'_>, route: &str) -> String {
    let found = traced.finish();
    if !found.operations.is_empty() {
        return format!("no sample is of a request of {route}: profile longer");
    }
    match found.routes() {
        None => "no request ended meanwhile".to_owned(),
        Some(routes) => format!("no request took {route}; there were: {routes}"),
    }
}

/// `gotap profile wall --route`: looks at the goroutines that serve requests of the route.
pub(super) fn wall(
    context: &Context<'_, '_, '_>,
    traced: &Traced<'_>,
    route: &str,
) -> Result<Collected> {
    let (target, symbols) = (context.target, context.symbols);
    let began = unix_nanoseconds();
    let duration = context.args.duration();
    let elapsed = xray::look_only(traced.watched, traced.instance, target, symbols, duration)?;
    let found = traced.finish();
    let mut profile = Profile::new(vec![ValueType::new("wall", "nanoseconds")]);
    profile.period = Some((ValueType::new("wall", "nanoseconds"), 1));
    profile.time = i64::try_from(began).unwrap_or(0);
    profile.duration = i64::try_from(elapsed.as_nanos()).unwrap_or(i64::MAX);
    profile.mappings.push(main_mapping(target));
    for (operation, requests) in &found.operations {
        add(&mut profile, &operation.to_string(), &requests.sums);
    }
    if profile.samples.is_empty() {
        bail!("process {}: {}", context.args.pid, nothing(traced, route));
    }
    let count: u64 = found.operations.values().map(|of| of.count).sum();
    let took: u64 = found.operations.values().map(|of| of.took).sum();
    let (seconds, took) = (elapsed.as_secs_f64(), took as f64 / 1e9);
    let what = format!("{took:.2} s of {count} requests of {route} in {seconds:.1} s");
    let notes = vec!["`gotap xray` tells more, also of the goroutines that they start".to_owned()];
    Ok(Collected { profile, seconds, what, notes })
}

/// What requests of a route did, with what they waited for on top.
fn add(profile: &mut Profile, route: &str, sums: &Sums) {
    let mut stacks: Vec<_> = sums.stacks().collect();
    stacks.sort_by(|a, b| (b.2, a.0, a.1).cmp(&(a.2, b.0, b.1)));
    let mut samples: Vec<(&str, Option<&xray::Stack>, u64)> = Vec::new();
    for (doing, stack, time) in stacks {
        samples.push((doing.name(), Some(stack), time));
    }
    for doing in xray::Doing::ALL {
        let known = sums.stacks().filter(|(of, _, _)| *of == doing).map(|(_, _, time)| time);
        let rest = sums.of(doing).saturating_sub(known.sum());
        samples.push((doing.name(), None, rest));
    }
    samples.push(("unknown", None, sums.unknown));
    for (state, stack, time) in samples.into_iter().filter(|(_, _, time)| *time > 0) {
        let mut locations = vec![profile.location(plain(&format!("[{state}]")))];
        match stack {
            None => locations.push(profile.location(plain("(stack not known)"))),
            Some(stack) => locations.extend(stack.iter().map(|place| {
                let (function, file) = ((*place.function).into(), (*place.file).into());
                let frames = vec![Frame { function, file, line: place.line, start_line: 0 }];
                profile.location(Location { address: 0, mapping: None, frames })
            })),
        }
        let labels = [("state", state), ("route", route)];
        let labels = labels.map(|(key, text)| (key.to_owned(), text.to_owned())).to_vec();
        let values = vec![i64::try_from(time).unwrap_or(i64::MAX)];
        profile.samples.push(Sample { stack: locations, values, labels });
    }
}
