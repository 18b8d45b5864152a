//! Where spans go: lines on standard output, or a collector.

use std::io::{BufWriter, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use export::Exporter;
use trace::Span;

use crate::output::{json_line, text};
use crate::reader::Sink;

/// Aligned, coloured text.
pub(super) struct TextLines {
    out: BufWriter<std::io::Stdout>,
    colours: bool,
}

impl TextLines {
    pub(super) fn new() -> Self {
        Self { out: BufWriter::new(std::io::stdout()), colours: text::colours() }
    }
}

impl Sink for TextLines {
    fn span(&mut self, span: &Span) -> Result<()> {
        Ok(writeln!(self.out, "{}", text::line(span, self.colours))?)
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

/// Spans that have an attribute.
pub(super) struct With {
    key: &'static str,
    inner: Box<dyn Sink + Send>,
}

impl With {
    pub(super) fn new(key: &'static str, inner: Box<dyn Sink + Send>) -> Self {
        Self { key, inner }
    }
}

impl Sink for With {
    fn span(&mut self, span: &Span) -> Result<()> {
        if span.get(self.key).is_some() { self.inner.span(span) } else { Ok(()) }
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
pub(super) struct Delivered(Arc<Mutex<String>>);

impl Delivered {
    pub(super) fn text(&self) -> String {
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
        let lost = stats.lost().into_iter().filter(|(_, n)| *n > 0);
        let lost: String = lost.map(|(reason, n)| format!(", {reason} {n}")).collect();
        let text = format!("{} delivered{lost}", stats.exported());
        *self.delivered.0.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }
}
