//! What waits for the back end: a queue for each signal, so that none waits behind another, within one bound of
//! bytes. Each signal has a share that the others can't take. Not here: who fills the queues and who sends.

use std::collections::{HashSet, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::batch::Batch;
use crate::signal::Signal;

/// Of one signal.
#[derive(Debug, Default)]
struct Queue {
    batches: VecDeque<Batch>,
    /// Bytes that wait or are being sent.
    bytes: usize,
    /// Bytes that others leave to it.
    reserved: usize,
    /// Items of the batch that is being sent.
    sending: Option<u64>,
    /// Whether nobody sends any more, as the thread failed.
    failed: bool,
}

/// What became of a batch that was to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pushed {
    Waits,
    /// There is no room for it.
    Full,
    /// Nobody would send it.
    Failed,
}

/// The queues, and whether they are to be emptied for good.
#[derive(Debug, Default)]
pub(super) struct State {
    of: [Queue; Signal::ALL.len()],
    /// Requests with metrics that were taken since this was looked at.
    pub(super) taken: HashSet<u64>,
    /// When to give up; set by the shutdown.
    pub(super) deadline: Option<Instant>,
}

/// The queues, for the thread that fills them and those that send.
#[derive(Debug)]
pub(super) struct Queues {
    state: Mutex<State>,
    pub(super) changed: Condvar,
    pub(super) max_bytes: usize,
}

impl State {
    /// Whether so many bytes of a signal find room.
    fn fits(&self, signal: Signal, bytes: usize, max: usize) -> bool {
        let others = Signal::ALL.into_iter().filter(|other| *other != signal);
        let others = others.map(|other| &self.of[other as usize]);
        let left_to_others: usize = others.map(|other| other.bytes.max(other.reserved)).sum();
        self.of[signal as usize].bytes + bytes + left_to_others <= max
    }

    /// Bytes that wait or are being sent.
    pub(super) fn bytes(&self) -> usize {
        self.of.iter().map(|queue| queue.bytes).sum()
    }

    /// Whether a batch of this signal is being sent.
    pub(super) fn sends(&self, signal: Signal) -> bool {
        self.of[signal as usize].sending.is_some()
    }

    /// Gives up what waits of a signal; how many items that was.
    pub(super) fn clear(&mut self, signal: Signal) -> u64 {
        let queue = &mut self.of[signal as usize];
        let mut items = 0;
        for batch in queue.batches.drain(..) {
            queue.bytes -= batch.request.len();
            items += batch.items;
        }
        items
    }
}

