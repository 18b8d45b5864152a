//! How often probes were hit, by probe and process, and how much was lost. The programs count a hit
//! where the process's constants say, so that counting by process costs no more than counting at all.
//! Not here: what the counts mean.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use libbpf_rs::{MapCore, MapFlags, MapHandle};
use wire::{Drop as DropReason, Probe, raw};

use crate::Error;

/// Hits and losses since start, over all processors.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counters {
    /// Trap hits by probe.
    pub hits: Vec<(Probe, u64)>,
    /// What was seen but not reported, by reason.
    pub drops: Vec<(DropReason, u64)>,
}

impl Counters {
    /// Losses for one reason.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.drops.iter().find(|(r, _)| *r == reason).map_or(0, |(_, n)| *n)
    }
}

/// Hits in one process since it was attached to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessHits {
    /// Process id.
    pub pid: u32,
    /// By probe; only of those that are attached.
    pub hits: Vec<(Probe, u64)>,
}

/// The counters, for any thread.
pub struct Hits {
    hits: MapHandle,
    drops: MapHandle,
    state: Mutex<State>,
}

/// Where the hits of an observed process are counted.
struct Slot {
    number: u32,
    pid: u32,
    probes: Vec<Probe>,
}

struct State {
    /// By instance.
    slots: HashMap<u32, Slot>,
    free: Vec<u32>,
    /// The first one that was never used. What has no slot of its own shares number 0.
    fresh: u32,
    /// What was counted in slots that were given back.
    past: [u64; Probe::ALL.len()],
    /// The same of each process whose probes were taken away for a while.
    kept: HashMap<u32, [u64; Probe::ALL.len()]>,
}

impl Hits {
    pub(crate) fn new(hits: MapHandle, drops: MapHandle) -> Self {
        let (slots, free, past) = (HashMap::new(), Vec::new(), [0; Probe::ALL.len()]);
        let kept = HashMap::new();
        Self { hits, drops, state: Mutex::new(State { slots, free, fresh: 1, past, kept }) }
    }

    /// What is counted in this process is kept when its slots are given back.
    pub(crate) fn keep(&self, pid: u32) {
        self.lock().kept.entry(pid).or_insert([0; Probe::ALL.len()]);
    }

    /// It is not any more.
    pub(crate) fn forget(&self, pid: u32) {
        self.lock().kept.remove(&pid);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the hits of a process will be counted, for its constants.
    pub(crate) fn take(&self, instance: u32, pid: u32, probes: impl Iterator<Item = Probe>) -> u32 {
        let mut state = self.lock();
        let number = match state.free.pop() {
            Some(number) => number,
            None if state.fresh < raw::HIT_SLOTS => {
                state.fresh += 1;
                state.fresh - 1
            }
            None => return 0,
        };
        let mut probes: Vec<_> = probes.collect();
        probes.sort_unstable_by_key(|probe| *probe as u32);
        probes.dedup();
        state.slots.insert(instance, Slot { number, pid, probes });
        index(number, None)
    }

    /// Gives back what [`Hits::take`] gave, once the programs use it no more.
    pub(crate) fn give_back(&self, instance: u32) {
        let mut state = self.lock();
        let Some(slot) = state.slots.remove(&instance) else { return };
        let zeros = vec![vec![0; 8]; libbpf_rs::num_possible_cpus().unwrap_or(0)];
        for probe in &slot.probes {
            // A count that can't be read is lost with the map.
            let count = self.read(&self.hits, slot.index(*probe)).unwrap_or(0);
            state.past[*probe as usize] += count;
            if let Some(kept) = state.kept.get_mut(&slot.pid) {
                kept[*probe as usize] += count;
            }
            let key = slot.index(*probe).to_ne_bytes();
            if self.hits.update_percpu(&key, &zeros, MapFlags::ANY).is_err() {
                return; // It stays unused: what it holds would be another process's.
            }
        }
        state.free.push(slot.number);
    }

    /// Reads all.
    ///
    /// # Errors
    /// What libbpf says.
    pub fn counters(&self) -> Result<Counters, Error> {
        let state = self.lock();
        let mut sums = state.past;
        for slot in state.slots.values() {
            for probe in &slot.probes {
                sums[*probe as usize] += self.read(&self.hits, slot.index(*probe))?;
            }
        }
        for probe in Probe::ALL {
            sums[*probe as usize] += self.read(&self.hits, index(0, Some(*probe)))?;
        }
        let hits = Probe::ALL.iter().map(|probe| (*probe, sums[*probe as usize])).collect();
        let drops = DropReason::ALL.iter().map(|d| Ok((*d, self.read(&self.drops, *d as u32)?)));
        Ok(Counters { hits, drops: drops.collect::<Result<_, Error>>()? })
    }

    /// Hits in each process that is observed now and has a slot of its own.
    ///
    /// # Errors
    /// What libbpf says.
    pub fn by_process(&self) -> Result<Vec<ProcessHits>, Error> {
        let state = self.lock();
        // A process may have two slots for a moment, when it is attached to again.
        let mut sums = state.kept.clone();
        let mut probes: HashMap<u32, [bool; Probe::ALL.len()]> = HashMap::new();
        for slot in state.slots.values() {
            let sums = sums.entry(slot.pid).or_insert([0; Probe::ALL.len()]);
            let known = probes.entry(slot.pid).or_insert([false; Probe::ALL.len()]);
            for probe in &slot.probes {
                sums[*probe as usize] += self.read(&self.hits, slot.index(*probe))?;
                known[*probe as usize] = true;
            }
        }
        let of = |(pid, sums): (u32, [u64; Probe::ALL.len()])| {
            let known = probes.get(&pid);
            let is_known = |probe: usize| known.is_some_and(|known| known[probe]);
            let all = Probe::ALL.iter().map(|probe| (*probe, sums[*probe as usize]));
            let hits = all.filter(|(probe, n)| *n > 0 || is_known(*probe as usize)).collect();
            ProcessHits { pid, hits }
        };
        Ok(sums.into_iter().map(of).collect())
    }

    fn read(&self, map: &MapHandle, index: u32) -> Result<u64, Error> {
        let values = map
            .lookup_percpu(&index.to_ne_bytes(), MapFlags::ANY)
            .map_err(Error::bpf("read counters"))?
            .unwrap_or_default();
        let number = |value: &Vec<u8>| Some(u64::from_ne_bytes(value.get(..8)?.try_into().ok()?));
        Ok(values.iter().filter_map(number).sum())
    }
}

impl Slot {
    fn index(&self, probe: Probe) -> u32 {
        index(self.number, Some(probe))
    }
}

/// The index in the map.
fn index(slot: u32, probe: Option<Probe>) -> u32 {
    let probes = u32::try_from(Probe::ALL.len()).unwrap_or(u32::MAX);
    slot * probes + probe.map_or(0, |probe| probe as u32)
}
