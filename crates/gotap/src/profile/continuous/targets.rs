//! The processes that are profiled all the time, and the files that they run. Files are held open, so that
//! processes that have ended are still symbolized. Not here: their samples.

use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, anyhow, bail};
use gobin::{Binary, Image};
use goproc::{Executable, FileId, Process};
use goruntime::Symbols;
use native::{Kernel, Mappings};
use probes::{Sampler, SamplerPlan};
use profile::Profile;
use trace::Resource;
use wire::SampledStack;

use super::Say;
use super::losses::Counts;
use crate::opened::bias;
use crate::profile::naming::{Namer, mapping_of};

/// Kilobytes of the kernel's memory for the tables of all files.
const MAX_TABLES: usize = 64 << 10;
/// Locations of a process that are remembered with their names.
const MAX_LOCATIONS: usize = 8192;
/// Of a process that the tracing programs do not know.
const NO_INSTANCE: u32 = u32::MAX;

/// A process to profile.
#[derive(Debug, Clone)]
pub(crate) struct Chosen {
    pub(crate) pid: u32,
    pub(crate) since: Since,
    pub(crate) resource: Arc<Resource>,
}

/// Tells processes apart that have the same id, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Since {
    /// Its number in the maps of the tracing programs.
    Traced(u32),
    /// When it was found; nothing can be traced in it.
    Found(Instant),
}

/// The processes by their numbers, which are never used again.
pub(super) struct Targets {
    by_number: HashMap<u32, Target>,
    by_pid: HashMap<u32, Entry>,
    files: HashMap<FileId, File>,
    /// Kilobytes of their tables.
    table_kilobytes: usize,
    next: u32,
    kernel: Rc<Kernel>,
    say: Say,
    counts: Arc<Counts>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    since: Since,
    /// `None` if it can't be profiled.
    number: Option<u32>,
}

pub(super) struct Target {
    pub(super) resource: Arc<Resource>,
    process: Process,
    file: FileId,
    bias: u64,
    has_ended: bool,
    mappings: Mappings,
    /// Its locations and mappings, and no samples.
    pub(super) book: Profile,
    /// How often the book was begun anew.
    pub(super) edition: u32,
}

struct File {
    executable: Executable,
    path: PathBuf,
    plan: SamplerPlan,
    table: u32,
    kilobytes: usize,
    /// Processes that run it.
    users: usize,
}

impl Targets {
    pub(super) fn new(say: Say, counts: Arc<Counts>) -> Self {
        Self {
            by_number: HashMap::new(),
            by_pid: HashMap::new(),
            files: HashMap::new(),
            table_kilobytes: 0,
            next: 0,
            kernel: Rc::default(),
            say,
            counts,
        }
    }

    /// Samples these processes from now on, and no others. Those that are gone are kept until their samples are
    /// sent. New ones come first: the kernel must not put one where a sample is taken of one that is gone.
    pub(super) fn update(&mut self, sampler: &mut Sampler, chosen: Vec<Chosen>) {
        let mut gone: HashMap<u32, Entry> = self.by_pid.clone();
        for one in chosen {
            match gone.remove(&one.pid) {
                Some(known) if known.since == one.since => {
                    if let Some(target) = known.number.and_then(|n| self.by_number.get_mut(&n)) {
                        target.resource = one.resource;
                    }
                }
                Some(known) => {
                    self.end(sampler, one.pid, known);
                    self.begin(sampler, one);
                }
                None => self.begin(sampler, one),
            }
        }
        for (pid, entry) in gone {
            self.end(sampler, pid, entry);
        }
    }

    fn begin(&mut self, sampler: &mut Sampler, one: Chosen) {
        let (pid, since) = (one.pid, one.since);
        let name = one.resource.service_name().to_owned();
        let number = match self.add(sampler, one) {
            Ok(number) => Some(number),
            Err(why) => {
                // One that has ended meanwhile is no news.
                if (Process { pid }).is_alive() {
                    self.counts.leave_out();
                    (self.say)(&format!("{name}[{pid}] is not profiled: {why:#}"));
                }
                None
            }
        };
        self.by_pid.insert(pid, Entry { since, number });
    }

