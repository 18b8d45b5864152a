//! Recordings, which may come from anybody. The input is what stands behind the first line; `tests/replay/streams` has
//! seeds.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pipeline::{Pipeline, Sampling, Stages};
use recording::{Line, Recording, Settings, Start};
use trace::Assembler;

fuzz_target!(|input: &[u8]| {
    let start = Line::Start(Start::new("0", Settings::default()));
    let mut text = serde_json::to_vec(&start).expect("it is written as JSON");
    text.push(b'\n');
    text.extend_from_slice(input);
    let Ok(recording) = Recording::read(&text[..]) else { return };
    let Ok(sinks) = Pipeline::start(Vec::new(), 1, |_| {}) else { return };
    let mut assembler = Assembler::new();
    assembler.add_makers(instruments::makers());
    let mut stages = Stages::new(assembler, None, Sampling::default(), sinks);
    let lines = recording.lines();
    let outcome = recording.replay(&mut stages);
    assert!(stages.counts().spans <= lines as u64 && outcome.unanswered <= lines as u64);
});
