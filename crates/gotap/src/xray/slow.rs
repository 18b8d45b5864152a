//! The looks at slow requests of all observed processes, while `gotap run` observes: one thread asks the kernel
//! which there are, and one a process that has such reads their goroutines. Not here: what becomes of what is seen
//! (`spans`).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use goruntime::Symbols;
use probes::{Requests, ServedMaps};
use wire::Serving;

use super::MAX_REQUESTS;
use super::look::{Looker, Pace};
use super::spans::Slow;
use super::times::Moment;
use crate::agent::Targets;
use crate::live::thread_time;
use crate::opened::{Opened, monotonic};

/// Processes whose requests are looked at at once.
const MAX_PROCESSES: usize = 32;
/// How long a process without slow requests stays open.
const IDLE: Duration = Duration::from_secs(300);
/// The part of the budget that is for asking which requests there are: the kernel goes through all of its map.
const ASKING: f64 = 0.5;
/// How often it is looked what may be forgotten.
const TIDY: Duration = Duration::from_secs(5);
/// A request that has taken so many times this is looked at that seldom: parts of it as small do not matter.
const FINE: u64 = 64;
/// The same at most, in nanoseconds.
const SELDOM: u64 = 30_000_000_000;

/// The threads. They end when this is dropped.
pub(crate) struct Looking {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Looking {
    /// Starts to look.
    ///
    /// # Errors
    /// When the kernel does not tell which requests there are.
    pub(crate) fn start(maps: ServedMaps, targets: Arc<Targets>, slow: Arc<Slow>) -> Result<Self> {
        let over = Arc::<AtomicBool>::default();
        let (started, start) = channel();
        let is_over = over.clone();
        let run = move || match Requests::load(&maps, slow.early()) {
            Ok(requests) => {
                // Who starts it waits for this.
                let _ = started.send(Ok(()));
                Rounds::new(requests, targets, slow).run(&is_over);
            }
            Err(error) => {
                let _ = started.send(Err(error));
            }
        };
        let thread = std::thread::Builder::new().name("gotap-xray".into()).spawn(run)?;
        start.recv().context("look at requests")?.context("look at slow requests (xray)")?;
        Ok(Self { over, thread: Some(thread) })
    }
}

impl Drop for Looking {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic in it was printed already.
            let _ = thread.join();
        }
    }
}

/// What is asked of the thread of a process.
struct Job {
    requests: Vec<Serving>,
    just_served: bool,
    reach: u64,
}

/// What it answers: first when the process is open, then for each job.
#[derive(Default)]
struct Done {
    cost: Duration,
    failed: bool,
}

/// How it is with the thread of a process.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Opening,
    Ready,
    /// The process can't be read.
    Over,
}

/// The thread of a process.
struct Worker {
    jobs: Sender<Job>,
    done: Receiver<Done>,
    state: State,
    used: Instant,
}

impl Worker {
    fn start(pid: u32, slow: Arc<Slow>) -> std::io::Result<Self> {
        let ((jobs, asked), (answers, done)) = (channel(), channel());
        let run = move || {
            // Why it can't be read is of no use here: that these requests are not known is said.
            let _ = work(pid, &slow, &asked, &answers);
        };
        std::thread::Builder::new().name("gotap-xray-one".into()).spawn(run)?;
        Ok(Self { jobs, done, state: State::Opening, used: Instant::now() })
    }

    /// Lets it look; gives whether it does.
    fn ask(&mut self, job: Job) -> bool {
        self.used = Instant::now();
        if self.state == State::Opening {
            self.state = match self.done.try_recv() {
                Ok(_) => State::Ready,
                Err(TryRecvError::Empty) => State::Opening,
                Err(TryRecvError::Disconnected) => State::Over,
            };
        }
        self.state == State::Ready && self.jobs.send(job).is_ok()
    }

    /// Waits until it has looked.
    fn wait(&mut self) -> Option<Done> {
        let done = self.done.recv().ok();
        if done.is_none() {
            self.state = State::Over;
        }
        done
    }
}

/// The thread that asks which requests there are, and has them looked at.
struct Rounds {
    requests: Requests,
    targets: Arc<Targets>,
    slow: Arc<Slow>,
    /// How often it is asked which there are, and how often these are looked at.
    asks: Pace,
    looks: Pace,
    /// Those that there were when it was asked last, by the numbers of their processes.
    known: HashMap<u32, Vec<Serving>>,
    workers: HashMap<u32, Worker>,
}

