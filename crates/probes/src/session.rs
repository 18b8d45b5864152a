//! The loaded programs, and the processes they are attached to.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use gobin::Site;
use libbpf_rs::{
    ErrorKind, Link, MapCore, MapFlags, MapHandle, Object, ProgramMut, UprobeMultiOpts,
};
use wire::{Probe, raw};
use zerocopy::{FromBytes, IntoBytes};

use crate::hits::Hits;
use crate::known::{Known, Maps};
use crate::loaded::Loaded;
use crate::object::{self, Programs, Way};
use crate::reaper::{Entries, Reaper, Remains, Sweep, close};
use crate::serving::{SHARED, ServedMaps};
use instruments::{Options, Plan};

use crate::{Error, EventSource, Features, privileges};

/// One observed process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attached {
    /// Process id.
    pub pid: u32,
    /// Number by which events name it; never used twice.
    pub instance: u32,
    /// Load bias of its executable.
    pub bias: u64,
}

/// The loaded programs. Everything is undone by the kernel when this is dropped or the agent dies:
/// nothing is pinned, and links go with their file descriptors.
pub struct Session {
    object: Object,
    loaded: Loaded,
    features: Features,
    attached: HashMap<u32, (Attached, Vec<Link>, Known)>,
    next_instance: u32,
    reaper: Reaper,
    entries: Arc<Entries>,
    hits: Arc<Hits>,
    _tracepoints: Vec<Link>,
}

impl Session {
    /// Loads the programs and starts to listen for new processes.
    ///
    /// # Errors
    /// [`Error::OldKernel`], [`Error::NoBtf`], [`Error::Denied`] or what libbpf says.
    pub fn load(features: Features, options: Options) -> Result<Self, Error> {
        features.check()?;
        privileges::check_single(&features)?;
        quiet_libbpf();
        let mut open = object::open(features, &Programs::Tracepoints)?;
        if options.one_process {
            object::narrow(&mut open)?;
        }
        let mut object = open.load().map_err(Error::bpf("load BPF programs"))?;
        let mut tracepoints = Vec::new();
        for (name, point) in
            [("process_exec", "sched_process_exec"), ("process_exit", "sched_process_exit")]
        {
            let link = program(&mut object, name)?
                .attach_raw_tracepoint(point)
                .map_err(Error::bpf(format!("attach to tracepoint {point}")))?;
            tracepoints.push(link);
        }
        let handle = |name: &str| {
            let map = object.maps().find(|map| map.name() == name);
            let map = map.ok_or_else(|| missing("map", name))?;
            MapHandle::try_from(&map).map_err(Error::bpf(format!("open map {name}")))
        };
        handle("sampling")?
            .update(&0u32.to_ne_bytes(), options.sampling.as_bytes(), MapFlags::ANY)
            .map_err(Error::bpf("write which traces are wanted"))?;
        handle("wanted_headers")?
            .update(&0u32.to_ne_bytes(), options.headers.as_bytes(), MapFlags::ANY)
            .map_err(Error::bpf("write which headers are wanted"))?;
        let loaded = programs_at_start(&object, features, options)?;
        let entries = Arc::new(Entries::new(handle("servers")?, handle("server_entries")?));
        let hits = Arc::new(Hits::new(handle("hits")?, handle("drops")?));
        let (swept, counted) = (Arc::clone(&entries), Arc::clone(&hits));
        let sweep: Sweep = Arc::new(move |instances| {
            swept.sweep(instances);
            instances.iter().for_each(|instance| counted.give_back(*instance));
        });
        let reaper = Reaper::start(sweep).map_err(Error::Thread)?;
        let (attached, next_instance) = (HashMap::new(), 1);
        Ok(Self {
            object,
            loaded,
            features,
            attached,
            next_instance,
            reaper,
            entries,
            hits,
            _tracepoints: tracepoints,
        })
    }

    /// The number that the next attached process gets, so that it can be announced first.
    pub fn next_instance(&self) -> u32 {
        self.next_instance
    }

    /// The ring buffers, for the thread that will read them.
    ///
    /// # Errors
    /// What libbpf says.
    pub fn event_source(&self) -> Result<EventSource, Error> {
        EventSource::new(self)
    }

