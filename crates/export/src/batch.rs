//! Batches: spans and log records are encoded when they come and wait in one buffer a resource.

use std::collections::HashMap;
use std::sync::Arc;

use prost::bytes::Bytes;
use trace::{LogRecord, Resource, Span};

use crate::Config;
use crate::encode;
use crate::signal::Signal;

/// A batch is full at this size: well below the 4 MiB that gRPC servers take by default.
const MAX_BYTES: usize = 1 << 20;
/// So many batches find room in a queue at least: what does not is lost by the batch.
const IN_QUEUE: usize = 16;
/// Below this size batches cost more than they save.
const LEAST_BYTES: usize = 16 << 10;

/// An encoded request of one signal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) signal: Signal,
    pub(crate) request: Bytes,
    /// Spans, log records, or points of metrics.
    pub(crate) items: u64,
    /// Of metrics: the number by which the exporter reports that the back end has taken the batch.
    pub(crate) number: u64,
}

/// Collects spans or log records into a batch.
#[derive(Debug)]
pub(crate) struct Batcher {
    signal: Signal,
    /// By address: the `Arc` in the value keeps it from being used again.
    by_resource: HashMap<usize, (Arc<Resource>, Vec<u8>)>,
    items: u64,
    bytes: usize,
    max_bytes: usize,
}

impl Batcher {
    /// For a queue of so many bytes.
    pub(crate) fn new(signal: Signal, queue_bytes: usize) -> Self {
        let max_bytes = (queue_bytes / IN_QUEUE).clamp(LEAST_BYTES, MAX_BYTES);
        Self { signal, by_resource: HashMap::new(), items: 0, bytes: 0, max_bytes }
    }

    /// Adds a span; gives the batch when it is full.
    pub(crate) fn span(&mut self, span: &Span) -> Option<Batch> {
        self.push(&span.resource, |buffer| encode::span(span, buffer))
    }

    /// Adds a log record; gives the batch when it is full.
    pub(crate) fn log(&mut self, record: &LogRecord) -> Option<Batch> {
        self.push(&record.resource, |buffer| encode::log(record, buffer))
    }

    fn push(&mut self, of: &Arc<Resource>, write: impl FnOnce(&mut Vec<u8>)) -> Option<Batch> {
        let (_, buffer) = self
            .by_resource
            .entry(Arc::as_ptr(of) as usize)
            .or_insert_with(|| (of.clone(), Vec::new()));
        let before = buffer.len();
        write(buffer);
        self.bytes += buffer.len() - before;
        self.items += 1;
        (self.bytes >= self.max_bytes).then(|| self.take())?
    }

    /// What was collected, if anything.
    pub(crate) fn take(&mut self) -> Option<Batch> {
        if self.items == 0 {
            return None;
        }
        let mut request = Vec::with_capacity(self.bytes + 1024);
        for (resource, items) in self.by_resource.values_mut() {
            if !items.is_empty() {
                encode::of_resource(resource, items, &mut request);
                items.clear();
            }
        }
        // Buffers of processes that are gone must not stay.
        if self.by_resource.len() > 64 {
            self.by_resource.clear();
        }
        self.bytes = 0;
        let items = std::mem::take(&mut self.items);
        Some(Batch { signal: self.signal, request: request.into(), items, number: 0 })
    }
}

/// Encodes spans as an exporter does and sends nothing: for benchmarks.
#[derive(Debug)]
pub struct Encoder(Batcher);

impl Default for Encoder {
    fn default() -> Self {
        Self(Batcher::new(Signal::Traces, Config::default().queue_bytes))
    }
}

impl Encoder {
    /// Adds a span; gives the bytes of a request that is full.
    pub fn push(&mut self, span: &Span) -> Option<Bytes> {
        self.0.span(span).map(|batch| batch.request)
    }
}
