//! Observing until it is stopped: find processes, attach, follow starts and ends. Not here: what the verbs
//! ask for (`verbs`).

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
use instruments::Options;
use pipeline::{Beside, Connections, Pipeline, Sampling, SharedMeter, Sink, Stages};
use probes::{Features, LogProcesses, Session};
use red::Consumer;
use trace::{Assembler, ProcessInfo};

use crate::config;
use crate::governor::Budget;
use crate::inspect::{Inspector, NotATarget, Target};
use crate::opened::{explained, monotonic};
use crate::profile::continuous::Continuous;
use crate::reader::{AgentEvent, Reader, ReaderCommand};
use crate::select::{self, Selection};
use crate::xray::{Added, Looking, Slow};
use collecting::MetricsThread;
use figures::Figures;
use overhead::Overhead;
use placing::Placing;
use recorded::RecordingFile;
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
        eprintln!("gotap: {sentence}");
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

/// What an agent is started with.
struct Setup {
    selection: Selection,
    options: Options,
    features: Features,
    service_name: Option<String>,
    assembler: Assembler,
    sinks: Vec<Box<dyn Sink>>,
    /// The agent's own attributes.
    resource: Arc<[(String, String)]>,
    /// Of the sink that sends spans, if there is one.
    export: Option<LiveStats>,
    /// What is counted of operations.
    meter: Option<Arc<SharedMeter>>,
    /// Whether requests that are being served are counted.
    counts_active: bool,
    /// Which traces are sent.
    sampling: Sampling,
    /// Spans that may wait for a sink.
    max_queued: usize,
    /// How often metrics go to the sinks; never if not given.
    metrics_interval: Option<Duration>,
    /// What is measured of all programs of the host.
    host: config::Host,
    /// Which lines of logs are looked at.
    logs: config::Logs,
    /// Where pods are asked for.
    kubernetes: Option<placing::Asked>,
    /// Profiles that are taken all the time, if they are.
    profiling: Option<profiling::Wanted>,
    /// What spans of slow requests say of where their time went.
    xray: Option<Arc<Slow>>,
    /// What tracing may cost each process; nobody asks if not given.
    overhead: Option<Budget>,
    /// Where the reader's input is kept, if it is.
    recording: Option<RecordingFile>,
    /// Whether programs with nothing to trace are named.
    aloud: bool,
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
}

