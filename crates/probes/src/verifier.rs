//! How hard the kernel's verifier finds the programs. For tests on many kernels: a program that one
//! kernel accepts can be too much for another one, and a count that grows says so before that.
//!
//! Nothing is attached here, and nothing of it is needed to observe.

use std::sync::{Mutex, PoisonError};

use libbpf_rs::{OpenObject, PrintLevel};
use wire::Probe;

use crate::object::{Programs, Way, open};
use crate::{Error, Features, gc, host, instrument, logs, meter, sampler, serving, tracker};

/// One program that the kernel accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Name of the program.
    pub program: String,
    /// Instructions that the verifier went through on all paths. It gives up at a million.
    pub instructions: u32,
}

/// The kernel refused a program.
#[derive(Debug, thiserror::Error)]
#[error("{error}\n{log}")]
pub struct Refused {
    /// What failed.
    pub error: Error,
    /// The end of what libbpf and the verifier said of it.
    pub log: String,
}

/// `BPF_LOG_STATS` of the kernel: only the counts, which even 5.10 gives.
const LOG_STATS: u32 = 4;

/// Lines of the verifier's log that are kept.
const LOG_LINES: usize = 80;

/// What libbpf said. Its callback takes no state of ours.
static SAID: Mutex<String> = Mutex::new(String::new());

/// Loads each program that suits these features, and drops it again.
///
/// # Errors
/// [`Refused`], with the verifier's log.
pub fn verify(features: Features) -> Result<Vec<Verified>, Refused> {
    let before = libbpf_rs::set_print(Some((PrintLevel::Debug, note)));
    let result = load(features, LOG_STATS).map(|()| parse(&said())).map_err(|error| {
        // What was refused is loaded again without a level: then libbpf asks for the whole log.
        let error = load(features, 0).err().unwrap_or(error);
        Refused { error, log: tail(&said()) }
    });
    libbpf_rs::set_print(before);
    result
}

fn load(features: Features, log_level: u32) -> Result<(), Error> {
    SAID.lock().unwrap_or_else(PoisonError::into_inner).clear();
    let load = |mut open: OpenObject, what: &str| {
        open.progs_mut().for_each(|mut program| program.set_log_level(log_level));
        open.load().map(drop).map_err(Error::bpf(format!("load {what}")))
    };
    for programs in all(features) {
        load(open(features, &programs)?, "BPF programs")?;
    }
    load(tracker::open(features)?, "the goroutine tracker")?;
    let collections = instrument::open("gotap_gc", gc::OBJECT, features)?;
    load(collections, "the observer of collections")?;
    load(meter::open(features)?, "the meter")?;
    load(sampler::open(None)?, "the sampler")?;
    load(serving::open()?, "the iterators over requests")?;
    // Without anything wanted nothing would be left to verify.
    load(logs::open(&logs::LogOptions::all())?, "the reader of logs")?;
    host::OBJECTS.iter().try_for_each(|(name, open)| load(open()?, name))
}

/// All that could be loaded at once for the tracing of requests. Programs of one probe come by instruments, as
/// processes need them.
fn all(features: Features) -> Vec<Programs> {
    if features.uprobe_multi {
        let all = Probe::ALL.iter().copied().collect();
        return vec![Programs::Tracepoints, Programs::Of(Way::Multi, all)];
    }
    let by_instrument = Probe::ALL.chunk_by(|one, next| one.instrument() == next.instrument());
    let singles = by_instrument.map(|of| Programs::Of(Way::Singles, of.iter().copied().collect()));
    std::iter::once(Programs::Tracepoints).chain(singles).collect()
}

fn note(level: PrintLevel, text: String) {
    // Debugging output is a line for each relocation; of it the programs' logs alone matter.
    if level != PrintLevel::Debug || text.contains(LOG_BEGIN) {
        SAID.lock().unwrap_or_else(PoisonError::into_inner).push_str(&text);
    }
}

fn said() -> String {
    SAID.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// How libbpf begins the log of a program.
const LOG_BEGIN: &str = "': -- BEGIN PROG LOAD LOG --";

/// Reads `libbpf: prog 'NAME': -- BEGIN PROG LOAD LOG --` and `processed N insns (limit …`.
fn parse(log: &str) -> Vec<Verified> {
    let mut verified = Vec::new();
    let mut name = None;
    for line in log.lines() {
        if let Some((start, _)) = line.split_once(LOG_BEGIN) {
            name = start.rsplit('\'').next();
        } else if let Some(rest) = line.strip_prefix("processed ") {
            let instructions = rest.split(' ').next().and_then(|n| n.parse().ok());
            if let (Some(program), Some(instructions)) = (name.take(), instructions) {
                verified.push(Verified { program: program.to_owned(), instructions });
            }
        }
    }
    verified
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use libbpf_rs::OpenProgram;

    use super::*;

    #[test]
    fn counts_are_read_program_by_program() {
        let log = "libbpf: prog 'probe_a': -- BEGIN PROG LOAD LOG --\nverification time 9 usec\n\
                   stack depth 136+0\nprocessed 1234 insns (limit 1000000) max_states_per_insn 4\n\
                   -- END PROG LOAD LOG --\nlibbpf: prog 'b': -- BEGIN PROG LOAD LOG --\n\
                   processed 5 insns (limit 1000000) total_states 1\n-- END PROG LOAD LOG --\n";
        let all: Vec<_> = parse(log).into_iter().map(|v| (v.program, v.instructions)).collect();
        assert_eq!(all, [("probe_a".to_owned(), 1234), ("b".to_owned(), 5)]);
    }

    /// Without one, kernels from 6.13 on give a program a stack that it may have to share; see
    /// `keep_kernel_stack` in `bpf/kernel_stack.h`. Compilers like to remove it.
    #[test]
    fn every_uprobe_program_contains_a_tail_call() {
        // BPF_JMP | BPF_CALL, and the helper's number.
        const TAIL_CALL: (u8, i32) = (0x85, 12);
        let features = Features { btf: true, ..Features::probe() };
        let opened: Vec<_> =
            all(features).iter().map(|programs| open(features, programs).unwrap()).collect();
        let tracker = tracker::open(features).unwrap();
        let gc = instrument::open("gotap_gc", gc::OBJECT, features).unwrap();
        let meter = meter::open(features).unwrap();
        // The empty program of the benchmark has no stack to speak of.
        let is_uprobe = |program: &OpenProgram<'_>| {
            let section = program.section().to_string_lossy();
            section.starts_with("uprobe") && program.name() != "go_site_empty"
        };
        let uprobes: Vec<_> = opened
            .iter()
            .flat_map(OpenObject::progs)
            .chain(tracker.progs())
            .chain(gc.progs())
            .chain(meter.progs())
            .filter(is_uprobe)
            .collect();
        assert!(uprobes.iter().any(|program| program.name() == "tracked_exited"));
        for program in uprobes {
            let calls = program.insns().iter().filter(|i| (i.code, i.imm) == TAIL_CALL);
            assert_ne!(calls.count(), 0, "{:?} has no tail call", program.name());
        }
    }

    #[test]
    fn the_end_of_a_log_is_kept() {
        let log: String = (0..200).map(|i| format!("{i}\n")).collect();
        assert!(tail(&log).starts_with("120\n") && tail(&log).ends_with("199"));
    }
}
