//! The threads of an exporter: all of them run, or none. Not here: what they do (`worker`).

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::Shared;
use super::worker::Worker;
use crate::Error;

/// They end when this is dropped.
pub(super) struct Threads {
    shared: Arc<Shared>,
    running: Vec<JoinHandle<()>>,
}

impl Threads {
    /// Starts a thread for each worker by `spawn`. If one can't be started, those before it have ended.
    ///
    /// # Errors
    /// [`Error`] of the one that can't be started.
    pub(super) fn start(
        shared: &Arc<Shared>,
        workers: Vec<Worker>,
        mut spawn: impl FnMut(Worker) -> Result<JoinHandle<()>, Error>,
    ) -> Result<Self, Error> {
        let mut threads = Self { shared: shared.clone(), running: Vec::new() };
        for worker in workers {
            threads.running.push(spawn(worker)?);
        }
        Ok(threads)
    }

    /// Lets them send what waits, for at most `patience`, and waits for their end.
    pub(super) fn stop(&mut self, patience: Duration) {
        if self.running.is_empty() {
            return;
        }
        self.shared.queues.lock().deadline = Some(Instant::now() + patience);
        self.shared.queues.changed.notify_all();
        for thread in self.running.drain(..) {
            // A panic in it was printed already, and it has counted what it had.
            let _ = thread.join();
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.stop(Duration::ZERO);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use crate::exporter::outages::Outages;
    use crate::exporter::queue::Queues;
    use crate::signal::Signal;
    use crate::stats::Stats;

    #[test]
    fn no_thread_stays_behind_when_another_one_can_not_be_started() {
        let config = Config::default();
        let shared = Arc::new(Shared {
            queues: Queues::new(config.queue_bytes, &Signal::ALL),
            stats: Stats::default(),
            outages: Outages::new(&config),
            notice: Box::new(|_| ()),
        });
        let workers = Signal::ALL.map(|signal| Worker::new(&config, signal, &shared).unwrap());
        let mut started = 0;
        let spawn = |worker: Worker| {
            started += 1;
            if started == 3 {
                return Err(std::io::Error::from(std::io::ErrorKind::WouldBlock).into());
            }
            worker.start()
        };
        assert!(Threads::start(&shared, workers.into(), spawn).is_err());
        assert_eq!((started, Arc::strong_count(&shared)), (3, 1), "who ended has dropped its own");
    }
}
