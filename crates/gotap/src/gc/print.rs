//! Collections as lines of text, or of JSON.

use std::io::{BufWriter, Stdout, Write, stdout};
use std::time::Duration;

use anyhow::Result;
use goruntime::cycles::Cycle;
use serde_json::{Value, json};

use super::sums::Sums;
use crate::opened::Target;

/// How often text says what the collections add up to so far.
const RUNNING: Duration = Duration::from_secs(10);

/// Prints them.
pub(super) struct Printer {
    output: BufWriter<Stdout>,
    is_json: bool,
    /// Where the times of text begin.
    began: u64,
    said: Duration,
    has_heading: bool,
}

impl Printer {
    pub(super) fn new(is_json: bool, began: u64) -> Self {
        let output = BufWriter::new(stdout());
        Self { output, is_json, began, said: Duration::ZERO, has_heading: false }
    }

    pub(super) fn flush(&mut self) -> Result<()> {
        Ok(self.output.flush()?)
    }

    /// One collection. `offset` leads from its clock to the time of day.
    pub(super) fn cycle(&mut self, cycle: &Cycle, offset: u64) -> Result<()> {
        if self.is_json {
            return Ok(writeln!(self.output, "{}", cycle_json(cycle, offset))?);
        }
        if !self.has_heading {
            self.has_heading = true;
            writeln!(
                self.output,
                "{:>7} {:>9}  {:<7} {:>9} {:>19}  {:>29} {:>9}  {:>6}  assist+background",
                "cycle", "at", "trigger", "took", "pauses", "heap: before→end→live", "goal", "CPU"
            )?;
        }
        let at = cycle.start.saturating_sub(self.began);
        let heap = [cycle.heap_before, cycle.heap_at_end, cycle.heap_marked].map(mebibytes);
        let pauses = cycle.pauses.map(|pause| time(pause.nanoseconds));
        writeln!(
            self.output,
            "{:>7} {:>8.3}s  {:<7} {:>9} {:>19}  {:>29} {:>9}  {:>6}  {}",
            cycle.number,
            at as f64 / 1e9,
            cycle.trigger.map_or("?", goruntime::cycles::Trigger::name),
            time(cycle.nanoseconds()),
            pauses.join("+"),
            format!("{} MiB", heap.join("→")),
            format!("{} MiB", mebibytes(cycle.goal)),
            percent(cycle.cpu_fraction()),
            [cycle.assist, cycle.background].map(|n| n.map_or_else(unknown, time)).join("+"),
        )?;
        Ok(())
    }

    /// A stop for something else. JSON has their sums at the end.
    pub(super) fn other(
        &mut self,
        reason: Option<&'static str>,
        lasted: Option<u64>,
        at: u64,
    ) -> Result<()> {
        if !self.is_json {
            let at = at.saturating_sub(self.began) as f64 / 1e9;
            let lasted = lasted.map(|n| format!(", {}", time(n))).unwrap_or_default();
            let reason = reason.unwrap_or("no collection");
            writeln!(self.output, "{:>7} {at:>8.3}s  stopped for {reason}{lasted}", "")?;
        }
        Ok(())
    }

    /// What they add up to so far, now and then.
    pub(super) fn running(&mut self, sums: &Sums, elapsed: Duration) -> Result<()> {
        if !self.is_json && elapsed >= self.said + RUNNING {
            self.said = elapsed;
            writeln!(self.output, "so far: {}", sentence(sums, elapsed))?;
            self.flush()?;
        }
        Ok(())
    }

    pub(super) fn summary(
        &mut self,
        target: &Target<'_, '_>,
        sums: &Sums,
        elapsed: Duration,
    ) -> Result<()> {
        if self.is_json {
            writeln!(self.output, "{}", summary_json(target, sums, elapsed))?;
            return self.flush();
        }
        writeln!(self.output, "\n{}", sentence(sums, elapsed))?;
        for (reason, (count, lasted)) in &sums.other {
            let lasted = lasted.map(|n| format!(", {} in all", time(n))).unwrap_or_default();
            writeln!(self.output, "stopped {count} times for: {reason}{lasted}")?;
        }
        if sums.missed + sums.unclear + sums.lost_events > 0 {
            writeln!(
                self.output,
                "not shown: {} collections, {} that contradict themselves; {} events did not fit",
                sums.missed, sums.unclear, sums.lost_events
            )?;
        }
        self.flush()
    }
}

