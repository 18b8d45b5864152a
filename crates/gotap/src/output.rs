//! How things are printed: lines of text for people, JSON for programs.

mod json;
pub(crate) mod losses;
pub(crate) mod text;

pub(crate) use json::{json_line, log_line};

/// Prints text on standard output, and the end of a line. Unlike `println!` it gives an error, not a panic, when the
/// reader of our output went away.
pub(crate) fn line(text: impl std::fmt::Display) -> std::io::Result<()> {
    use std::io::Write;
    writeln!(std::io::stdout(), "{}", text::harmless(&text.to_string()))
}

/// Says something to the user beside the output, on standard error. Where that can't be written, as on a full disk or
/// when its reader went away, it is lost, and gotap goes on.
pub(crate) fn note(text: impl std::fmt::Display) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "gotap: {}", text::harmless(&text.to_string()));
}

/// Whether `error` says that the reader of our output went away, as `head` does.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
    })
}