impl Queues {
    /// Empty ones, for the signals that are sent.
    pub(super) fn new(max_bytes: usize, sent: &[Signal]) -> Self {
        let mut state = State::default();
        for signal in sent {
            let share = match signal {
                Signal::Traces => max_bytes / 2,
                Signal::Logs => max_bytes / 4,
                // Only the newest ones wait.
                Signal::Metrics => max_bytes / 8,
            };
            state.of[*signal as usize].reserved = share;
        }
        Self { state: Mutex::new(state), changed: Condvar::new(), max_bytes }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // The queues are consistent after each statement, so a panic elsewhere does not spoil them.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a batch, if it finds room.
    pub(super) fn push(&self, batch: Batch) -> Pushed {
        let mut state = self.lock();
        if state.of[batch.signal as usize].failed {
            return Pushed::Failed;
        }
        if !state.fits(batch.signal, batch.request.len(), self.max_bytes) {
            return Pushed::Full;
        }
        let queue = &mut state.of[batch.signal as usize];
        queue.bytes += batch.request.len();
        queue.batches.push_back(batch);
        drop(state);
        self.changed.notify_all();
        Pushed::Waits
    }

    /// The next batch of a signal; `None` once all is sent after the shutdown.
    pub(super) fn next(&self, signal: Signal) -> Option<Batch> {
        let mut state = self.lock();
        loop {
            let queue = &mut state.of[signal as usize];
            if let Some(batch) = queue.batches.pop_front() {
                queue.sending = Some(batch.items);
                return Some(batch);
            }
            if state.deadline.is_some() {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A batch was sent, or was given up.
    pub(super) fn done(&self, batch: &Batch) {
        let mut state = self.lock();
        let queue = &mut state.of[batch.signal as usize];
        queue.bytes -= batch.request.len();
        queue.sending = None;
        drop(state);
        self.changed.notify_all();
    }

    /// Nobody sends this signal any more: how many items waited or were being sent.
    pub(super) fn fail(&self, signal: Signal) -> u64 {
        let mut state = self.lock();
        let waiting = state.clear(signal);
        let queue = &mut state.of[signal as usize];
        (queue.bytes, queue.failed) = (0, true);
        let sending = queue.sending.take().unwrap_or(0);
        drop(state);
        self.changed.notify_all();
        waiting + sending
    }

    /// Time until the shutdown's deadline; `None` before a shutdown.
    pub(super) fn left(&self) -> Option<Duration> {
        self.lock().deadline.map(|d| d.saturating_duration_since(Instant::now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Signal; 3] = Signal::ALL;

    fn batch(signal: Signal, bytes: usize) -> Batch {
        Batch { signal, request: vec![0; bytes].into(), items: 1, number: 0 }
    }

    /// Fills up with batches of ten bytes; how many found room.
    fn fill(queues: &Queues, signal: Signal) -> usize {
        (0..1000).take_while(|_| queues.push(batch(signal, 10)) == Pushed::Waits).count()
    }

    #[test]
    fn no_signal_takes_the_room_of_another() {
        for first in ALL {
            let queues = Queues::new(800, &ALL);
            fill(&queues, first);
            let others = ALL.into_iter().filter(|other| *other != first);
            for (other, room) in others.map(|other| match other {
                Signal::Traces => (other, 40),
                Signal::Logs => (other, 20),
                Signal::Metrics => (other, 10),
            }) {
                assert!(fill(&queues, other) >= room, "{other:?} after {first:?}");
            }
            assert!(queues.lock().bytes() <= 800);
        }
    }

    #[test]
    fn what_is_not_sent_takes_no_room() {
        let queues = Queues::new(800, &[Signal::Traces]);
        assert_eq!(fill(&queues, Signal::Traces), 80);
        let queues = Queues::new(800, &[Signal::Traces, Signal::Metrics]);
        assert_eq!(fill(&queues, Signal::Traces), 70);
        assert_eq!(fill(&queues, Signal::Metrics), 10);
        assert_eq!(queues.lock().clear(Signal::Metrics), 10);
        assert_eq!(queues.lock().bytes(), 700);
        assert_eq!(fill(&queues, Signal::Metrics), 10, "newer ones have its room");
    }

    #[test]
    fn what_is_being_sent_takes_room_until_it_is_done() {
        let queues = Queues::new(80, &[Signal::Traces]);
        assert_eq!(fill(&queues, Signal::Traces), 8);
        let sent = queues.next(Signal::Traces).unwrap();
        assert!(queues.lock().sends(Signal::Traces));
        assert_eq!(queues.push(batch(Signal::Traces, 1)), Pushed::Full);
        queues.done(&sent);
        assert!(!queues.lock().sends(Signal::Traces));
        assert_eq!(queues.push(batch(Signal::Traces, 1)), Pushed::Waits);
    }

    #[test]
    fn nothing_waits_where_nobody_sends_any_more() {
        let queues = Queues::new(800, &ALL);
        for _ in 0..3 {
            assert_eq!(queues.push(batch(Signal::Traces, 10)), Pushed::Waits);
        }
        queues.push(batch(Signal::Logs, 10));
        queues.next(Signal::Traces).unwrap();
        assert_eq!(queues.fail(Signal::Traces), 3, "one was being sent");
        assert_eq!(queues.lock().bytes(), 10);
        assert!(!queues.lock().sends(Signal::Traces));
        assert_eq!(queues.push(batch(Signal::Traces, 10)), Pushed::Failed);
        assert_eq!(queues.push(batch(Signal::Logs, 10)), Pushed::Waits);
    }
}
