//! What `gotap top` gets of the agent. Not here: how it is shown.

use std::collections::VecDeque;
use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use goproc::Process;
use pipeline::{SharedMeter, Sink};
use trace::Span;

use super::figures::Figures;
use super::stop::Stop;
use super::{Agent, Setup, hush, say};
use crate::cli::{Format, TopArgs};
use crate::config;
use crate::opened::unix_nanoseconds;
use crate::rights;
use crate::select;
use crate::top::{self, Counts, Request};

/// Operations that may wait to be shown; the oldest make room.
const MAX_WAITING: usize = 2000;

/// Operations that have ended and are not shown yet.
type Waiting = Arc<Mutex<VecDeque<Request>>>;

/// The newest operations.
struct Newest(Waiting);

impl Sink for Newest {
    fn name(&self) -> &'static str {
        "output"
    }

    fn span(&mut self, span: &Span) -> Result<()> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= MAX_WAITING {
            waiting.pop_front();
        }
        waiting.push_back(Request::new(span));
        Ok(())
    }

    fn tick(&mut self) -> Result<()> {
        Ok(())
    }

    fn finish(self: Box<Self>, _patience: Duration) -> Result<()> {
        Ok(())
    }
}

/// What the agent knows.
struct Watched {
    figures: Arc<Figures>,
    waiting: Waiting,
    over: Arc<AtomicBool>,
}

impl top::Source for Watched {
    fn is_ready(&self) -> bool {
        self.figures.is_ready()
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    fn counts(&self) -> Vec<Counts> {
        let all = self.figures.observed().into_iter();
        all.map(|(pid, resource, metrics)| {
            Counts::new(resource, &metrics, Process { pid }.cpu_time())
        })
        .collect()
    }

    fn requests(&self) -> Vec<Request> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect()
    }

    fn said(&self) -> String {
        hush::last()
    }
}

/// Ends observing when it is dropped, also by a panic.
pub(super) struct StopAtEnd(pub(super) Stop);

impl Drop for StopAtEnd {
    fn drop(&mut self) {
        self.0.ask();
    }
}

/// `gotap top`.
pub(crate) fn top(args: &TopArgs) -> Result<()> {
    if args.duration.is_zero() {
        return Err(config::Invalid("--duration: want more than nothing".into()).into());
    }
    if args.format == Format::Json && !args.once && std::io::stdout().is_terminal() {
        return Err(config::Invalid("--format json is for --once".into()).into());
    }
    let once = args.once || !std::io::stdout().is_terminal();
    let (waiting, over) = (Waiting::default(), Arc::<AtomicBool>::default());
    let setup = setup(args, &waiting)?;
    rights::keep_needed(&setup.features, None, false)?;
    let agent = Agent::start(setup)?;
    let watched = Watched { figures: agent.figures.clone(), waiting, over: over.clone() };
    let (stop, args) = (StopAtEnd(agent.stop.clone()), args.clone());
    let viewer = std::thread::Builder::new().name("gotap-top".into()).spawn(move || {
        let _stop = stop;
        match top::wait(&watched) {
            false => Ok(()),
            true if once => top::once(&watched, args.duration, args.format),
            true => {
                let _hushed = hush::begin();
                top::live(&watched, args.duration)
            }
        }
    });
    let viewer = viewer.context("start a thread")?;
    let observed = agent.observe_until(&over);
    let shown = viewer.join();
    let summary = observed?;
    // A panic has been printed, and the terminal is as it was.
    shown.unwrap_or_else(|_| anyhow::bail!("the table failed"))?;
    summary.lines(Format::Text).iter().for_each(|line| say(line));
    Ok(())
}

fn setup(args: &TopArgs, waiting: &Waiting) -> Result<Setup> {
    let sdk_programs = args.sdk.sdk_programs.unwrap_or_default();
    let selection = select::from_args(&args.select)?.with_sdk_programs(sdk_programs);
    goproc::check_pids()?;
    let settings = red::Settings {
        groups: red::Groups { body_sizes: false, ..red::Groups::ALL },
        exponential: true,
        each_once: true,
        consumers: vec![red::Consumer::View],
        ..red::Settings::default()
    };
    Ok(Setup {
        sinks: vec![Box::new(Newest(waiting.clone()))],
        meter: Some(Arc::new(SharedMeter::new(&settings, unix_nanoseconds()))),
        ..Setup::of_flags(selection, &args.urls.settings(), &args.probes, false)?
    })
}
