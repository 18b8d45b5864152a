//! `gotap top`: services, their operations and their Go runtimes, live on a terminal, or once for scripts.
//! Not here: observing, which is the agent's.

mod app;
mod draw;
mod format;
mod model;
mod once;
mod table;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ratatui::crossterm::event::{self, Event, KeyEventKind};

use crate::cli::Format;
use crate::output::line;
use app::{App, MAX_REQUESTS};
use model::{Snapshot, View};

pub(crate) use model::{Counts, Request};

/// How often the live table changes.
const REFRESH: Duration = Duration::from_secs(1);
/// How often keys are looked for.
const TICK: Duration = Duration::from_millis(100);

/// Where what is shown comes from.
pub(crate) trait Source {
    /// Whether all processes that ran at the start are looked at.
    fn is_ready(&self) -> bool;
    /// Whether observing has ended.
    fn is_over(&self) -> bool;
    /// What is counted by now.
    fn counts(&self) -> Vec<Counts>;
    /// Operations that have ended since the last time.
    fn requests(&self) -> Vec<Request>;
    /// The last sentence that was said.
    fn said(&self) -> String;
}

/// Waits until all processes are attached to; false if observing has ended before.
pub(crate) fn wait(source: &impl Source) -> bool {
    while !source.is_ready() {
        if source.is_over() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    true
}

/// Prints one table of what happens within `over`.
///
/// # Errors
/// When it can't be printed.
pub(crate) fn once(source: &impl Source, over: Duration, format: Format) -> Result<()> {
    let started = Instant::now();
    let before = Snapshot { time: Duration::ZERO, processes: source.counts() };
    while started.elapsed() < over && !source.is_over() {
        std::thread::sleep(TICK.min(over.saturating_sub(started.elapsed())));
    }
    let now = Snapshot { time: started.elapsed(), processes: source.counts() };
    let view = View::between(&before, &now);
    match format {
        Format::Text => once::text(&view).iter().try_for_each(line)?,
        Format::Json => line(once::json(&view))?,
    }
    Ok(())
}

/// Shows a live table until it is left, or observing ends. The terminal is as before then, also after a
/// panic.
///
/// # Errors
/// When the terminal can't be used.
pub(crate) fn live(source: &impl Source, window: Duration) -> Result<()> {
    let mut terminal = ratatui::try_init().context("use the terminal; --once needs none")?;
    let shown = show(&mut terminal, source, window);
    ratatui::try_restore().context("give the terminal back")?;
    shown
}

fn show(
    terminal: &mut ratatui::DefaultTerminal,
    source: &impl Source,
    window: Duration,
) -> Result<()> {
    let (started, mut app) = (Instant::now(), App::default());
    let mut snapshots: VecDeque<Snapshot> = VecDeque::new();
    let mut due = started;
    while !source.is_over() {
        if due <= Instant::now() {
            due = Instant::now() + REFRESH;
            let now = Snapshot { time: started.elapsed(), processes: source.counts() };
            refresh(&mut app, &mut snapshots, now, window);
        }
        let (requests, said) = (source.requests(), source.said());
        if !app.paused {
            app.said = said;
            app.requests.extend(requests);
            let surplus = app.requests.len().saturating_sub(MAX_REQUESTS);
            app.requests.drain(..surplus);
        }
        terminal.draw(|frame| draw::draw(frame, &mut app)).context("draw")?;
        while event::poll(TICK).context("wait for keys")? {
            if let Event::Key(key) = event::read().context("read keys")?
                && key.kind != KeyEventKind::Release
                && app.on_key(key)
            {
                return Ok(());
            }
            terminal.draw(|frame| draw::draw(frame, &mut app)).context("draw")?;
            if source.is_over() || due <= Instant::now() {
                break;
            }
        }
    }
    Ok(())
}

/// Shows what happened within the window, or since the start.
fn refresh(app: &mut App, snapshots: &mut VecDeque<Snapshot>, now: Snapshot, window: Duration) {
    // The newest one that is old enough stays.
    while snapshots.get(1).is_some_and(|second| now.time.saturating_sub(second.time) >= window) {
        snapshots.pop_front();
    }
    snapshots.push_back(now);
    if let (Some(first), Some(last), false) = (snapshots.front(), snapshots.back(), app.paused) {
        app.view = View::between(first, last);
    }
}
