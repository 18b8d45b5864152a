//! What packages have beside the command: completions for shells, and manual pages. Not here: `--help`, which is
//! clap's.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use clap::CommandFactory;

use crate::cli::Cli;

/// `gotap completions`.
pub(crate) fn completions(shell: clap_complete::Shell) -> Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "gotap", &mut text);
    std::io::stdout().write_all(&text).context("write to standard output")
}

/// `gotap man`: a page for each command.
pub(crate) fn manual(folder: &Path) -> Result<()> {
    let written = clap_mangen::generate_to(Cli::command(), folder);
    written.with_context(|| format!("write manual pages into {}", folder.display()))
}
