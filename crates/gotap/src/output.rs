//! How things are printed: lines of text for people, JSON for programs.

mod json;
pub(crate) mod losses;
pub(crate) mod text;

pub(crate) use json::{json_line, log_line};

/// Prints a line on standard output. Unlike `println!` it gives an error, not a panic, when the
/// reader of our output went away.
pub(crate) fn line(text: impl std::fmt::Display) -> std::io::Result<()> {
    use std::io::Write;
    writeln!(std::io::stdout(), "{text}")
}

/// Whether `error` says that the reader of our output went away, as `head` does.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
    })
}
