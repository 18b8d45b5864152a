//! What became of what was to be sent. Not here: who counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts of one kind of telemetry since start. Each item that was pushed is in exactly one of them or still waiting.
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
    /// The thread that sends had failed, which is a defect of gotap.
    pub failed: AtomicU64,
}

impl Delivered {
    /// How many arrived.
    pub fn exported(&self) -> u64 {
        self.exported.load(Ordering::Relaxed)
    }

    /// How many were lost, by reason.
    pub fn lost(&self) -> [(&'static str, u64); 4] {
        let read = |n: &AtomicU64| n.load(Ordering::Relaxed);
        [
            ("export_queue_full", read(&self.queue_full)),
            ("export_rejected", read(&self.rejected)),
            ("export_shutdown", read(&self.shutdown)),
            ("export_failed", read(&self.failed)),
        ]
    }
}

/// Counts of the points of metrics since start. What a point says that did not arrive is in the next one of its
/// series, if there is one: only the newest are sent. Each point that was pushed is in exactly one of these counts
/// or still waiting.
#[derive(Debug, Default)]
pub struct Points {
    /// What can become of all telemetry.
    pub delivered: Delivered,
    /// The back end was not reached, or was busy.
    pub unreachable: AtomicU64,
    /// Newer ones came while they waited.
    pub replaced: AtomicU64,
    /// The request before was still on its way, and what it would bring was not known.
    pub busy: AtomicU64,
}

impl Points {
    /// How many arrived.
    pub fn exported(&self) -> u64 {
        self.delivered.exported()
    }

    /// How many were lost, by reason.
    pub fn lost(&self) -> [(&'static str, u64); 7] {
        let read = |n: &AtomicU64| n.load(Ordering::Relaxed);
        let [full, rejected, shutdown, failed] = self.delivered.lost();
        [
            full,
            rejected,
            shutdown,
            failed,
            ("export_unreachable", read(&self.unreachable)),
            ("export_replaced", read(&self.replaced)),
            ("export_busy", read(&self.busy)),
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
    /// Of points of metrics.
    pub points: Points,
    /// Requests that were sent again.
    pub retries: AtomicU64,
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
    pub fn lost(&self) -> [(&'static str, u64); 4] {
        self.spans.lost()
    }
}
