//! Observing until it is stopped: find processes, attach, follow starts and ends. Not here: what the verbs
//! ask for (`verbs`), and how an agent starts (`setup`).

mod active;
mod admin;
mod attach;
mod collecting;
mod debug;
mod figures;
mod host;
mod hush;
mod losses;
mod overhead;
mod own;
mod placing;
mod processes;
mod profiling;
mod recorded;
mod replay;
mod runtimes;
mod setup;
mod silence;
mod sinks;
mod stop;
mod summary;
mod targets;
mod tree;
mod verbs;
mod view;
mod xrayed;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use export::LiveStats;
use goproc::Process;
use pipeline::Pipeline;
use probes::{LogProcesses, Session};
use red::Consumer;
use trace::ProcessInfo;

use crate::config;
use crate::inspect::{Inspector, NotATarget, Target};
use crate::opened::{explained, monotonic};
use crate::profile::continuous::Continuous;
use crate::reader::{AgentEvent, Reader, ReaderCommand};
use crate::select::{self, Selection};
use crate::xray::Looking;
use collecting::MetricsThread;
use figures::Figures;
use overhead::Overhead;
use placing::Placing;
use recorded::RecordingFile;
use setup::Setup;
use stop::Stop;
use summary::{Delivery, Summary};

pub(crate) use replay::replay;
pub(crate) use targets::Targets;
pub(crate) use verbs::{run, trace};
pub(crate) use view::top;
pub(crate) use xrayed::{with_requests, xray};

/// How long sinks may take at the end.
const PATIENCE: Duration = Duration::from_millis(700);

/// How long after its start a process is asked whether it listens on a wanted port.
const PORT_PATIENCE: Duration = Duration::from_secs(60);

/// How often it is asked.
const PORT_PAUSE: Duration = Duration::from_millis(250);

/// How often the programs look anew at what may change in a process.
const REFRESH: Duration = Duration::from_secs(5);

/// One line to the user, beside the output.
fn say(sentence: &str) {
    if !hush::keep(sentence) {
        crate::output::note(sentence);
    }
}

/// An observed process.
struct Observed {
    instance: u32,
    name: String,
    target: Target,
    /// When it was looked at, by the clock of the events: what happened before is known.
    since: u64,
    /// What was said of it to the thread that makes spans.
    info: ProcessInfo,
    /// As long as no probe of it was hit.
    silent: Option<silence::Silent>,
}

struct Agent {
    selection: Selection,
    inspector: Inspector,
    session: Session,
    reader: Reader,
    pipeline: Pipeline,
    figures: Arc<Figures>,
    export: Option<LiveStats>,
    profiling: Option<Continuous>,
    /// Ends when this is dropped.
    metrics_thread: Option<MetricsThread>,
    overhead: Option<Overhead>,
    recording: Option<RecordingFile>,
    /// Looks at slow requests until this is dropped.
    _looking: Option<Looking>,
    events: Receiver<AgentEvent>,
    /// Lets others end it.
    stop: Stop,
    observed: HashMap<u32, Observed>,
    /// The same, for other threads.
    targets: Arc<Targets>,
    /// Go processes that may yet listen on a wanted port.
    waiting: HashMap<u32, Instant>,
    /// The processes whose lines of logs are looked at, if any are.
    logged: Option<LogProcesses>,
    /// Where pods are watched.
    placing: Option<Placing>,
    /// Starts and ends that the kernel could not tell of, as far as they are made up for.
    lost_events: u64,
    idle: attach::Idle,
    /// The process that was looked at last of those in which nothing was seen yet.
    last_silent: u32,
}

impl Agent {
    fn observe(self) -> Result<Summary> {
        self.observe_until(&AtomicBool::new(false))
    }

    /// The same; says when it stops, before what is left is read.
    fn observe_until(mut self, over: &AtomicBool) -> Result<Summary> {
        let outcome = self.scan().and_then(|()| self.follow());
        over.store(true, Ordering::Relaxed);
        let (summary, failure) = self.stop();
        outcome.and(failure.map_or(Ok(summary), Err))
    }

