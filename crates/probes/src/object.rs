//! The embedded BPF object: which of its programs are loaded, and how large its maps are.
//!
//! Not here: attaching (`session`), and loading further programs later (`singles`).

use libbpf_rs::{ObjectBuilder, OpenObject};
use wire::{Probe, Program};

use instruments::Options;

use crate::{Error, Features, KernelVersion};

pub(crate) static OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/gotap.bpf.o"));

/// The program that serves the sites of a process through uprobe_multi, but for starts of calls.
const MULTI: &str = "go_site";
/// The one for starts of calls: with the rest it would be too much for the verifier.
pub(crate) const CALLS: &str = "go_call";
/// The one for calls that have got their connection, for the same reason.
pub(crate) const JOINS: &str = "go_join";
/// The same that does nothing.
pub(crate) const EMPTY: &str = "go_site_empty";

/// Connections with a request that can be open at once, over all processes.
const MAX_CONNECTIONS: u32 = 131_072;
/// The same of one process.
const CONNECTIONS_OF_ONE: u32 = 16_384;
/// Types that are known over all processes, some hundreds in each.
const MAX_TYPES: u32 = 524_288;

/// The programs to load. Those of tracepoints belong to a session's first object alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Programs {
    /// Tracepoints, and this program for uprobe_multi.
    Multi(&'static str),
    /// Tracepoints alone: the kernel has no uprobe_multi, and the programs of probes come later.
    Tracepoints,
    /// The programs of these probes, for kernels without uprobe_multi.
    Singles(Vec<Probe>),
    /// Tracepoints and the programs of all probes, for kernels without uprobe_multi.
    AllSingles,
}

impl Programs {
    /// What a session loads at its start.
    pub(crate) fn at_start(features: Features, options: Options) -> Self {
        if features.uprobe_multi { Self::Multi(multi_program(options)) } else { Self::Tracepoints }
    }

    /// All that this kernel could be asked to load.
    pub(crate) fn all(features: Features) -> Self {
        if features.uprobe_multi { Self::Multi(MULTI) } else { Self::AllSingles }
    }

    fn contain(&self, name: &str) -> bool {
        let multi = matches!(name, MULTI | CALLS | JOINS | EMPTY);
        let single = name.starts_with("probe_");
        match self {
            Self::Multi(MULTI) => !single && name != EMPTY,
            Self::Multi(wanted) => name == *wanted || !multi && !single,
            Self::Tracepoints => !multi && !single,
            Self::AllSingles => !multi,
            Self::Singles(probes) => probes.iter().any(|probe| probe.single() == name),
        }
    }
}

/// Which of the two programs beside [`MULTI`] a probe's sites belong to, if to one.
pub(crate) fn own_program(probe: Probe) -> Option<&'static str> {
    match probe.program() {
        Program::Site => None,
        Program::Call => Some(CALLS),
        Program::Join => Some(JOINS),
    }
}

/// The program for uprobe_multi that was asked for.
pub(crate) fn multi_program(options: Options) -> &'static str {
    if options.empty_probes { EMPTY } else { MULTI }
}

/// Opens the embedded object, with these programs and the map sizes that suit this kernel.
pub(crate) fn open(features: Features, programs: &Programs) -> Result<OpenObject, Error> {
    let mut open = ObjectBuilder::default()
        .name("gotap")
        .and_then(|b| b.open_memory(OBJECT))
        .map_err(Error::bpf("open BPF object"))?;
    for mut program in open.progs_mut() {
        let wanted = programs.contain(&program.name().to_string_lossy());
        program.set_autoload(wanted);
    }
    size_maps(&mut open, features).map_err(Error::bpf("size maps"))?;
    Ok(open)
}

/// Where the kernel can allocate entries as they come, maps can be larger. Older
/// ones warn of it in programs of this kind, so there the map stays preallocated.
fn size_maps(open: &mut OpenObject, features: Features) -> libbpf_rs::Result<()> {
    const BPF_F_NO_PREALLOC: u32 = 1;
    if features.kernel < KernelVersion(6, 1, 0) {
        return Ok(());
    }
    for mut map in open.maps_mut() {
        let entries = match map.name().to_str() {
            Some("servers") => MAX_CONNECTIONS,
            Some("go_types") => MAX_TYPES,
            Some("marks" | "sites") => map.max_entries(),
            _ => continue,
        };
        map.set_map_flags(BPF_F_NO_PREALLOC)?;
        map.set_max_entries(entries)?;
    }
    Ok(())
}

/// Gives the map of requests no more room than it has on all kernels.
pub(crate) fn narrow(open: &mut OpenObject) -> Result<(), Error> {
    for mut map in open.maps_mut().filter(|map| map.name() == "servers") {
        let entries = map.max_entries().min(CONNECTIONS_OF_ONE);
        map.set_max_entries(entries).map_err(Error::bpf("size maps"))?;
    }
    Ok(())
}
