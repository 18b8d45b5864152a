//! `gotap xray`: what the goroutines of slow requests do, by looks at them and by samples of processors. Requests
//! come from tracing; looks stop nothing and trap nothing. Not here: tracing itself (`agent`).

mod look;
mod on_cpu;
mod print;
mod slow;
mod spans;
mod state;
mod table;
mod tally;
mod times;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use goruntime::Symbols;
use probes::{Requests, Served, ServedMaps};

use crate::agent::Targets;
use crate::cli::{Format, XrayArgs};
use crate::live::thread_time;
use crate::opened::{Opened, Target, monotonic};
use crate::output::{line, note};
use look::{INTERVAL, Looker, Pace, SHARE};
use on_cpu::OnCpu;
use print::Shown;

pub(crate) use slow::Looking;
pub(crate) use spans::{Added, Slow};
pub(crate) use state::Doing;
pub(crate) use table::Table;
pub(crate) use tally::{Found, Operation, Tally, Wanted};
pub(crate) use times::{Stack, Sums};

/// Requests that are looked at at once.
const MAX_REQUESTS: usize = 1024;
/// How long to wait until it is looked again whether the agent is ready.
const PAUSE: Duration = Duration::from_millis(20);

/// What the agent knows.
pub(crate) struct Watched {
    pub(crate) maps: ServedMaps,
    pub(crate) targets: Arc<Targets>,
    pub(crate) is_ready: Box<dyn Fn() -> bool + Send>,
    pub(crate) over: Arc<AtomicBool>,
    pub(crate) tally: Arc<Tally>,
    pub(crate) table: Arc<Table>,
}

impl Watched {
    /// Waits until a process is traced; gives its number in the maps. `None` if tracing has ended.
    ///
    /// # Errors
    /// When the process has ended.
    pub(crate) fn wait(&self, pid: u32) -> Result<Option<u32>> {
        while !(self.is_ready)() {
            if self.over.load(Ordering::Relaxed) {
                return Ok(None);
            }
            std::thread::sleep(PAUSE);
        }
        let instance = self.targets.get(pid).map(|target| target.instance);
        instance.map(Some).with_context(|| format!("process {pid} ended"))
    }
}

/// Looks at the requests of a process for so long, and notes what is seen in the table; gives for how long.
pub(crate) fn look_only<'a, 'd>(
    watched: &Watched,
    instance: u32,
    target: &Target<'a, 'd>,
    symbols: &Symbols<'a, 'd>,
    duration: Duration,
) -> Result<Duration> {
    let requests = Requests::load(&watched.maps, watched.tally.early())?;
    let mut looker = Looker::new(target, symbols, &watched.table);
    let looks = follow(watched, duration, instance, &requests, &mut looker, || Ok(()))?;
    Ok(looks.elapsed)
}

/// What the looks themselves found out.
struct Looks {
    /// Looks at the process.
    count: u64,
    pace: Pace,
    /// Looks that had more requests than are looked at.
    many_requests: u64,
    /// Looks that failed.
    failed: u64,
    /// For how long.
    elapsed: Duration,
}

/// Looks at the requests of a process for as long as it was asked for, and prints what was found. `end` ends the
/// tracing and waits for its last spans.
pub(crate) fn look(watched: &Watched, args: &XrayArgs, end: impl FnOnce()) -> Result<()> {
    let pid = args.pid;
    let Some(instance) = watched.wait(pid)? else { return Ok(()) };
    let opened = Opened::new(pid)?;
    let binary = opened.binary()?;
    let types = binary.types();
    let target = opened.target(&binary, &types)?;
    let symbols = Symbols::new(&binary, &types);
    let requests = Requests::load(&watched.maps, watched.tally.early())?;
    let served = Served { maps: &watched.maps, instance };
    let mut on_cpu = OnCpu::start(&target, &types, served);
    let mut looker = Looker::new(&target, &symbols, &watched.table);
    let read = || on_cpu.read();
    let looks = follow(watched, args.duration, instance, &requests, &mut looker, read)?;
    on_cpu.stop();
    let now = monotonic();
    end();
    // Those that ended while the tracing ended are not among these any more.
    let (left, gone) = watched.table.drain(now);
    if looks.elapsed.is_zero() {
        bail!("process {pid} ended before it was looked at");
    }
    let found = watched.tally.found();
    let naming = on_cpu.of(&found, &target, &symbols);
    let running = tally::running(left, watched.tally.early());
    let shown = Printed { args, looker: &looker, found: &found, running: &running };
    shown.all(naming, on_cpu.missing())?;
    shown.notes(&looks, watched, gone).iter().for_each(note);
    Ok(())
}

