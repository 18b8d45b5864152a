//! Allocations by traps, where Go's own profiler samples none, or where each one is to be seen.
//!
//! Sampled: a trap each time that a processor takes a new span for a size class, and at each large object. Who
//! takes it is a sample of who allocates in that class; how much there was in all the runtime counts itself.
//! Exact: a trap at each allocation, whatever the Go version calls to make one. Both are under the overhead
//! budget. Not here: Go's own buckets.

use std::collections::HashMap;

use anyhow::{Result, bail};
use gobin::Binary;
use goruntime::{Position, SizeClasses, Symbols};
use probes::{Counted, Features, Meter, Metered};
use wire::MeterFlag;

use super::Read;
use super::sums::Sums;
use crate::cli::AllocArgs;
use crate::governor::{Coverage, Watch};
use crate::live::Until;
use crate::opened::Target;

const REFILL: u32 = 0;
const LARGE: u32 = 1;
const MALLOC: u32 = 2;

/// Pages of large objects.
const PAGE: u64 = 8192;
/// The largest object that has a size class.
const LARGEST_SMALL: u64 = 32768;

/// What was seen.
pub(super) struct Seen {
    counts: Vec<Counted>,
    pub(super) coverage: Coverage,
    /// Hits that found no room, and those whose stack is not known.
    lost: (u64, u64),
    exact: bool,
}

/// Meters allocations for a while; gives what the runtime counted at both ends of it, too.
pub(super) fn watch(
    args: &AllocArgs,
    target: &Target<'_, '_>,
    until: &mut Until,
) -> Result<(Seen, Read, Read)> {
    goproc::check_pids()?;
    let pid = args.memory.pid;
    let places = match if args.exact { exact(target.binary) } else { sampled(target.binary) } {
        Ok(places) => places,
        Err(why) => bail!("allocations of process {pid} can't be observed: {why}"),
    };
    let features = Features::probe();
    let features = if args.no_uprobe_multi { features.without_uprobe_multi() } else { features };
    let mut meter = Meter::load(features, pid, target.file()?, target.bias, &places)?;
    let cost = meter.calibrate()?;
    meter.attach()?;
    let before = super::read(target)?;
    until.begin();
    let mut watch = Watch::new(pid, args.overhead_budget, cost);
    while !until.is_over() && target.process.is_alive() {
        watch.look(&mut meter)?;
        std::thread::sleep(crate::governor::LOOK);
    }
    let coverage = watch.coverage();
    let after = super::read(target)?;
    meter.detach();
    let (counts, lost) = (meter.counts()?, meter.lost()?);
    Ok((Seen { counts, coverage, lost, exact: args.exact }, before, after))
}

fn place(
    binary: &Binary<'_>,
    name: &str,
    operation: u32,
    flags: &[MeterFlag],
) -> Result<Metered, String> {
    let function = binary.function(name);
    let function = function.ok_or_else(|| format!("function {name} was not found"))?;
    Metered::entry(binary, &function, operation, flags)
}

fn sampled(binary: &Binary<'_>) -> Result<Vec<Metered>, String> {
    let refill = [MeterFlag::Stack, MeterFlag::SecondByte];
    let large = [MeterFlag::Stack, MeterFlag::SecondSize];
    Ok(vec![
        place(binary, "runtime.(*mcache).refill", REFILL, &refill)?,
        place(binary, "runtime.(*mcache).allocLarge", LARGE, &large)?,
    ])
}

/// Where all allocations begin.
fn exact(binary: &Binary<'_>) -> Result<Vec<Metered>, String> {
    let flags = [MeterFlag::Stack, MeterFlag::Size];
    let mut out = vec![place(binary, "runtime.mallocgc", MALLOC, &flags)?];
    for function in binary.functions().functions().filter(|f| is_specialised(f.name)) {
        out.push(Metered::entry(binary, &function, MALLOC, &flags)?);
    }
    if out.len() > wire::METER_SITES {
        return Err(format!("there are {} functions that allocate", out.len()));
    }
    Ok(out)
}

/// Since Go 1.26 there are functions for single sizes, which compiled code calls by itself.
fn is_specialised(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("runtime.mallocgc") else { return false };
    ["SmallNoScanSC", "SmallScanNoHeaderSC", "TinySC", "TinySize"].iter().any(|kind| {
        let number = rest.strip_prefix(kind);
        number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    })
}

