//! The processes that are observed, for those who measure. Not here: their metrics.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics::Histogram;
use pipeline::Place;
use trace::Resource;

/// Buckets of the time that attaching takes, in seconds.
const ATTACH_BOUNDS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Processes in which nothing can be traced whose Go runtimes are read.
const MAX_IDLE: usize = 512;

/// What the agent knows of processes.
#[derive(Debug)]
pub(super) struct Processes {
    /// Those that are observed, by pid.
    pub(super) observed: HashMap<u32, Arc<Resource>>,
    /// Those in which nothing can be traced, by pid, and since when they are known: their Go runtimes are
    /// read.
    pub(super) idle: HashMap<u32, (Instant, Arc<Resource>)>,
    /// Those whose pods are waited for, and until when: what their runtimes count is left out until then.
    unplaced: HashMap<u32, Instant>,
    pub(super) attach: Histogram,
    pub(super) failed: u64,
    /// Go programs that were named as they can't be read.
    pub(super) unreadable: u64,
    /// Whether all that ran at the start were looked at.
    pub(super) ready: bool,
}

impl Default for Processes {
    fn default() -> Self {
        let (observed, unplaced, idle) = (HashMap::new(), HashMap::new(), HashMap::new());
        let attach = Histogram::new(ATTACH_BOUNDS);
        Self { observed, idle, unplaced, attach, failed: 0, unreadable: 0, ready: false }
    }
}

impl Processes {
    /// One was attached to, which took so long.
    pub(super) fn attached(
        &mut self,
        pid: u32,
        resource: Arc<Resource>,
        took: Duration,
        place: Place,
    ) {
        if let Place::Soon(patience) = place {
            self.unplaced.insert(pid, Instant::now() + patience);
        }
        self.observed.insert(pid, resource);
        self.attach.record(took.as_secs_f64());
    }

    /// In one nothing can be traced.
    pub(super) fn found_idle(&mut self, pid: u32, resource: Arc<Resource>) {
        if self.idle.len() < MAX_IDLE {
            self.idle.insert(pid, (Instant::now(), resource));
        }
    }

    /// More is known of one than when it was attached to.
    pub(super) fn renamed(&mut self, pid: u32, resource: Arc<Resource>) {
        self.unplaced.remove(&pid);
        if let Some(known) = self.observed.get_mut(&pid) {
            *known = resource;
        }
    }

    /// One is not observed any more.
    pub(super) fn ended(&mut self, pid: u32) {
        self.observed.remove(&pid);
        self.unplaced.remove(&pid);
        self.idle.remove(&pid);
    }

    /// Those that are observed, without those whose pods are waited for.
    pub(super) fn placed(&mut self) -> HashMap<u32, Arc<Resource>> {
        self.unplaced.retain(|_, until| *until > Instant::now());
        let placed = self.observed.iter().filter(|(pid, _)| !self.unplaced.contains_key(pid));
        placed.map(|(pid, resource)| (*pid, resource.clone())).collect()
    }
}
