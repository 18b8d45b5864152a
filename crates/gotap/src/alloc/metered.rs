//! Allocations by traps, where Go's own profiler samples none, or where each one is to be seen.
//!
//! Sampled: a trap each time that a processor takes a new span for a size class, and at each large object. Who takes the
//! place of a full span is a sample of who allocates in that class, for as many objects as the span has served; how much
//! there was in all the runtime counts itself. Who takes the first span after a garbage collection, which takes all of
//! them away, is no sample, and does not count.
//! Exact: a trap at each allocation, whatever the Go version calls to make one. Both are under the overhead
//! budget. Not here: Go's own buckets.

use std::ops::Range;

use anyhow::{Context as _, Result, bail};
use gobin::{Binary, Types};
use goruntime::{Position, SizeClasses, Symbols};
use probes::{Counted, Features, Meter, Metered, MeteredRequests};
use wire::{MeterFlag, MeterSpans};

use super::Read;
use super::routes::ByRequest;
use super::sums::Sums;
use super::weigh::{Hit, LARGE, MALLOC, REFILL, Weights};
use crate::cli::AllocArgs;
use crate::governor::{Coverage, Watch};
use crate::live::{Latest, Until};
use crate::opened::Target;
use crate::profile::Traced;

/// What calls functions that allocate objects of single sizes.
const INNER: &str = "runtime.mallocgc";

/// What was seen.
pub(super) struct Seen {
    counts: Vec<Counted>,
    pub(super) coverage: Coverage,
    /// Hits that found no room, and those whose stack is not known.
    lost: (u64, u64),
    /// Spans that could not be read: how many objects they served is not known.
    spans_unread: u64,
    exact: bool,
    /// The addresses of [`INNER`]: the kernel leaves out what is called from there when it counts by request.
    inner: Range<u64>,
    /// By request, where that was asked for.
    requests: Option<ByRequest>,
}

/// Meters allocations for a while; gives what the runtime had counted before, and a moment ago, too.
pub(super) fn watch(
    args: &AllocArgs,
    target: &Target<'_, '_>,
    types: &Types<'_, '_>,
    until: &mut Until,
    traced: Option<&Traced<'_>>,
) -> Result<(Seen, Read, Latest<Read>)> {
    goproc::check_pids()?;
    target.refuse_plugins()?;
    let pid = args.memory.pid;
    let places = match if args.exact { exact(target.binary) } else { sampled(target.binary) } {
        Ok(places) => places,
        Err(why) => bail!("allocations of process {pid} can't be observed: {why}"),
    };
    let features = Features::probe();
    let features = if args.no_uprobe_multi { features.without_uprobe_multi() } else { features };
    let told_apart = match traced.map(|traced| {
        let (binary, bias, served) = (target.binary, target.bias, traced.served());
        // Samples are taken where only one function of the runtime calls.
        let inner = if args.exact { INNER } else { "" };
        MeteredRequests::new(binary, types, bias, served, inner)
    }) {
        Some(Err(why)) => bail!("requests of process {pid} can't be told apart: {why}"),
        Some(Ok(told_apart)) => Some(told_apart),
        None => None,
    };
    let file = target.file()?;
    let mut meter = Meter::load(features, pid, file, target.bias, &places, told_apart.as_ref())?;
    if !args.exact {
        meter.read_spans(spans(types).with_context(|| {
            format!(
                "allocations of process {pid} can't be sampled: the type descriptors of runtime.mcache and \
                 runtime.mspan were not found; use --exact"
            )
        })?)?;
    }
    let cost = meter.calibrate()?;
    let mut requests = told_apart.map(|told_apart| ByRequest::new(told_apart.knows_started()));
    meter.attach()?;
    let before = super::read(target)?;
    let mut latest = Latest::new();
    until.begin();
    let mut watch = Watch::new(pid, args.overhead_budget, cost);
    while !until.is_over() && target.process.is_alive() {
        watch.look(&mut meter)?;
        if let Some(requests) = &mut requests {
            requests.now_and_then(&mut meter, &mut watch)?;
        }
        latest.renew(|| super::read(target));
        std::thread::sleep(crate::governor::LOOK);
    }
    let coverage = watch.coverage();
    target.refuse_plugins_unless_ended()?;
    meter.detach();
    if let Some(requests) = &mut requests {
        requests.read_all(&mut meter)?;
    }
    let inner = target.binary.function(INNER).map_or(0..0, |inner| inner.entry..inner.end);
    let seen = Seen {
        counts: meter.counts()?,
        coverage,
        lost: meter.lost()?,
        spans_unread: meter.spans_unread()?,
        exact: args.exact,
        inner,
        requests,
    };
    Ok((seen, before, latest))
}