impl Agent {
    fn start(mut setup: Setup) -> Result<Self> {
        let (sender, events) = std::sync::mpsc::channel();
        let stop = Stop::new(sender.clone());
        stop.on_signal()?;
        let placing = Placing::start(setup.kubernetes, sender.clone())?;
        let cluster = placing.as_ref().map(|placing| placing.cluster.clone());
        let session = Session::load(setup.features, setup.options)?;
        let failed = sender.clone();
        let profiling = setup.profiling.take();
        setup.sinks.extend(profiling.as_ref().map(profiling::Wanted::sink));
        let pipeline = Pipeline::start(setup.sinks, setup.max_queued, move |error| {
            // Nobody listens any more only when the program ends anyway.
            let _ = failed.send(AgentEvent::Failed(error));
        })?;
        let source = session.event_source()?;
        let (assembler, meter) = (setup.assembler, setup.meter);
        let added = setup.xray.clone().map(|slow| Box::new(Added(slow)) as Box<dyn Beside>);
        let stages = Stages::new(assembler, meter.clone(), setup.sampling, pipeline.clone());
        let mut stages = stages.beside(added);
        let served = Arc::<Connections>::default();
        if setup.host.tcp_spans {
            stages.remember_connections(served.clone());
        }
        if setup.logs.is_on() {
            stages.expect_logs(setup.logs.text);
        }
        let recorder = setup.recording.as_ref().map(RecordingFile::recorder);
        let reader = Reader::start(source, stages, recorder, sender)?;
        let (shared, export) = (reader.shared.clone(), setup.export);
        let (hits, pipes) = (session.hits(), pipeline.clone());
        let own = setup.resource.clone();
        let mut figures = Figures::new(own, hits, shared, pipes, export.clone(), meter);
        let mut host = host::Host::start(setup.host, &pipeline, &served, &setup.resource)?;
        let logged = if setup.logs.is_on() {
            let lines = reader.commands.clone();
            Some(host.look_at_logs(setup.logs, session.served()?, lines)?)
        } else {
            None
        };
        figures.host = host;
        if setup.counts_active {
            figures.active = Some(active::Active::load(&session.served()?)?);
        }
        figures.xray = setup.xray.clone();
        let overhead = setup.overhead.map(|budget| Overhead::new(budget, setup.features));
        figures.overhead = overhead.as_ref().map(|overhead| overhead.costs.clone());
        figures.pods = cluster.as_ref().map(|cluster| cluster.pods.clone());
        figures.profiles = profiling.as_ref().map(profiling::Wanted::counted);
        let (figures, targets) = (Arc::new(figures), Arc::<Targets>::default());
        let profiling = profiling.map(|wanted| {
            wanted.start(setup.features, session.served()?, figures.clone(), targets.clone())
        });
        let metrics_thread = setup
            .metrics_interval
            .map(|interval| MetricsThread::start(interval, pipeline.clone(), figures.clone()));
        let metrics_thread = metrics_thread.transpose()?;
        let look = |slow| Looking::start(session.served()?, targets.clone(), slow);
        let looking = setup.xray.map(look).transpose()?;
        let mut idle = attach::Idle::new(!setup.selection.is_everything());
        idle.aloud |= setup.aloud;
        Ok(Self {
            inspector: Inspector::new(setup.options, setup.service_name, cluster),
            selection: setup.selection,
            session,
            reader,
            pipeline,
            figures,
            export,
            profiling: profiling.transpose()?,
            metrics_thread,
            overhead,
            recording: setup.recording,
            _looking: looking,
            events,
            stop,
            observed: HashMap::new(),
            targets,
            waiting: HashMap::new(),
            logged,
            placing,
            lost_events: 0,
            idle,
        })
    }

    fn observe(self) -> Result<Summary> {
        self.observe_until(&AtomicBool::new(false))
    }

    /// The same; says when it stops, before what is left is read.
    fn observe_until(mut self, over: &AtomicBool) -> Result<Summary> {
        let outcome = self.scan().and_then(|()| self.follow());
        over.store(true, Ordering::Relaxed);
        let summary = self.stop();
        outcome.map(|()| summary)
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
                Ok((target, _)) => self.wait_for_match(&target),
                Err(NotATarget::Process(e)) if named => return Err(e.into()),
                Err(why) if named => return Err(explained(why)),
                Err(NotATarget::Process(e)) if e.is_denied() => denied = Some(e),
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
            say("no matching Go process runs yet; waiting for one to start");
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
        let Ok((target, file)) = self.inspector.inspect_file(Process { pid }) else { return };
        if self.selection.matches(&target) {
            self.try_attach(&target, &file, since);
        } else {
            self.wait_for_match(&target);
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
            let Ok((target, file)) = self.inspector.inspect_file(Process { pid }) else { continue };
            if self.selection.matches(&target) {
                self.try_attach(&target, &file, since);
            } else if until > Instant::now() {
                self.waiting.insert(pid, until);
            }
        }
    }

    fn command(&self, command: ReaderCommand) {
        // A reader that failed has sent an event that says so.
        let _ = self.reader.commands.send(command);
    }

    /// Detaches from all, reads what is left, lets the sinks finish and sums up.
    fn stop(mut self) -> Summary {
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
            let lost = stats.lost().into_iter().chain([("export_busy", dropped("otlp"))]);
            let not = lost.filter(|(_, n)| *n > 0).collect();
            Delivery { delivered: stats.exported(), not }
        });
        summary
    }
}

fn count(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}
