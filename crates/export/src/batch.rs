//! Batches: spans and log records are encoded when they come and wait in one buffer a resource. Buffers are given
//! back with each batch, so that what is held is bounded by a part of the queue's bytes.

use std::collections::HashMap;
use std::sync::Arc;

use prost::bytes::Bytes;
use trace::{LogRecord, Resource, Span};

use crate::Config;
use crate::encode;
use crate::signal::Signal;

/// A batch is full at this size: well below the 4 MiB that gRPC servers take by default.
const MAX_BYTES: usize = 1 << 20;
/// So many batches there are in a queue's bytes: what finds no room is lost by the batch.
const IN_QUEUE: usize = 24;
/// What a batch takes at most while it is made, in batches: its buffers, which may be half empty, and the request.
const HELD: usize = 3;
/// Bytes that the length of a resource's part may take.
const LENGTHS: usize = 8;

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

/// What is collected of one resource.
#[derive(Debug)]
struct Part {
    resource: Arc<Resource>,
    items: Vec<u8>,
}

/// Collects spans or log records into a batch.
#[derive(Debug)]
pub(crate) struct Batcher {
    signal: Signal,
    /// By address: the `Arc` in the value keeps it from being used again.
    by_resource: HashMap<usize, Part>,
    items: u64,
    /// Of the request, as far as it is known.
    bytes: usize,
    max_bytes: usize,
}

impl Batcher {
    /// For a queue of so many bytes.
    pub(crate) fn new(signal: Signal, queue_bytes: usize) -> Self {
        let max_bytes = Self::max_bytes(queue_bytes);
        Self { signal, by_resource: HashMap::new(), items: 0, bytes: 0, max_bytes }
    }

    fn max_bytes(queue_bytes: usize) -> usize {
        (queue_bytes / IN_QUEUE).min(MAX_BYTES)
    }

    /// What one holds at most beside what it adds last, of a queue's bytes.
    pub(crate) fn room(queue_bytes: usize) -> usize {
        HELD * Self::max_bytes(queue_bytes)
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
        let part = self.by_resource.entry(Arc::as_ptr(of) as usize).or_insert_with(|| {
            let mut items = Vec::new();
            // The resource itself is a part of the request, too, and may be larger than what it has.
            encode::of_resource(of, &[], &mut items);
            self.bytes += items.len() + LENGTHS;
            items.clear();
            Part { resource: of.clone(), items }
        });
        let before = part.items.len();
        write(&mut part.items);
        self.bytes += part.items.len() - before;
        self.items += 1;
        (self.bytes >= self.max_bytes).then(|| self.take())?
    }

    /// What was collected, if anything.
    pub(crate) fn take(&mut self) -> Option<Batch> {
        if self.items == 0 {
            return None;
        }
        let mut request = Vec::with_capacity(self.bytes);
        for part in std::mem::take(&mut self.by_resource).into_values() {
            encode::of_resource(&part.resource, &part.items, &mut request);
        }
        self.bytes = 0;
        let items = std::mem::take(&mut self.items);
        Some(Batch { signal: self.signal, request: request.into(), items, number: 0 })
    }

    /// Bytes that its buffers take.
    #[cfg(test)]
    fn held(&self) -> usize {
        self.by_resource.values().map(|part| part.items.capacity()).sum()
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

#[cfg(test)]
mod tests {
    use trace::Value;
    use trace::synthetic::span;

    use super::*;

    /// A resource whose attributes take so many bytes and more.
    fn resource(bytes: usize) -> Arc<Resource> {
        Arc::new(Resource::new(vec![("a".into(), Value::Text("x".repeat(bytes).into()))]))
    }

    fn span_of(resource: &Arc<Resource>) -> Span {
        Span { resource: resource.clone(), ..span(1, 1, None) }
    }

    /// One resource after the other fills a batch: none keeps its buffer.
    #[test]
    fn what_is_held_is_bounded_by_the_queue() {
        for queue in [64 << 10, 1 << 20, 8 << 20] {
            let mut batcher = Batcher::new(Signal::Traces, queue);
            let one = {
                let mut bytes = Vec::new();
                encode::span(&span_of(&resource(1)), &mut bytes);
                bytes.len()
            };
            for _ in 0..100 {
                let resource = resource(10);
                let batch = loop {
                    let full = batcher.span(&span_of(&resource));
                    let most = Batcher::room(queue) - batcher.max_bytes + 2 * one;
                    assert!(batcher.held() <= most, "{queue}: {}", batcher.held());
                    if let Some(batch) = full {
                        break batch;
                    }
                };
                assert!(batch.request.len() <= batcher.max_bytes + one, "{queue}");
                assert_eq!(batcher.held(), 0);
            }
        }
    }

    /// Many resources that have little: they count, too.
    #[test]
    fn resources_are_a_part_of_a_batch() {
        let mut batcher = Batcher::new(Signal::Traces, 8 << 20);
        let most = batcher.max_bytes + 4096;
        let mut full = 0;
        for _ in 0..2000 {
            if let Some(batch) = batcher.span(&span_of(&resource(2000))) {
                assert!(batch.request.len() <= most, "{} of {most}", batch.request.len());
                full += 1;
            }
        }
        assert!(full > 2, "{full}");
    }
}
