//! How many requests each observed process serves right now: `http.server.active_requests`. The kernel tells which
//! there are; their methods are read from the processes' memory, without a trap. Not here: requests that have ended
//! (`red`).

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use gomem::{Memory, Remote};
use goproc::Process;
use instruments::{RequestLayouts, Tls};
use metrics::{Attributes, Metric, Point};
use probes::{ActiveRequests, ServedMaps};
use wire::Active as Request;

/// Bytes of a method that are read; longer ones are none that is known.
const MAX_METHOD: u64 = 16;
/// What stands for a method that the conventions do not know.
const OTHER: &str = "_OTHER";

/// What requests are counted by: what could not be read is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    method: Option<&'static str>,
    tls: Option<bool>,
}

/// A process whose requests are counted.
struct Known {
    pid: u32,
    layouts: RequestLayouts,
    memory: Remote,
    /// Also those that it serves none of any more: they are zero.
    counts: BTreeMap<Key, u64>,
}

/// Counts.
pub(super) struct Active {
    requests: Mutex<ActiveRequests>,
    /// By instance.
    processes: Mutex<HashMap<u32, Known>>,
}

impl Active {
    /// Loads what tells of requests.
    pub(super) fn load(maps: &ServedMaps) -> Result<Self, probes::Error> {
        let requests = Mutex::new(ActiveRequests::load(maps)?);
        Ok(Self { requests, processes: Mutex::default() })
    }

    fn processes(&self) -> MutexGuard<'_, HashMap<u32, Known>> {
        self.processes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A process is observed from now on.
    pub(super) fn add(&self, instance: u32, pid: u32, layouts: RequestLayouts) {
        let memory = Remote::new(Process { pid });
        let counts = BTreeMap::new();
        self.processes().insert(instance, Known { pid, layouts, memory, counts });
    }

    /// It is not observed any more.
    pub(super) fn remove(&self, instance: u32) {
        self.processes().remove(&instance);
    }

    /// The metric of each process that has served a request, by pid. Nothing if the kernel does not tell.
    pub(super) fn metrics(&self) -> Vec<(u32, Metric)> {
        let found = self.requests.lock().unwrap_or_else(PoisonError::into_inner).read();
        let Ok(found) = found else { return Vec::new() };
        let mut by_instance: HashMap<u32, Vec<Request>> = HashMap::new();
        for request in found.into_iter().filter(|request| request.rpc == 0) {
            by_instance.entry(request.instance).or_default().push(request);
        }
        let mut out = Vec::new();
        for (instance, process) in self.processes().iter_mut() {
            let requests = by_instance.remove(instance).unwrap_or_default();
            // One that can't be read any more has ended.
            if process.count(&requests).is_ok() && !process.counts.is_empty() {
                out.push((process.pid, process.metric()));
            }
        }
        out
    }
}

impl Known {
    fn count(&mut self, requests: &[Request]) -> Result<(), gomem::Error> {
        self.counts.values_mut().for_each(|count| *count = 0);
        let texts: Vec<_> = requests.iter().map(|request| self.layouts.method(request)).collect();
        let flags: Vec<_> = requests.iter().map(|request| self.layouts.tls(request)).collect();
        let mut methods: HashMap<(u64, u64), Option<&'static str>> = HashMap::new();
        for (text, tls) in texts.into_iter().zip(flags) {
            let method = match text {
                None => None,
                Some((_, 0)) => Some("GET"),
                Some(at) => match methods.get(&at) {
                    Some(known) => *known,
                    None => {
                        let method = method(&self.memory, at)?;
                        methods.insert(at, method);
                        method
                    }
                },
            };
            let tls = match tls {
                None => None,
                Some(Tls::Known(tls)) => Some(tls),
                Some(Tls::At(address)) => self.memory.bytes(address, 1)?.map(|byte| byte == [1]),
            };
            *self.counts.entry(Key { method, tls }).or_default() += 1;
        }
        Ok(())
    }

    fn metric(&self) -> Metric {
        let points = self.counts.iter().map(|(key, n)| Point::int(*n, attributes(*key)));
        Metric::up_down_counter(
            "http.server.active_requests",
            "{request}",
            "Number of active HTTP server requests",
            points,
        )
    }
}

fn attributes(key: Key) -> Attributes {
    let method = key.method.map(|method| ("http.request.method", method.into()));
    let scheme = key.tls.map(|tls| ("url.scheme", if tls { "https" } else { "http" }.into()));
    method.into_iter().chain(scheme).collect()
}

/// The method whose text lies there; `None` where it can't be read.
fn method(
    memory: &impl Memory,
    (address, length): (u64, u64),
) -> Result<Option<&'static str>, gomem::Error> {
    if length > MAX_METHOD {
        return Ok(Some(OTHER));
    }
    let text = memory.bytes(address, usize::try_from(length).unwrap_or(0))?;
    let known = |text: Vec<u8>| {
        let found = trace::HTTP_METHODS.iter().find(|method| method.as_bytes() == text);
        found.copied().unwrap_or(OTHER)
    };
    Ok(text.map(known))
}
