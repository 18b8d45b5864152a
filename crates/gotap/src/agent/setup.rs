//! Starts an agent from what the verbs ask for: loads the programs, and starts its threads. Not here: finding processes
//! and following them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use anyhow::Result;
use export::LiveStats;
use instruments::Options;
use pipeline::{Beside, Connections, Pipeline, Sampling, SharedMeter, Sink, Stages};
use probes::{Features, LogProcesses, Session};
use trace::Assembler;

use super::collecting::MetricsThread;
use super::figures::Figures;
use super::overhead::Overhead;
use super::placing::{self, Placing};
use super::recorded::RecordingFile;
use super::stop::Stop;
use super::{Agent, Targets, active, attach, host, own, profiling, verbs};
use crate::cli::ProbeArgs;
use crate::config;
use crate::governor::Budget;
use crate::inspect::Inspector;
use crate::reader::{AgentEvent, Reader};
use crate::select::Selection;
use crate::xray::{Added, Looking, Slow};

/// What an agent is started with.
pub(super) struct Setup {
    pub(super) selection: Selection,
    pub(super) options: Options,
    pub(super) features: Features,
    pub(super) service_name: Option<String>,
    pub(super) assembler: Assembler,
    pub(super) sinks: Vec<Box<dyn Sink>>,
    /// The agent's own attributes.
    pub(super) resource: Arc<[(String, String)]>,
    /// Of the sink that sends spans, if there is one.
    pub(super) export: Option<LiveStats>,
    /// What is counted of operations.
    pub(super) meter: Option<Arc<SharedMeter>>,
    /// Whether requests that are being served are counted.
    pub(super) counts_active: bool,
    /// Which traces are sent.
    pub(super) sampling: Sampling,
    /// Spans that may wait for a sink.
    pub(super) max_queued: usize,
    /// How often metrics go to the sinks; never if not given.
    pub(super) metrics_interval: Option<Duration>,
    /// What is measured of all programs of the host.
    pub(super) host: config::Host,
    /// Which lines of logs are looked at.
    pub(super) logs: config::Logs,
    /// Where pods are asked for.
    pub(super) kubernetes: Option<placing::Asked>,
    /// Profiles that are taken all the time, if they are.
    pub(super) profiling: Option<profiling::Wanted>,
    /// What spans of slow requests say of where their time went.
    pub(super) xray: Option<Arc<Slow>>,
    /// What tracing may cost each process; nobody asks if not given.
    pub(super) overhead: Option<Budget>,
    /// Where the reader's input is kept, if it is.
    pub(super) recording: Option<RecordingFile>,
    /// Whether programs with nothing to trace are named.
    pub(super) aloud: bool,
}

impl Setup {
    /// Observes these processes, and does nothing with what is seen.
    pub(super) fn new(
        selection: Selection,
        options: Options,
        features: Features,
        assembler: Assembler,
    ) -> Self {
        Self {
            options: Options { known_processes: !selection.is_open(), ..options },
            selection,
            features,
            assembler,
            service_name: None,
            sinks: Vec::new(),
            resource: own::resource(None),
            export: None,
            meter: None,
            counts_active: false,
            sampling: Sampling::default(),
            max_queued: pipeline::MAX_QUEUED,
            metrics_interval: None,
            host: config::Host::default(),
            logs: config::Logs::default(),
            kubernetes: None,
            profiling: None,
            xray: None,
            overhead: None,
            recording: None,
            aloud: false,
        }
    }

    /// The same by the flags of commands that show spans themselves.
    pub(super) fn of_flags(
        selection: Selection,
        http: &config::Http,
        probes: &ProbeArgs,
        error_messages: bool,
    ) -> Result<Self> {
        let ProbeArgs { exact_lineage, no_connection_join, no_uprobe_multi, empty_probes } =
            *probes;
        let options = Options {
            exact_lineage,
            no_connection_join,
            query_strings: http.query_strings,
            headers: http.wanted_headers()?,
            empty_probes,
            ..Options::default()
        };
        let features = verbs::features(no_uprobe_multi);
        Ok(Self::new(selection, options, features, verbs::assembler(http, error_messages)))
    }

