//! What became of what was to be sent. Not here: who counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts of spans or of log records since start. Each that was pushed is in exactly one of them or still waiting.
#[derive(Debug, Default)]
#[expect(missing_docs, reason = "each is what its name says")]
pub struct Delivered {
    pub exported: AtomicU64,
    /// Dropped as the queue was full.
    pub queue_full: AtomicU64,
    /// Refused by the back end for good, in a partial success or by an error.
    pub rejected: AtomicU64,
    /// Still waiting when the agent stopped.
    pub shutdown: AtomicU64,
}

impl Delivered {
    /// How many arrived.
    pub fn exported(&self) -> u64 {
        self.exported.load(Ordering::Relaxed)
    }

    /// How many were lost, by reason.
    pub fn lost(&self) -> [(&'static str, u64); 3] {
        let read = |n: &AtomicU64| n.load(Ordering::Relaxed);
        [
            ("export_queue_full", read(&self.queue_full)),
            ("export_rejected", read(&self.rejected)),
            ("export_shutdown", read(&self.shutdown)),
        ]
    }
}

/// Counts since start.
#[derive(Debug, Default)]
pub struct Stats {
    /// Of spans.
    pub spans: Delivered,
    /// Of log records.
    pub logs: Delivered,
    /// Requests that were sent again.
    pub retries: AtomicU64,
    /// Points of metrics that arrived.
    pub points_exported: AtomicU64,
    /// Points of metrics that the back end refused.
    pub points_rejected: AtomicU64,
}

impl Stats {
    /// Spans that arrived.
    pub fn exported(&self) -> u64 {
        self.spans.exported()
    }

    /// Requests that were sent again.
    pub fn retried(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }

    /// Spans that were lost, by reason.
    pub fn lost(&self) -> [(&'static str, u64); 3] {
        self.spans.lost()
    }
}
