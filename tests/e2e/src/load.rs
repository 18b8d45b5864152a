//! Load over many connections, counted exactly.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use gotap_testkit::http::Connection;

/// What became of the requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Requests that were answered with status 200.
    pub answered: u64,
    /// Requests that were not.
    pub failed: u64,
    /// The longest time that one of them took.
    pub slowest: Duration,
    /// The time that one of a thousand exceeds.
    pub p999: Duration,
}

/// Threads that send requests until they are told to stop; each keeps one connection.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    threads: Vec<JoinHandle<(Outcome, Vec<u32>)>>,
}

impl Load {
    /// Starts `connections` threads that GET `path` one request after the other.
    pub fn start(address: &str, path: &str, connections: usize) -> Self {
        Self::limited(address, path, connections, u64::MAX)
    }

    /// Sends exactly `requests` GETs over `connections` connections and waits for the answers.
    pub fn send(address: &str, path: &str, connections: usize, requests: u64) -> Result<Outcome> {
        Self::limited(address, path, connections, requests).join()
    }

    /// Starts the threads; together they send at most `requests`.
    pub fn limited(address: &str, path: &str, connections: usize, requests: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let sent = Arc::new(AtomicU64::new(0));
        let threads = (0..connections).map(|_| {
            let (stop, sent) = (stop.clone(), sent.clone());
            let (address, path) = (address.to_owned(), path.to_owned());
            thread::spawn(move || {
                let more = || {
                    !stop.load(Ordering::Relaxed) && sent.fetch_add(1, Ordering::Relaxed) < requests
                };
                request_while(more, &address, &path)
            })
        });
        let threads = threads.collect();
        Self { stop, sent, threads }
    }

    /// Roughly how many were sent so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Lets the requests on their way end, sends no more, and gives the counts.
    pub fn stop(self) -> Result<Outcome> {
        self.stop.store(true, Ordering::Relaxed);
        self.join()
    }

    /// Waits until all are sent.
    pub fn join(self) -> Result<Outcome> {
        let mut all = Outcome::default();
        let mut times = Vec::new();
        for thread in self.threads {
            let (one, took) =
                thread.join().map_err(|_| anyhow!("a thread of the load panicked"))?;
            all.answered += one.answered;
            all.failed += one.failed;
            times.extend(took);
        }
        times.sort_unstable();
        let micros = |time: Option<&u32>| Duration::from_micros(time.copied().unwrap_or(0).into());
        all.slowest = micros(times.last());
        all.p999 = micros(times.get(times.len() - times.len().div_ceil(1000)));
        Ok(all)
    }
}

/// Counts, and the time of each request in microseconds.
fn request_while(more: impl Fn() -> bool, address: &str, path: &str) -> (Outcome, Vec<u32>) {
    let mut outcome = Outcome::default();
    let mut times = Vec::new();
    let mut connection = None;
    while more() {
        if connection.is_none() {
            connection = Connection::open(address).ok();
        }
        let start = Instant::now();
        let answer = connection.as_mut().map(|connection| connection.get(path, &[]));
        times.push(u32::try_from(start.elapsed().as_micros()).unwrap_or(u32::MAX));
        match answer {
            Some(Ok(response)) if response.status == 200 => outcome.answered += 1,
            _ => {
                outcome.failed += 1;
                connection = None;
            }
        }
    }
    (outcome, times)
}
