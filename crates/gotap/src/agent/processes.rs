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

/// What there was no room to remember a process for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LeftOut {
    /// It may yet listen on a wanted port.
    Port,
    /// It may yet be in a chosen pod.
    Pod,
    /// Nothing can be traced in it, and its Go runtime would be read.
    Runtime,
}

impl LeftOut {
    pub(super) const ALL: [Self; 3] = [Self::Port, Self::Pod, Self::Runtime];

    /// Its name in metrics.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Port => "port",
            Self::Pod => "pod",
            Self::Runtime => "runtime",
        }
    }
}

/// Remembers something of a process, unless there is no room. What is remembered already gets a new value.
pub(super) fn remember<V>(map: &mut HashMap<u32, V>, limit: usize, pid: u32, value: V) -> bool {
    let has_room = map.len() < limit || map.contains_key(&pid);
    if has_room {
        map.insert(pid, value);
    }
    has_room
}

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
    /// Those that there was no room for, in the order of [`LeftOut::ALL`]: each time that one is found.
    pub(super) left_out: [u64; LeftOut::ALL.len()],
    /// Whether all that ran at the start were looked at.
    pub(super) ready: bool,
}

impl Default for Processes {
    fn default() -> Self {
        let (observed, unplaced, idle) = (HashMap::new(), HashMap::new(), HashMap::new());
        let attach = Histogram::new(ATTACH_BOUNDS);
        let left_out = [0; LeftOut::ALL.len()];
        Self { observed, idle, unplaced, attach, failed: 0, unreadable: 0, left_out, ready: false }
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
        if !remember(&mut self.idle, MAX_IDLE, pid, (Instant::now(), resource)) {
            self.left_out(LeftOut::Runtime);
        }
    }

    /// There was no room for one. Gives whether it is the first one.
    pub(super) fn left_out(&mut self, what: LeftOut) -> bool {
        let count = &mut self.left_out[what as usize];
        *count += 1;
        *count == 1
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_room_is_counted_by_what_it_is_for() {
        let mut processes = Processes::default();
        let resource = Arc::<Resource>::default();
        let most = u32::try_from(MAX_IDLE).unwrap();
        for pid in 0..most + 2 {
            processes.found_idle(pid, resource.clone());
        }
        // What is known already needs no room.
        processes.found_idle(0, resource.clone());
        assert_eq!((processes.idle.len(), processes.left_out), (MAX_IDLE, [0, 0, 2]));
        processes.ended(0);
        processes.found_idle(most, resource);
        assert_eq!((processes.idle.len(), processes.left_out), (MAX_IDLE, [0, 0, 2]));
        assert!(processes.left_out(LeftOut::Port) && !processes.left_out(LeftOut::Port));
        assert!(processes.left_out(LeftOut::Pod));
        assert_eq!(processes.left_out, [2, 1, 2]);
    }

    #[test]
    fn reasons_are_counted_where_they_stand() {
        for (at, what) in LeftOut::ALL.into_iter().enumerate() {
            assert_eq!(at, what as usize, "{}", what.label());
        }
    }
}
