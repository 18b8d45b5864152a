//! `gotap profile alloc`, `heap`, `mutex` and `block`: what the program's own profiler keeps, read from its
//! memory, in the same sample types and units as Go writes it.
//!
//! Values are those since the program started, or the difference of two reads.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use goruntime::{AllocationProfile, Site, Symbols, WaitProfile, Waits, scaled};
use profile::{Location, Profile, Sample, ValueType};

use super::naming::{frame, main_mapping, plain as no_code};
use super::wait::End;
use super::{Collected, Context, ticks};
use crate::opened::{Target, plain, unix_nanoseconds};

/// What is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Alloc,
    Heap,
    Mutex,
    Block,
}

/// One read.
pub(super) enum Read {
    Memory(AllocationProfile),
    Waits(WaitProfile),
}

/// Counts of a bucket: for allocations samples and sizes, for waits times and ticks.
type Counts = [f64; 2];

pub(super) fn collect(context: &Context<'_, '_, '_>, kind: Kind) -> Result<Collected> {
    let target = context.target;
    let began = unix_nanoseconds();
    let first = read(target, kind)?;
    first.check(context.args.pid, kind)?;
    // From here on the clock of the processor is compared with the time.
    let ticking = ticks::Ticking::new();
    let duration = match kind {
        Kind::Heap => context.args.duration,
        _ => Some(context.args.duration()),
    };
    let duration = duration.filter(|duration| !duration.is_zero());
    let (before, after, seconds, end) = match duration {
        None => {
            let age = target.age().map_or(0.0, |age| age.as_secs_f64());
            (None, first, age, End::Time)
        }
        Some(duration) => {
            let started = Instant::now();
            let (last, end) = wait(context, kind, duration)?;
            let elapsed = started.elapsed().as_secs_f64();
            (Some(first), last, elapsed, end)
        }
    };
    if end != End::Exited {
        target.check()?;
    }
    if before.as_ref().is_some_and(|before| before.rate() != after.rate()) {
        bail!("the program changed its profiler's rate meanwhile: run the command again");
    }
    let per_second = ticking.per_second();
    let mut profile = profile(target, context.symbols, kind, (before.as_ref(), &after), per_second);
    profile.time = i64::try_from(began).unwrap_or(0);
    #[expect(clippy::cast_possible_truncation, reason = "casts saturate")]
    if before.is_some() {
        profile.duration = (seconds * 1e9) as i64;
    }
    let mut notes = after.notes();
    if profile.samples.is_empty() {
        bail!("process {}: {} in {seconds:.1} s", context.args.pid, kind.nothing());
    }
    notes.extend(end.note(seconds));
    let over = match &before {
        None => format!("since it started {seconds:.0} s ago"),
        Some(_) => format!("in {seconds:.1} s"),
    };
    let what = format!("{} {over}", kind.what(&profile));
    Ok(Collected { profile, seconds, what, notes })
}

/// Waits, and gives the last read that could be done.
fn wait(context: &Context<'_, '_, '_>, kind: Kind, duration: Duration) -> Result<(Read, End)> {
    let stop = context.stop;
    let process = context.target.process;
    // A process that ends takes its buckets along: it is read now and then.
    let pause = Duration::from_millis(500).min(duration);
    let mut last = None;
    let end = stop.wait(process, duration, Some(pause), || {
        if let Ok(read) = read(context.target, kind) {
            last = Some(read);
        }
        Ok(String::new())
    })?;
    if end == End::Exited {
        let Some(last) = last else { bail!("process {} ended at once", context.args.pid) };
        return Ok((last, end));
    }
    Ok((read(context.target, kind)?, end))
}

/// Reads what there is of one kind.
///
/// # Errors
/// When the process can't be read.
pub(super) fn read(target: &Target<'_, '_>, kind: Kind) -> Result<Read> {
    let (memory, layout, bias) = (&target.memory, &target.layout, target.bias);
    let waits = |which| WaitProfile::read(memory, layout, bias, which).map(Read::Waits);
    match kind {
        Kind::Alloc | Kind::Heap => AllocationProfile::read(memory, layout, bias).map(Read::Memory),
        Kind::Mutex => waits(Waits::Mutexes),
        Kind::Block => waits(Waits::Blocking),
    }
    .map_err(plain)
}

