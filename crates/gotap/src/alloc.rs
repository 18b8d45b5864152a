//! `gotap alloc`: what a Go process allocates, by function and by size, read from its memory: what its own
//! profiler has sampled and what its runtime counts. Where the profiler samples nothing, or each allocation is
//! asked for, traps tell who allocates (`metered`); with tracing, also for which requests (`routes`).
//!
//! Without those nothing is attached, and nothing is ever stopped. What the buckets are is in `goruntime`; here they are compared,
//! added up by function, and printed.

mod json;
mod metered;
mod routes;
mod sums;
mod text;
mod weigh;

use std::time::Duration;

use anyhow::{Context, Result, bail};
use goruntime::{AllocationProfile, SizeClasses, Symbols};

use crate::agent;
use crate::cli::{AllocArgs, Format};
use crate::live::{Latest, PAUSE, Until};
use crate::opened::{Opened, Target, plain};
use crate::output::line;
use crate::profile::Traced;
use crate::xray::{Found, Wanted};
use metered::Seen;
use routes::ByRoute;
use sums::{Function, Sums};

/// Frames of a function's stack that are printed.
const FRAMES: usize = 32;

/// What was allocated, over which time.
struct View<'a, 'd> {
    target: &'a Target<'a, 'd>,
    seconds: f64,
    /// Whether all since the start of the program is meant.
    since_start: bool,
    sums: Option<Sums<'d>>,
    /// What traps told, where there were some.
    seen: Option<Seen>,
    /// The same by route, where that was asked for.
    routes: Option<ByRoute>,
    classes: Option<SizeClasses>,
    large: u64,
    top: usize,
    notes: Vec<String>,
}

/// What can be read at one moment.
struct Read {
    profile: AllocationProfile,
    classes: Option<SizeClasses>,
    at: u64,
}

/// Runs the command.
pub(crate) fn run(args: &AllocArgs) -> Result<()> {
    if !args.by_route {
        return show(args, Until::new(args.duration)?, None);
    }
    goproc::check_pids()?;
    let (given, pid) = (args.clone(), args.memory.pid);
    goproc::Process { pid }.check_is_no_thread()?;
    agent::with_requests(pid, Wanted::default(), move |watched, end| {
        let Some(traced) = Traced::new(watched, pid, end)? else { return Ok(()) };
        show(&given, Until::by(watched.over.clone(), given.duration), Some(&traced))
    })
}

fn show(args: &AllocArgs, mut until: Until, traced: Option<&Traced<'_>>) -> Result<()> {
    let opened = Opened::new(args.memory.pid)?;
    let binary = opened.binary()?;
    let types = binary.types();
    let target = opened.target(&binary, &types)?;
    let symbols = Symbols::new(&binary, &types);
    let before = args.duration.map(|_| read(&target)).transpose()?;
    let samples_nothing = before.as_ref().is_some_and(|before| before.profile.rate == 0);
    let traps = args.exact || args.sampled || args.by_route || samples_nothing;
    let (seen, before, latest) = if traps {
        let (seen, before, latest) = metered::watch(args, &target, &types, &mut until, traced)?;
        (Some(seen), Some(before), latest)
    } else {
        let mut latest = Latest::new();
        while before.is_some() && !until.is_over() && target.process.is_alive() {
            latest.renew(|| read(&target));
            std::thread::sleep(PAUSE);
        }
        (None, before, latest)
    };
    let (after, ended) = latest.end(&target, || read(&target))?;
    let found = traced.map(Traced::finish);
    let mut view = view(args, &target, &symbols, (before.as_ref(), &after), (seen, found))?;
    view.notes.extend(ended);
    match args.memory.format {
        Format::Json => line(view.json())?,
        Format::Text => view.print()?,
    }
    if view.sums.is_none() {
        bail!(
            "process {} samples no allocations (runtime.MemProfileRate is 0), so its functions are not \
             known: with -d 10s gotap takes samples itself; or import net/http/pprof in the program, without \
             which the linker leaves Go's profiler out",
            args.memory.pid
        );
    }
    Ok(())
}

