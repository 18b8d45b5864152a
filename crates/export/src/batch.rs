//! Batches: spans are encoded when they come and wait in one buffer a resource.

use std::collections::HashMap;
use std::sync::Arc;

use prost::bytes::Bytes;
use trace::{Resource, Span};

use crate::encode;
use crate::signal::Signal;

/// A batch is full at this size: well below the 4 MiB that gRPC servers take by default.
const MAX_BYTES: usize = 1 << 20;

/// An encoded request of one signal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) signal: Signal,
    pub(crate) request: Bytes,
    /// Spans, or points of metrics.
    pub(crate) items: u64,
    /// Of metrics: the number by which the exporter reports that the back end has taken the batch.
    pub(crate) number: u64,
}

/// Collects spans into a batch.
#[derive(Debug, Default)]
pub(crate) struct Batcher {
    /// By address: the `Arc` in the value keeps it from being used again.
    by_resource: HashMap<usize, (Arc<Resource>, Vec<u8>)>,
    spans: u64,
    bytes: usize,
}

impl Batcher {
    /// Adds a span; gives the batch when it is full.
    pub(crate) fn push(&mut self, span: &Span) -> Option<Batch> {
        let (_, buffer) = self
            .by_resource
            .entry(Arc::as_ptr(&span.resource) as usize)
            .or_insert_with(|| (span.resource.clone(), Vec::new()));
        let before = buffer.len();
        encode::span(span, buffer);
        self.bytes += buffer.len() - before;
        self.spans += 1;
        (self.bytes >= MAX_BYTES).then(|| self.take())?
    }

    /// What was collected, if anything.
    pub(crate) fn take(&mut self) -> Option<Batch> {
        if self.spans == 0 {
            return None;
        }
        let mut request = Vec::with_capacity(self.bytes + 1024);
        for (resource, spans) in self.by_resource.values_mut() {
            if !spans.is_empty() {
                encode::resource_spans(resource, spans, &mut request);
                spans.clear();
            }
        }
        // Buffers of processes that are gone must not stay.
        if self.by_resource.len() > 64 {
            self.by_resource.clear();
        }
        self.bytes = 0;
        let items = std::mem::take(&mut self.spans);
        Some(Batch { signal: Signal::Traces, request: request.into(), items, number: 0 })
    }
}

/// Encodes spans as an exporter does and sends nothing: for benchmarks.
#[derive(Debug, Default)]
pub struct Encoder(Batcher);

impl Encoder {
    /// Adds a span; gives the bytes of a request that is full.
    pub fn push(&mut self, span: &Span) -> Option<Bytes> {
        self.0.push(span).map(|batch| batch.request)
    }
}