    fn add(&mut self, sampler: &mut Sampler, one: Chosen) -> Result<u32> {
        let process = Process { pid: one.pid };
        let executable = Executable::open(process)?;
        let id = executable.id();
        let bias = executable.read(|data| bias(process, &Image::parse(data)?))?;
        if !self.files.contains_key(&id) {
            self.open(sampler, process, executable, bias)?;
        }
        let Some(file) = self.files.get_mut(&id) else { bail!("its file is gone") };
        let number = self.next;
        let instance = match one.since {
            Since::Traced(instance) => instance,
            Since::Found(_) => NO_INSTANCE,
        };
        let plan = file.plan.loaded_at(bias);
        let added = sampler.add_process(one.pid, &plan, number, file.table, Some(instance));
        file.users += 1;
        if let Err(why) = added {
            self.leave(sampler, id);
            return Err(why.into());
        }
        let (mut mappings, resource) = (Mappings::default(), one.resource);
        mappings.read(process);
        let book = Profile::new(Vec::new());
        let target = Target {
            resource,
            process,
            file: id,
            bias,
            has_ended: false,
            mappings,
            book,
            edition: 0,
        };
        self.by_number.insert(number, target);
        self.next = self.next.wrapping_add(1);
        Ok(number)
    }

    /// Gives the kernel the tables of a file that is new.
    fn open(
        &mut self,
        sampler: &mut Sampler,
        process: Process,
        executable: Executable,
        bias: u64,
    ) -> Result<()> {
        let path = process.executable_path()?;
        let plan = executable.read(|data| {
            let binary = Binary::parse(data)?;
            let plan = SamplerPlan::new(&binary, &binary.types(), bias, false);
            plan.map_err(|why| anyhow!(why))
        })?;
        let kilobytes = plan.table_kilobytes();
        if self.table_kilobytes + kilobytes > MAX_TABLES {
            bail!("the tables of all programs take more than {} MiB", MAX_TABLES >> 10);
        }
        let table = sampler.add_tables(&plan)?;
        self.table_kilobytes += kilobytes;
        let (id, plan) = (executable.id(), plan.loaded_at(bias));
        self.files.insert(id, File { executable, path, plan, table, kilobytes, users: 0 });
        Ok(())
    }

    fn end(&mut self, sampler: &Sampler, pid: u32, entry: Entry) {
        self.by_pid.remove(&pid);
        if let Some(target) = entry.number.and_then(|number| self.by_number.get_mut(&number)) {
            sampler.remove_process(pid);
            target.has_ended = true;
        }
    }

    /// Forgets processes that are gone, and files that none runs any more.
    pub(super) fn forget_ended(&mut self, sampler: &mut Sampler) {
        let ended = self.by_number.extract_if(|_, target| target.has_ended);
        let files: Vec<FileId> = ended.map(|(_, target)| target.file).collect();
        for file in files {
            self.leave(sampler, file);
        }
    }

    /// One process less runs a file.
    fn leave(&mut self, sampler: &mut Sampler, id: FileId) {
        let Some(file) = self.files.get_mut(&id) else { return };
        file.users = file.users.saturating_sub(1);
        if file.users == 0
            && let Some(file) = self.files.remove(&id)
        {
            self.table_kilobytes -= file.kilobytes;
            sampler.remove_tables(file.table);
        }
    }

    /// A process, also one that has ended since the last interval.
    pub(super) fn get(&self, number: u32) -> Option<&Target> {
        self.by_number.get(&number)
    }

    /// Names stacks of a process: their locations by their numbers in its book.
    ///
    /// # Errors
    /// When the file can't be read, or was written to after the process had ended.
    pub(super) fn name(
        &mut self,
        number: u32,
        stacks: &[&SampledStack],
    ) -> Result<Vec<Box<[usize]>>> {
        let target = self.by_number.get_mut(&number).ok_or_else(|| anyhow!("no such process"))?;
        let file = self.files.get(&target.file).ok_or_else(|| anyhow!("no such file"))?;
        if !target.has_ended {
            target.mappings.read(target.process);
        }
        let kernel = self.kernel.clone();
        let named = file.executable.read(|data| {
            let binary = Binary::parse(data)?;
            let types = binary.types();
            let symbols = Symbols::new(&binary, &types);
            if target.book.mappings.is_empty() {
                target.book.mappings.push(mapping_of(&binary, target.bias, &file.path));
            }
            let mappings = std::mem::take(&mut target.mappings);
            let namer = Namer::of(&binary, target.bias, &symbols, mappings, kernel);
            let named = stacks.iter().map(|stack| namer.stack(&mut target.book, stack).into());
            let named = named.collect();
            target.mappings = namer.into_mappings();
            Ok(named)
        });
        if file.executable.has_changed() {
            target.begin_book();
            bail!("its file has changed");
        }
        named
    }

    /// Begins the book anew where it has grown too long: all its stacks are to be named again.
    pub(super) fn shorten(&mut self, number: u32) {
        if let Some(target) = self.by_number.get_mut(&number)
            && target.book.locations.len() > MAX_LOCATIONS
        {
            target.begin_book();
        }
    }
}

impl Target {
    /// Forgets all names.
    fn begin_book(&mut self) {
        self.book = Profile::new(Vec::new());
        self.edition += 1;
    }
}
