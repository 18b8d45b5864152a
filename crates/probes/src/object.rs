//! The embedded BPF object: which of its programs are loaded, and how large its maps are.
//!
//! Not here: attaching (`session`), and which programs processes need (`loaded`).

use std::collections::BTreeSet;

use libbpf_rs::{ObjectBuilder, OpenObject};
use wire::{Probe, Program};

use crate::host::set_constants;
use crate::{Error, Features, KernelVersion};

pub(crate) static OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/gotap.bpf.o"));

/// The program that serves the sites of a process through uprobe_multi, but for starts of calls.
const SITES: &str = "go_site";
/// The one for starts of calls: with the rest it would be too much for the verifier.
const CALLS: &str = "go_call";
/// The one for calls that have got their connection, for the same reason.
const JOINS: &str = "go_join";
/// The same that does nothing.
const EMPTY: &str = "go_site_empty";

/// The constants that say which probes the loaded programs serve.
pub(crate) const LOADED_PROBES: &str = ".rodata.loaded";

/// Connections with a request that can be open at once, over all processes.
const MAX_CONNECTIONS: u32 = 131_072;
/// The same of one process.
const CONNECTIONS_OF_ONE: u32 = 16_384;
/// Types that are known over all processes, some hundreds in each.
const MAX_TYPES: u32 = 524_288;

/// How the programs of probes are attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Few programs, each for many sites: uprobe_multi.
    Multi,
    /// One program a probe.
    Singles,
    /// uprobe_multi, and a program that does nothing.
    Empty,
}

impl Way {
    /// The name of the program that serves the sites of a probe.
    pub(crate) fn program(self, probe: Probe) -> &'static str {
        match (self, probe.program()) {
            (Self::Singles, _) => probe.single(),
            (Self::Empty, _) => EMPTY,
            (Self::Multi, Program::Site) => SITES,
            (Self::Multi, Program::Call) => CALLS,
            (Self::Multi, Program::Join) => JOINS,
        }
    }
}

/// What to load of the object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Programs {
    /// Those of tracepoints, which belong to a session's first object alone.
    Tracepoints,
    /// Those of these probes.
    Of(Way, BTreeSet<Probe>),
}

impl Programs {
    fn contain(&self, name: &str) -> bool {
        match self {
            Self::Tracepoints => name.starts_with("process_"),
            Self::Of(way, probes) => probes.iter().any(|probe| way.program(*probe) == name),
        }
    }

    fn probes(&self) -> BTreeSet<Probe> {
        match self {
            Self::Tracepoints => BTreeSet::new(),
            Self::Of(_, probes) => with_instruments(probes),
        }
    }
}

/// These probes, and all others of their instruments: they share what serves them.
pub(crate) fn with_instruments(probes: &BTreeSet<Probe>) -> BTreeSet<Probe> {
    let instruments: BTreeSet<_> = probes.iter().map(|probe| probe.instrument()).collect();
    Probe::ALL.iter().copied().filter(|probe| instruments.contains(probe.instrument())).collect()
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
    let served = programs.probes();
    let loaded: Vec<u8> = Probe::ALL.iter().map(|p| served.contains(p).into()).collect();
    set_constants(&mut open, LOADED_PROBES, &loaded)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn loaded(programs: &Programs) -> Vec<String> {
        let features = Features { btf: true, ..Features::probe() };
        let open = open(features, programs).expect("the object opens");
        let wanted = open.progs().filter(libbpf_rs::OpenProgram::autoload);
        wanted.map(|program| program.name().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn only_programs_that_serve_the_probes_are_loaded() {
        let of = |way, probes: &[Probe]| {
            let mut names = loaded(&Programs::Of(way, probes.iter().copied().collect()));
            names.sort();
            names
        };
        let end = [Probe::SqlEnd];
        assert_eq!(of(Way::Multi, &end), ["go_site"]);
        assert_eq!(of(Way::Singles, &end), ["probe_sql_end"]);
        assert_eq!(of(Way::Empty, &end), ["go_site_empty"]);
        assert_eq!(of(Way::Multi, Probe::ALL), ["go_call", "go_join", "go_site"]);
        assert_eq!(of(Way::Singles, Probe::ALL).len(), Probe::ALL.len());
        assert_eq!(loaded(&Programs::Tracepoints), ["process_exec", "process_exit"]);
    }

    /// A start that is like another one is served by its program, and ends by that of its starts.
    #[test]
    fn probes_of_one_instrument_are_loaded_together() {
        let all = with_instruments(&BTreeSet::from([Probe::XnetClientStart, Probe::SqlEnd]));
        let has = |probe| all.contains(&probe);
        assert!(
            has(Probe::HttpClientStart) && has(Probe::HttpServerFinish) && has(Probe::SqlStart)
        );
        assert!(!has(Probe::RedisStart) && !has(Probe::GrpcServerStart));
    }
}