fn view<'a, 'd>(
    args: &AllocArgs,
    target: &'a Target<'a, 'd>,
    symbols: &Symbols<'_, 'd>,
    (before, after): (Option<&Read>, &Read),
    (seen, found): (Option<Seen>, Option<Found>),
) -> Result<View<'a, 'd>> {
    let profile = &after.profile;
    let earlier = before.map(|before| &before.profile);
    if earlier.is_some_and(|earlier| earlier.rate != profile.rate) {
        bail!("the program changed runtime.MemProfileRate meanwhile: run the command again");
    }
    let now = after.classes.as_ref();
    let (seconds, classes) = match before {
        Some(before) => {
            let time = Duration::from_nanos(after.at.saturating_sub(before.at));
            let then = before.classes.as_ref();
            (Some(time), now.zip(then).map(|(now, then)| now.since(then)))
        }
        None => (target.age(), now.cloned()),
    };
    let seconds = seconds.context("since when the process runs is not known: use -d")?;
    let sums = match &seen {
        Some(seen) => Some(seen.sums(symbols, target.bias, classes.as_ref())?),
        None => (profile.rate > 0).then(|| Sums::of(profile, earlier, symbols)),
    };
    let routes = match (seen.as_ref().and_then(Seen::requests), &seen, &found) {
        (Some(requests), Some(seen), Some(found)) => {
            Some(requests.by_route(found, &seen.weights(classes.as_ref())?))
        }
        _ => None,
    };
    let mut notes = notes(profile, classes.is_some());
    // It can't be read of one that has ended.
    if target.layout.has_plugins(&target.memory, target.bias).unwrap_or(false) {
        notes.push(
            "functions of plugins have no names: only the main program's are read".to_owned(),
        );
    }
    if let (Some(seen), Some(sums)) = (&seen, &sums) {
        notes.extend(seen.notes(sums));
    }
    notes.extend(routes.iter().flat_map(|routes| routes.notes.iter().cloned()));
    Ok(View {
        target,
        seconds: seconds.as_secs_f64(),
        since_start: before.is_none(),
        notes,
        sums,
        seen,
        routes,
        classes,
        large: args.large,
        top: args.top,
    })
}

fn read(target: &Target<'_, '_>) -> Result<Read> {
    let (memory, layout, bias) = (&target.memory, &target.layout, target.bias);
    let profile = AllocationProfile::read(memory, layout, bias).map_err(plain)?;
    let classes = SizeClasses::read(memory, layout, bias).map_err(plain)?;
    Ok(Read { profile, classes, at: crate::opened::monotonic() })
}

/// What limits what is shown.
fn notes(profile: &AllocationProfile, has_classes: bool) -> Vec<String> {
    let mut out = Vec::new();
    if profile.cut {
        out.push("there are more buckets than gotap reads: older ones are left out".to_owned());
    }
    if profile.changed > 0 {
        out.push(format!("{} buckets changed each time that they were read", profile.changed));
    }
    if !has_classes {
        out.push(
            "the runtime's counters by size can't be read, or contradict each other".to_owned(),
        );
    }
    out
}

impl<'d> View<'_, 'd> {
    /// The source of the numbers by function.
    fn source(&self) -> &'static str {
        if let Some(seen) = &self.seen {
            return seen.source();
        }
        match (&self.sums, self.since_start) {
            (None, _) => "runtime counters",
            (Some(_), true) => "profile buckets since the start",
            (Some(_), false) => "profile buckets",
        }
    }

    fn functions(&self) -> impl Iterator<Item = &Function<'d>> {
        self.sums.iter().flat_map(|sums| &sums.functions).take(self.top)
    }

    /// Those whose objects are large, and have bytes of such.
    fn large(&self) -> Vec<(&Function<'d>, f64, f64)> {
        let all = self.sums.iter().flat_map(|sums| &sums.functions);
        let mut out: Vec<_> = all
            .map(|function| {
                let sizes = function.sizes.iter().filter(|(size, _)| **size >= self.large);
                let add =
                    |sum: (f64, f64), (_, part): (_, &(f64, f64))| (sum.0 + part.0, sum.1 + part.1);
                let (objects, bytes) = sizes.fold((0.0, 0.0), add);
                (function, objects, bytes)
            })
            .filter(|(_, objects, _)| *objects > 0.0)
            .collect();
        out.sort_by(|a, b| b.2.total_cmp(&a.2));
        out.truncate(self.top);
        out
    }

    /// How far an estimate from so many samples is expected to be from the truth, as a share of it.
    fn error(&self, samples: u64) -> Option<f64> {
        let is_whole = self.seen.as_ref().is_some_and(Seen::is_whole);
        (samples > 0).then(|| if is_whole { 0.0 } else { 1.0 / (samples as f64).sqrt() })
    }
}
