//! What a process is called, and the other attributes of its resource: those that it declares, those of its pod,
//! those of its program, in this order. Not here: what is read from where.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use goproc::Process;
use podwatch::{Placed, Pods, attributes};
use trace::{Resource, Value};

use crate::home::Home;
use crate::inspect::Program;

/// Variables in which a process declares what it is.
const DECLARED: [&str; 2] = ["OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES"];

/// The cluster that this host is a node of.
#[derive(Debug, Clone)]
pub(crate) struct Cluster {
    pub(crate) pods: Arc<Pods>,
    pub(crate) node: String,
    /// Whether labels name services.
    pub(crate) service_labels: bool,
}

impl Cluster {
    /// The pod that a process is in.
    pub(crate) fn find(&self, home: &Home) -> Option<Placed> {
        self.pods.find(home.container_id(), home.pod.as_deref())
    }
}

/// What names a process but its pod, which may come to be known later.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) home: Home,
    process: Process,
    executable: PathBuf,
    /// The setting, for all processes.
    chosen: Option<String>,
    /// What the process declares.
    declared: Vec<(String, String)>,
    /// Made of its module.
    default_name: String,
    instance: Option<String>,
    version: String,
    go_version: String,
}

impl Identity {
    pub(crate) fn new(
        process: Process,
        executable: &Path,
        program: &Program,
        chosen: Option<String>,
    ) -> Self {
        Self {
            home: Home::of(process),
            process,
            executable: executable.to_owned(),
            chosen,
            declared: declared(process),
            default_name: default_name(&program.module, executable),
            instance: crate::instance::id(process),
            version: program.module_version.clone(),
            go_version: program.go_version.clone(),
        }
    }

    /// The attributes. `cluster` is given where pods are watched.
    pub(crate) fn resource(&self, placed: Option<&Placed>, cluster: Option<&Cluster>) -> Resource {
        let text = |value: &str| Value::Text(value.into());
        let mut out = Attributes(Vec::new());
        out.set("service.name", text(&self.default_name));
        if !matches!(self.version.as_str(), "" | "(devel)") {
            out.set("service.version", text(&self.version));
        }
        if let Some(id) = &self.instance {
            out.set("service.instance.id", text(id));
        }
        out.set("process.pid", Value::Int(self.process.pid.into()));
        out.set("process.executable.path", text(&self.executable.to_string_lossy()));
        out.set("process.runtime.name", Value::Static("go"));
        out.set("process.runtime.version", text(&self.go_version));
        out.set("host.name", text(&host_name(cluster.map(|cluster| cluster.node.as_str()))));
        out.set("telemetry.sdk.language", Value::Static("go"));
        out.set("telemetry.distro.name", Value::Static("gotap"));
        out.set("telemetry.distro.version", Value::Static(env!("CARGO_PKG_VERSION")));
        if let Some(container) = &self.home.container {
            out.set("container.id", text(&container.id));
            if let Some(runtime) = container.runtime {
                out.set("container.runtime.name", Value::Static(runtime));
            }
        }
        if let Some(uid) = self.home.pod_uid() {
            out.set("k8s.pod.uid", text(uid));
        }
        if let (Some(placed), Some(cluster)) = (placed, cluster) {
            let of_pod = attributes::of(&placed.pod, placed.container(), cluster.service_labels);
            of_pod.into_iter().for_each(|(key, value)| out.set(&key, converted(value)));
        }
        for (key, value) in &self.declared {
            out.set(key, text(value));
        }
        if let Some(name) = &self.chosen {
            out.set("service.name", text(name));
        }
        Resource::new(out.0)
    }
}

/// Attributes, each once; who comes later wins.
struct Attributes(Vec<(String, Value)>);

impl Attributes {
    fn set(&mut self, key: &str, value: Value) {
        match self.0.iter_mut().find(|(known, _)| known == key) {
            Some((_, slot)) => *slot = value,
            None => self.0.push((key.to_owned(), value)),
        }
    }
}

fn converted(value: attributes::Value) -> Value {
    match value {
        attributes::Value::Text(text) => Value::Text(text.into()),
        attributes::Value::Texts(texts) => {
            Value::Texts(texts.into_iter().map(Into::into).collect())
        }
    }
}

/// This host's name. In a pod the kernel tells the pod's: there it is the node's.
pub(crate) fn host_name(node: Option<&str>) -> String {
    match node {
        Some(node) => node.to_owned(),
        None => rustix::system::uname().nodename().to_string_lossy().into_owned(),
    }
}

/// What a process declares its service to be, or else what its module is called.
pub(crate) fn service_of(process: Process, module: &str, executable: &Path) -> String {
    let name = declared(process).into_iter().rfind(|(key, _)| key == "service.name");
    name.map_or_else(|| default_name(module, executable), |(_, name)| name)
}

/// The attributes that a process declares. The variable for the service's name alone comes last, as it wins.
fn declared(process: Process) -> Vec<(String, String)> {
    let environment = process.environment_of(&DECLARED);
    let mut out = declared_attributes(&environment);
    let name = environment.get("OTEL_SERVICE_NAME").filter(|name| !name.is_empty());
    out.extend(name.map(|name| ("service.name".to_owned(), name.clone())));
    out
}

/// `OTEL_RESOURCE_ATTRIBUTES` of the target.
fn declared_attributes(environment: &BTreeMap<String, String>) -> Vec<(String, String)> {
    let text = environment.get("OTEL_RESOURCE_ATTRIBUTES").map(String::as_str).unwrap_or_default();
    let decode = |value: &str| {
        percent_encoding::percent_decode_str(value.trim()).decode_utf8_lossy().into_owned()
    };
    text.split(',')
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (key.trim().to_owned(), decode(value)))
        .collect()
}

/// Names that many programs and modules share, which tell nobody which one it is.
const GENERIC: [&str; 16] = [
    "agent", "api", "app", "backend", "cli", "client", "cmd", "daemon", "exe", "go", "main",
    "server", "service", "src", "test", "tool",
];

/// The last element of the module's path that is no major version. Where that is generic, the
/// executable's name; where that is generic, too, the last two elements.
fn default_name(module: &str, executable: &Path) -> String {
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

#[cfg(test)]
mod tests {
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

    fn identity(chosen: Option<&str>, declared: &[(&str, &str)]) -> Identity {
        let container = host::container::of_cgroup(&format!("/docker/{}", "ab".repeat(32)));
        Identity {
            home: Home { container, pod: None },
            process: Process { pid: 7 },
            executable: "/app".into(),
            chosen: chosen.map(str::to_owned),
            declared: declared.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect(),
            default_name: "module".into(),
            instance: None,
            version: "v1".into(),
            go_version: "go1.27.3".into(),
        }
    }

    #[test]
    fn the_setting_and_what_is_declared_win() {
        let name = |identity: &Identity| identity.resource(None, None).service_name().to_owned();
        assert_eq!(name(&identity(None, &[])), "module");
        let declared = [("service.name", "attribute"), ("service.name", "variable")];
        assert_eq!(name(&identity(None, &declared)), "variable");
        assert_eq!(name(&identity(Some("setting"), &declared)), "setting");
        let resource = identity(None, &[("service.version", "9")]).resource(None, None);
        let all: BTreeMap<_, _> = resource.attributes().iter().cloned().collect();
        assert_eq!(all["service.version"].as_str(), Some("9"));
        assert_eq!(all["container.id"].as_str().map(str::len), Some(64));
        assert_eq!(all["container.runtime.name"].as_str(), Some("docker"));
        assert_eq!(resource.pid(), Some(7));
    }
}
