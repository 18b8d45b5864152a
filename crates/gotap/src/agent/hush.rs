//! Sentences while a table is on the terminal: they are kept instead of printed, as they would tear it.

use std::sync::{Mutex, PoisonError};

/// The last sentence; `None` while sentences are printed.
static LAST: Mutex<Option<String>> = Mutex::new(None);

/// Sentences are printed again when this is dropped.
pub(super) struct Hushed;

/// Keeps sentences from now on.
pub(super) fn begin() -> Hushed {
    *LAST.lock().unwrap_or_else(PoisonError::into_inner) = Some(String::new());
    Hushed
}

impl Drop for Hushed {
    fn drop(&mut self) {
        *LAST.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Keeps a sentence, if sentences are kept.
pub(super) fn keep(sentence: &str) -> bool {
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    let keeps = last.is_some();
    if keeps {
        *last = Some(sentence.to_owned());
    }
    keeps
}

/// The last one that was kept.
pub(super) fn last() -> String {
    LAST.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_default()
}
