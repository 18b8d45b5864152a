//! The thread that closes the links of processes that have ended, so that nobody waits for it.
//!
//! The kernel waits for all processors before it lets a link go, which takes some tens of
//! milliseconds. Where many short-lived processes end, the next ones would start unobserved.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use libbpf_rs::{Link, MapCore, MapHandle};

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
    /// Starts the thread; `servers` is the map of requests that are open.
    pub(crate) fn start(servers: MapHandle) -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel(WAITING);
        let thread = std::thread::Builder::new()
            .name("gotap-detach".into())
            .spawn(move || work(&receiver, &servers))?;
        Ok(Self { remains: Some(sender), thread: Some(thread) })
    }

    /// Closes the links and forgets the open requests, soon.
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

fn work(remains: &Receiver<Remains>, servers: &MapHandle) {
    while let Ok(first) = remains.recv() {
        // Going through the map is the same effort for one and for many.
        let all: Vec<Remains> = std::iter::once(first).chain(remains.try_iter()).collect();
        let instances: Vec<u32> = all.iter().map(|one| one.instance).collect();
        drop(all);
        sweep(servers, &instances);
    }
}

/// Removes requests that were being served when their processes ended or were detached from.
pub(crate) fn sweep(servers: &impl MapCore, instances: &[u32]) {
    let instance = |key: &[u8]| Some(u32::from_ne_bytes(key.get(8..12)?.try_into().ok()?));
    let is_stale = |key: &Vec<u8>| instance(key).is_some_and(|i| instances.contains(&i));
    let stale: Vec<Vec<u8>> = servers.keys().filter(is_stale).collect();
    for key in stale {
        // What is gone already is no failure.
        let _ = servers.delete(&key);
    }
}