impl Rounds {
    fn new(requests: Requests, targets: Arc<Targets>, slow: Arc<Slow>) -> Self {
        let budget = slow.budget.unwrap_or(1.0);
        let pace = |share: f64| Pace::new(slow.interval(), budget * share);
        let (asks, looks) = (pace(ASKING), pace(1.0 - ASKING));
        let (known, workers) = (HashMap::new(), HashMap::new());
        Self { requests, targets, slow, asks, looks, known, workers }
    }

    fn run(mut self, over: &AtomicBool) {
        let (mut ask, mut look, mut tidy) = (Instant::now(), Instant::now(), Instant::now());
        let slow = self.slow.clone();
        while !over.load(Ordering::Relaxed) {
            let now = Instant::now();
            if ask <= now {
                // What ends while it is asked, or looked at for the first time, waits for that.
                slow.round(|| {
                    self.ask();
                    self.look(true);
                });
                (ask, look) = (now + self.asks.pause(), now + self.looks.pause());
            } else if look <= now {
                slow.round(|| self.look(false));
                look = now + self.looks.pause();
            }
            if tidy <= now {
                self.tidy();
                tidy = now + TIDY;
            }
            let next = if self.known.is_empty() { ask } else { ask.min(look) };
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
    }

    fn count(what: &AtomicU64, n: usize) {
        what.fetch_add(n as u64, Ordering::Relaxed);
    }

    fn spent(&self, cost: Duration) {
        let nanoseconds = u64::try_from(cost.as_nanos()).unwrap_or(u64::MAX);
        self.slow.counts.cost.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// Asks the kernel which requests there are.
    fn ask(&mut self) {
        let before = thread_time();
        self.known.clear();
        match self.requests.read(MAX_REQUESTS) {
            Ok((all, more)) => {
                Self::count(&self.slow.counts.many_requests, usize::from(more));
                for request in all {
                    self.known.entry(request.instance).or_default().push(request);
                }
            }
            Err(_) => Self::count(&self.slow.counts.failed, 1),
        }
        let cost = thread_time().saturating_sub(before);
        self.asks.took(cost);
        self.spent(cost);
    }

    /// Looks at those that there were; they were `just_served` if it was asked just now.
    fn look(&mut self, just_served: bool) {
        if self.known.is_empty() {
            return;
        }
        let before = thread_time();
        let reach = self.looks.reach();
        let is_new = |known: &(&u32, &Vec<Serving>)| !self.workers.contains_key(known.0);
        let new: Vec<_> = self.known.iter().filter(is_new).map(|(i, r)| (*i, r.len())).collect();
        new.into_iter().for_each(|(instance, requests)| self.start(instance, requests));
        let mut asked = Vec::new();
        for (instance, requests) in &self.known {
            let Some(worker) = self.workers.get_mut(instance) else { continue };
            if worker.ask(Job { requests: requests.clone(), just_served, reach }) {
                asked.push(*instance);
            } else if worker.state == State::Over {
                Self::count(&self.slow.counts.failed, requests.len());
            }
        }
        let mut cost = Duration::ZERO;
        for instance in asked {
            let done = self.workers.get_mut(&instance).and_then(Worker::wait);
            let done = done.unwrap_or(Done { cost: Duration::ZERO, failed: true });
            Self::count(&self.slow.counts.failed, usize::from(done.failed));
            cost += done.cost;
        }
        cost += thread_time().saturating_sub(before);
        self.looks.took(cost);
        self.spent(cost);
    }

    /// Starts the thread of a process with so many requests.
    fn start(&mut self, instance: u32, requests: usize) {
        // Of what has ended meanwhile nothing can be seen.
        let Some(pid) = self.targets.pid_of(instance) else { return };
        let counts = &self.slow.counts;
        if self.workers.len() >= MAX_PROCESSES {
            return Self::count(&counts.many_processes, requests);
        }
        match Worker::start(pid, self.slow.clone()) {
            Ok(worker) => drop(self.workers.insert(instance, worker)),
            Err(_) => Self::count(&counts.failed, requests),
        }
    }

    /// Lets go what is not needed any more.
    fn tidy(&mut self) {
        self.slow.table.forget(monotonic());
        let targets = &self.targets;
        self.workers.retain(|instance, worker| {
            worker.used.elapsed() < IDLE && targets.pid_of(*instance).is_some()
        });
    }
}

/// Opens a process, and looks at its requests as it is asked to.
fn work(pid: u32, slow: &Slow, jobs: &Receiver<Job>, done: &Sender<Done>) -> Result<()> {
    let opened = Opened::new(pid)?;
    let binary = opened.binary()?;
    let types = binary.types();
    let target = opened.target(&binary, &types)?;
    let symbols = Symbols::new(&binary, &types);
    let mut looker = Looker::new(&target, &symbols, &slow.table);
    let early = u64::try_from(slow.early().as_nanos()).unwrap_or(u64::MAX);
    let mut last = Last { early, seen: HashMap::new() };
    done.send(Done::default())?;
    while let Ok(job) = jobs.recv() {
        let before = thread_time();
        let due = last.due(&job.requests, monotonic());
        let moment = |request: &Serving, at| last.moment(request, at, job.reach);
        let failed = !due.is_empty() && looker.look_each(&due, job.just_served, moment).is_err();
        done.send(Done { cost: thread_time().saturating_sub(before), failed })?;
    }
    Ok(())
}

/// When each request was looked at last.
struct Last {
    /// What nobody looks at, in nanoseconds.
    early: u64,
    seen: HashMap<[u8; 8], u64>,
}

impl Last {
    /// Those of the requests that are to be looked at now; all others are forgotten.
    fn due(&mut self, requests: &[Serving], now: u64) -> Vec<Serving> {
        let before = std::mem::take(&mut self.seen);
        let seen = requests.iter().filter_map(|r| Some((r.span(), *before.get(&r.span())?)));
        self.seen = seen.collect();
        let is_due = |request: &&Serving| {
            let seldom = pause(request, now);
            let seen = self.seen.get(&request.span());
            seen.is_none_or(|seen| now.saturating_sub(*seen) >= seldom)
        };
        requests.iter().filter(is_due).copied().collect()
    }

    /// For which time a look stands that is made at `at`: since the look before at the same request.
    fn moment(&mut self, request: &Serving, at: u64, reach: u64) -> Moment {
        let before = self.seen.insert(request.span(), at);
        let before = before.unwrap_or_else(|| request.start_ns.saturating_add(self.early));
        let gap = at.saturating_sub(before);
        let reach = reach.max(2 * pause(request, at));
        let weight = gap.min(reach);
        Moment { at, weight, late: gap - weight, reach }
    }
}

/// How long a request need not be looked at again.
fn pause(request: &Serving, now: u64) -> u64 {
    (now.saturating_sub(request.start_ns) / FINE).min(SELDOM)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(id: u64, start_ns: u64) -> Serving {
        let mut out = wire::decode_serving(&[0; size_of::<Serving>()])[0];
        (out.span_id, out.start_ns) = (id, start_ns);
        out
    }

    #[test]
    fn a_look_stands_for_the_time_since_the_one_before_at_the_same_request() {
        let mut last = Last { early: 10, seen: HashMap::new() };
        let moment = last.moment(&request(1, 100), 115, 20);
        assert_eq!((moment.weight, moment.late), (5, 0));
        let moment = last.moment(&request(1, 100), 145, 20);
        assert_eq!((moment.weight, moment.late), (20, 10));
        // The first look at another one came late.
        let moment = last.moment(&request(2, 100), 145, 20);
        assert_eq!((moment.weight, moment.late), (20, 15));
    }

    #[test]
    fn old_requests_are_looked_at_seldom_and_those_that_ended_are_forgotten() {
        let mut last = Last { early: 0, seen: HashMap::new() };
        let (old, new) = (request(1, 0), request(2, 63_900));
        let mut looks = 0;
        for now in (64_000..65_000).step_by(40) {
            let due = last.due(&[old, new], now);
            assert!(due.iter().any(|r| r.span() == new.span()), "{now}");
            looks += usize::from(due.iter().any(|r| r.span() == old.span()));
            for request in &due {
                let _ = last.moment(request, now, 20);
            }
        }
        assert_eq!(looks, 1);
        let _ = last.due(&[new], 65_000);
        assert_eq!(last.seen.len(), 1);
    }
}
