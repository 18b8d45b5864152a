//! `gotap profile`: where a Go process spends its time, and what it allocates, by function.
//!
//! Each kind of profile is collected in a file of its own; here they are chosen. Where addresses get their
//! names is in `naming`, and what is printed and written in `output` and `text`.

mod buckets;
pub(crate) mod continuous;
mod cpu;
mod naming;
mod offcpu;
mod output;
mod requests;
mod sampled;
mod taken;
mod text;
mod ticks;
mod wait;
mod wall;

use anyhow::{Result, bail};
use goruntime::Symbols;
use native::Mappings;
use profile::Profile;

use crate::agent;
use crate::cli::{ProfileArgs, ProfileCommand};
use crate::opened::{Opened, Target};
use crate::xray;
use buckets::Kind;
use output::Output;
use wait::Stop;

pub(crate) use naming::Namer;
pub(crate) use output::OutputFile;
pub(crate) use requests::Traced;
pub(crate) use taken::{Taken, take};

/// What was collected.
struct Collected {
    profile: Profile,
    /// Over how long, in seconds.
    seconds: f64,
    /// What was collected, as the beginning of a line.
    what: String,
    /// What limits what is shown.
    notes: Vec<String>,
}

/// What all kinds need of the process.
struct Context<'c, 'a, 'd> {
    args: &'c ProfileArgs,
    target: &'c Target<'a, 'd>,
    symbols: &'c Symbols<'a, 'd>,
    stop: &'c Stop,
    /// Where requests are traced, too.
    traced: Option<&'c Traced<'c>>,
}

/// Runs the command.
pub(crate) fn run(command: &ProfileCommand) -> Result<()> {
    let args = command.args();
    goproc::check_pids()?;
    goproc::Process { pid: args.pid }.check_is_no_thread()?;
    let Some(route) = command.route() else { return profile(command, &Stop::new()?, None) };
    // What would fail at the end fails at the start.
    Output::new(args)?;
    let (command, pid) = (command.clone(), args.pid);
    let wanted = xray::Wanted { route: Some(route.to_owned()), ..xray::Wanted::default() };
    agent::with_requests(pid, wanted, move |watched, end| {
        let Some(traced) = Traced::new(watched, pid, end)? else { return Ok(()) };
        profile(&command, &Stop::by(watched.over.clone()), Some(&traced))
    })
}

fn profile(command: &ProfileCommand, stop: &Stop, traced: Option<&Traced<'_>>) -> Result<()> {
    // What would fail at the end fails at the start.
    let output = Output::new(command.args())?;
    collect(command, stop, traced, |context, collected| output.finish(context, collected))
}

/// Collects a profile, and hands it on.
fn collect<T>(
    command: &ProfileCommand,
    stop: &Stop,
    traced: Option<&Traced<'_>>,
    hand_on: impl FnOnce(&Context<'_, '_, '_>, &Collected) -> Result<T>,
) -> Result<T> {
    let args = command.args();
    let opened = Opened::new(args.pid)?;
    let binary = opened.binary()?;
    let types = binary.types();
    let target = opened.target(&binary, &types)?;
    let symbols = Symbols::new(&binary, &types);
    let context = Context { args, target: &target, symbols: &symbols, stop, traced };
    let collected = match command {
        ProfileCommand::Cpu(cpu) => cpu::collect(&context, &types, cpu)?,
        ProfileCommand::Wall(wall) => match (traced, &wall.route) {
            (Some(traced), Some(route)) => requests::wall(&context, traced, route)?,
            _ => wall::collect(&context, wall)?,
        },
        ProfileCommand::Offcpu(_) => offcpu::collect(&context, &types)?,
        ProfileCommand::Alloc(_) => buckets::collect(&context, Kind::Alloc)?,
        ProfileCommand::Heap(_) => buckets::collect(&context, Kind::Heap)?,
        ProfileCommand::Mutex(_) => buckets::collect(&context, Kind::Mutex)?,
        ProfileCommand::Block(_) => buckets::collect(&context, Kind::Block)?,
    };
    if collected.profile.samples.is_empty() {
        bail!("process {}: nothing was sampled", args.pid);
    }
    hand_on(&context, &collected)
}

/// The files that a process has mapped now.
pub(crate) fn mappings(target: &Target<'_, '_>) -> Mappings {
    let mut out = Mappings::default();
    out.read(target.process);
    out
}