    /// Attaches to what runs already. A process that was asked for by id must be usable.
    fn scan(&mut self) -> Result<()> {
        self.selection.check_pids()?;
        let mut denied = None;
        for process in select::candidates(&self.selection)? {
            if self.stop.is_asked() {
                return Ok(());
            }
            let named = self.selection.pids.contains(&process.pid);
            let since = monotonic();
            match self.inspector.inspect_file(process) {
                Ok((target, file)) if self.selection.matches(&target) => {
                    if named {
                        self.attach(&target, &file, since)?;
                    } else {
                        self.try_attach(&target, &file, since);
                    }
                }
                Ok((target, _)) if named => bail!(config::Invalid(format!(
                    "{}[{}] has OpenTelemetry's SDK, and sdk_programs is off",
                    target.service_name, target.process.pid
                ))),
                Ok((target, _)) => self.wait_for_target(&target),
                Err(NotATarget::Process(e)) if named => return Err(e.into()),
                Err(why) if named => return Err(explained(why)),
                Err(NotATarget::Process(e)) if e.is_denied() => denied = Some(e),
                Err(NotATarget::Unreadable(program)) => self.note_unreadable(&program),
                Err(_) => {}
            }
        }
        self.check_denied(denied)?;
        // With everything selected, a pid that is gone was not listed either.
        for pid in self.selection.pids.clone() {
            if !self.observed.contains_key(&pid) {
                self.inspector.inspect(Process { pid })?;
            }
        }
        if self.observed.is_empty() {
            let other = if self.figures.unreadable() > 0 { "other " } else { "" };
            say(&format!("no {other}matching Go process runs yet; waiting for one to start"));
        }
        let observing = count(self.observed.len(), "process", "processes");
        self.figures.ready();
        say(&format!("ready, observing {observing}{}", self.idle.note()));
        Ok(())
    }

    fn follow(&mut self) -> Result<()> {
        let (mut refreshed, mut asked) = (Instant::now(), Instant::now());
        let (mut listened, mut pause_to_ask) = (Instant::now(), PORT_PAUSE);
        // What happened before it was asked to stop may be much to look at.
        while !self.stop.is_asked() {
            if refreshed.elapsed() > REFRESH {
                refreshed = Instant::now();
                self.refresh()?;
            }
            self.look_at_overhead();
            if listened.elapsed() > silence::PAUSE {
                listened = Instant::now();
                self.look_for_silence();
            }
            // Also where processes start and end all the time.
            if !self.waiting.is_empty() && asked.elapsed() > pause_to_ask {
                let began = Instant::now();
                self.retry_ports();
                // Where many wait, what starts and ends gets as much time.
                (asked, pause_to_ask) = (Instant::now(), PORT_PAUSE.max(began.elapsed()));
            }
            let pause = if self.waiting.is_empty() { Duration::from_secs(1) } else { PORT_PAUSE };
            let longest = self.overhead.as_ref().map_or(pause, Overhead::pause);
            match self.events.recv_timeout(pause.min(longest)) {
                Ok(AgentEvent::Exec(pid, time)) if self.is_new(pid, time) => self.on_exec(pid),
                Ok(AgentEvent::Exit(pid, time)) if self.is_new(pid, time) => self.on_exit(pid),
                Ok(AgentEvent::Stop) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Ok(AgentEvent::Failed(error)) => return Err(error),
                Ok(AgentEvent::Pods(notice)) => self.on_notice(notice),
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
            }
            if self.observed.is_empty() && !self.selection.is_open() {
                say("all selected processes have ended");
                return Ok(());
            }
        }
        Ok(())
    }

    /// Whether something that happened to a process is not known already.
    fn is_new(&self, pid: u32, time: u64) -> bool {
        self.observed.get(&pid).is_none_or(|observed| observed.since <= time)
    }

    fn on_exec(&mut self, pid: u32) {
        if let Some(observed) = self.observed.remove(&pid) {
            // At once: the next program may be of the same file.
            self.session.detach(pid);
            self.ended(pid, &observed, "replaced its program");
        }
        self.waiting.remove(&pid);
        self.forget_unchosen(pid);
        self.look_at(pid);
    }

    fn on_exit(&mut self, pid: u32) {
        self.waiting.remove(&pid);
        self.forget_unchosen(pid);
        if let Some(observed) = self.observed.remove(&pid) {
            self.session.reap(pid);
            self.ended(pid, &observed, "ended");
        } else {
            self.figures.ended(pid);
        }
    }

