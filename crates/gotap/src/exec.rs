//! `gotap trace exec`: programs of the whole host that start and end.
//!
//! Here events are read, chosen and counted. How they are printed is in `print`, what they mean in
//! the crate `host`, how the kernel is asked in `probes`.

mod print;

use std::collections::{HashMap, HashSet};
use std::io::{BufWriter, Stdout, Write, stdout};

use anyhow::Result;
use glob::Pattern;
use goproc::Process;
use host::container;
use host::exec::{Event, Program, What, arguments};
use host::mask::Masker;
use host::processes::{Known, Processes};
use probes::host::Execs;

use crate::cli::{ExecArgs, Format};
use crate::config::Invalid;
use crate::live::{Until, clock_offset};
use crate::opened::monotonic;
use print::{Printer, Tally};

/// Bytes of the arguments of a process that was there before: as many as an event has room for.
const MAX_ARGV: usize = 8192;

/// Runs the command.
pub(crate) fn run(args: &ExecArgs) -> Result<()> {
    let chosen = Choice::new(args)?;
    let masker = if args.no_mask {
        Masker::off()
    } else {
        Masker::new(&args.masks, &args.mask_patterns).map_err(|e| Invalid(e.to_string()))?
    };
    goproc::check_pids()?;
    let mut until = Until::new(args.duration)?;
    // First, so that what starts while /proc is read is seen.
    let execs = Execs::attach(args.buffer)?;
    let processes = read_proc(&args.pids)?;
    crate::output::note("ready, tracing programs that start and end");
    until.begin();
    let printer = Printer::new(BufWriter::new(stdout()), args.format == Format::Json, masker);
    let mut tracing = Tracing { execs, processes, chosen, printer, tally: Tally::default() };
    until.read(|| tracing.read())?;
    tracing.execs.detach();
    while tracing.read()? {}
    tracing.finish(&until)
}

struct Tracing {
    execs: Execs,
    processes: Processes,
    chosen: Choice,
    printer: Printer<BufWriter<Stdout>>,
    tally: Tally,
}

impl Tracing {
    /// Gives whether there were events.
    fn read(&mut self) -> Result<bool> {
        let events = self.execs.read()?;
        let more = !events.is_empty();
        let offset = clock_offset();
        for event in events {
            let Ok(event) = event else {
                self.tally.invalid += 1;
                continue;
            };
            let known = self.processes.add(&event);
            if self.chosen.has(&event, known.as_ref()) {
                self.tally.add(&event);
                self.printer.event(&event, known.as_ref(), offset)?;
            }
        }
        if more {
            self.printer.output.flush()?;
        }
        Ok(more)
    }

    fn finish(mut self, until: &Until) -> Result<()> {
        self.tally.not_remembered = self.processes.not_remembered;
        let counts = self.execs.counts()?;
        self.printer.summary(&self.tally, &counts, until.elapsed())?;
        Ok(self.printer.output.flush()?)
    }
}

/// Which events are printed. Those of one kind are alternatives; all kinds must hold.
struct Choice {
    by_pid: bool,
    names: Vec<Pattern>,
    uids: Vec<u32>,
}

impl Choice {
    fn new(args: &ExecArgs) -> Result<Self> {
        let compile =
            |g: &String| Pattern::new(g).map_err(|e| Invalid(format!("pattern {g:?}: {e}")).into());
        let names = args.names.iter().map(compile).collect::<Result<_>>()?;
        Ok(Self { by_pid: !args.pids.is_empty(), names, uids: args.uids.clone() })
    }

    fn has(&self, event: &Event, known: Option<&Known>) -> bool {
        // They are needed to know what a process runs, and are no news.
        if event.what == What::Forked {
            return false;
        }
        let by_pid = !self.by_pid || known.is_some_and(|known| known.chosen);
        let by_uid = self.uids.is_empty() || self.uids.contains(&event.uid);
        by_pid && by_uid && (self.names.is_empty() || self.has_name(event, known))
    }

    fn has_name(&self, event: &Event, known: Option<&Known>) -> bool {
        let path = known.and_then(|known| known.program.executable.as_deref());
        let file = path.and_then(|path| path.rsplit('/').next());
        let mut names = [Some(event.comm.as_str()), file, path].into_iter().flatten();
        names.any(|name| self.names.iter().any(|pattern| pattern.matches(name)))
    }
}

/// The processes that are there, and which of them were chosen by id or have an ancestor that was.
pub(crate) fn read_proc(pids: &[u32]) -> Result<Processes> {
    for pid in pids {
        let process = Process { pid: *pid };
        process.check_is_no_thread()?;
        if process.start_time().is_none() {
            return Err(goproc::Error::NoSuchProcess(*pid).into());
        }
    }
    let there = goproc::pids()?;
    let parents: HashMap<u32, u32> = there
        .iter()
        .filter(|_| !pids.is_empty())
        .filter_map(|pid| Some((*pid, Process { pid: *pid }.parent()?)))
        .collect();
    let is_chosen = |pid: u32| {
        let mut seen = HashSet::new();
        let mut next = Some(pid);
        // Parents that change meanwhile could be seen as a circle.
        while let Some(pid) = next.filter(|pid| seen.insert(*pid)) {
            if pids.contains(&pid) {
                return true;
            }
            next = parents.get(&pid).copied();
        }
        false
    };
    let mut processes = Processes::default();
    for pid in there {
        processes.found(pid, program(Process { pid }), is_chosen(pid));
    }
    processes.read_at(monotonic());
    Ok(processes)
}

fn program(process: Process) -> Program {
    let read = |file: &str| std::fs::read(process.path(file)).ok();
    let argv = read("cmdline");
    let argv_cut = argv.as_ref().is_some_and(|argv| argv.len() > MAX_ARGV);
    let cgroup = read("cgroup").map(|text| String::from_utf8_lossy(&text).into_owned());
    Program {
        executable: process.executable_path().ok().map(|path| path.to_string_lossy().into_owned()),
        argv: argv.map(|argv| arguments(&argv[..argv.len().min(MAX_ARGV)])),
        argv_cut,
        cgroup: cgroup.and_then(|text| container::cgroup_of_proc(&text)),
    }
}
