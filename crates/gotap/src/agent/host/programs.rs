//! How many programs start and end on the host, how, and after what time; where asked for, a log record for each.

mod records;

use std::sync::Arc;

use anyhow::Result;
use host::exec::{Event, Status, What};
use host::mask::Masker;
use host::processes::Processes;
use metrics::{Attributes, Histogram, HistogramPoint, Metric, Point};
use pipeline::Pipeline;
use probes::host::Execs;
use trace::{LogRecord, Resource};

use super::series::Series;
use super::{BUFFER, Part};
use crate::exec::read_proc;
use crate::live::clock_offset;

/// Buckets of lifetimes, in seconds.
const LIFETIMES: &[f64] =
    &[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 600.0, 3600.0, 86400.0];
/// How a process ended.
const ENDS: [&str; 4] = ["success", "failure", "signal", "unknown"];

/// The part.
pub(super) struct Programs {
    execs: Execs,
    processes: Processes,
    by_name: Series<String, Program>,
    invalid: u64,
    /// Where log records go, if they are wanted.
    logs: Option<Records>,
}

/// What log records are made with.
pub(super) struct Records {
    pipeline: Pipeline,
    masker: Masker,
    /// Of the agent, as the programs are of the whole host.
    resource: Arc<Resource>,
}

impl Records {
    pub(super) fn new(pipeline: Pipeline, resource: Arc<Resource>) -> Result<Self> {
        Ok(Self { pipeline, masker: Masker::new(&[], &[])?, resource })
    }
}

/// One program.
#[derive(Debug)]
struct Program {
    starts: u64,
    ends: [u64; ENDS.len()],
    lifetimes: Histogram,
}

impl Default for Program {
    fn default() -> Self {
        Self { starts: 0, ends: [0; ENDS.len()], lifetimes: Histogram::new(LIFETIMES) }
    }
}

impl Programs {
    pub(super) fn attach(logs: Option<Records>) -> Result<Self> {
        // First, so that what starts while /proc is read is seen.
        let execs = Execs::attach(BUFFER)?;
        let processes = read_proc(&[])?;
        Ok(Self { execs, processes, by_name: Series::default(), invalid: 0, logs })
    }

    fn add(&mut self, event: &Event, offset: u64) -> Option<LogRecord> {
        let known = self.processes.add(event);
        let path = known.as_ref().and_then(|known| known.program.executable.as_deref());
        let file = path.and_then(|path| path.rsplit('/').next()).unwrap_or(&event.comm);
        match &event.what {
            What::Forked => {}
            What::Exec(_) => self.by_name.of(file.to_owned()).starts += 1,
            What::Ended(status) => {
                let end = match status {
                    Some(Status::Code(0)) => 0,
                    Some(Status::Code(_)) => 1,
                    Some(Status::Signal { .. }) => 2,
                    None => 3,
                };
                let program = self.by_name.of(file.to_owned());
                program.ends[end] += 1;
                let lived = event.time_ns.saturating_sub(event.start_ns);
                program.lifetimes.record(lived as f64 / 1e9);
            }
        }
        let Records { masker, resource, .. } = self.logs.as_ref()?;
        let program = known.as_ref().map(|known| &*known.program);
        records::record(event, program, masker, offset, resource)
    }

    fn lost(&self) -> Vec<(&'static str, u64)> {
        let mut lost = vec![("invalid", self.invalid)];
        // What can't be read is missing, not zero.
        if let Ok(counts) = self.execs.counts() {
            let full = counts.forks_lost + counts.execs_lost + counts.exits_lost;
            lost.extend([("ring_full", full), ("not_run", counts.not_run)]);
        }
        lost
    }
}

impl Part for Programs {
    fn read(&mut self) -> Result<bool> {
        let events = self.execs.read()?;
        let more = !events.is_empty();
        let (offset, mut records) = (clock_offset(), Vec::new());
        for event in events {
            match event {
                Ok(event) => records.extend(self.add(&event, offset)),
                Err(_) => self.invalid += 1,
            }
        }
        if let Some(logs) = &self.logs {
            logs.pipeline.logs(records);
        }
        Ok(more)
    }

    fn metrics(&self) -> Vec<Metric> {
        let all = self.by_name.all(|name| vec![("executable", name.clone().into())]);
        let with = |attributes: &Attributes, key, value: &'static str| {
            attributes.iter().cloned().chain([(key, value.into())]).collect::<Attributes>()
        };
        let starts = all.iter().map(|(of, program)| Point::int(program.starts, of.clone()));
        let ends = all.iter().flat_map(|(of, program)| {
            let seen = ENDS.iter().zip(program.ends).filter(|(_, n)| *n > 0);
            seen.map(move |(end, n)| Point::int(n, with(of, "outcome", end)))
        });
        let lifetimes = all
            .iter()
            .map(|(of, program)| HistogramPoint::new(of.clone(), program.lifetimes.clone()));
        let lost =
            self.lost().into_iter().map(|(why, n)| Point::int(n, vec![("reason", why.into())]));
        vec![
            Metric::counter("gotap.program.starts", "{process}", "Programs that were run", starts),
            Metric::counter(
                "gotap.program.ends",
                "{process}",
                "Processes that ended, and how",
                ends,
            ),
            Metric::histogram(
                "gotap.program.lifetime",
                "s",
                "How long processes ran that have ended",
                lifetimes,
            ),
            Metric::counter(
                "gotap.program.lost",
                "{event}",
                "Starts and ends of programs that are not counted",
                lost,
            ),
        ]
    }
}
