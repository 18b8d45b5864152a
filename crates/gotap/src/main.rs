//! The `gotap` command: reads the command line, wires the crates together, prints. It holds no
//! logic of observing; that is in the crates it depends on.
//!
//! Exit codes: 0 done, 1 failure, 2 wrong usage, 77 missing privilege.

mod agent;
mod alloc;
mod chan;
mod cli;
mod config;
mod databases;
mod doctor;
mod exec;
mod flight;
mod flows;
mod gc;
mod goroutines;
mod governor;
mod help;
mod home;
mod inspect;
mod instance;
mod libraries;
mod live;
mod names;
mod opened;
mod output;
mod profile;
mod ps;
mod reader;
mod resource;
mod rights;
mod routes;
mod sched;
mod sdk;
mod select;
mod services;
mod signals;
mod tcp;
mod timeline;
mod top;
mod tracked;
mod writes;
mod xray;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command, ConfigCommand};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Run(args) => agent::run(&args),
        Command::Ps(args) => ps::run(&args),
        Command::Trace { what } => of_file(agent::trace(&what)),
        Command::Top(args) => agent::top(&args),
        Command::Goroutines(args) => of_file(goroutines::run(&args)),
        Command::Chan(args) => of_file(chan::run(&args)),
        Command::Gc(args) => of_file(gc::run(&args)),
        Command::Sched(args) => of_file(sched::run(&args)),
        Command::Alloc(args) => of_file(alloc::run(&args)),
        Command::Profile { what } => of_file(profile::run(&what)),
        Command::Xray(args) => agent::xray(&args),
        Command::Flight(args) => flight::run(&args),
        Command::Flows(args) => flows::run(&args),
        Command::Replay(args) => agent::replay(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Config { what } => match what {
            ConfigCommand::Check(args) => config::check(&args),
            ConfigCommand::Schema => config::print_schema(),
            ConfigCommand::Print(args) => config::print(&args),
        },
        Command::Completions { shell } => help::completions(shell),
        Command::Man { folder } => help::manual(&folder),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if output::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::note(format!("{error:#}"));
            ExitCode::from(exit_code(&error))
        }
    }
}

/// The result of a command that looks up names in the file of one process.
fn of_file(result: anyhow::Result<()>) -> anyhow::Result<()> {
    result.and_then(|()| opened::check_files())
}

/// 77 for missing rights, 2 for what the user wrote, 1 for the rest.
fn exit_code(error: &anyhow::Error) -> u8 {
    let denied = error.chain().any(|cause| {
        matches!(cause.downcast_ref(), Some(probes::Error::Denied { .. }))
            || cause.downcast_ref().is_some_and(goproc::Error::is_denied)
    });
    if denied {
        77
    } else if error.chain().any(|cause| cause.is::<config::Invalid>()) {
        2
    } else {
        1
    }
}
