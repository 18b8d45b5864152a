//! Profiles of other kinds than `cpu`, all the time: a thread for each process, which reads its memory and makes a
//! profile of each kind for each interval. Nothing is trapped. This begins and ends the threads; what each does is in
//! `taker`. Not here: which processes there are, where profiles go (`outlets`).

mod taker;

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Result;
use goproc::Process;
use goruntime::Symbols;
use trace::Resource;

use super::losses::{Counts, Skip};
use super::outlets::Outlets;
use super::targets::{Chosen, Since};
use super::{Kind, Say, Settings};
use crate::opened::Opened;
use taker::Taker;

/// Processes that are read at once.
const MAX_PROCESSES: usize = 64;
/// Between looks whether the last threads have ended.
const JOIN: Duration = Duration::from_millis(5);

/// A thread that reads a process until its end of the channel is gone.
type Thread = (Sender<()>, JoinHandle<Last>);
/// What became of the last profiles that a thread was to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    /// They were sent, or it is counted why not.
    Done,
    /// The agent's end came first.
    Late,
}

/// Starts one.
type Start = fn(&Arc<Shared>, u32, Arc<Mutex<Arc<Resource>>>) -> io::Result<Thread>;

/// The processes that are read.
pub(super) struct Readers {
    by_pid: HashMap<u32, Reader>,
    /// Of processes that are not read any more: they make their last profiles.
    ending: Vec<JoinHandle<Last>>,
    shared: Arc<Shared>,
    start: Start,
}

/// What all threads have in common.
struct Shared {
    settings: Settings,
    outlets: Arc<Outlets>,
    counts: Arc<Counts>,
    say: Say,
    /// How many look at goroutines.
    looking: AtomicUsize,
    /// Whether it was said of a kind that a program's profiler is off.
    said: Mutex<Vec<Kind>>,
    /// When the agent ends, and with it what is not made by then.
    deadline: OnceLock<Instant>,
}

impl Shared {
    fn is_late(&self) -> bool {
        self.deadline.get().is_some_and(|deadline| Instant::now() >= *deadline)
    }

    /// Counts what a thread that has ended left out.
    fn ended(&self, thread: JoinHandle<Last>) {
        match thread.join() {
            Ok(Last::Done) => {}
            Ok(Last::Late) => self.counts.skip(Skip::Late),
            // The panic was printed already.
            Err(_) => self.counts.skip(Skip::Unreadable),
        }
    }
}

struct Reader {
    since: Since,
    resource: Arc<Mutex<Arc<Resource>>>,
    /// `None` of one that found no room, and gets it when there is some.
    thread: Option<Thread>,
    /// Why it has none, as far as that was counted.
    counted: Option<Skip>,
}

impl Reader {
    fn is_reading(&self) -> bool {
        self.thread.as_ref().is_some_and(|(_, thread)| !thread.is_finished())
    }
}

impl Readers {
    pub(super) fn new(
        settings: Settings,
        outlets: Arc<Outlets>,
        counts: Arc<Counts>,
        say: Say,
    ) -> Self {
        let (looking, said, deadline) = (AtomicUsize::new(0), Mutex::default(), OnceLock::new());
        let shared = Shared { settings, outlets, counts, say, looking, said, deadline };
        Self { by_pid: HashMap::new(), ending: Vec::new(), shared: Arc::new(shared), start }
    }