    fn ended(&mut self, pid: u32, observed: &Observed, how: &str) {
        if let Some(active) = &self.figures.active {
            active.remove(observed.instance);
        }
        if let Some(logged) = &self.logged {
            logged.remove(pid);
        }
        self.figures.ended(pid);
        self.targets.remove(pid);
        self.overhead.iter_mut().for_each(|overhead| overhead.remove(pid));
        self.command(ReaderCommand::Remove(observed.instance));
        say(&format!("{}[{pid}] {how}", observed.name));
    }

    /// Attaches to a process, if it is wanted.
    fn look_at(&mut self, pid: u32) {
        if !self.selection.is_open() && !self.selection.pids.contains(&pid) {
            return;
        }
        let since = monotonic();
        match self.inspector.inspect_file(Process { pid }) {
            Ok((target, file)) if self.selection.matches(&target) => {
                self.try_attach(&target, &file, since);
            }
            Ok((target, _)) => self.wait_for_target(&target),
            Err(NotATarget::Unreadable(program)) => self.note_unreadable(&program),
            Err(_) => {}
        }
    }

    /// Looks after what events may have been lost of.
    fn refresh(&mut self) -> Result<()> {
        for pid in self.session.refresh()? {
            if (Process { pid }).is_alive() { self.on_exec(pid) } else { self.on_exit(pid) }
        }
        let lost = self.session.hits().counters()?.dropped(wire::Drop::LifecycleFull);
        if lost > self.lost_events {
            self.lost_events = lost;
            for process in select::candidates(&self.selection)? {
                if !self.observed.contains_key(&process.pid) && !self.stop.is_asked() {
                    self.look_at(process.pid);
                }
            }
        }
        Ok(())
    }

    fn retry_ports(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        for (pid, until) in waiting {
            if self.stop.is_asked() {
                return;
            }
            let since = monotonic();
            match self.inspector.inspect_file(Process { pid }) {
                Ok((target, file)) if self.selection.matches(&target) => {
                    self.try_attach(&target, &file, since);
                }
                Err(NotATarget::Unreadable(program)) if self.selection.means(&program) => {
                    self.note_unreadable(&program);
                }
                Ok(_) | Err(NotATarget::Unreadable(_)) if until > Instant::now() => {
                    self.waiting.insert(pid, until);
                }
                _ => {}
            }
        }
    }

    fn command(&self, command: ReaderCommand) {
        // A reader that failed has sent an event that says so.
        let _ = self.reader.commands.send(command);
    }

    /// Detaches from all, reads what is left, lets the sinks finish and sums up; also gives what failed in that.
    fn stop(mut self) -> (Summary, Option<anyhow::Error>) {
        let overhead = self.overhead_lines();
        self.session.detach_all();
        let counters = self.session.hits().counters().unwrap_or_default();
        // Lines of logs go through the reader.
        self.figures.host.finish();
        let counts = self.reader.stop();
        if let Some(recording) = self.recording.take() {
            say(&recording.finish());
        }
        if self.metrics_thread.take().is_some() {
            self.pipeline.metrics(self.figures.collect(Consumer::Push));
        }
        if let Some(profiling) = &self.profiling {
            profiling.stop_by(Instant::now() + PATIENCE);
        }
        self.pipeline.finish(PATIENCE);
        if let Some(profiling) = self.profiling.take() {
            profiling.join();
        }
        if let Some(counted) = &self.figures.profiles {
            say(&counted.sentence());
        }
        let dropped = |name: &str| -> u64 {
            let outlets = self.pipeline.outlets().filter(|outlet| outlet.name == name);
            outlets.map(|outlet| outlet.dropped()).sum()
        };
        let mut summary = Summary::new(counts, &counters, dropped("output"));
        summary.notes = overhead;
        summary.losses = losses::of(&self.figures.own());
        summary.delivery = self.export.as_ref().map(|stats| {
            let lost = stats.lost().into_iter().chain([("sink_queue_full", dropped("otlp"))]);
            let not = lost.filter(|(_, n)| *n > 0).collect();
            Delivery { delivered: stats.exported(), not }
        });
        let failure = self.events.try_iter().find_map(|event| match event {
            AgentEvent::Failed(error) => Some(error),
            _ => None,
        });
        (summary, failure)
    }
}

fn count(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}