/// Looks until the time is over, the process ends or the user stops it.
fn follow(
    watched: &Watched,
    duration: Duration,
    instance: u32,
    requests: &Requests,
    looker: &mut Looker<'_, '_, '_>,
    mut now_and_then: impl FnMut() -> Result<()>,
) -> Result<Looks> {
    let started = Instant::now();
    let (pace, mut drained) = (Pace::new(INTERVAL, SHARE), Instant::now());
    let (count, many_requests, failed, elapsed) = (0, 0, 0, Duration::ZERO);
    let mut out = Looks { count, pace, many_requests, failed, elapsed };
    while started.elapsed() < duration && !watched.over.load(Ordering::Relaxed) {
        let (before, at) = (thread_time(), Instant::now());
        let (mut all, more) = requests.read(MAX_REQUESTS)?;
        all.retain(|request| request.instance == instance);
        out.many_requests += u64::from(more);
        match looker.look(&all, out.pace.reach()) {
            Ok(()) => out.count += 1,
            Err(_) => out.failed += 1,
        }
        out.pace.took(thread_time().saturating_sub(before));
        if drained.elapsed() > PAUSE * 5 {
            drained = Instant::now();
            now_and_then()?;
            watched.table.forget(monotonic());
        }
        std::thread::sleep(out.pace.pause().saturating_sub(at.elapsed()));
    }
    out.elapsed = started.elapsed();
    Ok(out)
}

/// What is printed at the end.
struct Printed<'p, 'c, 'a, 'd> {
    args: &'p XrayArgs,
    looker: &'p Looker<'c, 'a, 'd>,
    found: &'p tally::Found,
    running: &'p tally::Requests,
}

impl Printed<'_, '_, '_, '_> {
    fn all(&self, mut on_cpu: on_cpu::ByOperation, missing: Option<&str>) -> Result<()> {
        let mut all: Vec<_> = self.found.operations.iter().map(|(o, r)| (Some(o), r)).collect();
        all.sort_by_key(|(_, requests)| u64::MAX - requests.took);
        // The route of these requests is not known yet.
        if self.args.route.is_none() && self.running.count > 0 {
            all.push((None, self.running));
        }
        for (operation, requests) in all {
            let on_cpu = operation.and_then(|operation| on_cpu.remove(operation));
            let shown = Shown {
                operation,
                requests,
                on_cpu: on_cpu.unwrap_or_default(),
                knows_started: self.looker.knows_parents,
                top: self.args.top,
            };
            match self.args.format {
                Format::Json => line(shown.json())?,
                Format::Text => shown.text()?,
            }
        }
        if let Some(why) = missing {
            note(format!("where requests run is not known: {why}"));
        }
        Ok(())
    }

    /// What limits what was printed, and why there may be nothing.
    fn notes(&self, looks: &Looks, watched: &Watched, gone: u64) -> Vec<String> {
        let (args, found, counts) = (self.args, self.found, watched.table.counts());
        let mut out = Vec::new();
        let slow = humantime::format_duration(args.slower_than.into());
        if found.operations.is_empty() && found.others > 0 {
            let route = args.route.as_deref().unwrap_or_default();
            let routes = found.routes().unwrap_or_default();
            out.push(format!("no request took {route}; there were: {routes}"));
        } else if found.operations.is_empty() && found.quick > 0 {
            let quick = found.quick;
            out.push(format!("none of {quick} requests took longer than {slow}: --slower-than"));
        } else if found.operations.is_empty() {
            out.push("no request ended meanwhile".to_owned());
        }
        let mut say = |count: u64, what: &str| {
            if count > 0 {
                out.push(format!("{count} {what}"));
            }
        };
        say(found.quick, &format!("requests took {slow} or less and are not shown"));
        say(found.full, "requests are left out: there were more than 1000 routes");
        say(counts.full, "looks at requests are left out: more than 16384 ran at once");
        say(looks.many_requests, "looks had more than 1024 requests, and left the others out");
        say(looks.failed, "looks failed, as the process could not be read");
        say(counts.forgotten + gone, "requests were seen, and no span of them came");
        say(self.looker.many, "times a request had more goroutines than are looked at");
        if args.route.is_some() {
            say(self.running.count, "requests were still running: their route is not known yet");
        }
        if !self.looker.knows_parents {
            out.push("which goroutines requests start is known since Go 1.21".to_owned());
        }
        let pause = looks.elapsed / u32::try_from(looks.count).unwrap_or(u32::MAX).max(1);
        if looks.pace.longest > INTERVAL * 2 {
            out.push(format!(
                "looked every {:.1} ms on average, and not every 5 ms, to use no more than a 20th of a processor",
                pause.as_secs_f64() * 1e3
            ));
        }
        out
    }
}
