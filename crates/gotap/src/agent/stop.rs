//! How observing is ended: by a signal, or by what shows it. Whoever looks at many processes asks between two of them,
//! so that nobody waits for what happened before. Not here: what is done then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;

use anyhow::Result;

use crate::reader::AgentEvent;
use crate::signals;

/// Ends observing.
#[derive(Clone)]
pub(super) struct Stop {
    asked: Arc<AtomicBool>,
    events: Sender<AgentEvent>,
}

impl Stop {
    /// `events` go to who observes.
    pub(super) fn new(events: Sender<AgentEvent>) -> Self {
        Self { asked: Arc::default(), events }
    }

    /// Ends it also where the user asks for that.
    ///
    /// # Errors
    /// Signals can't be handled.
    pub(super) fn on_signal(&self) -> Result<()> {
        let stop = self.clone();
        signals::on_stop(move || stop.ask())
    }

    /// Ends it.
    pub(super) fn ask(&self) {
        self.asked.store(true, Ordering::Relaxed);
        // It wakes who waits for events. The agent is stopping already when nobody listens.
        let _ = self.events.send(AgentEvent::Stop);
    }

    /// Whether it is to end.
    pub(super) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}
