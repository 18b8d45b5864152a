//! The small programs, one a probe, for kernels without uprobe_multi.
//!
//! They are loaded when a process needs them first: the verifier takes seconds for all of them, and
//! most programs need few. Not here: attaching (`session`).

use std::collections::HashMap;
use std::os::fd::AsFd;

use libbpf_rs::{MapCore, Object, ProgramMut};
use wire::Probe;

use crate::object::{Programs, open};
use crate::session::{missing, program};
use crate::{Error, Features};

/// The programs that are loaded. They share the maps of the session's object.
#[derive(Default)]
pub(crate) struct Singles {
    objects: Vec<Object>,
    /// In which of the objects a probe's program is.
    place: HashMap<Probe, usize>,
}

impl Singles {
    /// Loads the programs of these probes that are not loaded yet.
    ///
    /// # Errors
    /// What libbpf or the verifier says; nothing of this call is loaded then.
    pub(crate) fn load(
        &mut self,
        maps_of: &Object,
        features: Features,
        probes: &[Probe],
    ) -> Result<(), Error> {
        let is_new = |probe: &&Probe| !self.place.contains_key(probe);
        let new: Vec<Probe> = probes.iter().filter(is_new).copied().collect();
        if new.is_empty() {
            return Ok(());
        }
        let mut open = open(features, &Programs::Singles(new.clone()))?;
        for mut map in open.maps_mut() {
            let name = map.name().to_owned();
            let shared = maps_of.maps().find(|shared| shared.name() == name);
            let shared = shared.ok_or_else(|| missing("map", &name.to_string_lossy()))?;
            map.reuse_fd(shared.as_fd()).map_err(Error::bpf("share maps between programs"))?;
        }
        self.objects.push(open.load().map_err(Error::bpf("load BPF programs"))?);
        let place = self.objects.len() - 1;
        self.place.extend(new.into_iter().map(|probe| (probe, place)));
        Ok(())
    }

    /// The program of a probe that was loaded.
    ///
    /// # Errors
    /// If it was not.
    pub(crate) fn program(&mut self, probe: Probe) -> Result<ProgramMut<'_>, Error> {
        let name = probe.single();
        let place = self.place.get(&probe).copied();
        let object = place.and_then(|place| self.objects.get_mut(place));
        program(object.ok_or_else(|| missing("program", name))?, name)
    }
}
