//! Goroutines as text for people.

use std::time::Duration;

use anyhow::Result;
use goruntime::group::{Group, Wait};
use goruntime::{Goroutine, StackState};

use super::View;
use super::filter::Chosen;
use crate::output::line;

/// Numbers of goroutines that are listed of each group.
const GOIDS: usize = 8;

pub(super) fn print(view: &View<'_, '_>) -> Result<()> {
    let (pid, service) = (view.target.process.pid, &view.target.service);
    let version = view.target.binary.build_info().go_version;
    let system = view.snapshot.goroutines.iter().filter(|g| g.system).count();
    let count = view.count.map_or_else(|| "?".to_owned(), |count| count.to_string());
    line(format!("{service}[{pid}] {version}: {count} goroutines, and {system} of Go's runtime"))?;
    for missing in &view.missing {
        line(format!("not known: {}: {}", missing.what, missing.why))?;
    }
    if let Some(chosen) = &view.suspects {
        return leaks(view, chosen);
    }
    match &view.all {
        Some(all) => all.iter().try_for_each(|goroutine| one(view, goroutine)),
        None => view.groups.iter().try_for_each(|group| {
            heading(view, group)?;
            details(view, group)
        }),
    }
}

/// What may leak, and each goroutine of it if they are asked for.
fn leaks(view: &View<'_, '_>, chosen: &Chosen) -> Result<()> {
    for suspect in &chosen.suspects {
        heading(view, &suspect.group)?;
        if let Some(growth) = suspect.growth_per_minute {
            line(format!("  {growth:+.1} a minute"))?;
        }
        for why in &suspect.why {
            line(format!("  {why}"))?;
        }
        match view.all {
            Some(_) => members(view, &suspect.group).try_for_each(|g| one(view, g))?,
            None => details(view, &suspect.group)?,
        }
    }
    if chosen.others > 0 {
        let n = chosen.others;
        line(format!("\ngroups that look as if they leak, and are not chosen: {n}"))?;
    } else if chosen.suspects.is_empty() {
        line("\nno goroutine looks as if it leaks")?;
    }
    Ok(())
}

fn members<'v>(view: &'v View<'_, '_>, group: &'v Group) -> impl Iterator<Item = &'v Goroutine> {
    group.members.iter().filter_map(|i| view.snapshot.goroutines.get(*i))
}

/// State and reason, as Go's own stack traces have them.
fn doing<'v>(view: &'v View<'_, '_>, goroutine: &Goroutine) -> &'v str {
    view.snapshot.wait_reason(goroutine).unwrap_or(goroutine.state.name())
}

fn heading(view: &View<'_, '_>, group: &Group) -> Result<()> {
    let Some(example) = members(view, group).next() else { return Ok(()) };
    let ages = || members(view, group).filter_map(|g| view.now.checked_sub(g.wait_since?));
    let age = match (ages().min(), ages().max()) {
        (Some(least), Some(most)) if short(least) == short(most) => format!(" for {}", short(most)),
        (Some(least), Some(most)) => format!(" for {} to {}", short(least), short(most)),
        _ => String::new(),
    };
    Ok(line(format!("\n{} [{}{age}]", group.members.len(), doing(view, example)))?)
}

fn details(view: &View<'_, '_>, group: &Group) -> Result<()> {
    let Some(example) = members(view, group).next() else { return Ok(()) };
    if let Some(wait) = &group.waiting_on {
        line(format!("  on {}", on(view, wait)))?;
    }
    let goids: Vec<String> = members(view, group).take(GOIDS).map(|g| g.goid.to_string()).collect();
    let more = if group.members.len() > GOIDS { ", …" } else { "" };
    line(format!("  goroutines {}{more}", goids.join(", ")))?;
    frames(view, example)
}

fn one(view: &View<'_, '_>, goroutine: &Goroutine) -> Result<()> {
    let age = goroutine.wait_since.and_then(|since| view.now.checked_sub(since));
    let age = age.map(|age| format!(" for {}", short(age))).unwrap_or_default();
    let mut notes = String::new();
    for (is_so, note) in [
        (goroutine.system, ", of Go's runtime"),
        (goroutine.locked, ", locked to a thread"),
        (goroutine.changed, ", changed while it was read"),
    ] {
        if is_so {
            notes.push_str(note);
        }
    }
    line(format!("\ngoroutine {} [{}{age}{notes}]", goroutine.goid, doing(view, goroutine)))?;
    if let Some(wait) = Wait::of(view.snapshot, goroutine) {
        line(format!("  on {}", on(view, &wait)))?;
    }
    frames(view, goroutine)
}

fn frames(view: &View<'_, '_>, goroutine: &Goroutine) -> Result<()> {
    let stack = view.snapshot.stack(goroutine);
    match (stack, goroutine.stack) {
        (Some(stack), _) => {
            for at in view.symbols.stack(stack) {
                line(format!("    {}  {}:{}", at.name(), at.file, at.line))?;
            }
        }
        (None, StackState::Running) => line("    (its stack is not known, as it runs)")?,
        (None, _) => line("    (its stack could not be read)")?,
    }
    match view.symbols.creator(goroutine) {
        Some(at) => {
            let parent = goroutine.parent.filter(|parent| *parent != 0);
            let parent = parent.map(|goid| format!(" in goroutine {goid}")).unwrap_or_default();
            Ok(line(format!("  created by {}{parent}  {}:{}", at.name(), at.file, at.line))?)
        }
        None => Ok(()),
    }
}

/// What is waited for.
fn on(view: &View<'_, '_>, wait: &Wait) -> String {
    let mut out = wait.kind.to_owned();
    if let Some(name) = wait.element_type.and_then(|typ| view.symbols.type_name(typ)) {
        out += &format!(" of {name}");
    }
    if let Some(address) = wait.address {
        out += &format!(" {address:#x}");
    }
    if let (Some(len), Some(capacity)) = (wait.len, wait.capacity) {
        out += &format!(", {len} of {capacity} used");
    }
    if wait.closed == Some(true) {
        out += ", closed";
    }
    match (wait.senders, wait.receivers) {
        (Some(senders), Some(receivers)) => {
            out += &format!(", {senders} send and {receivers} receive");
        }
        (None, Some(waiters)) => out += &format!(", {waiters} wait"),
        _ => {}
    }
    out
}

/// A duration in its two largest units.
fn short(nanoseconds: u64) -> String {
    let whole = match nanoseconds {
        0..1_000_000_000 => nanoseconds / 1_000_000 * 1_000_000,
        _ => nanoseconds / 1_000_000_000 * 1_000_000_000,
    };
    humantime::format_duration(Duration::from_nanos(whole)).to_string()
}
