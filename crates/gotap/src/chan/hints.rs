//! What stands out among channels and locks: who waits for ever, what is one-sided, what looks like a deadlock.

use goruntime::{Goroutine, LockKind, State, WaitingOn};

use super::View;

/// So many goroutines behind one lock are worth a word.
const MANY: usize = 10;
/// Who waits for a lock for so long may wait for ever, in nanoseconds.
const LONG: u64 = 60_000_000_000;

impl View<'_, '_> {
    /// What stands out.
    pub(super) fn hints(&self) -> Vec<String> {
        let mut out = self.deadlock();
        for channel in self.channels() {
            let (senders, receivers) = (channel.senders.len(), channel.receivers.len());
            let at = channel.address;
            if senders >= MANY && receivers == 0 {
                out.push(format!(
                    "{senders} goroutines wait to send to {at:#x}, and none waits to receive: who receives is \
                     too slow, or gone"
                ));
            }
            let is_empty = channel.len == Some(0);
            if receivers >= MANY && senders == 0 && is_empty && channel.closed == Some(false) {
                out.push(format!(
                    "{receivers} goroutines wait to receive from {at:#x}, which is empty: more receive than \
                     there is work, or nobody sends any more"
                ));
            }
            if channel.closed == Some(true) && senders > 0 {
                out.push(format!("{at:#x} is closed, and senders wait"));
            }
        }
        for lock in self.locks() {
            let (count, kind, at) = (lock.waiters.len(), lock.kind.name(), lock.address);
            if count >= MANY && lock.kind != LockKind::WaitGroup {
                out.push(format!("{count} goroutines wait for the {kind} at {at:#x}"));
            }
            if self.oldest.get(&at).is_some_and(|age| *age >= LONG) {
                let seconds = self.oldest.get(&at).map_or(0, |age| age / 1_000_000_000);
                let who = match lock.kind {
                    LockKind::WaitGroup => "a goroutine that it waits for does not call Done",
                    _ => "who has it does not give it back, and may wait for one of these",
                };
                out.push(format!("the {kind} at {at:#x} has been waited for {seconds} s: {who}"));
            }
        }
        let nil = |g: &&Goroutine| g.waiting_on == Some(WaitingOn::NilChannel);
        let never = self.snapshot.goroutines.iter().filter(nil).count();
        if never > 0 {
            out.push(format!("{never} goroutines wait for a channel that is nil, for ever"));
        }
        out
    }

    /// Whether all goroutines wait for each other, as far as that can be seen.
    fn deadlock(&self) -> Vec<String> {
        let own = || self.snapshot.goroutines.iter().filter(|g| !g.system);
        let waits_for_others =
            |g: &Goroutine| g.state == State::Waiting && !g.changed && g.waiting_on.is_some();
        let count = own().count();
        if count > 1 && own().all(waits_for_others) {
            return vec![format!(
                "all {count} goroutines wait for channels or locks: unless a signal or a timer sends to one of \
                 them, this is a deadlock"
            )];
        }
        Vec::new()
    }
}
