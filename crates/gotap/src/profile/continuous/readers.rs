//! Profiles of other kinds than `cpu`, all the time: a thread for each process, which reads its memory and makes a
//! profile of each kind for each interval. Nothing is trapped. Not here: which processes there are, where profiles
//! go (`outlets`).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Result;
use goproc::Process;
use goruntime::{Snapshot, Symbols};
use profile::Profile;
use trace::Resource;

use super::losses::{Counts, Skip};
use super::outlets::{Outlets, Sent};
use super::targets::{Chosen, Since};
use super::{Kind, Say, Settings};
use crate::opened::{Opened, Target, unix_nanoseconds};
use crate::profile::buckets::{self, Read};
use crate::profile::naming::main_mapping;
use crate::profile::ticks::Ticking;
use crate::profile::wall;

/// Processes that are read at once.
const MAX_PROCESSES: usize = 64;
/// How often goroutines are looked at, at most.
const LOOK: Duration = Duration::from_millis(100);
/// Looks at all processes take at most this part of one processor.
const SHARE: u32 = 20;
/// How often it is looked whether the process is still there.
const PAUSE: Duration = Duration::from_millis(500);

/// The processes that are read.
pub(super) struct Readers {
    by_pid: HashMap<u32, Reader>,
    /// Of processes that are not read any more: they make their last profiles.
    ending: Vec<JoinHandle<()>>,
    shared: Arc<Shared>,
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
}

struct Reader {
    since: Since,
    resource: Arc<Mutex<Arc<Resource>>>,
    /// `None` of one that found no room.
    thread: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Readers {
    pub(super) fn new(
        settings: Settings,
        outlets: Arc<Outlets>,
        counts: Arc<Counts>,
        say: Say,
    ) -> Self {
        let (looking, said) = (AtomicUsize::new(0), Mutex::default());
        let shared = Arc::new(Shared { settings, outlets, counts, say, looking, said });
        Self { by_pid: HashMap::new(), ending: Vec::new(), shared }
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
        self.ending.retain(|thread| !thread.is_finished());
        for (pid, one) in chosen {
            match self.by_pid.get(&pid) {
                Some(known) => {
                    let mut resource =
                        known.resource.lock().unwrap_or_else(PoisonError::into_inner);
                    *resource = one.resource.clone();
                }
                None => self.begin(one),
            }
        }
    }

    fn begin(&mut self, one: &Chosen) {
        let resource = Arc::new(Mutex::new(one.resource.clone()));
        let reads = |reader: &&Reader| reader.thread.as_ref().is_some_and(|t| !t.1.is_finished());
        let reading = self.by_pid.values().filter(reads).count() + self.ending.len();
        let thread = (reading < MAX_PROCESSES).then(|| {
            let (stop, stopped) = channel();
            let (shared, resource, pid) = (self.shared.clone(), resource.clone(), one.pid);
            let builder = std::thread::Builder::new().name("gotap-profile".into());
            let thread = builder.spawn(move || run(&shared, pid, &resource, &stopped));
            thread.ok().map(|thread| (stop, thread))
        });
        let thread = thread.flatten();
        if thread.is_none() {
            self.shared.counts.skip(Skip::ManyProcesses);
        }
        self.by_pid.insert(one.pid, Reader { since: one.since, resource, thread });
    }

    /// Has all send what there is, and waits for that.
    pub(super) fn finish(self) {
        // All end at once.
        let threads: Vec<_> = self.by_pid.into_values().filter_map(|r| Some(r.thread?.1)).collect();
        for thread in self.ending.into_iter().chain(threads) {
            // A panic in it was printed already.
            let _ = thread.join();
        }
    }
}

fn run(shared: &Shared, pid: u32, resource: &Mutex<Arc<Resource>>, stopped: &Receiver<()>) {
    let name = || {
        let resource = resource.lock().unwrap_or_else(PoisonError::into_inner);
        resource.service_name().to_owned()
    };
    if let Err(why) = read(shared, pid, resource, stopped) {
        // One that has ended meanwhile is no news.
        if (Process { pid }).is_alive() {
            shared.counts.skip(Skip::Unreadable);
            (shared.say)(&format!("{}[{pid}] has no profiles but of cpu: {why:#}", name()));
        }
    }
}

/// Reads a process until it ends or that is stopped.
fn read(
    shared: &Shared,
    pid: u32,
    resource: &Mutex<Arc<Resource>>,
    stopped: &Receiver<()>,
) -> Result<()> {
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

/// What is known of one process between its profiles.
struct Taker<'t, 'a, 'd> {
    shared: &'t Shared,
    resource: &'t Mutex<Arc<Resource>>,
    target: &'t Target<'a, 'd>,
    symbols: &'t Symbols<'a, 'd>,
    ticking: Ticking,
    /// What was read of each kind last, and when: at the end of the last interval, if it could be read then.
    before: HashMap<Kind, (Read, Time)>,
    /// Kinds that the program's profiler does not sample, which is counted.
    off: Vec<Kind>,
    seen: wall::Seen,
    looked: Instant,
    /// Looks of this interval that failed.
    failed: u64,
    /// When the interval began.
    began: Time,
}

/// A moment, also in nanoseconds since 1970.
type Time = (Instant, u64);

fn now() -> Time {
    (Instant::now(), unix_nanoseconds())
}

impl<'t, 'a, 'd> Taker<'t, 'a, 'd> {
    fn new(
        shared: &'t Shared,
        resource: &'t Mutex<Arc<Resource>>,
        target: &'t Target<'a, 'd>,
        symbols: &'t Symbols<'a, 'd>,
    ) -> Self {
        let (ticking, before, off) = (Ticking::new(), HashMap::new(), Vec::new());
        let began = now();
        let (seen, looked) = (wall::Seen::default(), began.0);
        let failed = 0;
        Self {
            shared,
            resource,
            target,
            symbols,
            ticking,
            before,
            off,
            seen,
            looked,
            failed,
            began,
        }
    }

