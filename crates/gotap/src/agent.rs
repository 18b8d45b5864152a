//! The verbs that observe until they are stopped: find processes, attach, follow starts and ends.

mod attach;
mod silence;
mod sinks;
mod summary;
mod tree;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use goproc::Process;
use probes::{Features, Options, Session};
use rustix::time::{ClockId, clock_gettime};
use trace::Assembler;

use crate::cli::{Format, HttpArgs, ProbeArgs, RunArgs, TraceArgs, TraceCommand};
use crate::config;
use crate::inspect::{Inspector, NotATarget};
use crate::output::text;
use crate::reader::{News, Order, Reader, Sink};
use crate::select::{self, Selection};
use summary::Summary;

/// How long after its start a process is asked whether it listens on a wanted port.
const PORT_PATIENCE: Duration = Duration::from_secs(60);

/// How often it is asked.
const PORT_PAUSE: Duration = Duration::from_millis(250);

/// How often the programs look anew at what may change in a process.
const REFRESH: Duration = Duration::from_secs(5);

/// `gotap run`.
pub(crate) fn run(args: &RunArgs) -> Result<()> {
    let config = config::load(args)?;
    goproc::check_pids()?;
    let selection = Selection::new(&config.select)?.with_sdk_programs(config.sdk_programs);
    let options = Options {
        exact_lineage: config.probes.exact_lineage,
        query_strings: config.http.query_strings,
        empty_probes: args.probes.empty_probes,
    };
    let export = config.otlp.to_export()?;
    let exporter = export::Exporter::start(&export, |sentence| say(&sentence))
        .map_err(|e| config::Invalid(e.to_string()))?;
    say(&format!("sending traces to {}", export::masked(&export.endpoint)));
    let (delivery, sink) = sinks::Otlp::new(exporter);
    let features = features(!config.probes.uprobe_multi);
    let (name, assembler) = (config.service_name, assembler(config.http, config.errors.messages));
    let sink = Box::new(sink);
    let mut agent = Agent::start(selection, options, features, name, assembler, sink)?;
    agent.idle.aloud |= args.verbose;
    let mut summary = agent.observe()?;
    summary.delivery = Some(delivery.counts());
    summary.lines(Format::Text).iter().for_each(|line| say(line));
    Ok(())
}

/// `gotap trace`. All is observed, as parents may be of another sort; what is asked for is printed.
pub(crate) fn trace(what: &TraceCommand) -> Result<()> {
    let (args, wanted) = match what {
        TraceCommand::Http(args) => (args, Some(sinks::Instrument::Http)),
        TraceCommand::Grpc(args) => (args, Some(sinks::Instrument::Grpc)),
        TraceCommand::Sql(args) => (args, Some(sinks::Instrument::Sql)),
        TraceCommand::Redis(args) => (args, Some(sinks::Instrument::Redis)),
        TraceCommand::All(args) => (args, None),
    };
    let sdk_programs = args.sdk.sdk_programs.unwrap_or_default();
    if args.tree && args.format == Format::Json {
        return Err(config::Invalid("--tree is for text, not for --format json".into()).into());
    }
    let selection = select::from_args(&args.select)?.with_sdk_programs(sdk_programs);
    goproc::check_pids()?;
    let ProbeArgs { exact_lineage, no_uprobe_multi, empty_probes } = args.probes;
    let sink = printer(args, wanted);
    let HttpArgs { cluster_paths, query_strings } = args.http;
    let http = config::Http { cluster_paths, query_strings };
    let options = Options { exact_lineage, query_strings, empty_probes };
    let (features, assembler) =
        (features(no_uprobe_multi), assembler(http, args.texts.error_messages));
    let mut agent = Agent::start(selection, options, features, None, assembler, sink)?;
    agent.idle.aloud |= args.verbose;
    agent.observe()?.lines(args.format).iter().for_each(|line| say(line));
    Ok(())
}

