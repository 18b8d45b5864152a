//! What `gotap run` sees beside operations: TCP connections, and programs that start and end, of the whole host;
//! and lines of observed programs' logs. Each part has a thread of its own that reads its events. Not here: what is counted (`tcp`, `programs`), and how the
//! kernel is asked (`probes`).

mod logs;
mod programs;
mod series;
mod tcp;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use anyhow::{Context, Result};
use metrics::Metric;
use pipeline::{Connections, Pipeline};
use probes::{LogProcesses, ServedMaps};
use trace::{Resource, Value};

use super::say;
use crate::config;
use crate::config::Logs as LogsWanted;
use crate::reader::ReaderCommand;

/// Between looks at a ring buffer.
const PAUSE: Duration = Duration::from_millis(100);
/// How long one of them may take to finish.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long what one of them measured is waited for.
const ANSWER: Duration = Duration::from_secs(2);
/// Size of a ring buffer.
const BUFFER: u32 = 4 << 20;

/// The parts that are on. Their threads end when this is dropped.
#[derive(Default)]
pub(super) struct Host {
    parts: Vec<Sender<Question>>,
}

/// What is asked of a part.
enum Question {
    /// What was measured so far.
    Metrics(Sender<Vec<Metric>>),
    /// To read what is left, and to say when that is done.
    Finish(Sender<()>),
}

/// One of them. It stays in its thread, as ring buffers do.
trait Part {
    /// Reads the events that are there; gives whether there may be more.
    fn read(&mut self) -> Result<bool>;
    /// What was measured so far.
    fn metrics(&self) -> Vec<Metric>;
    /// Hands on what waits: nothing more comes.
    fn finish(&mut self) {}
}

impl Host {
    /// Attaches what is wanted to the whole host.
    ///
    /// # Errors
    /// What keeps one of them from that.
    pub(super) fn start(
        wanted: config::Host,
        pipeline: &Pipeline,
        served: &Arc<Connections>,
        own: &[(String, String)],
    ) -> Result<Self> {
        let mut host = Self::default();
        if wanted.tcp {
            let spans = wanted.tcp_spans.then(|| tcp::Spans::new(pipeline.clone(), served.clone()));
            let attach = move || tcp::Connections::attach(wanted.tcp_system_calls, spans);
            host.add("gotap-tcp", attach).context("measure TCP connections (host.tcp)")?;
        }
        if wanted.programs {
            let logs = wanted
                .program_logs
                .then(|| programs::Records::new(pipeline.clone(), resource(own)));
            let logs = logs.transpose()?;
            let attach = move || programs::Programs::attach(logs);
            host.add("gotap-programs", attach).context("measure programs (host.programs)")?;
        }
        Ok(host)
    }

    /// Looks at lines of logs. The result takes the processes whose lines are wanted.
    ///
    /// # Errors
    /// What keeps it from that.
    pub(super) fn look_at_logs(
        &mut self,
        wanted: LogsWanted,
        served: ServedMaps,
        reader: Sender<ReaderCommand>,
    ) -> Result<LogProcesses> {
        let (sender, processes) = channel();
        let attach = move || {
            let (lines, processes) = logs::Lines::attach(&wanted, &served, reader)?;
            // Whoever asked waits for it.
            let _ = sender.send(processes);
            Ok(lines)
        };
        self.add("gotap-logs", attach).context("look at lines of logs (logs.streams)")?;
        processes.recv().context("its thread ended")
    }

    fn add<P: Part>(
        &mut self,
        name: &str,
        attach: impl FnOnce() -> Result<P> + Send + 'static,
    ) -> Result<()> {
        let (questions, asked) = channel();
        let (started, start) = channel();
        let run = move || match attach() {
            Ok(part) => {
                // Nobody waits any more only when the program ends anyway.
                let _ = started.send(Ok(()));
                serve(part, &asked);
            }
            Err(error) => drop(started.send(Err(error))),
        };
        std::thread::Builder::new().name(name.into()).spawn(run)?;
        start.recv().context("its thread ended")??;
        self.parts.push(questions);
        Ok(())
    }

    /// What all of them measured. Nothing of one that failed or hangs.
    pub(super) fn metrics(&self) -> Vec<Metric> {
        let ask = |part: &Sender<Question>| {
            let (answer, answered) = channel();
            part.send(Question::Metrics(answer)).ok()?;
            answered.recv_timeout(ANSWER).ok()
        };
        self.parts.iter().filter_map(ask).flatten().collect()
    }

    /// Lets all of them read what is left, for a bounded time.
    pub(super) fn finish(&self) {
        let ask = |part: &Sender<Question>| {
            let (done, over) = channel();
            part.send(Question::Finish(done)).ok().map(|()| over)
        };
        let asked: Vec<_> = self.parts.iter().filter_map(ask).collect();
        // One that hangs or has failed is left behind.
        for over in asked {
            let _ = over.recv_timeout(PATIENCE);
        }
    }
}

/// The agent's own attributes, as those of what it sends.
fn resource(own: &[(String, String)]) -> Arc<Resource> {
    let text = |(key, text): &(String, String)| (key.clone(), Value::Text(text.as_str().into()));
    Arc::new(Resource::new(own.iter().map(text).collect()))
}

/// Reads events and answers until nobody can ask any more.
fn serve(mut part: impl Part, asked: &Receiver<Question>) {
    let mut pause = PAUSE;
    loop {
        match asked.recv_timeout(pause) {
            Ok(Question::Metrics(answer)) => drop(answer.send(part.metrics())),
            Ok(Question::Finish(done)) => {
                while part.read().is_ok_and(|more| more) {}
                part.finish();
                // Whoever asked may have lost patience.
                let _ = done.send(());
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        match part.read() {
            Ok(more) => pause = if more { Duration::ZERO } else { PAUSE },
            Err(error) => {
                return say(&format!("events of the host are not read any more: {error:#}"));
            }
        }
    }
}
