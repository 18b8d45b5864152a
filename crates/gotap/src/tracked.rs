//! `gotap trace goroutines`: each goroutine of one process that is created or ends.
//!
//! Here the events are read until the end. What they add up to is in `tally`, how they are printed in
//! `print`, and how the process is observed in the crate `probes`.

mod print;
mod tally;

use std::io::{BufWriter, Write, stdout};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use goruntime::Symbols;
use probes::{Features, Tracker, TrackerPlan};
use wire::Lifecycle;

use crate::cli::{Format, TrackArgs};
use crate::governor::{LOOK, Step, Watch};
use crate::names::Names;
use crate::opened::{Opened, Target, monotonic, unix_nanoseconds};
use crate::output::note;
use print::Printer;
use tally::{Counted, Tally};

/// Between looks whether the process still runs the same program.
const CHECK: Duration = Duration::from_secs(1);

/// Runs the command.
pub(crate) fn run(args: &TrackArgs) -> Result<()> {
    goproc::check_pids()?;
    let stop = Arc::new(AtomicBool::new(false));
    let stopping = stop.clone();
    crate::signals::on_stop(move || stopping.store(true, Ordering::Relaxed))?;
    let opened = Opened::new(args.pid)?;
    let binary = opened.binary()?;
    let types = binary.types();
    let target = opened.target(&binary, &types)?;
    target.refuse_plugins()?;
    let plan = match TrackerPlan::new(&binary) {
        Ok(plan) => plan,
        Err(why) => bail!("goroutines of process {} can't be tracked: {why}", args.pid),
    };
    let features = Features::probe();
    let features = if args.no_uprobe_multi { features.without_uprobe_multi() } else { features };
    let cost = probes::trap_cost(features)?;
    let tracker = Tracker::attach(features, &plan, args.pid, &target.file()?)?;
    let symbols = Symbols::new(&binary, &types);
    let names = Names::new(&symbols, target.bias);
    note(format!(
        "ready, tracking goroutines of {}[{}]; exits are seen in {}",
        target.service, args.pid, plan.exit_function
    ));
    let watch = Watch::new(args.pid, args.overhead_budget, cost);
    let mut tracking = Tracking::new(args, tracker, watch, &target, names);
    tracking.follow(&stop)?;
    tracking.finish()
}

struct Tracking<'t, 's, 'a, 'd> {
    args: &'t TrackArgs,
    tracker: Tracker,
    watch: Watch,
    has_warned: bool,
    target: &'t Target<'a, 'd>,
    printer: Printer<'s, 'a, 'd, BufWriter<std::io::Stdout>>,
    tally: Tally,
    started: Instant,
    /// Records that could not be understood.
    invalid: u64,
}

impl<'t, 's, 'a, 'd> Tracking<'t, 's, 'a, 'd> {
    fn new(
        args: &'t TrackArgs,
        tracker: Tracker,
        watch: Watch,
        target: &'t Target<'a, 'd>,
        names: Names<'s, 'a, 'd>,
    ) -> Self {
        // From the clock of the events to the time of day.
        let offset = unix_nanoseconds().wrapping_sub(monotonic());
        let output = BufWriter::new(stdout());
        let printer = Printer::new(output, args.format == Format::Json, names, offset, monotonic());
        let (tally, started) = (Tally::new(), Instant::now());
        let (invalid, has_warned) = (0, false);
        Self { args, tracker, watch, has_warned, target, printer, tally, started, invalid }
    }

    /// Reads events until the time is over, the user stops it, or the program has ended.
    fn follow(&mut self, stop: &AtomicBool) -> Result<()> {
        let mut checked = Instant::now();
        loop {
            let more = self.read()?;
            if self.watch.look(&mut self.tracker)? == Step::TakeAway {
                self.taken_away()?;
            }
            let over = self.args.duration.is_some_and(|limit| self.started.elapsed() >= limit);
            if over || stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            if !self.target.process.is_alive() {
                note(format!("process {} has ended", self.args.pid));
                return Ok(());
            }
            if checked.elapsed() > CHECK {
                checked = Instant::now();
                if self.target.check().is_err() && self.target.process.is_alive() {
                    note(format!("process {} runs another program by now", self.args.pid));
                    return Ok(());
                }
            }
            if !more {
                std::thread::sleep(LOOK);
            }
        }
    }

    /// The budget is used up for now: what lives is not known any more when it ends.
    fn taken_away(&mut self) -> Result<()> {
        while self.read()? {}
        self.tally.forget();
        if !self.has_warned {
            self.has_warned = true;
            note(format!(
                "tracking takes more than {} of the processor time of process {}: from now on only for \
                 moments (--overhead-budget)",
                self.args.overhead_budget, self.args.pid
            ));
        }
        Ok(())
    }

    /// Gives whether there were events.
    fn read(&mut self) -> Result<bool> {
        let events = self.tracker.read()?;
        let more = !events.is_empty();
        for event in events {
            let Ok(event) = event else {
                self.invalid += 1;
                continue;
            };
            let seen = self.tally.add(&event);
            if !self.args.summary {
                self.printer.event(&event, seen)?;
            }
        }
        if more {
            self.printer.flush()?;
        }
        Ok(more)
    }

    /// Detaches, reads what is left, and prints the summary.
    fn finish(mut self) -> Result<()> {
        let coverage = self.watch.coverage();
        self.tracker.detach();
        while self.read()? {}
        let counted = Counted {
            created: self.tracker.counts(Lifecycle::Created)?,
            exited: self.tracker.counts(Lifecycle::Exited)?,
            invalid: self.invalid,
            coverage,
        };
        self.printer.summary(&self.tally, &counted)?;
        self.printer.flush()?;
        // One may have been loaded meanwhile.
        self.target.refuse_plugins_unless_ended()
    }
}

impl<W: Write> Printer<'_, '_, '_, W> {
    fn flush(&mut self) -> std::io::Result<()> {
        self.output.flush()
    }
}
