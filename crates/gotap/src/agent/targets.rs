//! The processes that are observed, for threads that look into them. Not here: how they are found and attached to.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// An observed process.
#[derive(Debug, Clone)]
pub(crate) struct Observable {
    /// Its number in the maps of the tracing programs.
    pub(crate) instance: u32,
    pub(crate) service: String,
}

/// All of them by their ids, for any thread.
#[derive(Debug, Default)]
pub(crate) struct Targets(Mutex<BTreeMap<u32, Observable>>);

impl Targets {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, Observable>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, pid: u32, target: Observable) {
        self.lock().insert(pid, target);
    }

    pub(super) fn remove(&self, pid: u32) {
        self.lock().remove(&pid);
    }

    /// One of them.
    pub(crate) fn get(&self, pid: u32) -> Option<Observable> {
        self.lock().get(&pid).cloned()
    }

    /// The process with this number in the maps of the tracing programs.
    pub(crate) fn pid_of(&self, instance: u32) -> Option<u32> {
        let all = self.lock();
        all.iter().find(|(_, target)| target.instance == instance).map(|(pid, _)| *pid)
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<(u32, Observable)> {
        self.lock().iter().map(|(pid, target)| (*pid, target.clone())).collect()
    }
}
