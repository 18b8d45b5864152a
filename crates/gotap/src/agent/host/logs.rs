//! Lines of logs that observed programs write while they serve requests. Not here: what becomes of them (`pipeline`).

use std::sync::mpsc::Sender;

use anyhow::Result;
use metrics::{Metric, Point};
use probes::{LogOptions, LogProcesses, Logs, ServedMaps};

use super::Part;
use crate::reader::ReaderCommand;

/// Size of the ring buffer.
const BUFFER: u32 = 2 << 20;

/// The part.
pub(super) struct Lines {
    logs: Logs,
    reader: Sender<ReaderCommand>,
    invalid: u64,
}

impl Lines {
    /// Attaches; the processes whose lines are looked at are added later.
    pub(super) fn attach(
        wanted: &super::LogsWanted,
        served: &ServedMaps,
        reader: Sender<ReaderCommand>,
    ) -> Result<(Self, LogProcesses)> {
        let text = if wanted.text { wire::LOG_TEXT_LONG } else { wire::LOG_TEXT_SHORT };
        let options = LogOptions { streams: wanted.streams(), text, buffer: BUFFER };
        let logs = Logs::attach(&options, served)?;
        let processes = logs.processes()?;
        Ok((Self { logs, reader, invalid: 0 }, processes))
    }
}

impl Part for Lines {
    fn read(&mut self) -> Result<bool> {
        let events = self.logs.read()?;
        let more = !events.is_empty();
        let mut lines = Vec::with_capacity(events.len());
        for event in events {
            match event {
                Ok(line) => lines.push(line),
                Err(_) => self.invalid += 1,
            }
        }
        if more {
            // A reader that failed has sent an event that says so.
            let _ = self.reader.send(ReaderCommand::Logs(lines));
        }
        Ok(more)
    }

    fn metrics(&self) -> Vec<Metric> {
        let mut lost = vec![("invalid", self.invalid)];
        let mut metrics = Vec::new();
        // What can't be read is missing, not zero.
        if let Ok(counts) = self.logs.counts() {
            lost.extend([
                ("ring_full", counts.ring_full),
                ("goroutine_unread", counts.goroutine_unread),
                ("text_unread", counts.text_unread),
                ("not_run", counts.not_run),
            ]);
            let one = |n: u64| [Point::int(n, Vec::new())];
            metrics.push(Metric::counter(
                "gotap.log.writes",
                "{write}",
                "Writes of observed programs to where lines are looked for",
                one(counts.writes),
            ));
            metrics.push(Metric::counter(
                "gotap.log.without_request",
                "{write}",
                "Those of goroutines that work for no request: they become no log records",
                one(counts.no_span),
            ));
        }
        let lost = lost.into_iter().map(|(why, n)| Point::int(n, vec![("reason", why.into())]));
        metrics.push(Metric::counter(
            "gotap.log.lost",
            "{write}",
            "Writes that became no log record, or one without its text (text_unread)",
            lost,
        ));
        metrics
    }
}