impl Seen {
    /// What the numbers come from.
    pub(super) fn source(&self) -> &'static str {
        match (self.exact, self.coverage.is_whole()) {
            (true, true) => "every allocation",
            (true, false) => "every allocation in windows",
            (false, _) => "samples of spans and large objects",
        }
    }

    /// Whether each allocation was seen.
    pub(super) fn is_whole(&self) -> bool {
        self.exact && self.coverage.is_whole() && self.lost.0 == 0
    }

    /// Added up by function. `counted` is what the runtime counted meanwhile.
    pub(super) fn sums<'d>(
        &self,
        symbols: &Symbols<'_, 'd>,
        bias: u64,
        counted: Option<&SizeClasses>,
    ) -> Result<Sums<'d>> {
        let mut sums = Sums::new(0, 0);
        if self.exact {
            self.add_exact(&mut sums, symbols, bias);
        } else {
            let Some(counted) = counted else {
                bail!(
                    "the runtime's counters by size can't be read, which samples need: use --exact"
                );
            };
            self.add_samples(&mut sums, symbols, bias, counted);
            (sums.bytes, sums.objects) = (counted.bytes() as f64, counted.objects() as f64);
        }
        sums.sort();
        Ok(sums)
    }

    /// Whether a part of the runtime that another one calls was hit: then it is counted there already.
    fn is_inner(one: &Counted, symbols: &Symbols<'_, '_>, bias: u64) -> bool {
        let caller = stack(&[one.caller], symbols, bias);
        caller.first().is_some_and(|frame| frame.function.starts_with("runtime.mallocgc"))
    }

    fn add_exact<'d>(&self, sums: &mut Sums<'d>, symbols: &Symbols<'_, 'd>, bias: u64) {
        let classes = SizeClasses::sizes();
        // What happened outside of the windows is taken to be alike.
        let scale = 1.0 / self.coverage.share().max(1e-6);
        for one in self.counts.iter().filter(|one| !Self::is_inner(one, symbols, bias)) {
            let size = if one.value > LARGEST_SMALL {
                let each = one.amount / one.count.max(1);
                each.div_ceil(PAGE) * PAGE
            } else {
                let class = classes.partition_point(|size| *size < one.value);
                classes.get(class).copied().unwrap_or(one.value)
            };
            let objects = one.count as f64 * scale;
            sums.add(one.count, objects, objects * size as f64, size, frames(one, symbols, bias));
        }
    }

    fn add_samples<'d>(
        &self,
        sums: &mut Sums<'d>,
        symbols: &Symbols<'_, 'd>,
        bias: u64,
        counted: &SizeClasses,
    ) {
        // The lowest bit of the argument says whether there are pointers in it.
        let class = |one: &Counted| usize::try_from(one.value >> 1).unwrap_or(usize::MAX);
        let mut samples: HashMap<usize, u64> = HashMap::new();
        let of = |operation| self.counts.iter().filter(move |one| one.operation == operation);
        for one in of(REFILL) {
            *samples.entry(class(one)).or_default() += one.count;
        }
        for one in of(REFILL) {
            // Class 0 has none of the small objects.
            let small = class(one).checked_sub(1).and_then(|i| counted.small.get(i));
            let Some((size, objects)) = small else { continue };
            let all = samples.get(&class(one)).copied().unwrap_or(1).max(1);
            let objects = *objects as f64 * one.count as f64 / all as f64;
            sums.add(one.count, objects, objects * *size as f64, *size, frames(one, symbols, bias));
        }
        let all: u64 = of(LARGE).map(|one| one.amount).sum();
        let number: u64 = of(LARGE).map(|one| one.count).sum();
        for one in of(LARGE) {
            let bytes = counted.large_bytes as f64 * one.amount as f64 / all.max(1) as f64;
            let objects = counted.large_objects as f64 * one.count as f64 / number.max(1) as f64;
            let size = one.amount / one.count.max(1);
            sums.add(one.count, objects, bytes, size, frames(one, symbols, bias));
        }
    }

    /// What limits what is shown.
    pub(super) fn notes(&self, sums: &Sums<'_>) -> Vec<String> {
        let mut out = Vec::new();
        match self.coverage.warning() {
            Some(warning) if self.exact => out.push(format!("{warning}; bytes and objects are scaled up")),
            Some(_) => out.push(format!(
                "samples were taken for {:.2} s of {:.2} s, as the overhead budget of {} allows; bytes and objects \
                 are of all of it",
                self.coverage.attached.as_secs_f64(),
                self.coverage.elapsed.as_secs_f64(),
                self.coverage.budget,
            )),
            None => {}
        }
        let (keys, stacks) = self.lost;
        if keys > 0 {
            out.push(format!(
                "{keys} allocations are missing: there are too many different stacks"
            ));
        }
        if stacks > 0 {
            out.push(format!(
                "{stacks} allocations have their caller alone: there are too many stacks"
            ));
        }
        let attributed: f64 = sums.functions.iter().map(|function| function.bytes).sum();
        let rest = 1.0 - attributed / sums.bytes.max(1.0);
        if !self.exact && rest > 0.02 {
            out.push(format!(
                "{:.0} % of the bytes are in size classes without a sample: look for longer",
                100.0 * rest
            ));
        }
        out
    }
}

fn frames<'d>(one: &Counted, symbols: &Symbols<'_, 'd>, bias: u64) -> Vec<Position<'d>> {
    if one.stack.is_empty() {
        return stack(&[one.caller], symbols, bias);
    }
    stack(&one.stack, symbols, bias)
}

/// Frames of addresses behind calls.
fn stack<'d>(addresses: &[u64], symbols: &Symbols<'_, 'd>, bias: u64) -> Vec<Position<'d>> {
    let calls: Vec<u64> =
        addresses.iter().map(|address| address.wrapping_sub(bias).wrapping_sub(1)).collect();
    symbols.stack(&calls)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_for_single_sizes_are_found_and_no_others() {
        for name in ["SmallNoScanSC5", "SmallScanNoHeaderSC26", "TinySC2", "TinySize15"] {
            assert!(is_specialised(&format!("runtime.mallocgc{name}")), "{name}");
        }
        for name in
            ["", "Tiny", "SmallNoscan", "SmallScanSlowPath", "TinySlowPath", "Large", "TinySCx"]
        {
            assert!(!is_specialised(&format!("runtime.mallocgc{name}")), "{name}");
        }
    }
}
