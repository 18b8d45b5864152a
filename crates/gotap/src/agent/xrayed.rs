//! What `gotap xray` asks of the agent: to trace one process while it is looked into. Not here: the looks.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::channel;
use std::time::Duration;

use anyhow::{Context, Result};
use instruments::Options;
use pipeline::Sink;
use trace::Span;

use super::view::StopAtEnd;
use super::{Agent, Setup, say};
use crate::cli::{Format, ProbeArgs, RouteArgs, XrayArgs};
use crate::config;
use crate::select::Selection;
use crate::xray::{self, Table, Tally, Wanted, Watched};

/// Requests that have ended, joined with what was seen of them.
struct Ended {
    tally: Arc<Tally>,
    table: Arc<Table>,
}

impl Sink for Ended {
    fn name(&self) -> &'static str {
        "output"
    }

    fn span(&mut self, span: &Span) -> Result<()> {
        self.tally.span(span, &self.table);
        Ok(())
    }

    fn tick(&mut self) -> Result<()> {
        Ok(())
    }

    fn finish(self: Box<Self>, _patience: Duration) -> Result<()> {
        Ok(())
    }
}

/// `gotap xray`.
pub(crate) fn xray(args: &XrayArgs) -> Result<()> {
    if args.duration.is_zero() {
        return Err(config::Invalid("--duration: want more than nothing".into()).into());
    }
    goproc::check_pids()?;
    let wanted = Wanted { slower_than: args.slower_than.into(), route: args.route.clone() };
    let given = args.clone();
    traced(args.pid, wanted, &args.routes, &args.probes, move |watched, end| {
        xray::look(watched, &given, end)
    })
}

/// Traces the requests of a process while `look` runs in a thread of its own. It is given what ends the tracing
/// and waits for the last spans.
///
/// # Errors
/// Its own, or when the process can't be traced.
pub(crate) fn with_requests(
    pid: u32,
    wanted: Wanted,
    look: impl FnOnce(&Watched, End) -> Result<()> + Send + 'static,
) -> Result<()> {
    traced(pid, wanted, &RouteArgs::default(), &ProbeArgs::default(), look)
}

/// Ends the tracing, and waits for its last spans.
type End = Box<dyn FnOnce()>;

fn traced(
    pid: u32,
    wanted: Wanted,
    routes: &RouteArgs,
    probes: &ProbeArgs,
    look: impl FnOnce(&Watched, End) -> Result<()> + Send + 'static,
) -> Result<()> {
    let (tally, table) = (Arc::new(Tally::new(wanted)), Arc::<Table>::default());
    let ended = Ended { tally: tally.clone(), table: table.clone() };
    let agent = Agent::start(setup(pid, routes, probes, Box::new(ended))?)?;
    let over = Arc::<AtomicBool>::default();
    let watched = Watched {
        maps: agent.session.served()?,
        targets: agent.targets.clone(),
        is_ready: {
            let figures = agent.figures.clone();
            Box::new(move || figures.is_ready())
        },
        over: over.clone(),
        tally,
        table,
    };
    let stop = StopAtEnd(agent.stop.clone());
    // All spans are there when nobody sends on this any more.
    let (all, wait) = channel::<()>();
    let viewer = std::thread::Builder::new().name("gotap-xray".into()).spawn(move || {
        look(
            &watched,
            Box::new(move || {
                drop(stop);
                // Nothing is ever sent.
                let _ = wait.recv();
            }),
        )
    });
    let viewer = viewer.context("start a thread")?;
    let observed = agent.observe_until(&over);
    drop(all);
    let shown = viewer.join();
    let summary = observed?;
    // A panic has been printed.
    shown.unwrap_or_else(|_| anyhow::bail!("looking at requests failed"))?;
    summary.lines(Format::Text).iter().for_each(|line| say(line));
    Ok(())
}

fn setup(pid: u32, routes: &RouteArgs, probes: &ProbeArgs, sink: Box<dyn Sink>) -> Result<Setup> {
    let select = config::Select { pids: vec![pid], ..config::Select::default() };
    let selection = Selection::new(&select)?;
    let setup = Setup::of_flags(selection, &routes.settings(), probes, false)?;
    let options = Options { one_process: true, ..setup.options };
    Ok(Setup { options, sinks: vec![sink], ..setup })
}