/// What there is, or what has changed since an earlier read.
pub(super) fn profile<'d>(
    target: &Target<'_, 'd>,
    symbols: &Symbols<'_, 'd>,
    kind: Kind,
    (before, after): (Option<&Read>, &Read),
    ticks_per_second: f64,
) -> Profile {
    let mut out = kind.profile(after.rate());
    out.mappings.push(main_mapping(target));
    let places = Places { symbols, bias: target.bias };
    fill(&places, kind, &mut out, (before, after), ticks_per_second);
    out
}

/// Names addresses.
struct Places<'p, 'a, 'd> {
    symbols: &'p Symbols<'a, 'd>,
    bias: u64,
}

impl Read {
    /// One sample for how much; 0 where the program's profiler is off.
    pub(super) fn rate(&self) -> u64 {
        match self {
            Self::Memory(profile) => profile.rate,
            Self::Waits(profile) => profile.rate,
        }
    }

    /// That the program's profiler is on.
    pub(super) fn check(&self, pid: u32, kind: Kind) -> Result<()> {
        if self.rate() > 0 {
            return Ok(());
        }
        match kind {
            Kind::Alloc | Kind::Heap => bail!(
                "process {pid} samples no allocations (runtime.MemProfileRate is 0): import net/http/pprof \
                 or runtime/pprof in the program, without which the linker leaves Go's profiler out"
            ),
            Kind::Mutex => bail!(
                "process {pid} samples no contended locks: call runtime.SetMutexProfileFraction in the \
                 program; gotap does not change it"
            ),
            Kind::Block => bail!(
                "process {pid} samples no waits: call runtime.SetBlockProfileRate in the program; gotap does \
                 not change it. `gotap profile wall {pid}` needs no setting"
            ),
        }
    }

    fn notes(&self) -> Vec<String> {
        let (cut, changed) = match self {
            Self::Memory(profile) => (profile.cut, profile.changed),
            Self::Waits(profile) => (profile.cut, profile.changed),
        };
        let mut out = Vec::new();
        if cut {
            out.push("there are more buckets than gotap reads: older ones are left out".to_owned());
        }
        if changed > 0 {
            out.push(format!("{changed} buckets changed each time that they were read"));
        }
        out
    }

    /// Each bucket with what was allocated there and what is in use, or how often and how long was waited.
    fn counts(&self) -> Vec<(&Site, [Counts; 2])> {
        match self {
            Self::Memory(profile) => profile
                .buckets
                .iter()
                .map(|bucket| {
                    let scale = |count: u64| {
                        <[f64; 2]>::from(scaled(count, bucket.site.size, profile.rate))
                    };
                    let (allocated, freed) = bucket.published;
                    let in_use = allocated.saturating_sub(freed);
                    (&bucket.site, [scale(bucket.allocated), scale(in_use)])
                })
                .collect(),
            Self::Waits(profile) => profile
                .buckets
                .iter()
                .map(|bucket| (&bucket.site, [[bucket.count, bucket.cycles as f64], [0.0; 2]]))
                .collect(),
        }
    }
}

impl Kind {
    fn profile(self, rate: u64) -> Profile {
        let count = |kind| ValueType::new(kind, "count");
        let bytes = |kind| ValueType::new(kind, "bytes");
        let rate = i64::try_from(rate).unwrap_or(i64::MAX);
        match self {
            Self::Alloc | Self::Heap => {
                let mut out = Profile::new(vec![
                    count("alloc_objects"),
                    bytes("alloc_space"),
                    count("inuse_objects"),
                    bytes("inuse_space"),
                ]);
                out.default_type = if self == Self::Alloc { 1 } else { 3 };
                out.period = Some((bytes("space"), rate));
                out
            }
            Self::Mutex | Self::Block => {
                let delay = ValueType::new("delay", "nanoseconds");
                let mut out = Profile::new(vec![count("contentions"), delay]);
                out.period = Some((count("contentions"), 1));
                out
            }
        }
    }

