//! From a process to what gotap can do with it: its binary read, a plan made, its resource named.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use crate::databases::DatabaseReader;
use crate::home::Home;
use crate::libraries::{self, Library};
use crate::resource::{self, Cluster, Identity};
use crate::routes::RouteReader;
use crate::sdk::{self, Sdk};
use gobin::Binary;
use goproc::{Executable, FileId, Process};
use instruments::{Options, Plan};
use podwatch::Placed;
use trace::{ProcessInfo, Resource};

/// Binaries whose plans are kept; those of the same file share one.
const MAX_BINARIES: usize = 256;

/// Files that are remembered to be none of ours.
const MAX_OTHERS: usize = 4096;

/// Why a process is not a target.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotATarget {
    /// `/proc` said no.
    #[error(transparent)]
    Process(goproc::Error),
    /// The executable is none of ours.
    #[error("process {pid} ({name}): {why}")]
    Binary { pid: u32, name: String, why: gobin::Error },
    /// It is a Go program that can't be read.
    #[error("process {} ({}): {}", .0.process.pid, .0.name, .0.why)]
    Unreadable(Box<Unreadable>),
}

/// A process whose executable is a Go program that can't be read: an obfuscated, damaged or old one.
#[derive(Debug)]
pub(crate) struct Unreadable {
    pub(crate) process: Process,
    /// The name of the process.
    pub(crate) name: String,
    pub(crate) executable: PathBuf,
    pub(crate) file: FileId,
    /// The setting, what the process declares, or else the executable's name. Labels of pods do not count.
    pub(crate) service_name: String,
    pub(crate) home: Home,
    pub(crate) placed: Option<Placed>,
    pub(crate) why: gobin::Error,
}

/// What a binary says, without the binary.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) go_version: String,
    pub(crate) unknown_version: bool,
    pub(crate) module: String,
    pub(crate) module_version: String,
    pub(crate) build: Vec<&'static str>,
    /// An OpenTelemetry Collector or the like: to observe what receives our spans would make more
    /// spans without end, so it must be asked for.
    pub(crate) is_collector: bool,
    pub(crate) libraries: Vec<Library>,
    pub(crate) sdk: Option<Sdk>,
    pub(crate) plan: Plan,
}

/// A Go process.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) process: Process,
    pub(crate) executable: PathBuf,
    /// Which file that is.
    pub(crate) file: FileId,
    pub(crate) service_name: String,
    pub(crate) program: Arc<Program>,
    pub(crate) resource: Arc<Resource>,
    pub(crate) identity: Arc<Identity>,
    /// The pod that it is in, as far as that is known.
    pub(crate) placed: Option<Placed>,
}

/// Reads binaries, each file once.
#[derive(Default)]
pub(crate) struct Inspector {
    options: Options,
    service_name: Option<String>,
    /// Where pods are watched.
    cluster: Option<Cluster>,
    programs: HashMap<FileId, Arc<Program>>,
    order: VecDeque<FileId>,
    others: HashMap<FileId, gobin::Error>,
}

impl Inspector {
    pub(crate) fn new(
        options: Options,
        service_name: Option<String>,
        cluster: Option<Cluster>,
    ) -> Self {
        Self { options, service_name, cluster, ..Self::default() }
    }

    /// Looks at one process.
    pub(crate) fn inspect(&mut self, process: Process) -> Result<Target, NotATarget> {
        self.inspect_file(process).map(|(target, _)| target)
    }

    /// Looks at one process; also gives the file that was looked at. The process may run another
    /// one soon, in which the plan's sites would be anywhere.
    pub(crate) fn inspect_file(&mut self, process: Process) -> Result<(Target, File), NotATarget> {
        let executable = process.executable_path().map_err(NotATarget::Process)?;
        let file = Executable::open(process).map_err(NotATarget::Process)?;
        let program = match self.program(&file) {
            Ok(program) => program,
            Err(why) if why.is_of_go() => {
                return Err(self.unreadable(process, executable, file.id(), why));
            }
            Err(why) => {
                let name = process.name().unwrap_or_default();
                return Err(NotATarget::Binary { pid: process.pid, name, why });
            }
        };
        let identity = Identity::new(process, &executable, &program, self.service_name.clone());
        let cluster = self.cluster.as_ref();
        let placed = cluster.and_then(|cluster| cluster.find(&identity.home));
        let resource = Arc::new(identity.resource(placed.as_ref(), cluster));
        let (identity, service_name) = (Arc::new(identity), resource.service_name().to_owned());
        let id = file.id();
        let target = Target {
            process,
            executable,
            file: id,
            service_name,
            program,
            resource,
            identity,
            placed,
        };
        Ok((target, file.into_file()))
    }

