//! The programs of probes, which are loaded when a process first needs them: the verifier takes most of a start, and
//! most processes need few of them.
//!
//! Not here: attaching (`session`), and what an object contains (`object`).

use std::collections::BTreeSet;
use std::os::fd::AsFd;

use libbpf_rs::{MapCore, Object, ProgramMut};
use wire::Probe;

use crate::object::{LOADED_PROBES, Programs, Way, open, with_instruments};
use crate::session::{missing, program};
use crate::{Error, Features};

/// The loaded programs. They share the maps of the session's object.
pub(crate) struct Loaded {
    way: Way,
    objects: Vec<(Object, BTreeSet<Probe>)>,
}

impl Loaded {
    pub(crate) fn none(way: Way) -> Self {
        Self { way, objects: Vec::new() }
    }

    /// Loads what serves these probes, unless one object serves them all already.
    ///
    /// # Errors
    /// What libbpf or the verifier says; nothing of this call is loaded then.
    pub(crate) fn load(
        &mut self,
        maps_of: &Object,
        features: Features,
        probes: &BTreeSet<Probe>,
    ) -> Result<(), Error> {
        let new = match self.way {
            // One program for each probe: those that are there need no successor.
            Way::Singles => self.without_loaded(probes),
            Way::Multi | Way::Empty if self.place(probes).is_none() => self.grown(probes),
            Way::Multi | Way::Empty => BTreeSet::new(),
        };
        if new.is_empty() {
            return Ok(());
        }
        let mut open = open(features, &Programs::Of(self.way, new.clone()))?;
        for mut map in open.maps_mut() {
            let name = map.name().to_owned();
            if name.to_string_lossy().ends_with(LOADED_PROBES) {
                continue;
            }
            let shared = maps_of.maps().find(|shared| shared.name() == name);
            let shared = shared.ok_or_else(|| missing("map", &name.to_string_lossy()))?;
            map.reuse_fd(shared.as_fd()).map_err(Error::bpf("share maps between programs"))?;
        }
        let object = open.load().map_err(Error::bpf("load BPF programs"))?;
        self.objects.push((object, new));
        Ok(())
    }

    /// The name of the program that serves the sites of a probe.
    pub(crate) fn name(&self, probe: Probe) -> &'static str {
        self.way.program(probe)
    }

    fn without_loaded(&self, probes: &BTreeSet<Probe>) -> BTreeSet<Probe> {
        let loaded = |probe: &Probe| self.objects.iter().any(|(_, has)| has.contains(probe));
        probes.iter().copied().filter(|probe| !loaded(probe)).collect()
    }

    /// All that any process needed so far, and these: so there are at most as many objects as instruments.
    fn grown(&self, probes: &BTreeSet<Probe>) -> BTreeSet<Probe> {
        let before = self.objects.iter().flat_map(|(_, has)| has);
        with_instruments(&before.chain(probes).copied().collect())
    }

    fn place(&self, probes: &BTreeSet<Probe>) -> Option<usize> {
        self.objects.iter().position(|(_, has)| has.is_superset(probes))
    }

    /// The program that serves the sites of a probe, in an object that serves all of `beside`.
    ///
    /// # Errors
    /// If it was not loaded.
    pub(crate) fn program(
        &mut self,
        probe: Probe,
        beside: &BTreeSet<Probe>,
    ) -> Result<ProgramMut<'_>, Error> {
        let name = self.name(probe);
        let place = self.place(beside);
        let object = place.and_then(|place| self.objects.get_mut(place));
        let (object, _) = object.ok_or_else(|| missing("program", name))?;
        program(object, name)
    }
}
