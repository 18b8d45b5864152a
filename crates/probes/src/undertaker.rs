//! The thread that closes the links of processes that have ended, so that nobody waits for it.
//!
//! The kernel waits for all processors before it lets a link go, which takes some tens of
//! milliseconds. Where many short-lived processes end, the next ones would start unobserved.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use libbpf_rs::{Link, MapCore, MapFlags, MapHandle};

/// Processes that may wait; when there are more, who brings the next one does the work.
const WAITING: usize = 256;

/// What is left of a process.
pub(crate) struct Remains {
    pub(crate) instance: u32,
    pub(crate) links: Vec<Link>,
}

/// A running thread.
pub(crate) struct Undertaker {
    remains: Option<SyncSender<Remains>>,
    thread: Option<JoinHandle<()>>,
}

impl Undertaker {
    /// Starts the thread.
    pub(crate) fn start(entries: Arc<Entries>) -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel(WAITING);
        let thread = std::thread::Builder::new()
            .name("gotap-detach".into())
            .spawn(move || work(&receiver, &entries))?;
        Ok(Self { remains: Some(sender), thread: Some(thread) })
    }

    /// Closes the links and forgets what the process served, soon.
    pub(crate) fn bury(&self, remains: Remains) {
        let sent = self.remains.as_ref().map(|sender| sender.try_send(remains));
        if let Some(Err(TrySendError::Full(remains) | TrySendError::Disconnected(remains))) = sent {
            drop(remains.links);
        }
    }

    /// Waits until all is done.
    pub(crate) fn finish(&mut self) {
        self.remains = None;
        if let Some(thread) = self.thread.take() {
            // A panic in it was printed already.
            let _ = thread.join();
        }
    }
}

impl Drop for Undertaker {
    fn drop(&mut self) {
        self.finish();
    }
}

fn work(remains: &Receiver<Remains>, entries: &Entries) {
    while let Ok(first) = remains.recv() {
        // Going through the map is the same effort for one and for many.
        let all: Vec<Remains> = std::iter::once(first).chain(remains.try_iter()).collect();
        let instances: Vec<u32> = all.iter().map(|one| one.instance).collect();
        drop(all);
        entries.sweep(&instances);
    }
}

/// What goroutines serve, or have served: the map `servers`, and how many were removed from it.
pub(crate) struct Entries {
    servers: MapHandle,
    /// `server_entries`, of which the second value is user space's. One writes at a time.
    counts: Mutex<MapHandle>,
}

impl Entries {
    /// As `enum server_entries` has it.
    const SWEPT: u32 = 1;

    pub(crate) fn new(servers: MapHandle, counts: MapHandle) -> Self {
        Self { servers, counts: Mutex::new(counts) }
    }

    /// Removes those of processes that have ended or were detached from.
    pub(crate) fn sweep(&self, instances: &[u32]) {
        let instance = |key: &[u8]| Some(u32::from_ne_bytes(key.get(8..12)?.try_into().ok()?));
        let is_stale = |key: &Vec<u8>| instance(key).is_some_and(|i| instances.contains(&i));
        let stale: Vec<Vec<u8>> = self.servers.keys().filter(is_stale).collect();
        // What is gone already is no failure.
        let removed = stale.iter().filter(|key| self.servers.delete(key).is_ok()).count();
        self.count(removed);
    }

    fn count(&self, removed: usize) {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let key = Self::SWEPT.to_ne_bytes();
        let before = counts.lookup(&key, MapFlags::ANY).ok().flatten();
        let Some(before) = before.and_then(|value| value.try_into().ok()) else { return };
        let after = i64::from_ne_bytes(before).saturating_add_unsigned(removed as u64);
        // The index is within the array.
        let _ = counts.update(&key, &after.to_ne_bytes(), MapFlags::ANY);
    }
}