    /// Reads these processes from now on, and no others.
    pub(super) fn update(&mut self, chosen: &[Chosen]) {
        if !self.shared.settings.kinds.iter().any(|kind| *kind != Kind::Cpu) {
            return;
        }
        let chosen: HashMap<u32, &Chosen> = chosen.iter().map(|one| (one.pid, one)).collect();
        let is_same = |pid: &u32, reader: &Reader| {
            chosen.get(pid).is_some_and(|one| one.since == reader.since)
        };
        // Nobody is left to stop them, which each notices. The caller has samples to read meanwhile.
        let gone = self.by_pid.extract_if(|pid, reader| !is_same(pid, reader));
        self.ending.extend(gone.filter_map(|(_, reader)| Some(reader.thread?.1)));
        for thread in self.ending.extract_if(.., |thread| thread.is_finished()) {
            self.shared.ended(thread);
        }
        let reading = self.by_pid.values().filter(|reader| reader.is_reading()).count();
        let mut room = MAX_PROCESSES.saturating_sub(reading + self.ending.len());
        for (pid, one) in chosen {
            let reader = self.by_pid.entry(pid).or_insert_with(|| Reader {
                since: one.since,
                resource: Arc::default(),
                thread: None,
                counted: None,
            });
            *reader.resource.lock().unwrap_or_else(PoisonError::into_inner) = one.resource.clone();
            if reader.thread.is_some() {
                continue;
            }
            let started = match room {
                0 => Err(Skip::ManyProcesses),
                _ => (self.start)(&self.shared, pid, reader.resource.clone())
                    .map_err(|_| Skip::NoThread),
            };
            match started {
                Ok(thread) => {
                    room -= 1;
                    reader.thread = Some(thread);
                }
                Err(why) if reader.counted == Some(why) => {}
                Err(why) => {
                    self.shared.counts.skip(why);
                    reader.counted = Some(why);
                }
            }
        }
    }

    /// Has all send what there is, and waits for that until then. Whoever is later is left to itself, and counted.
    pub(super) fn finish(self, deadline: Instant) {
        // Fails if it was set already, which nobody else does.
        let _ = self.shared.deadline.set(deadline);
        // All end at once.
        let threads = self.by_pid.into_values().filter_map(|r| Some(r.thread?.1));
        let mut threads: Vec<_> = self.ending.into_iter().chain(threads).collect();
        loop {
            // Asked first: who ended before the deadline is seen to have.
            let is_over = Instant::now() >= deadline;
            for thread in threads.extract_if(.., |thread| thread.is_finished()) {
                self.shared.ended(thread);
            }
            if threads.is_empty() || is_over {
                break;
            }
            std::thread::sleep(JOIN);
        }
        threads.iter().for_each(|_| self.shared.counts.skip(Skip::Late));
    }
}

fn start(
    shared: &Arc<Shared>,
    pid: u32,
    resource: Arc<Mutex<Arc<Resource>>>,
) -> io::Result<Thread> {
    let (stop, stopped) = channel();
    let shared = shared.clone();
    let builder = std::thread::Builder::new().name("gotap-profile".into());
    let thread = builder.spawn(move || run(&shared, pid, &resource, &stopped))?;
    Ok((stop, thread))
}

fn run(shared: &Shared, pid: u32, resource: &Mutex<Arc<Resource>>, stopped: &Receiver<()>) -> Last {
    let name = || {
        let resource = resource.lock().unwrap_or_else(PoisonError::into_inner);
        resource.service_name().to_owned()
    };
    read(shared, pid, resource, stopped).unwrap_or_else(|why| {
        // One that has ended meanwhile is no news.
        if (Process { pid }).is_alive() {
            shared.counts.skip(Skip::Unreadable);
            (shared.say)(&format!("{}[{pid}] has no profiles but of cpu: {why:#}", name()));
        }
        Last::Done
    })
}

/// Reads a process until it ends or that is stopped.
fn read(
    shared: &Shared,
    pid: u32,
    resource: &Mutex<Arc<Resource>>,
    stopped: &Receiver<()>,
) -> Result<Last> {
    let opened = Opened::new(pid)?;
    let binary = opened.binary()?;
    let types = binary.types();
    let target = opened.target(&binary, &types)?;
    let symbols = Symbols::new(&binary, &types);
    let mut taker = Taker::new(shared, resource, &target, &symbols);
    let looks = shared.settings.kinds.contains(&Kind::Wall);
    if looks {
        shared.looking.fetch_add(1, Ordering::Relaxed);
    }
    let result = taker.follow(stopped);
    if looks {
        shared.looking.fetch_sub(1, Ordering::Relaxed);
    }
    result
}

#[cfg(test)]
#[path = "readers_tests.rs"]
mod tests;
