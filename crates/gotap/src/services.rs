//! What processes of any language are called: what they declare their service to be, or else their
//! executable's name. For Go programs `resource` knows more.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use goproc::Process;

use crate::resource;

/// Names that are kept. When it is full all are forgotten: those of processes that run are found again.
const MAX: usize = 8192;

/// How long a name is taken as that of the process: it may run another program, and ids are used again.
const FRESH: Duration = Duration::from_secs(1);

/// Names by process.
#[derive(Default)]
pub(crate) struct Services {
    names: HashMap<u32, Kept>,
    /// Processes that had ended before their name could be read.
    pub(crate) unknown: u64,
}

struct Kept {
    name: Option<String>,
    /// With the id it names a process for good.
    started: Option<u64>,
    comm: String,
    at: Instant,
}

impl Services {
    /// The name of a process. `comm` is the kernel's name of it when something happened: if it has
    /// another one by now, it runs another program, or is another process.
    pub(crate) fn name(&mut self, pid: u32, comm: Option<&str>) -> Option<String> {
        let process = Process { pid };
        if let Some(kept) = self.names.get_mut(&pid)
            && comm.is_none_or(|comm| comm == kept.comm)
        {
            if kept.at.elapsed() > FRESH {
                let started = process.start_time();
                // One that has ended keeps its name for the events that come yet.
                if started.is_some() && started != kept.started {
                    self.names.remove(&pid);
                    return self.name(pid, comm);
                }
                kept.at = Instant::now();
            }
            return kept.name.clone().or_else(|| comm.map(str::to_owned));
        }
        let started = process.start_time();
        let now = process.name();
        let same = started.is_some() && (comm.is_none() || now.as_deref() == comm);
        if !same {
            self.unknown += 1;
            return comm.map(str::to_owned);
        }
        let path = process.executable_path().ok();
        let name = path.map(|path| resource::service_of(process, "", &path));
        if self.names.len() >= MAX {
            self.names.clear();
        }
        let comm_now = now.unwrap_or_default();
        let kept = Kept { name: name.clone(), started, comm: comm_now, at: Instant::now() };
        self.names.insert(pid, kept);
        name.or_else(|| comm.map(str::to_owned))
    }
}