/// What prints the spans that are asked for.
fn printer(args: &TraceArgs, instrument: Option<sinks::Instrument>) -> Box<dyn Sink + Send> {
    let style = text::Style { colours: text::colours(), whole: args.verbose };
    let slower_than = args.slower_than.map(Into::into);
    let filter = sinks::Filter { instrument, errors: args.errors, slower_than };
    let lines: Box<dyn Sink + Send> = match args.format {
        Format::Text if args.tree => return Box::new(tree::Trees::new(style, filter)),
        Format::Text => Box::new(sinks::TextLines::new(style)),
        Format::Json => Box::new(sinks::JsonLines::new()),
    };
    Box::new(sinks::Only::new(filter, lines))
}

fn assembler(http: config::Http, error_messages: bool) -> Assembler {
    let mut assembler = Assembler::new();
    if error_messages {
        assembler.error_messages();
    }
    if http.cluster_paths {
        assembler.cluster_paths();
    }
    if http.query_strings {
        assembler.query_strings();
    }
    assembler
}

/// The clock of the events, in nanoseconds.
fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    u64::try_from(time.tv_sec * 1_000_000_000 + time.tv_nsec).unwrap_or_default()
}

fn features(no_uprobe_multi: bool) -> Features {
    let features = Features::probe();
    if no_uprobe_multi { features.without_uprobe_multi() } else { features }
}

/// One line to the user, beside the output.
fn say(sentence: &str) {
    eprintln!("gotap: {sentence}");
}

/// An observed process.
struct Observed {
    instance: u32,
    name: String,
    /// When it was looked at, by the clock of the events: what happened before is known.
    since: u64,
    /// As long as no probe of it was hit.
    silent: Option<silence::Silent>,
}

struct Agent {
    selection: Selection,
    inspector: Inspector,
    session: Session,
    reader: Reader,
    news: Receiver<News>,
    observed: HashMap<u32, Observed>,
    /// Go processes that may yet listen on a wanted port.
    waiting: HashMap<u32, Instant>,
    /// Starts and ends that the kernel could not tell of, as far as they are made up for.
    lost_news: u64,
    idle: attach::Idle,
}

impl Agent {
    fn start(
        selection: Selection,
        options: Options,
        features: Features,
        service_name: Option<String>,
        assembler: Assembler,
        sink: Box<dyn Sink + Send>,
    ) -> Result<Self> {
        let (sender, news) = std::sync::mpsc::channel();
        stop_on_signal(sender.clone())?;
        let session = Session::load(features, options)?;
        let reader = Reader::start(session.event_source()?, assembler, sink, sender)?;
        let inspector = Inspector::new(options, service_name);
        let (observed, waiting) = (HashMap::new(), HashMap::new());
        let idle = attach::Idle::new(!selection.is_everything());
        let lost_news = 0;
        Ok(Self { selection, inspector, session, reader, news, observed, waiting, lost_news, idle })
    }

    fn observe(mut self) -> Result<Summary> {
        let outcome = self.scan().and_then(|()| self.follow());
        let summary = self.stop();
        outcome.map(|()| summary)
    }