    fn follow(&mut self, stopped: &Receiver<()>) -> Result<()> {
        let settings = &self.shared.settings;
        let looks = settings.kinds.contains(&Kind::Wall);
        self.read_all();
        let mut next = Instant::now() + settings.interval;
        let mut look = Instant::now();
        loop {
            let now = Instant::now();
            if looks && now >= look {
                self.look();
                let others = self.shared.looking.load(Ordering::Relaxed).max(1);
                let share = SHARE * u32::try_from(others).unwrap_or(u32::MAX / SHARE);
                look = now + LOOK.max(now.elapsed() * share);
            }
            let due = if looks { look.min(next) } else { next };
            let pause = due.saturating_duration_since(Instant::now()).min(PAUSE);
            let is_stopped = stopped.recv_timeout(pause) != Err(RecvTimeoutError::Timeout);
            let has_ended = !self.target.process.is_alive() || self.target.check().is_err();
            if has_ended || is_stopped {
                self.cut(has_ended);
                return Ok(());
            }
            if Instant::now() >= next {
                next = (next + settings.interval).max(Instant::now());
                self.cut(false);
            }
        }
    }

    fn look(&mut self) {
        let target = self.target;
        let now = Instant::now();
        let taken = Snapshot::take(&target.memory, &target.layout, target.binary, target.bias);
        if let Ok(snapshot) = taken {
            self.seen.add(&snapshot, now.duration_since(self.looked), false);
            self.looked = now;
        } else {
            self.failed += 1;
        }
    }

    /// Reads the buckets with which those at the end of the first interval are compared.
    fn read_all(&mut self) {
        for kind in self.shared.settings.kinds.clone() {
            let Some(of) = kind.of_buckets() else { continue };
            if let Ok(read) = buckets::read(self.target, of) {
                self.before.insert(kind, (read, self.began));
            }
        }
    }