    /// Attaches the probes of `plan` to process `pid`, loaded with `bias`. `file` is what the plan
    /// was made from: were it opened anew, it could be another one by now. A process that was
    /// attached before, under the same pid, is detached first.
    ///
    /// # Errors
    /// [`Error::TooManyProcesses`], or what libbpf says; nothing stays attached then.
    pub fn attach(
        &mut self,
        pid: u32,
        plan: &Plan,
        file: &File,
        bias: u64,
    ) -> Result<Attached, Error> {
        self.take_off(pid);
        let attached = Attached { pid, instance: self.next_instance, bias };
        self.next_instance += 1;
        let known = Known::write(&self.known_maps()?, plan, &attached);
        let probes = plan.sites.iter().map(|planned| planned.probe);
        let hits = self.hits.take(attached.instance, pid, probes);
        let constants = plan.constants_of(attached.instance, hits, bias);
        self.map("processes")?
            .update(&pid.to_ne_bytes(), &constants, MapFlags::ANY)
            .map_err(|e| match e.kind() {
                ErrorKind::Other | ErrorKind::OutOfMemory => Error::TooManyProcesses(4096),
                _ => Error::bpf("write process constants")(e),
            })
            .inspect_err(|_| self.hits.give_back(attached.instance))?;
        let links = self.attach_sites(pid, plan, file);
        match links {
            Ok(links) => {
                self.attached.insert(pid, (attached, links, known));
                Ok(attached)
            }
            Err(e) => {
                self.forget(pid, attached.instance, &known);
                self.hits.give_back(attached.instance);
                Err(e)
            }
        }
    }

    fn known_maps(&self) -> Result<Maps<'_>, Error> {
        Ok(Maps { types: self.map("go_types")?, sites: self.map("sites")? })
    }

    fn attach_sites(&mut self, pid: u32, plan: &Plan, file: &File) -> Result<Vec<Link>, Error> {
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let signed = i32::try_from(pid).unwrap_or(-1);
        let offset = |site: &Site| usize::try_from(site.file_offset).unwrap_or(usize::MAX);
        let probes: BTreeSet<Probe> = plan.sites.iter().map(|planned| planned.probe).collect();
        self.loaded.load(&self.object, self.features, &probes)?;
        let mut links = Vec::new();
        if self.features.uprobe_multi {
            let filter = if self.features.uprobe_multi_pid { signed } else { -1 };
            let mut programs = BTreeMap::<_, Vec<_>>::new();
            for planned in &plan.sites {
                programs.entry(self.loaded.name(planned.probe)).or_default().push(planned);
            }
            for sites in programs.into_values() {
                let options = UprobeMultiOpts {
                    offsets: sites.iter().map(|s| offset(&s.site)).collect(),
                    cookies: sites.iter().map(|s| s.probe as u64).collect(),
                    ..UprobeMultiOpts::default()
                };
                let Some(first) = sites.first() else { continue };
                let link = self
                    .loaded
                    .program(first.probe, &probes)?
                    .attach_uprobe_multi_with_opts(filter, &path, "", options)
                    .map_err(Error::bpf(format!("attach to process {pid}")))?;
                links.push(link);
            }
            return Ok(links);
        }
        for planned in &plan.sites {
            let what = format!("attach to {} in process {pid}", planned.function);
            let link = self
                .loaded
                .program(planned.probe, &BTreeSet::from([planned.probe]))?
                .attach_uprobe(false, signed, &path, offset(&planned.site))
                .map_err(Error::single(what))?;
            links.push(link);
        }
        Ok(links)
    }

    /// Detaches from `pid`; gives what was attached. Takes some tens of milliseconds.
    pub fn detach(&mut self, pid: u32) -> Option<Attached> {
        self.hits.forget(pid);
        self.take_off(pid)
    }

    fn take_off(&mut self, pid: u32) -> Option<Attached> {
        let (attached, links, known) = self.attached.remove(&pid)?;
        self.forget(pid, attached.instance, &known);
        close(links);
        self.entries.sweep(&[attached.instance]);
        self.hits.give_back(attached.instance);
        Some(attached)
    }

    /// Forgets a process that has ended, without waiting for the kernel.
    pub fn reap(&mut self, pid: u32) {
        self.hits.forget(pid);
        self.release(pid);
    }

    /// Takes the probes of a process away that will be attached to again, without waiting for the kernel. Its hits
    /// stay counted.
    pub fn pause(&mut self, pid: u32) {
        self.hits.keep(pid);
        self.release(pid);
    }

    fn release(&mut self, pid: u32) {
        if let Some((attached, links, known)) = self.attached.remove(&pid) {
            self.forget(pid, attached.instance, &known);
            self.reaper.reap(Remains { instance: attached.instance, links });
        }
    }

    /// Detaches from all, at the same time: the kernel waits a while for each.
    pub fn detach_all(&mut self) {
        let attached = std::mem::take(&mut self.attached);
        for (pid, (process, _, known)) in &attached {
            self.forget(*pid, process.instance, known);
        }
        close(attached.into_values().flat_map(|(_, links, _)| links).collect());
        self.reaper.finish();
    }

    /// Lets the programs look anew at what may change while a process runs: its processors. Gives
    /// the processes that replaced their program or ended; an event of that comes, or was lost.
    ///
    /// # Errors
    /// When a map is missing.
    pub fn refresh(&self) -> Result<Vec<u32>, Error> {
        let (processes, marks) = (self.map("processes")?, self.map("marks")?);
        let mut gone = Vec::new();
        for (pid, (attached, _, _)) in &self.attached {
            // There are no marks until a request needed them.
            let _ = marks.delete(&attached.instance.to_ne_bytes());
            // The kernel side removes the entry when the process ends.
            if let Ok(None) = processes.lookup(&pid.to_ne_bytes(), MapFlags::ANY) {
                gone.push(*pid);
            }
        }
        Ok(gone)
    }

    /// Whether a probe of the process was hit since it was attached to; `None` if it is not, or not
    /// any more.
    ///
    /// # Errors
    /// What libbpf says.
    pub fn was_hit(&self, pid: u32) -> Result<Option<bool>, Error> {
        let found = self.map("processes")?.lookup(&pid.to_ne_bytes(), MapFlags::ANY);
        let bytes = found.map_err(Error::bpf("read process constants"))?;
        let constants =
            bytes.and_then(|bytes| Some(raw::Process::read_from_prefix(&bytes).ok()?.0));
        Ok(constants.map(|constants| constants.guards[1] & raw::WAS_HIT != 0))
    }

    /// Removes what the programs know of a process.
    fn forget(&self, pid: u32, instance: u32, known: &Known) {
        // What is gone already is no failure.
        if let Ok(map) = self.map("processes") {
            let _ = map.delete(&pid.to_ne_bytes());
        }
        if let Ok(map) = self.map("marks") {
            let _ = map.delete(&instance.to_ne_bytes());
        }
        if let Ok(maps) = self.known_maps() {
            known.forget(&maps);
        }
    }

    /// The observed process with this instance number.
    pub fn attached(&self) -> impl Iterator<Item = &Attached> {
        self.attached.values().map(|(attached, _, _)| attached)
    }

    /// The counters, for any thread.
    pub fn hits(&self) -> Arc<Hits> {
        self.hits.clone()
    }

    /// The maps in which the programs note which requests goroutines serve.
    ///
    /// # Errors
    /// What libbpf says.
    pub fn served(&self) -> Result<ServedMaps, Error> {
        let [servers, goroutines, lineages] = SHARED.map(|name| self.ring(name));
        Ok(ServedMaps { maps: [servers?, goroutines?, lineages?] })
    }

    /// A handle of its own to a map.
    pub(crate) fn ring(&self, name: &str) -> Result<MapHandle, Error> {
        MapHandle::try_from(&self.map(name)?).map_err(Error::bpf(format!("open map {name}")))
    }

    fn map(&self, name: &str) -> Result<libbpf_rs::Map<'_>, Error> {
        self.object.maps().find(|map| map.name() == name).ok_or_else(|| missing("map", name))
    }
}

