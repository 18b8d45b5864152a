//! Metrics that are sent are collected in a thread of their own. Not here: what they say (`figures`).

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender};
use std::time::Duration;

use pipeline::Pipeline;
use red::Consumer;

use super::figures::Figures;

/// The thread that collects metrics for the sinks, as reading the memory of processes takes its time.
pub(super) struct MetricsThread {
    _alive: Sender<()>,
}

impl MetricsThread {
    pub(super) fn start(
        interval: Duration,
        sinks: Pipeline,
        figures: Arc<Figures>,
    ) -> std::io::Result<Self> {
        let (alive, ended) = std::sync::mpsc::channel::<()>();
        std::thread::Builder::new().name("gotap-metrics".into()).spawn(move || {
            while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(interval) {
                sinks.metrics(figures.collect(Consumer::Push));
            }
        })?;
        Ok(Self { _alive: alive })
    }
}
