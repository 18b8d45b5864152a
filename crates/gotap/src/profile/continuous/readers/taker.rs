//! One process: looks at its goroutines, what its profiler keeps, and the profiles that are made of both. Not here:
//! when it begins and ends (`readers`).

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use goruntime::{Snapshot, Symbols};
use profile::Profile;
use trace::Resource;

use super::{Last, Shared};
use crate::opened::{Target, unix_nanoseconds};
use crate::profile::buckets::{self, Read};
use crate::profile::continuous::Kind;
use crate::profile::continuous::losses::{Skip, Unseen};
use crate::profile::continuous::outlets::Sent;
use crate::profile::naming::main_mapping;
use crate::profile::ticks::Ticking;
use crate::profile::wall;

/// How often goroutines are looked at, at most.
const LOOK: Duration = Duration::from_millis(100);
/// Looks at all processes take at most this part of one processor.
const SHARE: u32 = 20;
/// How often it is looked whether the process is still there.
const PAUSE: Duration = Duration::from_millis(500);

/// What is known of one process between its profiles.
pub(super) struct Taker<'t, 'a, 'd> {
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
    pub(super) fn new(
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

    /// Makes profiles until the process ends or that is stopped.
    pub(super) fn follow(&mut self, stopped: &Receiver<()>) -> Result<Last> {
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
                return Ok(self.cut(has_ended));
            }
            if Instant::now() >= next {
                next = (next + settings.interval).max(Instant::now());
                if self.cut(false) == Last::Late {
                    return Ok(Last::Late);
                }
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
    fn cut(&mut self, has_ended: bool) -> Last {
        let now = now();
        let began = std::mem::replace(&mut self.began, now);
        for kind in self.shared.settings.kinds.clone() {
            if self.shared.is_late() {
                return Last::Late;
            }
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
        Last::Done
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
        let is_in_doubt = self.target.file_has_changed();
        let (unreadable, full) = self.seen.clear();
        self.shared.counts.miss(Unseen::Unreadable, unreadable);
        self.shared.counts.miss(Unseen::ManyStacks, full);
        self.shared.counts.miss(Unseen::LookFailed, if has_ended { 0 } else { failed });
        match profile.samples.is_empty() {
            _ if is_in_doubt => Err(Skip::Unreadable),
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
