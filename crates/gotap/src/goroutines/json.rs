//! Goroutines as one JSON object.

use goruntime::group::{Group, Wait};
use goruntime::leaks::Suspect;
use goruntime::{Goroutine, Position, StackState, WaitingOn};
use serde_json::{Value, json};

use super::View;
use crate::output::line;

/// Numbers of goroutines that a group lists.
const GOIDS: usize = 20;

pub(super) fn print(view: &View<'_, '_>) -> anyhow::Result<()> {
    let system = view.snapshot.goroutines.iter().filter(|g| g.system).count();
    let missing = view.missing.iter().map(|m| json!({"what": m.what, "why": m.why}));
    let mut out = json!({
        "pid": view.target.process.pid,
        "service": view.target.service,
        "goVersion": view.target.binary.build_info().go_version,
        "timeUnixNano": view.unix_nanoseconds,
        "count": view.count,
        "system": system,
        "missing": missing.collect::<Vec<_>>(),
        "groups": view.groups.iter().map(|group| of_group(view, group)).collect::<Vec<_>>(),
    });
    if let Some(all) = &view.all {
        out["goroutines"] = all.iter().map(|goroutine| of_goroutine(view, goroutine)).collect();
    }
    if let Some(chosen) = &view.suspects {
        let suspects = chosen.suspects.iter();
        out["suspects"] = suspects.map(|suspect| of_suspect(view, suspect)).collect();
        out["otherSuspects"] = chosen.others.into();
    }
    Ok(line(out)?)
}

fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}

fn members<'v>(view: &'v View<'_, '_>, group: &'v Group) -> impl Iterator<Item = &'v Goroutine> {
    group.members.iter().filter_map(|i| view.snapshot.goroutines.get(*i))
}

fn goids(view: &View<'_, '_>, group: &Group) -> Vec<u64> {
    members(view, group).map(|g| g.goid).take(GOIDS).collect()
}

fn of_group(view: &View<'_, '_>, group: &Group) -> Value {
    let Some(example) = members(view, group).next() else { return Value::Null };
    let ages =
        || members(view, group).filter_map(|g| Some(seconds(view.now.checked_sub(g.wait_since?)?)));
    json!({
        "count": group.members.len(),
        "state": example.state.name(),
        "waitReason": view.snapshot.wait_reason(example),
        "waitSecondsMin": ages().reduce(f64::min),
        "waitSecondsMax": ages().reduce(f64::max),
        "createdBy": created_by(view, example),
        "startFunction": start(view, example),
        "stack": stack(view, example),
        "stackUnknown": unknown(example),
        "waitingOn": group.waiting_on.as_ref().map(|wait| waiting_on(view, wait)),
        "goids": goids(view, group),
    })
}

fn of_goroutine(view: &View<'_, '_>, goroutine: &Goroutine) -> Value {
    let age = goroutine.wait_since.and_then(|since| view.now.checked_sub(since)).map(seconds);
    let wait = Wait::of(view.snapshot, goroutine);
    let mut out = json!({
        "goid": goroutine.goid,
        "parentGoid": goroutine.parent.filter(|parent| *parent != 0),
        "state": goroutine.state.name(),
        "waitReason": view.snapshot.wait_reason(goroutine),
        "waitSeconds": age,
        "createdBy": created_by(view, goroutine),
        "startFunction": start(view, goroutine),
        "stack": stack(view, goroutine),
        "stackUnknown": unknown(goroutine),
        "waitingOn": wait.as_ref().map(|wait| waiting_on(view, wait)),
        "system": goroutine.system,
        "lockedToThread": goroutine.locked,
        "changed": goroutine.changed,
    });
    if let Some(WaitingOn::Select(channels)) = &goroutine.waiting_on {
        let channel = |number: &u32| view.snapshot.channels.get(*number as usize);
        let addresses = channels.iter().filter_map(channel).map(|c| hex(c.address));
        out["waitingOn"]["channels"] = addresses.collect();
    }
    out
}

fn of_suspect(view: &View<'_, '_>, suspect: &Suspect) -> Value {
    let Some(example) = members(view, &suspect.group).next() else { return Value::Null };
    json!({
        "count": suspect.group.members.len(),
        "growthPerMinute": suspect.growth_per_minute,
        "ageSeconds": suspect.age.map(seconds),
        "waitReason": view.snapshot.wait_reason(example),
        "createdBy": created_by(view, example),
        "stack": stack(view, example),
        "waitingOn": suspect.group.waiting_on.as_ref().map(|wait| waiting_on(view, wait)),
        "why": suspect.why.join("; "),
        "goids": goids(view, &suspect.group),
    })
}

fn hex(address: u64) -> String {
    format!("{address:#x}")
}

fn waiting_on(view: &View<'_, '_>, wait: &Wait) -> Value {
    json!({
        "kind": wait.kind,
        "address": wait.address.map(hex),
        "elementType": wait.element_type.and_then(|typ| view.symbols.type_name(typ)),
        "len": wait.len,
        "cap": wait.capacity,
        "closed": wait.closed,
        "senders": wait.senders,
        "receivers": wait.receivers,
    })
}

fn created_by(view: &View<'_, '_>, goroutine: &Goroutine) -> Value {
    match view.symbols.creator(goroutine) {
        Some(at) => json!({"function": at.name(), "file": file(at.file), "line": number(at.line)}),
        None => Value::Null,
    }
}

fn start(view: &View<'_, '_>, goroutine: &Goroutine) -> Option<String> {
    let stack = view.snapshot.stack(goroutine);
    view.symbols.start(goroutine, stack).map(|name| goruntime::printed(name).into_owned())
}

/// The frames, or `null` where they are not known.
fn stack(view: &View<'_, '_>, goroutine: &Goroutine) -> Value {
    let Some(stack) = view.snapshot.stack(goroutine) else { return Value::Null };
    view.symbols.stack(stack).iter().map(frame).collect()
}

fn frame(at: &Position<'_>) -> Value {
    json!({
        "function": at.name(),
        "file": file(at.file),
        "line": number(at.line),
        "inlined": at.inlined,
    })
}

fn unknown(goroutine: &Goroutine) -> Option<&'static str> {
    match goroutine.stack {
        StackState::Known(_) => None,
        StackState::Running => Some("it runs"),
        StackState::Unreadable => Some("it could not be read"),
    }
}

fn file(file: &str) -> Option<&str> {
    Some(file).filter(|file| !file.is_empty())
}

fn number(line: u32) -> Option<u32> {
    Some(line).filter(|line| *line != 0)
}