    /// The sinks, with that of profiles.
    fn pipeline(&mut self, sender: &Sender<AgentEvent>) -> std::io::Result<Pipeline> {
        let failed = sender.clone();
        let mut sinks = std::mem::take(&mut self.sinks);
        sinks.extend(self.profiling.as_ref().map(profiling::Wanted::sink));
        Pipeline::start(sinks, self.max_queued, move |error| {
            // Nobody listens any more only when the program ends anyway.
            let _ = failed.send(AgentEvent::Failed(error));
        })
    }

    /// What makes spans of events, and by connection the requests that it has seen.
    fn stages(&mut self, pipeline: &Pipeline) -> (Stages, Arc<Connections>) {
        let assembler = std::mem::take(&mut self.assembler);
        let added = self.xray.clone().map(|slow| Box::new(Added(slow)) as Box<dyn Beside>);
        let stages = Stages::new(assembler, self.meter.clone(), self.sampling, pipeline.clone());
        let mut stages = stages.beside(added);
        let served = Arc::<Connections>::default();
        if self.host.tcp_spans {
            stages.remember_connections(served.clone());
        }
        if self.logs.is_on() {
            stages.expect_logs(self.logs.text);
        }
        (stages, served)
    }

    /// What is measured of the host and of the agent, but for what other threads add; and whose logs are looked at.
    fn figures(
        &self,
        session: &Session,
        reader: &Reader,
        pipeline: &Pipeline,
        served: &Arc<Connections>,
    ) -> Result<(Figures, Option<LogProcesses>)> {
        let (own, export, meter) = (self.resource.clone(), self.export.clone(), self.meter.clone());
        let (hits, shared) = (session.hits(), reader.shared.clone());
        let mut figures = Figures::new(own, hits, shared, pipeline.clone(), export, meter);
        let mut host = host::Host::start(self.host, pipeline, served, &self.resource)?;
        let logged = if self.logs.is_on() {
            let lines = reader.commands.clone();
            Some(host.look_at_logs(self.logs.clone(), session.served()?, lines)?)
        } else {
            None
        };
        figures.host = host;
        if self.counts_active {
            figures.active = Some(active::Active::load(&session.served()?)?);
        }
        figures.xray = self.xray.clone();
        figures.profiles = self.profiling.as_ref().map(profiling::Wanted::counted);
        Ok((figures, logged))
    }
}

impl Agent {
    pub(super) fn start(mut setup: Setup) -> Result<Self> {
        let (sender, events) = channel();
        let stop = Stop::new(sender.clone());
        stop.on_signal()?;
        let placing = Placing::start(setup.kubernetes.take(), sender.clone())?;
        let cluster = placing.as_ref().map(|placing| placing.cluster.clone());
        let session = Session::load(setup.features, setup.options)?;
        let pipeline = setup.pipeline(&sender)?;
        let source = session.event_source()?;
        let (stages, served) = setup.stages(&pipeline);
        let recorder = setup.recording.as_ref().map(RecordingFile::recorder);
        let reader = Reader::start(source, stages, recorder, sender)?;
        let (mut figures, logged) = setup.figures(&session, &reader, &pipeline, &served)?;
        let overhead = setup.overhead.map(|budget| Overhead::new(budget, setup.features));
        figures.overhead = overhead.as_ref().map(|overhead| overhead.costs.clone());
        figures.pods = cluster.as_ref().map(|cluster| cluster.pods.clone());
        let (figures, targets) = (Arc::new(figures), Arc::<Targets>::default());
        let profiling = setup.profiling.take().map(|wanted| {
            wanted.start(setup.features, session.served()?, figures.clone(), targets.clone())
        });
        let metrics_thread = setup
            .metrics_interval
            .map(|interval| MetricsThread::start(interval, pipeline.clone(), figures.clone()));
        let metrics_thread = metrics_thread.transpose()?;
        let look = |slow| Looking::start(session.served()?, targets.clone(), slow);
        let looking = setup.xray.take().map(look).transpose()?;
        let mut idle = attach::Idle::new(!setup.selection.is_everything());
        idle.aloud |= setup.aloud;
        Ok(Self {
            inspector: Inspector::new(setup.options, setup.service_name, cluster),
            selection: setup.selection,
            session,
            reader,
            pipeline,
            figures,
            export: setup.export,
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
            last_silent: 0,
        })
    }
}
