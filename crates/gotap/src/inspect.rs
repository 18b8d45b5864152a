//! From a process to what gotap can do with it: its binary read, a plan made, its resource named.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use crate::databases::DatabaseReader;
use crate::libraries::{self, Library};
use crate::routes::RouteReader;
use crate::sdk::{self, Sdk};
use gobin::Binary;
use goproc::{Executable, FileId, Process};
use probes::{Options, Plan};
use trace::{ProcessInfo, Resource, Value};

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
}

/// Reads binaries, each file once.
#[derive(Default)]
pub(crate) struct Inspector {
    options: Options,
    service_name: Option<String>,
    programs: HashMap<FileId, Arc<Program>>,
    order: VecDeque<FileId>,
    others: HashMap<FileId, gobin::Error>,
}

impl Inspector {
    pub(crate) fn new(options: Options, service_name: Option<String>) -> Self {
        Self { options, service_name, ..Self::default() }
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
        let program = self.program(&file).map_err(|why| {
            let name = process.name().unwrap_or_default();
            NotATarget::Binary { pid: process.pid, name, why }
        })?;
        let environment =
            process.environment_of(&["OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES"]);
        let declared = declared_attributes(&environment);
        let service_name = self
            .service_name
            .clone()
            .unwrap_or_else(|| service_of(process, &program.module, &executable));
        let resource = resource(process, &executable, &service_name, &program, declared);
        let resource = Arc::new(resource);
        let id = file.id();
        let target = Target { process, executable, file: id, service_name, program, resource };
        Ok((target, file.into_file()))
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

/// What a process declares its service to be, or else what its module is called.
pub(crate) fn service_of(process: Process, module: &str, executable: &std::path::Path) -> String {
    let environment = process.environment_of(&["OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES"]);
    let named = environment.get("OTEL_SERVICE_NAME").filter(|name| !name.is_empty()).cloned();
    let declared = || declared_attributes(&environment).into_iter();
    named
        .or_else(|| declared().find(|(key, _)| key == "service.name").map(|(_, value)| value))
        .unwrap_or_else(|| default_name(module, executable))
}

/// Names that many programs and modules share, which tell nobody which one it is.
const GENERIC: [&str; 16] = [
    "agent", "api", "app", "backend", "cli", "client", "cmd", "daemon", "exe", "go", "main",
    "server", "service", "src", "test", "tool",
];

/// The last element of the module's path that is no major version. Where that is generic, the
/// executable's name; where that is generic, too, the last two elements.
fn default_name(module: &str, executable: &std::path::Path) -> String {
    let is_major = |e: &&str| e.strip_prefix('v').is_some_and(|n| n.parse::<u32>().is_ok());
    let mut elements = module.split('/').filter(|e| !e.is_empty()).collect::<Vec<_>>();
    if elements.len() > 1 && elements.last().is_some_and(is_major) {
        elements.pop();
    }
    let file = executable.file_name().unwrap_or_default().to_string_lossy().into_owned();
    // Debuggers and `go run` name files of their own accord.
    let is_telling = |name: &str| !GENERIC.contains(&name) && !name.starts_with("__debug_bin");
    match elements.as_slice() {
        [] | ["command-line-arguments"] => file,
        [.., last] if is_telling(last) => (*last).to_owned(),
        _ if is_telling(&file) => file,
        [.., before, last] => format!("{before}/{last}"),
        [last] => (*last).to_owned(),
    }
}

/// `OTEL_RESOURCE_ATTRIBUTES` of the target.
fn declared_attributes(
    environment: &std::collections::BTreeMap<String, String>,
) -> Vec<(String, String)> {
    let text = environment.get("OTEL_RESOURCE_ATTRIBUTES").map(String::as_str).unwrap_or_default();
    let decode = |value: &str| {
        percent_encoding::percent_decode_str(value.trim()).decode_utf8_lossy().into_owned()
    };
    text.split(',')
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (key.trim().to_owned(), decode(value)))
        .collect()
}

fn resource(
    process: Process,
    executable: &std::path::Path,
    service_name: &str,
    program: &Program,
    declared: Vec<(String, String)>,
) -> Resource {
    let text = |value: &str| Value::Text(value.into());
    let mut attributes = vec![("service.name".to_owned(), text(service_name))];
    let mut add = |key: &str, value: Value| attributes.push((key.to_owned(), value));
    if !matches!(program.module_version.as_str(), "" | "(devel)") {
        add("service.version", text(&program.module_version));
    }
    if let Some(id) = crate::instance::id(process) {
        add("service.instance.id", text(&id));
    }
    add("process.pid", Value::Int(process.pid.into()));
    add("process.executable.path", text(&executable.to_string_lossy()));
    add("process.runtime.name", Value::Static("go"));
    add("process.runtime.version", text(&program.go_version));
    add("host.name", text(&rustix::system::uname().nodename().to_string_lossy()));
    add("telemetry.sdk.language", Value::Static("go"));
    add("telemetry.distro.name", Value::Static("gotap"));
    add("telemetry.distro.version", Value::Static(env!("CARGO_PKG_VERSION")));
    for (key, value) in declared {
        match attributes.iter_mut().find(|(k, _)| *k == key) {
            Some(_) if key == "service.name" => {}
            Some((_, slot)) => *slot = Value::Text(value.into()),
            None => attributes.push((key, Value::Text(value.into()))),
        }
    }
    Resource { attributes }
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn services_have_telling_names() {
        for (module, executable, name) in [
            ("example.com/shop", "/srv/main", "shop"),
            ("example.com/shop/v2", "/srv/x", "shop"),
            ("github.com/temporalio/cli", "/usr/bin/temporal", "temporal"),
            ("go.etcd.io/etcd/server/v3", "/usr/bin/etcd", "etcd"),
            ("example.com/shop/cmd", "/srv/server", "shop/cmd"),
            ("example.com/shop/server", "/srv/__debug_bin123", "shop/server"),
            ("server", "/srv/app", "server"),
            ("v2", "/srv/app", "v2"),
            ("", "/usr/bin/tool", "tool"),
            ("command-line-arguments", "/tmp/go-build1/b001/exe/hello", "hello"),
        ] {
            assert_eq!(default_name(module, Path::new(executable)), name, "{module} {executable}");
        }
    }
}