    fn unreadable(
        &self,
        process: Process,
        executable: PathBuf,
        file: FileId,
        why: gobin::Error,
    ) -> NotATarget {
        let declared = || resource::service_of(process, "", &executable);
        let home = Home::of(process);
        NotATarget::Unreadable(Box::new(Unreadable {
            process,
            name: process.name().unwrap_or_default(),
            service_name: self.service_name.clone().unwrap_or_else(declared),
            executable,
            file,
            placed: self.cluster.as_ref().and_then(|cluster| cluster.find(&home)),
            home,
            why,
        }))
    }

    /// What a file says; each is read once.
    fn program(&mut self, file: &Executable) -> Result<Arc<Program>, gobin::Error> {
        let id = file.id();
        if let Some(known) = self.programs.get(&id) {
            return Ok(known.clone());
        }
        if let Some(why) = self.others.get(&id) {
            return Err(why.clone());
        }
        match file.read(|data| read(data, &self.options)) {
            Ok(program) => Ok(self.keep(id, Arc::new(program))),
            Err(why) => {
                if self.others.len() >= MAX_OTHERS {
                    self.others.clear();
                }
                self.others.insert(id, why.clone());
                Err(why)
            }
        }
    }

    fn keep(&mut self, id: FileId, program: Arc<Program>) -> Arc<Program> {
        if self.order.len() >= MAX_BINARIES
            && let Some(oldest) = self.order.pop_front()
        {
            self.programs.remove(&oldest);
        }
        self.order.push_back(id);
        self.programs.insert(id, program.clone());
        program
    }
}

fn read(data: &[u8], options: &Options) -> Result<Program, gobin::Error> {
    let binary = Binary::parse(data)?;
    let info = binary.build_info();
    let main = info.main.as_ref();
    let mut build = Vec::new();
    if binary.is_stripped() {
        build.push("stripped");
    }
    if binary.image().is_pie() {
        build.push("pie");
    }
    if binary.is_cgo() {
        build.push("cgo");
    }
    if binary.is_unoptimised() {
        build.push("unoptimised");
    }
    if build.is_empty() {
        build.push("plain");
    }
    let plan = Plan::new(&binary, options);
    Ok(Program {
        go_version: info.go_version.to_owned(),
        unknown_version: binary.is_unknown_version(),
        module: main.map(|m| m.path).or(info.path).unwrap_or_default().to_owned(),
        module_version: main.map(|m| m.version).unwrap_or_default().to_owned(),
        build,
        is_collector: plan.is_collector,
        libraries: libraries::find(&binary, &plan),
        sdk: sdk::find(&binary, &plan),
        plan,
    })
}

impl Target {
    /// The load bias of the process; `None` if its mappings don't tell.
    pub(crate) fn bias(&self) -> Option<u64> {
        let plan = &self.program.plan;
        let start = self.process.executable_start();
        start.map(|start| plan.bias(start)).or((!plan.is_pie()).then_some(0))
    }

    /// What the assembler needs to know.
    pub(crate) fn info(&self, bias: u64) -> ProcessInfo {
        let names = &self.program.plan.type_names;
        let type_names =
            names.iter().map(|(vaddr, name)| (vaddr.wrapping_add(bias), name.clone())).collect();
        let routes = self.program.plan.routes.clone().map(|layout| {
            let routes = RouteReader::new(self.process, layout, bias);
            Arc::new(routes) as Arc<dyn trace::Routes>
        });
        let databases = self.program.plan.databases.clone().map(|layout| {
            let databases = DatabaseReader::new(self.process, layout, bias);
            Arc::new(databases) as Arc<dyn trace::Databases>
        });
        let (resource, type_names) = (self.resource.clone(), Arc::new(type_names));
        let procedures = self.program.plan.procedures.clone();
        let call_ends = self.program.plan.call_ends;
        ProcessInfo { resource, type_names, routes, databases, procedures, call_ends }
    }
}