    /// Attaches to what runs already. A process that was asked for by id must be usable.
    fn scan(&mut self) -> Result<()> {
        self.selection.check_pids()?;
        let mut denied = None;
        for process in select::candidates(&self.selection)? {
            let named = self.selection.pids.contains(&process.pid);
            let since = now();
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
                Ok((target, _)) => self.wait_for_port(target.process.pid),
                Err(NotATarget::Process(e)) if named => return Err(e.into()),
                Err(why) if named => bail!(why),
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
        say(&format!("ready, observing {observing}{}", self.idle.note()));
        Ok(())
    }

    fn follow(&mut self) -> Result<()> {
        let (mut refreshed, mut asked) = (Instant::now(), Instant::now());
        let mut listened = Instant::now();
        loop {
            if refreshed.elapsed() > REFRESH {
                refreshed = Instant::now();
                self.refresh()?;
            }
            if listened.elapsed() > silence::PAUSE {
                listened = Instant::now();
                self.look_for_silence();
            }
            // Also where processes start and end all the time.
            if !self.waiting.is_empty() && asked.elapsed() > PORT_PAUSE {
                asked = Instant::now();
                self.retry_ports();
            }
            let pause = if self.waiting.is_empty() { Duration::from_secs(1) } else { PORT_PAUSE };
            match self.news.recv_timeout(pause) {
                Ok(News::Exec(pid, time)) if self.is_news(pid, time) => self.on_exec(pid),
                Ok(News::Exit(pid, time)) if self.is_news(pid, time) => self.on_exit(pid),
                Ok(News::Stop) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Ok(News::Failed(error)) => return Err(error),
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
            }
            if self.observed.is_empty() && !self.selection.is_open() {
                say("all selected processes have ended");
                return Ok(());
            }
        }
    }

    /// Whether something that happened to a process is not known already.
    fn is_news(&self, pid: u32, time: u64) -> bool {
        self.observed.get(&pid).is_none_or(|observed| observed.since <= time)
    }

    fn on_exec(&mut self, pid: u32) {
        if let Some(observed) = self.observed.remove(&pid) {
            // At once: the next program may be of the same file.
            self.session.detach(pid);
            self.ended(pid, &observed, "replaced its program");
        }
        self.waiting.remove(&pid);
        self.look_at(pid);
    }

    fn on_exit(&mut self, pid: u32) {
        self.waiting.remove(&pid);
        if let Some(observed) = self.observed.remove(&pid) {
            self.session.reap(pid);
            self.ended(pid, &observed, "ended");
        }
    }

    fn ended(&self, pid: u32, observed: &Observed, how: &str) {
        self.order(Order::Remove(observed.instance));
        say(&format!("{}[{pid}] {how}", observed.name));
    }

    /// Attaches to a process, if it is wanted.
    fn look_at(&mut self, pid: u32) {
        if !self.selection.is_open() && !self.selection.pids.contains(&pid) {
            return;
        }
        let since = now();
        let Ok((target, file)) = self.inspector.inspect_file(Process { pid }) else { return };
        if self.selection.matches(&target) {
            self.try_attach(&target, &file, since);
        } else {
            self.wait_for_port(pid);
        }
    }

    /// Looks after what events may have been lost of.
    fn refresh(&mut self) -> Result<()> {
        for pid in self.session.refresh()? {
            if (Process { pid }).is_alive() { self.on_exec(pid) } else { self.on_exit(pid) }
        }
        let lost = self.session.counters()?.dropped(wire::Drop::LifecycleFull);
        if lost > self.lost_news {
            self.lost_news = lost;
            for process in select::candidates(&self.selection)? {
                if !self.observed.contains_key(&process.pid) {
                    self.look_at(process.pid);
                }
            }
        }
        Ok(())
    }

    fn wait_for_port(&mut self, pid: u32) {
        if self.selection.waits_for_port() && self.waiting.len() < 1024 {
            self.waiting.insert(pid, Instant::now() + PORT_PATIENCE);
        }
    }

    fn retry_ports(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        for (pid, until) in waiting {
            let since = now();
            let Ok((target, file)) = self.inspector.inspect_file(Process { pid }) else { continue };
            if self.selection.matches(&target) {
                self.try_attach(&target, &file, since);
            } else if until > Instant::now() {
                self.waiting.insert(pid, until);
            }
        }
    }

    fn order(&self, order: Order) {
        // A reader that failed has said so in the news.
        let _ = self.reader.orders.send(order);
    }

    /// Detaches from all, reads what is left and sums up.
    fn stop(mut self) -> Summary {
        self.session.detach_all();
        let counters = self.session.counters().unwrap_or_default();
        let counts = self.reader.stop();
        Summary::new(counts, &counters)
    }
}

fn count(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

fn stop_on_signal(news: Sender<News>) -> Result<()> {
    let news = Arc::new(std::sync::Mutex::new(news));
    ctrlc::set_handler(move || {
        if let Ok(news) = news.lock() {
            // The agent is stopping already when nobody listens.
            let _ = news.send(News::Stop);
        }
    })
    .context("set up signal handling")
}
