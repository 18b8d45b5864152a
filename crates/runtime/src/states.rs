//! How many goroutines are in which state: one word of each is read, and no stack. Not here: what they do
//! (`snapshot`).

use std::collections::BTreeMap;

use gomem::{Memory, u32_at};

use crate::goroutine::State;
use crate::layout::Layout;
use crate::snapshot::list;
use crate::{Counters, Error};

/// Goroutines that are read together.
const BATCH: usize = 8192;

/// Goroutines by state, the runtime's own included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct States {
    /// Those that are in a state that is known.
    pub counts: BTreeMap<State, u64>,
}

impl States {
    /// Reads them.
    ///
    /// # Errors
    /// When the list of goroutines can't be read, or what is read can't be true.
    pub fn read(memory: &impl Memory, layout: &Layout, bias: u64) -> Result<Self, Error> {
        let list = list(memory, layout, bias)?;
        let (mut out, mut odd) = (Self::default(), 0);
        for batch in list.chunks(BATCH) {
            let status = layout.g.status;
            let places: Vec<_> = batch.iter().map(|g| (g.wrapping_add(status as u64), 4)).collect();
            let read = memory.gather(&places)?;
            for i in 0..places.len() {
                match read.get(i).and_then(|bytes| u32_at(bytes, 0)).map(State::of) {
                    Some(None) => {}
                    Some(Some(state)) if !matches!(state, State::Unknown(_)) => {
                        *out.counts.entry(state).or_default() += 1;
                    }
                    _ => odd += 1,
                }
            }
        }
        if odd * 10 > list.len() {
            let why = format!("of {} goroutines {odd} have no state", list.len());
            return Err(Error::Contradiction(why));
        }
        Ok(out)
    }

    /// What `runtime.NumGoroutine` gives: all but the runtime's own, which it counts itself.
    pub fn count(&self, counters: &Counters) -> Option<u64> {
        let all: u64 = self.counts.values().sum();
        all.checked_sub(counters.system?.into())
    }
}
