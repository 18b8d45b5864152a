//! The meter of operations, for the thread that counts and for those that collect.

use std::sync::{Mutex, MutexGuard, PoisonError};

use red::Meter;

/// What counts operations, for any thread.
#[derive(Debug)]
pub struct SharedMeter(Mutex<Meter>);

impl SharedMeter {
    /// One that knows no process. `now_unix_nano` is now.
    pub fn new(settings: &red::Settings, now_unix_nano: u64) -> Self {
        Self(Mutex::new(Meter::new(settings, now_unix_nano)))
    }

    /// The meter. The reader waits for it with its spans: not to be held for long.
    pub fn lock(&self) -> MutexGuard<'_, Meter> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
