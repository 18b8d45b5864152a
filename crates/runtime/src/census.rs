//! Where goroutines come from and what they wait for, without their stacks: one read of each. Not here: what they
//! do (`snapshot`).

use std::collections::{BTreeMap, HashMap};

use gobin::Global;
use gomem::{Memory, u64_at};

use crate::goroutine::{RawG, State};
use crate::layout::Layout;
use crate::snapshot::list;
use crate::{Counters, Error};

/// Goroutines that are read together.
const BATCH: usize = 4096;
/// A wait reason is no longer than this.
const MAX_REASON: u64 = 64;

/// Goroutines of one `go` statement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// How many there are.
    pub count: u64,
    /// How many of them wait.
    pub waiting: u64,
    /// The numbers of those that are remembered.
    pub goids: Vec<u64>,
}

/// All goroutines, counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Census {
    /// By state, the runtime's own included.
    pub states: BTreeMap<State, u64>,
    /// What the runtime counts among its own goroutines, though none are there: they stand ready for threads of C code.
    pub extra: u64,
    /// By the address behind the call that their `go` statement became, in the file; the runtime's own included.
    pub origins: HashMap<u64, Origin>,
    /// Those that wait, by reason in the runtime's own words, the runtime's own included. Reasons that can't be
    /// read are left out.
    pub reasons: BTreeMap<String, u64>,
}

impl Census {
    /// Counts them. So many numbers of goroutines are remembered at most.
    ///
    /// # Errors
    /// When the list of goroutines can't be read, or what is read can't be true.
    pub fn take(
        memory: &impl Memory,
        layout: &Layout,
        bias: u64,
        remembered: usize,
    ) -> Result<Self, Error> {
        let list = list(memory, layout, bias)?;
        let (mut out, mut odd, mut kept) = (Self::default(), 0, 0);
        let mut reasons: BTreeMap<u8, u64> = BTreeMap::new();
        for batch in list.chunks(BATCH) {
            let places: Vec<_> = batch.iter().map(|g| (*g, layout.g.len)).collect();
            let read = memory.gather(&places)?;
            for i in 0..places.len() {
                let raw = read.get(i).and_then(|bytes| RawG::parse(bytes, &layout.g));
                let Some(raw) = raw.filter(|raw| !matches!(raw.state, Some(State::Unknown(_))))
                else {
                    odd += 1;
                    continue;
                };
                out.extra += u64::from(raw.is_extra());
                let Some(state) = raw.state else { continue };
                *out.states.entry(state).or_default() += 1;
                let waits = matches!(state, State::Waiting | State::Leaked);
                if waits && raw.reason != 0 {
                    *reasons.entry(raw.reason).or_default() += 1;
                }
                if raw.created_at != 0 {
                    let origin = out.origins.entry(raw.created_at.wrapping_sub(bias)).or_default();
                    origin.count += 1;
                    origin.waiting += u64::from(waits);
                    if kept < remembered {
                        kept += 1;
                        origin.goids.push(raw.goid);
                    }
                }
            }
        }
        if odd * 10 > list.len() {
            let why = format!("of {} goroutines {odd} have no state", list.len());
            return Err(Error::Contradiction(why));
        }
        for (reason, count) in reasons {
            if let Some(text) = reason_text(memory, layout, bias, reason)? {
                *out.reasons.entry(text).or_default() += count;
            }
        }
        Ok(out)
    }

    /// What `runtime.NumGoroutine` gives: all but the runtime's own, which it counts itself.
    pub fn count(&self, counters: &Counters) -> Option<u64> {
        let all: u64 = self.states.values().sum();
        (all + self.extra).checked_sub(counters.system?.into())
    }
}

/// Why a goroutine waits, in the words of the process's runtime.
pub(crate) fn reason_text(
    memory: &impl Memory,
    layout: &Layout,
    bias: u64,
    reason: u8,
) -> Result<Option<String>, Error> {
    let Some(strings) = layout.global(Global::WaitReasonStrings) else { return Ok(None) };
    let address = strings.wrapping_add(bias).wrapping_add(16 * u64::from(reason));
    let Some(header) = memory.bytes(address, 16)? else { return Ok(None) };
    let (text, len) = (u64_at(&header, 0), u64_at(&header, 8));
    let (Some(text), Some(len @ 1..=MAX_REASON)) = (text, len) else { return Ok(None) };
    let bytes = memory.bytes(text, usize::try_from(len).unwrap_or(0))?;
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    Ok(text.filter(|text| !text.contains(char::is_control)))
}
