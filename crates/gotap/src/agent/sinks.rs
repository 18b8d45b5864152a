//! Where spans go: lines on standard output, or a collector; and which of them go there.

use std::io::{BufWriter, Write};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use export::{Collected, Exporter, LiveStats};
use instruments::Verb;
use pipeline::{Measured, Sink};
use trace::{LogRecord, Span, Status};

use crate::opened::unix_nanoseconds;
use crate::output::{json_line, log_line, text};

/// Aligned, coloured text.
pub(super) struct TextLines {
    out: BufWriter<std::io::Stdout>,
    style: text::Style,
}

impl TextLines {
    pub(super) fn new(style: text::Style) -> Self {
        Self { out: BufWriter::new(std::io::stdout()), style }
    }
}

impl Sink for TextLines {
    fn name(&self) -> &'static str {
        "output"
    }

    fn span(&mut self, span: &Span) -> Result<()> {
        Ok(writeln!(self.out, "{}", text::line(span, self.style, ""))?)
    }

    fn log(&mut self, record: &LogRecord) -> Result<()> {
        Ok(writeln!(self.out, "{}", text::log_line(record, self.style))?)
    }

    fn takes_logs(&self) -> bool {
        true
    }

    fn tick(&mut self) -> Result<()> {
        Ok(self.out.flush()?)
    }

    fn finish(mut self: Box<Self>, _patience: Duration) -> Result<()> {
        Ok(self.out.flush()?)
    }
}

/// One JSON object a line.
pub(super) struct JsonLines {
    out: BufWriter<std::io::Stdout>,
}

impl JsonLines {
    pub(super) fn new() -> Self {
        Self { out: BufWriter::new(std::io::stdout()) }
    }
}

impl Sink for JsonLines {
    fn name(&self) -> &'static str {
        "output"
    }

    fn span(&mut self, span: &Span) -> Result<()> {
        Ok(writeln!(self.out, "{}", json_line(span))?)
    }

    fn log(&mut self, record: &LogRecord) -> Result<()> {
        Ok(writeln!(self.out, "{}", log_line(record))?)
    }

    fn takes_logs(&self) -> bool {
        true
    }

    fn tick(&mut self) -> Result<()> {
        Ok(self.out.flush()?)
    }

    fn finish(mut self: Box<Self>, _patience: Duration) -> Result<()> {
        Ok(self.out.flush()?)
    }
}

/// Which spans are printed: those that pass all that is asked for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Filter {
    pub(super) verb: Option<Verb>,
    /// Those that ended in an error.
    pub(super) errors: bool,
    /// Those that took longer.
    pub(super) slower_than: Option<Duration>,
}

impl Filter {
    pub(super) fn passes(&self, span: &Span) -> bool {
        let took = span.end_unix_nano.saturating_sub(span.start_unix_nano);
        self.verb.is_none_or(|verb| (verb.shows)(&span.operation))
            && (!self.errors || matches!(span.status, Status::Error(_)))
            && self.slower_than.is_none_or(|limit| Duration::from_nanos(took) > limit)
    }
}

/// Spans that pass a filter.
pub(super) struct Only {
    filter: Filter,
    inner: Box<dyn Sink>,
}

impl Only {
    pub(super) fn new(filter: Filter, inner: Box<dyn Sink>) -> Self {
        Self { filter, inner }
    }
}

impl Sink for Only {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn span(&mut self, span: &Span) -> Result<()> {
        if self.filter.passes(span) { self.inner.span(span) } else { Ok(()) }
    }

    fn log(&mut self, record: &LogRecord) -> Result<()> {
        self.inner.log(record)
    }

    fn takes_logs(&self) -> bool {
        self.inner.takes_logs()
    }

    fn metrics(&mut self, measured: &Measured) {
        self.inner.metrics(measured);
    }

    fn takes_metrics(&self) -> bool {
        self.inner.takes_metrics()
    }

    fn tick(&mut self) -> Result<()> {
        self.inner.tick()
    }

    fn finish(self: Box<Self>, patience: Duration) -> Result<()> {
        self.inner.finish(patience)
    }
}

/// A collector.
pub(super) struct Otlp {
    exporter: Exporter,
    resource: Arc<[(String, String)]>,
    start_unix_nano: u64,
}

impl Otlp {
    /// `resource` are the agent's own attributes.
    pub(super) fn new(exporter: Exporter, resource: Arc<[(String, String)]>) -> Self {
        Self { exporter, resource, start_unix_nano: unix_nanoseconds() }
    }

    /// What was delivered, also to be read later.
    pub(super) fn stats(&self) -> LiveStats {
        self.exporter.stats()
    }
}

impl Sink for Otlp {
    fn name(&self) -> &'static str {
        "otlp"
    }

    fn span(&mut self, span: &Span) -> Result<()> {
        self.exporter.push(span);
        Ok(())
    }

    fn log(&mut self, record: &LogRecord) -> Result<()> {
        self.exporter.push_log(record);
        Ok(())
    }

    fn takes_logs(&self) -> bool {
        self.exporter.sends_logs()
    }

    fn takes_metrics(&self) -> bool {
        self.exporter.sends_metrics()
    }

    fn metrics(&mut self, measured: &Measured) {
        self.exporter.push_metrics(&Collected {
            resource: &self.resource,
            metrics: &measured.metrics,
            of_others: &measured.processes,
            start_unix_nano: self.start_unix_nano,
            time_unix_nano: measured.time_unix_nano,
        });
    }

    fn tick(&mut self) -> Result<()> {
        self.exporter.tick();
        Ok(())
    }

    fn finish(self: Box<Self>, patience: Duration) -> Result<()> {
        self.exporter.shutdown(patience);
        Ok(())
    }
}
