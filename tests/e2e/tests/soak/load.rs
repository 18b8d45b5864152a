//! Requests at a steady, modest rate.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use gotap_testkit::http::Connection;

/// About 200 a second.
const PAUSE: Duration = Duration::from_millis(5);

/// A thread that sends them until it is stopped.
#[derive(Debug)]
pub(crate) struct Steady {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<u64>>,
}

impl Steady {
    pub(crate) fn start(address: &str) -> Result<Self> {
        let mut connection = Connection::open(address)?;
        let stop = Arc::<AtomicBool>::default();
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut answered = 0;
            while !stopped.load(Ordering::Relaxed) {
                connection.get("/hello", &[]).context("a request")?;
                answered += 1;
                std::thread::sleep(PAUSE);
            }
            Ok(answered)
        });
        Ok(Self { stop, thread })
    }

    /// Stops it; how many were answered.
    pub(crate) fn stop(self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("the load panicked"))?
    }
}
