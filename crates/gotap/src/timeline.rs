//! `gotap sched PID -o FILE`: a timeline of processors, threads and goroutines.
//!
//! Here the process's memory is looked at again and again; how that becomes slices is in `goruntime::runs`.
//! Nothing is attached. What the resolution was stands in the file, and in what the command prints.

mod chrome;
mod svg;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use goruntime::runs::{Slice, Timeline, Track};
use goruntime::timeline::Sampler;
use goruntime::{Symbols, printed};
use serde_json::{Value, json};

use crate::cli::SchedArgs;
use crate::config::Invalid;
use crate::gc::show;
use crate::live::thread_time;
use crate::names::Names;
use crate::opened::{Opened, Target, plain, unix_nanoseconds};

/// The share of one of the machine's processors that looking may take.
const BUDGET: f64 = 0.05;
/// The shortest interval that is taken.
const SHORTEST: Duration = Duration::from_micros(100);
/// The longest time that is recorded.
const LONGEST: Duration = Duration::from_secs(600);

/// How a file is written.
type Format = fn(&Recorded<'_, '_, '_>, &mut dyn Write) -> std::io::Result<()>;

/// What was seen of a process.
struct Recorded<'t, 'a, 'd> {
    target: &'t Target<'a, 'd>,
    timeline: Timeline,
    names: Names<'t, 'a, 'd>,
    began_unix: u64,
    interval: Duration,
    elapsed: Duration,
    cpu: Duration,
    /// Looks in which what was read contradicted itself.
    failed: u64,
}

/// Runs the command.
pub(crate) fn run(args: &SchedArgs, path: &Path) -> Result<()> {
    let format: Format = match path.extension().and_then(|e| e.to_str()) {
        Some("json") => chrome::write,
        Some("svg") => svg::write,
        _ => return Err(Invalid("the file's name must end in .json or .svg".into()).into()),
    };
    if args.interval < SHORTEST || args.duration > LONGEST {
        let why =
            format!("--interval must be {SHORTEST:?} at least, and --duration {LONGEST:?} at most");
        return Err(Invalid(why).into());
    }
    let opened = Opened::new(args.memory.pid)?;
    let binary = opened.binary()?;
    let types = binary.types();
    let target = opened.target(&binary, &types)?;
    let symbols = Symbols::new(&binary, &types);
    let recorded = record(args, &target, Names::new(&symbols, 0))?;
    let file = File::create(path).with_context(|| format!("create {}", path.display()))?;
    let mut output = BufWriter::new(file);
    let written = format(&recorded, &mut output).and_then(|()| output.flush());
    written.with_context(|| format!("write {}", path.display()))?;
    show(args.memory.format, &recorded.summary(path))
}

