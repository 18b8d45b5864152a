//! Goroutines as a profile for `go tool pprof`.

use anyhow::Result;
use goruntime::{Position, StackState};
use profile::{Frame, Location, Mapping, Profile, Sample, ValueType};

use super::View;

pub(super) fn encode(view: &View<'_, '_>) -> Result<Vec<u8>> {
    let module = view.target.binary.module();
    let bias = view.target.bias;
    let count = ValueType::new("goroutine", "count");
    let mut out = Profile::new(vec![count.clone()]);
    out.period = Some((count, 1));
    out.time = i64::try_from(view.unix_nanoseconds).unwrap_or(i64::MAX);
    out.mappings.push(Mapping {
        start: module.text.wrapping_add(bias),
        end: module.etext.wrapping_add(bias),
        file: view.target.path.to_string_lossy().into_owned(),
        ..Mapping::default()
    });
    let groups: Vec<_> = match &view.suspects {
        Some(chosen) => chosen.suspects.iter().map(|suspect| &suspect.group).collect(),
        None => view.groups.iter().collect(),
    };
    for group in groups {
        let example = group.members.first().and_then(|i| view.snapshot.goroutines.get(*i));
        let Some(example) = example else { continue };
        let stack = match view.snapshot.stack(example) {
            Some(stack) => {
                let all = view.symbols.stack_by_address(stack).into_iter();
                all.map(|(at, frames)| {
                    let address = if at == 0 { 0 } else { at.wrapping_add(bias) };
                    let mapping = (at != 0).then_some(0);
                    let frames = frames.iter().map(frame).collect();
                    out.location(Location { address, mapping, frames })
                })
                .collect()
            }
            None => vec![out.location(Location {
                address: 0,
                mapping: None,
                frames: vec![Frame {
                    function: why(example.stack).into(),
                    file: "".into(),
                    line: 0,
                    start_line: 0,
                }],
            })],
        };
        let state = example.state.name();
        let reason = view.snapshot.wait_reason(example).unwrap_or(state);
        let labels = [("state", state), ("wait_reason", reason)];
        out.samples.push(Sample {
            stack,
            values: vec![i64::try_from(group.members.len()).unwrap_or(i64::MAX)],
            labels: labels.map(|(key, text)| (key.to_owned(), text.to_owned())).to_vec(),
        });
    }
    Ok(profile::pprof::encode(&out)?)
}

fn frame(at: &Position<'_>) -> Frame {
    Frame {
        function: at.name().into(),
        file: at.file.into(),
        line: at.line,
        start_line: at.start_line,
    }
}

fn why(stack: StackState) -> &'static str {
    match stack {
        StackState::Running => "(running, stack not known)",
        _ => "(stack not readable)",
    }
}