    /// Ends an interval.
    fn cut(&mut self, has_ended: bool) {
        let now = now();
        let began = std::mem::replace(&mut self.began, now);
        for kind in self.shared.settings.kinds.clone() {
            let made = match kind {
                Kind::Cpu => continue,
                Kind::Wall => self.wall(has_ended).map(|profile| Some((profile?, began))),
                // Its memory is gone.
                _ if has_ended => Err(Skip::Ended),
                _ => self.buckets(kind, began),
            };
            match made {
                Ok(Some((mut profile, since))) => {
                    profile.time = i64::try_from(since.1).unwrap_or(0);
                    if kind != Kind::Heap {
                        let lasted = now.0.duration_since(since.0).as_nanos();
                        profile.duration = i64::try_from(lasted).unwrap_or(i64::MAX);
                    }
                    self.send(kind, profile);
                }
                Ok(None) => {}
                Err(why) => self.shared.counts.skip(why),
            }
        }
    }

    fn send(&self, kind: Kind, mut profile: Profile) {
        // Pyroscope makes a series of each value.
        profile.samples.iter_mut().for_each(|sample| sample.labels.clear());
        let resource = self.resource.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.shared.counts.took_other();
        self.shared.outlets.send(&resource, &profile, Sent { name: kind.name(), all_types: true });
    }

    fn wall(&mut self, has_ended: bool) -> Result<Option<Profile>, Skip> {
        let failed = std::mem::take(&mut self.failed);
        let mut profile = wall::empty(LOOK);
        profile.mappings.push(main_mapping(self.target));
        self.seen.fill(&mut profile, self.symbols, self.target.bias);
        self.seen.clear();
        match profile.samples.is_empty() {
            false => Ok(Some(profile)),
            true if failed > 0 && !has_ended => Err(Skip::Unreadable),
            true => Ok(None),
        }
    }

    /// A profile and since when it counts, in an interval that began then; `None` where nothing has happened.
    fn buckets(&mut self, kind: Kind, began: Time) -> Result<Option<(Profile, Time)>, Skip> {
        let Some(of) = kind.of_buckets() else { return Ok(None) };
        let read = buckets::read(self.target, of).map_err(|_| Skip::Unreadable)?;
        if read.rate() == 0 {
            self.before.remove(&kind);
            return self.is_off(kind, &read, of);
        }
        self.off.retain(|off| *off != kind);
        let before = self.before.remove(&kind).filter(|(before, _)| before.rate() == read.rate());
        // After an interval whose end could not be read, it is longer than one.
        let (before, since) = match &before {
            _ if kind == Kind::Heap => (None, Some(began)),
            Some((before, since)) => (Some(before), Some(*since)),
            None => (None, None),
        };
        let made = since.map(|since| {
            let ticks = self.ticking.per_second();
            let all = buckets::profile(self.target, self.symbols, of, (before, &read), ticks);
            Some((kind.part(all), since)).filter(|(profile, _)| !profile.samples.is_empty())
        });
        self.before.insert(kind, (read, self.began));
        // Else it is not known since when it counts.
        made.ok_or(Skip::Changed)
    }

    /// Counts and says it once.
    fn is_off(
        &mut self,
        kind: Kind,
        read: &Read,
        of: buckets::Kind,
    ) -> Result<Option<(Profile, Time)>, Skip> {
        if self.off.contains(&kind) {
            return Ok(None);
        }
        self.off.push(kind);
        let mut said = self.shared.said.lock().unwrap_or_else(PoisonError::into_inner);
        if !said.contains(&kind)
            && let Err(why) = read.check(self.target.process.pid, of)
        {
            said.push(kind);
            let name = kind.setting();
            (self.shared.say)(&format!("some programs get no {name} profile: {why:#}"));
        }
        Err(Skip::Off)
    }
}
