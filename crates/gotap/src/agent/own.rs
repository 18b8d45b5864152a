//! The agent itself: its attributes, CPU time and memory.

use std::sync::Arc;
use std::time::Duration;

use metrics::{Metric, Point};

use crate::resource::host_name;

/// The agent's CPU time and memory.
pub(super) fn metrics() -> Vec<Metric> {
    let usage = goproc::own_usage();
    let mode = |mode: &str, time: Duration| {
        Point::float(time.as_secs_f64(), vec![("cpu.mode", mode.to_owned().into())])
    };
    let cpu = usage.cpu.map(|(user, system)| [mode("user", user), mode("system", system)]);
    let memory = usage.resident_bytes.map(|bytes| Point::int(bytes, Vec::new()));
    vec![
        Metric::counter("process.cpu.time", "s", "CPU time of gotap", cpu.into_iter().flatten()),
        Metric::gauge("process.memory.usage", "By", "Resident memory of gotap", memory),
    ]
}

/// The agent's own attributes; `node` is that of Kubernetes.
pub(super) fn resource(node: Option<&str>) -> Arc<[(String, String)]> {
    let mut out = vec![
        ("service.name", "gotap".to_owned()),
        ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
        ("host.name", host_name(node)),
        ("process.pid", std::process::id().to_string()),
    ];
    out.extend(node.map(|node| ("k8s.node.name", node.to_owned())));
    // Random, so that an agent that is started again is another one.
    if let Ok(id) = std::fs::read_to_string("/proc/sys/kernel/random/uuid") {
        out.push(("service.instance.id", id.trim().to_owned()));
    }
    out.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}