/// Where `refill` finds the span that it replaces.
fn spans(types: &Types<'_, '_>) -> Option<MeterSpans> {
    let at = |name, field| u32::try_from(types.offset(name, &[field])?).ok();
    let nelems_size = u32::try_from(types.field_type("runtime.mspan", "nelems")?.size).ok()?;
    Some(MeterSpans {
        alloc: at("runtime.mcache", "alloc")?,
        nelems: at("runtime.mspan", "nelems")?,
        nelems_size: Some(nelems_size).filter(|size| [2, 8].contains(size))?,
        alloc_bits: at("runtime.mspan", "allocBits")?,
    })
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
    let refill = [MeterFlag::Stack, MeterFlag::SecondByte, MeterFlag::Span];
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
    let Some(rest) = name.strip_prefix(INNER) else { return false };
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

    /// What hits stand for. `counted` is what the runtime counted meanwhile.
    pub(super) fn weights<'c>(&self, counted: Option<&'c SizeClasses>) -> Result<Weights<'c>> {
        if self.exact {
            // What happened outside of the windows is taken to be alike.
            return Ok(Weights::each(1.0 / self.coverage.share().max(1e-6)));
        }
        let Some(counted) = counted else {
            bail!("the runtime's counters by size can't be read, which samples need: use --exact");
        };
        Ok(Weights::of_samples(self.counts.iter().map(Hit::from), counted))
    }

    /// Added up by function.
    pub(super) fn sums<'d>(
        &self,
        symbols: &Symbols<'_, 'd>,
        bias: u64,
        counted: Option<&SizeClasses>,
    ) -> Result<Sums<'d>> {
        let (mut sums, weights) = (Sums::new(0, 0), self.weights(counted)?);
        for one in self.counts.iter().filter(|one| !is_inner(&self.inner, one, bias)) {
            let Some(weight) = weights.of(&one.into()) else { continue };
            let frames = frames(one, symbols, bias);
            sums.add(one.count, weight.objects, weight.bytes, weight.size, frames);
        }
        if let (false, Some(counted)) = (self.exact, counted) {
            (sums.bytes, sums.objects) = (counted.bytes() as f64, counted.objects() as f64);
        }
        sums.sort();
        Ok(sums)
    }

    /// What was counted by request, where that was asked for.
    pub(super) fn requests(&self) -> Option<&ByRequest> {
        self.requests.as_ref()
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
        if self.spans_unread > 0 {
            out.push(format!(
                "{} spans could not be read: their samples are missing",
                self.spans_unread
            ));
        }
        let absurd = self.counts.iter().filter(|one| Hit::from(*one).mean().is_none());
        let absurd: u64 = absurd.map(|one| one.count).sum();
        if absurd > 0 {
            out.push(format!("{absurd} hits are missing: no object, and no span, can be so large"));
        }
        let attributed: f64 = sums.functions.iter().map(|function| function.bytes).sum();
        let rest = 1.0 - attributed / sums.bytes.max(1.0);
        if !self.exact && sums.bytes > 0.0 && rest > 0.02 {
            out.push(format!(
                "{:.0} % of the bytes are in size classes without a sample: no span of theirs was filled between two \
                 garbage collections; look for longer, or use --exact",
                100.0 * rest
            ));
        }
        out
    }
}

/// Whether a part of the runtime was hit that another one has called: then it is counted there already. The
/// kernel decides the same by the same addresses (`bpf/meter.bpf.c`).
fn is_inner(inner: &Range<u64>, one: &Counted, bias: u64) -> bool {
    one.operation == MALLOC && inner.contains(&one.caller.wrapping_sub(bias))
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
    fn what_the_runtime_calls_itself_is_known_by_the_address_of_the_call() {
        let hit = |operation, caller| Counted {
            operation,
            value: 16,
            caller,
            stack: Vec::new(),
            count: 1,
            amount: 16,
        };
        let (inner, bias) = (0x1000..0x1200, 0x5500_0000);
        for (at, expected) in [(0xfff, false), (0x1001, true), (0x11ff, true), (0x1200, false)] {
            assert_eq!(is_inner(&inner, &hit(MALLOC, bias + at), bias), expected, "{at:#x}");
            assert!(!is_inner(&inner, &hit(REFILL, bias + at), bias));
        }
    }

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