    /// What was found, as the beginning of a line.
    fn what(self, profile: &Profile) -> String {
        let total = |kind| profile.total(kind);
        let value = |kind: usize| super::text::value(total(kind), &profile.types[kind].unit);
        match self {
            Self::Alloc => format!("{} and {} objects allocated", value(1), total(0)),
            Self::Heap => {
                format!("{} and {} objects in use, of those allocated", value(3), total(2))
            }
            Self::Mutex => format!("{} waits for locks, {} in all,", total(0), value(1)),
            Self::Block => format!("{} waits, {} in all,", total(0), value(1)),
        }
    }

    fn nothing(self) -> &'static str {
        match self {
            Self::Alloc => "nothing was allocated that its profiler sampled",
            Self::Heap => "its profiler has sampled nothing",
            Self::Mutex => "its profiler sampled no contended lock",
            Self::Block => "its profiler sampled no wait",
        }
    }

    fn is_of_memory(self) -> bool {
        matches!(self, Self::Alloc | Self::Heap)
    }
}

/// Adds a sample for each bucket that has changed.
fn fill(
    places: &Places<'_, '_, '_>,
    kind: Kind,
    profile: &mut Profile,
    (before, after): (Option<&Read>, &Read),
    ticks_per_second: f64,
) {
    let earlier: HashMap<u64, [Counts; 2]> = before
        .iter()
        .flat_map(|read| read.counts())
        .map(|(site, counts)| (site.bucket, counts))
        .collect();
    for (site, counts) in after.counts() {
        let before = earlier.get(&site.bucket).copied().unwrap_or_default();
        let [first, second] = [0, 1].map(|i| [0, 1].map(|j| counts[i][j] - before[i][j]));
        #[expect(clippy::cast_possible_truncation, reason = "casts saturate")]
        let values: Vec<i64> = if kind.is_of_memory() {
            first.into_iter().chain(second).map(|value| value as i64).collect()
        } else {
            vec![first[0] as i64, (first[1] * 1e9 / ticks_per_second) as i64]
        };
        if values.iter().all(|value| *value == 0) {
            continue;
        }
        let stack = stack(places, profile, site, kind.is_of_memory());
        let labels = match kind.is_of_memory() {
            true => vec![("bytes".to_owned(), site.size.to_string())],
            false => Vec::new(),
        };
        profile.samples.push(Sample { stack, values, labels });
    }
}

/// A bucket's stack; of an allocation from the first function that is not the runtime's, as Go shows it.
fn stack(
    places: &Places<'_, '_, '_>,
    profile: &mut Profile,
    site: &Site,
    hide_runtime: bool,
) -> Vec<usize> {
    let named = by_address(places.symbols, &site.stack);
    let is_own = |location: &Location| {
        location.frames.first().is_some_and(|frame| {
            !frame.function.starts_with("runtime.")
                && !frame.function.starts_with("internal/runtime/")
        })
    };
    let hidden = if hide_runtime { named.iter().position(is_own).unwrap_or(0) } else { 0 };
    let mut out = Vec::with_capacity(named.len());
    for mut location in named.into_iter().skip(hidden) {
        location.address = location.address.wrapping_add(places.bias);
        out.push(profile.location(location));
    }
    if out.is_empty() {
        out.push(profile.location(no_code(super::naming::UNKNOWN)));
    }
    out
}

/// As `Symbols::sampled`, but with the addresses. The profiler keeps an address for each frame, so that of
/// each the innermost is meant; the last one may stand for several.
fn by_address(symbols: &Symbols<'_, '_>, addresses: &[u64]) -> Vec<Location> {
    let mut out: Vec<Location> = Vec::with_capacity(addresses.len());
    for (i, address) in addresses.iter().enumerate() {
        let mut frames: Vec<_> = symbols.sampled(&[*address]).iter().map(frame).collect();
        if i + 1 < addresses.len() {
            frames.truncate(1);
        }
        let is_end = frames.first().is_some_and(|frame| &*frame.function == "runtime.goexit");
        let is_left_out = frames.is_empty() || (is_end && i > 0);
        if !is_left_out {
            out.push(Location { address: *address, mapping: Some(0), frames });
        }
    }
    out
}
