//! Metrics on their way into the queue: as they are, or as what came since the back end took some. Not here:
//! sending.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::Exporter;
use super::queue::State;
use crate::MetricsEndpoint;
use crate::config::Temporality;
use crate::delta::Deltas;
use crate::metric::{self, Clock, Collected, How};
use crate::signal::Signal;

/// How long to wait for metrics that are being sent before new ones are made of what they leave.
const SETTLING: Duration = Duration::from_millis(200);
/// How long an operation may take from its end until it is counted, in nanoseconds.
const LATE: u64 = 1_000_000_000;

/// What is known of the metrics that were sent.
pub(super) struct Metrics {
    pub(super) to: MetricsEndpoint,
    pub(super) deltas: Deltas,
    /// Of the next request.
    pub(super) number: u64,
    pub(super) clock: Clock,
}

impl Exporter {
    /// Sends metrics, if they are sent at all. Those that still wait are given up: the new ones have what
    /// they had.
    pub fn push_metrics(&mut self, collected: &Collected<'_>) {
        let Some(mut sent) = self.metrics.take() else { return };
        self.push_metrics_of(collected, &mut sent);
        self.metrics = Some(sent);
    }

    fn push_metrics_of(&self, collected: &Collected<'_>, sent: &mut Metrics) {
        let temporality = sent.to.temporality;
        let queues = &self.shared.queues;
        let mut state = queues.lock();
        let points = &self.shared.stats.points;
        points.replaced.fetch_add(state.clear(Signal::Metrics), Ordering::Relaxed);
        if temporality != Temporality::Cumulative {
            // Whether what is being sent will be taken must be known before more can be.
            let sends = |state: &mut State| state.sends(Signal::Metrics);
            let wait = queues.changed.wait_timeout_while(state, SETTLING, sends);
            state = wait.unwrap_or_else(PoisonError::into_inner).0;
            if state.sends(Signal::Metrics) {
                points.busy.fetch_add(collected.points(), Ordering::Relaxed);
                return;
            }
            sent.deltas.settle(&std::mem::take(&mut state.taken));
        }
        drop(state);
        let before = sent.clock.last;
        sent.clock.shows(collected.time_unix_nano);
        let how = How {
            clock: sent.clock,
            resource: collected.resource,
            start_unix_nano: collected.start_unix_nano,
            time_unix_nano: collected.time_unix_nano,
            temporality,
            exponential: sent.to.exponential,
            exemplars_since: before.saturating_sub(LATE),
        };
        for mut groups in metric::requests(collected) {
            sent.number += 1;
            if temporality != Temporality::Cumulative {
                let (start, now) = (how.start_unix_nano, how.time_unix_nano);
                let since = |group| sent.deltas.since(group, sent.number, temporality, start, now);
                groups = groups.into_iter().map(since).collect();
            }
            self.enqueue(metric::batch(&groups, &how, sent.number));
        }
        let owners = collected.of_others.iter().map(|(owner, _)| Arc::as_ptr(owner) as usize);
        sent.deltas.forget(&owners.collect(), how.time_unix_nano);
    }
}
