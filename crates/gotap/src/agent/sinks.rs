//! Where spans go: lines on standard output, or a collector; and which of them go there.

use std::io::{BufWriter, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use export::Exporter;
use trace::{Span, Status, Value};

use super::summary::Delivery;
use crate::output::{json_line, text};
use crate::reader::Sink;

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
    fn span(&mut self, span: &Span) -> Result<()> {
        Ok(writeln!(self.out, "{}", text::line(span, self.style, ""))?)
    }

    fn tick(&mut self) -> Result<()> {
        Ok(self.out.flush()?)
    }

    fn finish(mut self: Box<Self>, _patience: Duration) {
        // The reader of our output may be gone; there is nobody to tell.
        let _ = self.out.flush();
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
    fn span(&mut self, span: &Span) -> Result<()> {
        Ok(writeln!(self.out, "{}", json_line(span))?)
    }

    fn tick(&mut self) -> Result<()> {
        Ok(self.out.flush()?)
    }

    fn finish(mut self: Box<Self>, _patience: Duration) {
        let _ = self.out.flush();
    }
}

/// What a span tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Instrument {
    Http,
    Grpc,
    Sql,
    Redis,
}

impl Instrument {
    fn made(self, span: &Span) -> bool {
        let system = span.get("db.system.name").and_then(Value::as_str);
        match self {
            Instrument::Http => span.get("http.request.method").is_some(),
            Instrument::Grpc => span.get("rpc.system.name").is_some(),
            Instrument::Sql => system.is_some_and(|system| system != "redis"),
            Instrument::Redis => system == Some("redis"),
        }
    }
}

/// Which spans are printed: those that pass all that is asked for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Filter {
    pub(super) instrument: Option<Instrument>,
    /// Those that ended in an error.
    pub(super) errors: bool,
    /// Those that took longer.
    pub(super) slower_than: Option<Duration>,
}

impl Filter {
    pub(super) fn passes(&self, span: &Span) -> bool {
        let took = span.end_unix_nano.saturating_sub(span.start_unix_nano);
        self.instrument.is_none_or(|instrument| instrument.made(span))
            && (!self.errors || matches!(span.status, Status::Error(_)))
            && self.slower_than.is_none_or(|limit| Duration::from_nanos(took) > limit)
    }
}

/// Spans that pass a filter.
pub(super) struct Only {
    filter: Filter,
    inner: Box<dyn Sink + Send>,
}

impl Only {
    pub(super) fn new(filter: Filter, inner: Box<dyn Sink + Send>) -> Self {
        Self { filter, inner }
    }
}

impl Sink for Only {
    fn span(&mut self, span: &Span) -> Result<()> {
        if self.filter.passes(span) { self.inner.span(span) } else { Ok(()) }
    }

    fn tick(&mut self) -> Result<()> {
        self.inner.tick()
    }

    fn finish(self: Box<Self>, patience: Duration) {
        self.inner.finish(patience);
    }
}

/// Final counts of the exporter, once it has stopped.
#[derive(Clone, Default)]
pub(super) struct Delivered(Arc<Mutex<Delivery>>);

impl Delivered {
    pub(super) fn counts(&self) -> Delivery {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A collector.
pub(super) struct Otlp {
    exporter: Exporter,
    delivered: Delivered,
}

impl Otlp {
    pub(super) fn new(exporter: Exporter) -> (Delivered, Self) {
        let delivered = Delivered::default();
        (delivered.clone(), Self { exporter, delivered })
    }
}

impl Sink for Otlp {
    fn span(&mut self, span: &Span) -> Result<()> {
        self.exporter.push(span);
        Ok(())
    }

    fn tick(&mut self) -> Result<()> {
        self.exporter.tick();
        Ok(())
    }

    fn finish(self: Box<Self>, patience: Duration) {
        let stats = self.exporter.shutdown(patience);
        let not = stats.lost().into_iter().filter(|(_, n)| *n > 0).collect();
        let delivery = Delivery { delivered: stats.exported(), not };
        *self.delivered.0.lock().unwrap_or_else(PoisonError::into_inner) = delivery;
    }
}