/// Looks until the time is over, the user stops it, or the process has ended.
fn record<'t, 'a, 'd>(
    args: &SchedArgs,
    target: &'t Target<'a, 'd>,
    names: Names<'t, 'a, 'd>,
) -> Result<Recorded<'t, 'a, 'd>> {
    let stop = Arc::new(AtomicBool::new(false));
    let stopping = stop.clone();
    crate::signals::on_stop(move || stopping.store(true, Ordering::Relaxed))?;
    let mut sampler = Sampler::new(&target.layout, target.bias).map_err(plain)?;
    let interval = args.interval;
    let mut timeline = Timeline::new(nanoseconds(interval));
    let (began, began_unix, cpu_before) = (Instant::now(), unix_nanoseconds(), thread_time());
    let (mut failed, mut due) = (0, Duration::ZERO);
    while began.elapsed() < args.duration && !stop.load(Ordering::Relaxed) {
        let now = began.elapsed();
        match sampler.take(&target.memory) {
            Ok(sample) => timeline.add(nanoseconds(now), &sample),
            Err(goruntime::Error::Contradiction(_)) => failed += 1,
            // What was seen until it ended is worth something.
            Err(_) if timeline.samples > 0 && !target.process.is_alive() => break,
            Err(error) => return Err(plain(error)),
        }
        let mean = nanoseconds(began.elapsed()) / timeline.samples.max(1);
        timeline.be_patient(mean.saturating_mul(3).max(2 * nanoseconds(interval)));
        // What was missed is not made up for.
        due = (due + interval).max(began.elapsed());
        let affordable = (thread_time() - cpu_before).div_f64(BUDGET);
        std::thread::sleep(due.max(affordable).saturating_sub(began.elapsed()));
    }
    let elapsed = began.elapsed();
    if timeline.samples == 0 {
        anyhow::bail!("the scheduler of process {} can't be read", target.process.pid);
    }
    if target.process.is_alive() {
        target.check()?;
    } else {
        crate::output::note(format!("process {} has ended", target.process.pid));
    }
    timeline.finish(nanoseconds(elapsed));
    let cpu = thread_time() - cpu_before;
    Ok(Recorded { target, timeline, names, began_unix, interval, elapsed, cpu, failed })
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Recorded<'_, '_, '_> {
    /// The mean time between two looks.
    fn mean_interval(&self) -> Duration {
        self.elapsed.div_f64(self.timeline.samples.max(1) as f64)
    }

    /// What can be seen and what not, in two sentences.
    fn split_resolution(&self) -> (String, String) {
        let switches: u64 = self.timeline.counts.values().map(|c| c.switches).sum();
        let sampled = format!(
            "sampled {} times, every {:.1?} on average and at most {:.1?} apart: what is shorter may be \
             missing, and starts and ends are no more exact",
            self.timeline.samples,
            self.mean_interval(),
            Duration::from_nanos(self.timeline.longest_gap),
        );
        let counted = format!(
            "the runtime counted {switches} switches to goroutines, and {} slices on processors are shown",
            self.shown()
        );
        (sampled, counted)
    }

    /// The same as one text.
    fn resolution(&self) -> String {
        let (sampled, counted) = self.split_resolution();
        format!("{sampled}; {counted}")
    }

    /// Slices on processors.
    fn shown(&self) -> usize {
        self.timeline.slices.iter().filter(|s| matches!(s.track, Track::Processor(_))).count()
    }

    /// The function that a goroutine began with.
    fn name(&self, start: u64) -> String {
        let name = self.names.start(start);
        name.map_or_else(|| "(unknown function)".to_owned(), |name| printed(name).into_owned())
    }

    /// The first slice of each track, which stand in order.
    fn tracks(&self, is_wanted: fn(Track) -> bool) -> Vec<&Slice> {
        let tracks = self.timeline.slices.chunk_by(|a, b| a.track == b.track);
        tracks.filter_map(|slices| slices.first()).filter(|slice| is_wanted(slice.track)).collect()
    }

    fn processors(&self) -> Vec<Value> {
        let seconds = self.elapsed.as_secs_f64();
        let mut ids: Vec<_> = self.timeline.counts.keys().copied().collect();
        ids.sort_unstable();
        let one = |id: i32| {
            let counts = self.timeline.counts.get(&id).copied().unwrap_or_default();
            json!({
                "id": id,
                "switches": counts.switches,
                "switchesPerSecond": counts.switches as f64 / seconds,
                "syscalls": counts.syscalls,
                "syscallsPerSecond": counts.syscalls as f64 / seconds,
            })
        };
        ids.into_iter().map(one).collect()
    }

    fn summary(&self, path: &Path) -> Value {
        let timeline = &self.timeline;
        json!({
            "pid": self.target.process.pid,
            "service": self.target.service,
            "goVersion": self.target.binary.build_info().go_version,
            "file": path.display().to_string(),
            "timeUnixNano": self.began_unix,
            "seconds": self.elapsed.as_secs_f64(),
            "resolution": self.resolution(),
            "samples": timeline.samples,
            "wantedIntervalSeconds": self.interval.as_secs_f64(),
            "meanIntervalSeconds": self.mean_interval().as_secs_f64(),
            "longestGapSeconds": timeline.longest_gap as f64 / 1e9,
            "agentCpuSeconds": self.cpu.as_secs_f64(),
            "processors": self.processors(),
            "threads": (!timeline.more_threads).then_some(timeline.threads),
            "moreThreads": timeline.more_threads,
            "slices": timeline.slices.len(),
            "slicesLeftOut": timeline.left_out,
            "queuedLeftOut": timeline.queued_left_out,
            "goroutinesLeftOut": timeline.goroutines_left_out,
            "threadsThatChanged": timeline.changed,
            "failedSamples": self.failed,
        })
    }
}
