//! `gotap goroutines`: what all goroutines of a process do, read from its memory while it runs.
//!
//! Nothing is attached and nothing is stopped; where a user allows it, a byte is set (`prove`). What is known of goroutines is in `goruntime`; here it
//! is chosen and printed.

mod filter;
mod json;
mod pprof;
mod prove;
mod text;

use std::time::Duration;

use anyhow::{Context, Result};
use gobin::Binary;
use goruntime::group::{Group, group};
use goruntime::leaks::suspects;
use goruntime::{Goroutine, Missing, Snapshot, Symbols};

use crate::cli::{Format, GoroutinesArgs};
use crate::gc;
use crate::opened::{Opened, Target, monotonic, plain, unix_nanoseconds};
use filter::{Chosen, Filter};

/// What was read, and what is asked of it.
struct View<'a, 'd> {
    target: &'a Target<'a, 'd>,
    symbols: &'a Symbols<'a, 'd>,
    snapshot: &'a Snapshot,
    /// The monotonic clock and the time of day when it was read.
    now: u64,
    unix_nanoseconds: u64,
    /// How many goroutines `runtime.NumGoroutine` counts, if that is known.
    count: Option<usize>,
    groups: Vec<Group>,
    /// Each goroutine, if they are asked for.
    all: Option<Vec<&'a Goroutine>>,
    /// What may leak, if that is asked for: the groups in which a goroutine fits.
    suspects: Option<Chosen>,
    missing: Vec<Missing>,
}

/// Runs the command.
pub(crate) fn run(args: &GoroutinesArgs) -> Result<()> {
    let filter = Filter::new(args)?;
    let opened = Opened::new(args.pid)?;
    let binary = opened.binary()?;
    let types = binary.types();
    let target = opened.target(&binary, &types)?;
    crate::writes::restore_left();
    if args.prove {
        prove::run(args, &target)?;
    }
    let symbols = Symbols::new(&binary, &types);
    let first = match args.watch {
        Some(watch) if args.leaks => Some(watched(&target, watch)?),
        _ => None,
    };
    let snapshot = take(&target)?;
    target.check()?;
    let now = monotonic();
    let wanted = |g: &Goroutine| filter.matches(&snapshot, &symbols, g, now);
    let earlier = first.as_ref().map(|(snapshot, at)| (snapshot, now.saturating_sub(*at)));
    let view = View {
        target: &target,
        symbols: &symbols,
        snapshot: &snapshot,
        now,
        unix_nanoseconds: unix_nanoseconds(),
        count: count(&target, &snapshot)?,
        groups: group(&snapshot, wanted),
        all: args.all.then(|| snapshot.goroutines.iter().filter(|g| wanted(g)).collect()),
        suspects: args.leaks.then(|| {
            let is_wanted = |i: usize| snapshot.goroutines.get(i).is_some_and(&wanted);
            Chosen::of(suspects(&snapshot, earlier, now), is_wanted)
        }),
        missing: missing(&target, &snapshot),
    };
    if let Some(path) = &args.output {
        let bytes = pprof::encode(&view)?;
        return std::fs::write(path, bytes).with_context(|| format!("write {}", path.display()));
    }
    match args.format {
        Format::Text => text::print(&view),
        Format::Json => json::print(&view),
    }
}

/// All goroutines of a process as a profile.
///
/// # Errors
/// When they can't be read.
pub(crate) fn profile(pid: u32) -> Result<Vec<u8>> {
    let opened = Opened::new(pid)?;
    let binary = opened.binary()?;
    let types = binary.types();
    let target = opened.target(&binary, &types)?;
    let symbols = Symbols::new(&binary, &types);
    let snapshot = take(&target)?;
    target.check()?;
    pprof::encode(&View {
        target: &target,
        symbols: &symbols,
        snapshot: &snapshot,
        now: monotonic(),
        unix_nanoseconds: unix_nanoseconds(),
        count: None,
        groups: group(&snapshot, |g| !g.system),
        all: None,
        suspects: None,
        missing: Vec::new(),
    })
}

fn take(target: &Target<'_, '_>) -> Result<Snapshot> {
    Snapshot::take(&target.memory, &target.layout, target.binary, target.bias).map_err(plain)
}

/// How many goroutines `runtime.NumGoroutine` counts. Where plugins start some, too, the runtime's own number of its
/// goroutines decides, if that is known.
fn count(target: &Target<'_, '_>, snapshot: &Snapshot) -> Result<Option<usize>> {
    if !snapshot.further_modules {
        return Ok(Some(snapshot.count()));
    }
    let (scheduler, _) = gc::read(target)?;
    let system = scheduler.system().and_then(|n| usize::try_from(n).ok());
    let all = snapshot.goroutines.len() + snapshot.extra;
    Ok(system.and_then(|system| all.checked_sub(system)))
}

/// A snapshot from which on goroutines are watched, and when it was taken; is back after that time.
fn watched(target: &Target<'_, '_>, watch: Duration) -> Result<(Snapshot, u64)> {
    let snapshot = take(target)?;
    let at = monotonic();
    std::thread::sleep(watch);
    Ok((snapshot, at))
}

/// What can't be said of this process, and why.
pub(crate) fn missing(target: &Target<'_, '_>, snapshot: &Snapshot) -> Vec<Missing> {
    let mut out = target.layout.missing().to_vec();
    out.extend(unread(snapshot, &out));
    if is_without_names(target.binary) {
        let why = "the program's own packages have none that can be read".to_owned();
        out.push(Missing { what: "names", why });
    }
    out
}

/// What a snapshot lacks beside what is `known` to be missing.
fn unread(snapshot: &Snapshot, known: &[Missing]) -> Vec<Missing> {
    let mut out = Vec::new();
    let mut miss = |what, why: String| out.push(Missing { what, why });
    if snapshot.further_modules {
        miss(
            "functions of plugins",
            "only the main program's functions and types are read, so stacks end at a plugin's"
                .to_owned(),
        );
    }
    if snapshot.locks_unread && !known.iter().any(|missing| missing.what == "locks") {
        miss("locks", "the runtime's table of them can't be read".to_owned());
    }
    if snapshot.unread_waits > 0 {
        let n = snapshot.unread_waits;
        miss("some channels and locks", format!("{n} entries of their queues could not be read"));
    }
    if snapshot.unreadable > 0 {
        miss("some goroutines", format!("{} could not be read", snapshot.unreadable));
    }
    out
}

/// Whether not even `main.main` has its name.
fn is_without_names(binary: &Binary<'_>) -> bool {
    binary.function("main.main").is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_that_could_not_be_read_are_missing_once() {
        let mut snapshot = Snapshot::default();
        assert!(unread(&snapshot, &[]).is_empty());
        snapshot.locks_unread = true;
        snapshot.unreadable = 2;
        let what = |known: &[Missing]| -> Vec<&str> {
            unread(&snapshot, known).iter().map(|missing| missing.what).collect()
        };
        assert_eq!(what(&[]), ["locks", "some goroutines"]);
        let known = Missing { what: "locks", why: "runtime.semtable was not found".to_owned() };
        assert_eq!(what(&[known]), ["some goroutines"]);
    }
}
