//! `gotap gc PID -d 10s`: each collection of a process while it happens, and at the end what they add up to.
//!
//! A trap each time that goroutines run again, which is two a collection, reads what the runtime has noted of
//! it. Printing is in `print`.

use std::time::Instant;

use anyhow::{Result, bail};
use goruntime::cycles::{self, Cycles, Happened};
use probes::{Features, GcObserver, GcPlan};
use wire::{CollectedCounter, WorldStart};

use super::print::Printer;
use super::sums::Sums;
use crate::cli::{Format, GcArgs};
use crate::live::{PAUSE, Until, clock_offset};
use crate::opened::{Target, plain};
use crate::output::note;

/// Between looks whether the process still runs the same program.
const CHECK: std::time::Duration = std::time::Duration::from_secs(1);

/// Follows the collections until the time is over, the user stops it, or the program has ended.
pub(super) fn run(args: &GcArgs, target: &Target<'_, '_>) -> Result<()> {
    goproc::check_pids()?;
    let pid = args.memory.pid;
    let mut until = Until::new(args.duration)?;
    target.refuse_plugins()?;
    agree(target)?;
    let plan = match GcPlan::new(target.binary) {
        Ok(plan) => plan,
        Err(why) => bail!("collections of process {pid} can't be observed: {why}"),
    };
    let features = Features::probe();
    let features = if args.no_uprobe_multi { features.without_uprobe_multi() } else { features };
    let places = cycles::places(&target.layout, target.bias);
    let observer = GcObserver::attach(features, &plan, pid, &target.file()?, places)?;
    // Only then: what happens from now on is seen.
    let words = cycles::words(&target.memory, &target.layout, target.bias).map_err(plain)?;
    let cycles = match Cycles::new(&words) {
        Ok(cycles) => cycles,
        Err(missing) => bail!("collections of process {pid} can't be observed: {}", missing.why),
    };
    let is_json = args.memory.format == Format::Json;
    let mut follower = Follower {
        target,
        observer,
        cycles,
        tells_reason: plan.tells_reason,
        printer: Printer::new(is_json, crate::opened::monotonic()),
        sums: Sums::default(),
    };
    note(format!("ready, following collections of {}[{pid}]", target.service));
    until.begin();
    follower.follow(&until)?;
    follower.finish(&until)
}

/// Fails where the runtime's counts of collections contradict each other, also when they are read again.
fn agree(target: &Target<'_, '_>) -> Result<()> {
    const ATTEMPTS: u32 = 4;
    let mut why = String::new();
    for _ in 0..ATTEMPTS {
        let (_, counters) = super::read(target)?;
        if counters.collections.is_some() {
            return Ok(());
        }
        let missing = counters.missing.into_iter().find(|missing| missing.what == "collections");
        why = missing.map(|missing| missing.why).unwrap_or_default();
    }
    bail!("collections of process {} can't be observed: {why}", target.process.pid)
}

struct Follower<'t, 'a, 'd> {
    target: &'t Target<'a, 'd>,
    observer: GcObserver,
    cycles: Cycles,
    tells_reason: bool,
    printer: Printer,
    sums: Sums,
}

impl Follower<'_, '_, '_> {
    fn follow(&mut self, until: &Until) -> Result<()> {
        let mut checked = Instant::now();
        while !until.is_over() {
            self.read()?;
            let process = self.target.process;
            if checked.elapsed() > CHECK {
                checked = Instant::now();
                if process.is_alive() && self.target.check().is_err() {
                    note(format!("process {} runs another program by now", process.pid));
                    return Ok(());
                }
                self.printer.running(&self.sums, until.elapsed())?;
            }
            if !process.is_alive() {
                note(format!("process {} has ended", process.pid));
                return Ok(());
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    fn read(&mut self) -> Result<bool> {
        let events = self.observer.read()?;
        let more = !events.is_empty();
        let offset = clock_offset();
        for event in events {
            match event {
                Ok(event) => self.event(&event, offset)?,
                Err(_) => self.sums.unclear += 1,
            }
        }
        self.printer.flush()?;
        Ok(more)
    }

    fn event(&mut self, event: &WorldStart, offset: u64) -> Result<()> {
        match self.cycles.add(&event.words) {
            Happened::Began => {}
            Happened::Ended(cycle, missed) => {
                self.sums.cycle(&cycle, missed);
                self.printer.cycle(&cycle, offset)?;
            }
            Happened::Unclear(missed) => {
                self.sums.missed += u64::from(missed);
                self.sums.unclear += 1;
            }
            Happened::Other => {
                let reason = cycles::stop_reason(event.reason).filter(|_| self.tells_reason);
                // When all run again the runtime itself takes a little later.
                let lasted = event.time_ns.checked_sub(event.stopped_at);
                let lasted = lasted.filter(|n| self.tells_reason && *n < 1 << 40);
                self.sums.other(reason.unwrap_or("unknown"), lasted);
                self.printer.other(reason, lasted, event.time_ns)?;
            }
        }
        Ok(())
    }

    /// Detaches, reads what is left, and prints the summary.
    fn finish(mut self, until: &Until) -> Result<()> {
        let elapsed = until.elapsed();
        self.observer.detach();
        while self.read()? {}
        self.sums.lost_events = self.observer.count(CollectedCounter::RingFull)?;
        self.printer.summary(self.target, &self.sums, elapsed)?;
        // One may have been loaded meanwhile.
        self.target.refuse_plugins_unless_ended()
    }
}