/// The programs of all probes, so that no process that comes has to wait for them; or none, where it is known which
/// processes will be observed, or each probe has a program of its own, which few processes need all of.
fn programs_at_start(
    maps_of: &Object,
    features: Features,
    options: Options,
) -> Result<Loaded, Error> {
    let way = match (features.uprobe_multi, options.empty_probes) {
        (false, _) => Way::Singles,
        (true, true) => Way::Empty,
        (true, false) => Way::Multi,
    };
    let mut loaded = Loaded::none(way);
    if features.uprobe_multi && !options.known_processes {
        loaded.load(maps_of, features, &Probe::ALL.iter().copied().collect())?;
    }
    Ok(loaded)
}

/// libbpf prints the verifier's whole log when a program is refused: only for whoever asks.
pub(crate) fn quiet_libbpf() {
    if std::env::var_os("GOTAP_DEBUG").is_none() {
        libbpf_rs::set_print(None);
    }
}

pub(crate) fn program<'o>(object: &'o mut Object, name: &str) -> Result<ProgramMut<'o>, Error> {
    object.progs_mut().find(|p| p.name() == name).ok_or_else(|| missing("program", name))
}

pub(crate) fn missing(what: &str, name: &str) -> Error {
    let said = libbpf_rs::Error::from_raw_os_error(2);
    Error::Bpf { what: format!("{what} {name} in the embedded object"), said }
}