fn sentence(sums: &Sums, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64().max(1e-9);
    if sums.cycles == 0 {
        return format!("no collection in {seconds:.1} s");
    }
    let about = if sums.pauses.is_estimated() { "≈" } else { "" };
    let quantile = |share| {
        let length = sums.pauses.quantile(share);
        length.map_or_else(unknown, |n| format!("{about}{}", time(n)))
    };
    format!(
        "{} collections in {seconds:.1} s ({} forced); goroutines stopped for {} in all, p50 {}, p99 {}, \
         longest {}; collections took {} of the processor time",
        sums.cycles,
        sums.forced,
        sums.paused.map_or_else(unknown, time),
        quantile(0.5),
        quantile(0.99),
        sums.pauses.longest().map_or_else(unknown, time),
        percent(sums.cpu_fraction()),
    )
}

fn cycle_json(cycle: &Cycle, offset: u64) -> Value {
    let unix = |at: u64| at.wrapping_add(offset);
    let pauses = cycle.pauses.map(|pause| {
        json!({
            "reason": pause.reason,
            "startUnixNano": unix(pause.start),
            "nanos": pause.nanoseconds,
        })
    });
    let [sweep, mark, termination] = cycle.phases;
    json!({
        "cycle": cycle.number,
        "trigger": cycle.trigger.map(goruntime::cycles::Trigger::name),
        "startUnixNano": unix(cycle.start),
        "durationNanos": cycle.nanoseconds(),
        "phases": {
            "sweepTerminationNanos": sweep,
            "markNanos": mark,
            "markTerminationNanos": termination,
        },
        "pauses": pauses,
        "heapBeforeBytes": cycle.heap_before,
        "heapAtEndBytes": cycle.heap_at_end,
        "heapMarkedBytes": cycle.heap_marked,
        "heapGoalBytes": cycle.goal,
        "assistCpuNanos": cycle.assist,
        "backgroundCpuNanos": cycle.background,
        "idleCpuNanos": cycle.idle,
        "pausedCpuNanos": cycle.stopped,
        "cpuFraction": cycle.cpu_fraction(),
        "maxProcessors": cycle.processors,
    })
}

fn summary_json(target: &Target<'_, '_>, sums: &Sums, elapsed: Duration) -> Value {
    let other = sums.other.iter().map(
        |(reason, (count, lasted))| json!({"reason": reason, "count": count, "nanos": lasted}),
    );
    let last = sums.last.as_ref();
    json!({"summary": {
        "pid": target.process.pid,
        "service": target.service,
        "goVersion": target.binary.build_info().go_version,
        "seconds": elapsed.as_secs_f64(),
        "cycles": sums.cycles,
        "forced": sums.forced,
        "durationNanos": sums.duration,
        "pauseTotalNanos": sums.paused,
        "pauseNanos": {
            "p50": sums.pauses.quantile(0.5),
            "p99": sums.pauses.quantile(0.99),
            "max": sums.pauses.longest(),
            "estimated": sums.pauses.is_estimated(),
        },
        "assistCpuNanos": sums.assist,
        "backgroundCpuNanos": sums.background,
        "idleCpuNanos": sums.idle,
        "pausedCpuNanos": sums.stopped,
        "cpuFraction": sums.cpu_fraction(),
        "heapMarkedBytes": last.and_then(|cycle| cycle.heap_marked),
        "heapGoalBytes": last.and_then(|cycle| cycle.goal),
        "otherStops": other.collect::<Vec<_>>(),
        "lost": {
            "cycles": sums.missed,
            "unclear": sums.unclear,
            "events": sums.lost_events,
        },
    }})
}

fn unknown() -> String {
    "?".to_owned()
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(unknown, |share| format!("{:.1} %", 100.0 * share))
}

fn mebibytes(bytes: Option<u64>) -> String {
    bytes.map_or_else(unknown, |n| format!("{:.1}", n as f64 / f64::from(1 << 20)))
}

fn time(nanoseconds: u64) -> String {
    match nanoseconds {
        n if n < 10_000 => format!("{n}ns"),
        n if n < 10_000_000 => format!("{}µs", n / 1000),
        n if n < 10_000_000_000 => format!("{}ms", n / 1_000_000),
        n => format!("{}s", n / 1_000_000_000),
    }
}
