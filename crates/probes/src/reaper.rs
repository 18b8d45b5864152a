//! The thread that closes the links of processes that have ended, so that nobody waits for it.
//!
//! The kernel waits for all processors before it lets a link go, which takes some tens of
//! milliseconds. Where many short-lived processes end, the next ones would start unobserved. Links that are closed at
//! the same time share that wait.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use libbpf_rs::{Link, MapCore, MapFlags, MapHandle};

/// Processes that may wait; when there are more, who brings the next one does the work.
const WAITING: usize = 256;

/// Threads that close links at the same time.
const CLOSING: usize = 64;

/// What is left of a process.
pub(crate) struct Remains {
    pub(crate) instance: u32,
    pub(crate) links: Vec<Link>,
}

/// Forgets what the processes with these instance numbers served.
pub(crate) type Sweep = Arc<dyn Fn(&[u32]) + Send + Sync>;

/// A running thread.
pub(crate) struct Reaper {
    remains: Option<SyncSender<Remains>>,
    thread: Option<JoinHandle<()>>,
    sweep: Sweep,
}

impl Reaper {
    /// Starts the thread.
    pub(crate) fn start(sweep: Sweep) -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel(WAITING);
        let in_thread = Arc::clone(&sweep);
        let thread = std::thread::Builder::new()
            .name("gotap-detach".into())
            .spawn(move || work(&receiver, &in_thread))?;
        Ok(Self { remains: Some(sender), thread: Some(thread), sweep })
    }

    /// Closes the links and forgets what the process served: soon, or at once if the queue is full.
    pub(crate) fn reap(&self, remains: Remains) {
        let sent = self.remains.as_ref().map(|sender| sender.try_send(remains));
        if let Some(Err(TrySendError::Full(remains) | TrySendError::Disconnected(remains))) = sent {
            close(remains.links);
            (self.sweep)(&[remains.instance]);
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

impl Drop for Reaper {
    fn drop(&mut self) {
        self.finish();
    }
}

fn work(remains: &Receiver<Remains>, sweep: &Sweep) {
    while let Ok(first) = remains.recv() {
        // Going through the map is the same effort for one and for many.
        let all: Vec<Remains> = std::iter::once(first).chain(remains.try_iter()).collect();
        let instances: Vec<u32> = all.iter().map(|one| one.instance).collect();
        close(all.into_iter().flat_map(|one| one.links).collect());
        sweep(&instances);
    }
}

/// Closes links, several at the same time. All are closed when it returns.
pub(crate) fn close<L: Send>(links: Vec<L>) {
    let threads = links.len().min(CLOSING);
    let links = Mutex::new(links.into_iter());
    let next = || links.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || {
        while let Some(link) = next() {
            drop(link);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            let closing = std::thread::Builder::new().name("gotap-detach".into());
            if closing.spawn_scoped(scope, work).is_err() {
                // Those that run close all.
                break;
            }
        }
        work();
    });
}

/// What goroutines serve, or have served: the map `servers`, and how many were removed from it.
pub(crate) struct Entries {
    servers: MapHandle,
    /// `server_entries`; its second value is user space's. One writes at a time.
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

#[cfg(test)]
mod tests {
    use std::sync::Condvar;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;

    /// How many are being closed.
    #[derive(Default)]
    struct Closings {
        now: Mutex<usize>,
        more: Condvar,
        /// One waited for others that did not come.
        alone: AtomicBool,
    }

    /// A link that is closed when as many others are being closed, too.
    struct Slow<'c>(&'c Closings, usize);

    impl std::ops::Drop for Slow<'_> {
        fn drop(&mut self) {
            let mut now = self.0.now.lock().unwrap();
            *now += 1;
            self.0.more.notify_all();
            let few = |now: &mut usize| *now < self.1;
            let waited = self.0.more.wait_timeout_while(now, Duration::from_secs(20), few).unwrap();
            self.0.alone.fetch_or(waited.1.timed_out(), Ordering::Relaxed);
        }
    }

    #[test]
    fn links_are_closed_at_the_same_time() {
        for count in [0, 1, 2, CLOSING] {
            let closings = Closings::default();
            close((0..count).map(|_| Slow(&closings, count)).collect());
            assert_eq!(*closings.now.lock().unwrap(), count);
            assert!(!closings.alone.load(Ordering::Relaxed), "{count}: one waited for another");
        }
    }

    #[test]
    fn more_links_than_threads_are_all_closed() {
        let closings = Closings::default();
        close((0..3 * CLOSING).map(|_| Slow(&closings, 1)).collect());
        assert_eq!(*closings.now.lock().unwrap(), 3 * CLOSING);
    }

    /// Each process is swept once, also those that come while the queue is full.
    #[test]
    fn a_full_queue_loses_no_process() {
        let (started, has_started) = channel();
        let gate = Arc::new(Mutex::new(()));
        let swept = Arc::new(Mutex::new(Vec::new()));
        let sweep: Sweep = {
            let (gate, swept) = (Arc::clone(&gate), Arc::clone(&swept));
            Arc::new(move |instances: &[u32]| {
                if std::thread::current().name() == Some("gotap-detach") {
                    started.send(()).unwrap();
                    drop(gate.lock().unwrap());
                }
                swept.lock().unwrap().extend_from_slice(instances);
            })
        };
        let mut reaper = Reaper::start(sweep).unwrap();
        let closed = gate.lock().unwrap();
        let remains = |instance| Remains { instance, links: Vec::new() };
        reaper.reap(remains(0));
        has_started.recv().unwrap();
        let last = u32::try_from(WAITING).unwrap() + 1;
        (1..=last).for_each(|instance| reaper.reap(remains(instance)));
        assert_eq!(*swept.lock().unwrap(), [last], "it found no room, and was swept at once");
        drop(closed);
        reaper.finish();
        let mut swept = std::mem::take(&mut *swept.lock().unwrap());
        swept.sort_unstable();
        assert!(swept.iter().copied().eq(0..=last), "{swept:?}");
    }
}
