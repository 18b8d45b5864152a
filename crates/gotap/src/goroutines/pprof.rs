//! Goroutines as a profile for `go tool pprof`.

use std::borrow::Cow;

use anyhow::Result;
use goruntime::{Position, StackState};
use profile::{Builder, Frame};

use super::View;

/// A frame whose file and name live as long as is needed.
type Named<'d> = (Cow<'d, str>, &'d str, u32);

pub(super) fn encode(view: &View<'_, '_>) -> Result<Vec<u8>> {
    let module = view.target.binary.module();
    let bias = view.target.bias;
    let text = module.text.wrapping_add(bias)..module.etext.wrapping_add(bias);
    let path = view.target.path.to_string_lossy();
    let mut out = Builder::new("goroutine", "count", &path, text);
    out.set_time(i64::try_from(view.unix_nanoseconds).unwrap_or(i64::MAX));
    for group in &view.groups {
        let example = group.members.first().and_then(|i| view.snapshot.goroutines.get(*i));
        let Some(example) = example else { continue };
        let named: Vec<(u64, Vec<Named<'_>>)> = match view.snapshot.stack(example) {
            Some(stack) => {
                let all = view.symbols.stack_by_address(stack);
                let moved = |at: u64| if at == 0 { 0 } else { at.wrapping_add(bias) };
                all.into_iter().map(|(at, frames)| (moved(at), names(frames))).collect()
            }
            None => vec![(0, vec![(Cow::Borrowed(why(example.stack)), "", 0)])],
        };
        let frames: Vec<(u64, Vec<Frame<'_>>)> =
            named.iter().map(|(at, frames)| (*at, frames.iter().map(borrowed).collect())).collect();
        let state = example.state.name();
        let reason = view.snapshot.wait_reason(example).unwrap_or(state);
        let count = i64::try_from(group.members.len()).unwrap_or(i64::MAX);
        out.add(&frames, count, &[("state", state), ("wait_reason", reason)]);
    }
    Ok(out.finish()?)
}

fn names(frames: Vec<Position<'_>>) -> Vec<Named<'_>> {
    frames.into_iter().map(|at| (at.name(), at.file, at.line)).collect()
}

fn borrowed<'n>((function, file, line): &'n Named<'_>) -> Frame<'n> {
    Frame { function, file, line: *line }
}

fn why(stack: StackState) -> &'static str {
    match stack {
        StackState::Running => "(running, stack not known)",
        _ => "(stack not readable)",
    }
}
