//! Where the runtime's structures and variables are in one program: from type descriptors, anchors
//! and the small table of [`crate::offsets`].

use gobin::{Arch, Binary, Global, Types};

use crate::Error;
use crate::offsets::Offsets;

/// Something that can't be read of this program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// What the user does not see.
    pub what: &'static str,
    /// Why not.
    pub why: String,
}

/// Offsets in `runtime.g`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct G {
    pub(crate) len: usize,
    pub(crate) stack_lo: usize,
    pub(crate) stack_hi: usize,
    pub(crate) sched_sp: usize,
    pub(crate) sched_pc: usize,
    pub(crate) syscall_sp: usize,
    pub(crate) syscall_pc: usize,
    pub(crate) status: usize,
    pub(crate) goid: usize,
    pub(crate) wait_since: usize,
    pub(crate) wait_reason: usize,
    pub(crate) created_at: usize,
    pub(crate) start: usize,
    /// Since Go 1.21.
    pub(crate) parent: Option<usize>,
    pub(crate) waiting: Option<usize>,
    pub(crate) locked: Option<usize>,
    pub(crate) deferred: Option<usize>,
    /// Since Go 1.25: whether a goroutine of the runtime runs the program's cleanups.
    pub(crate) cleanups: Option<usize>,
    /// How often it stopped running, modulo 256.
    pub(crate) stops: Option<usize>,
}

/// Offsets in `runtime.sudog` and `runtime.hchan`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Queues {
    pub(crate) sudog_len: usize,
    pub(crate) g: usize,
    pub(crate) next: usize,
    pub(crate) prev: usize,
    pub(crate) wait_link: usize,
    /// Offset, and whether the pointer is one of two words since Go 1.26.
    pub(crate) element: (usize, bool),
    pub(crate) channel: (usize, bool),
    pub(crate) hchan_len: usize,
    pub(crate) count: usize,
    pub(crate) capacity: usize,
    pub(crate) closed: usize,
    pub(crate) element_type: usize,
    pub(crate) receivers: usize,
    pub(crate) senders: usize,
}

/// Offsets in `runtime._defer`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Defer {
    pub(crate) len: usize,
    pub(crate) sp: usize,
    pub(crate) function: usize,
    pub(crate) link: usize,
    /// Until Go 1.21: whether a panic has begun to run it.
    pub(crate) started: Option<usize>,
}

/// Offsets in `runtime.p` and `runtime.m`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Workers {
    pub(crate) p_len: usize,
    pub(crate) p_id: usize,
    pub(crate) p_status: usize,
    pub(crate) p_tick: usize,
    pub(crate) p_syscall_tick: usize,
    pub(crate) p_m: usize,
    pub(crate) queue_head: usize,
    pub(crate) queue_tail: usize,
    pub(crate) queue_next: usize,
    pub(crate) ids: usize,
    pub(crate) ids_end: usize,
    pub(crate) m_len: usize,
    pub(crate) m_id: usize,
    pub(crate) m_thread: usize,
    pub(crate) m_current: usize,
    pub(crate) m_p: usize,
    pub(crate) m_next: usize,
    pub(crate) m_spinning: usize,
    /// How many signals to preempt its goroutine it has handled.
    pub(crate) m_preempted: Option<usize>,
}

/// Offsets of semaphores in structures of `sync`, by kind of lock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Semaphores {
    pub(crate) mutex: Option<u64>,
    pub(crate) readers: Option<u64>,
    pub(crate) writer: Option<u64>,
    pub(crate) wait_group: Option<u64>,
}

/// What is where in a program. Addresses are those of the file, without the load bias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    pub(crate) arch: Arch,
    pub(crate) g: G,
    pub(crate) queues: Option<Queues>,
    pub(crate) defer: Option<Defer>,
    pub(crate) workers: Option<Workers>,
    pub(crate) semaphores: Semaphores,
    pub(crate) offsets: Offsets,
    globals: Vec<(Global, u64)>,
    /// Address of the field that leads to another module's data, as plugins have it.
    pub(crate) next_module: Option<u64>,
    /// Whether the profiler's cycle stands one bit further up, as since Go 1.19.
    pub(crate) has_cycle_flag: bool,
    missing: Vec<Missing>,
}

impl Layout {
    /// Finds what can be found in `binary`.
    ///
    /// # Errors
    /// [`Error::Layout`] when not even goroutines can be read.
    pub fn new(binary: &Binary<'_>, types: &Types<'_, '_>) -> Result<Self, Error> {
        let g = g(types)?;
        let globals: Vec<_> =
            Global::ALL.iter().filter_map(|g| Some((*g, binary.global(*g)?))).collect();
        let queues = queues(types);
        let workers = workers(types);
        let next_module = types
            .offset("runtime.moduledata", &["next"])
            .and_then(|offset| binary.module().vaddr.checked_add(offset));
        let offsets = Offsets::of(binary.minor().0);
        let semaphores = semaphores(types, offsets);
        let mut out = Self {
            arch: binary.image().arch(),
            g,
            queues,
            defer: defer(types),
            workers,
            semaphores,
            offsets,
            globals,
            next_module,
            has_cycle_flag: binary.minor().0 >= 19,
            missing: Vec::new(),
        };
        out.note_missing(binary);
        out.require(&[Global::Allglen, Global::Allgptr])?;
        Ok(out)
    }

    /// What can't be read of the program, and why.
    pub fn missing(&self) -> &[Missing] {
        &self.missing
    }

    pub(crate) fn global(&self, global: Global) -> Option<u64> {
        self.globals.iter().find(|(g, _)| *g == global).map(|(_, address)| *address)
    }

    fn require(&self, globals: &[Global]) -> Result<(), Error> {
        match globals.iter().find(|g| self.global(**g).is_none()) {
            Some(lost) => {
                Err(Error::Layout(format!("{} was not found in the code", lost.symbol())))
            }
            None => Ok(()),
        }
    }

    fn note_missing(&mut self, binary: &Binary<'_>) {
        let mut out = Vec::new();
        let mut miss = |what, why: String| out.push(Missing { what, why });
        if binary.is_unknown_version() {
            let info = binary.build_info();
            let is_newer = if info.minor().is_some() {
                "is newer than gotap"
            } else {
                "names no version of Go"
            };
            let why = format!(
                "{} {is_newer}: the runtime's counters are read as in Go 1.{}, where that passes its checks",
                info.go_version,
                gobin::GoMinor::NEWEST_KNOWN.0
            );
            miss("certainty about counters", why);
        }
        if self.arch != Arch::Amd64 {
            miss("stacks", "they are read on x86-64 only".to_owned());
        }
        if self.queues.is_none() {
            let why = "the type descriptors of runtime.sudog and runtime.hchan were not found";
            miss("channels", why.to_owned());
        }
        if self.workers.is_none() {
            let why = "the type descriptors of runtime.p and runtime.m were not found";
            miss("the scheduler", why.to_owned());
        }
        if self.g.parent.is_none() {
            miss("parents of goroutines", "the runtime keeps them since Go 1.21".to_owned());
        }
        for (what, needed) in [
            ("wait reasons", &[Global::WaitReasonStrings][..]),
            ("locks", &[Global::Semtable]),
            ("the scheduler", &[Global::Sched, Global::Allp, Global::Allm]),
            ("counters of the garbage collector", &[Global::Memstats, Global::GcController]),
        ] {
            if let Some(lost) = needed.iter().find(|g| self.global(**g).is_none()) {
                miss(what, format!("{} was not found in the code", lost.symbol()));
            }
        }
        self.missing = out;
    }
}

/// Offsets of one structure, as numbers to index with.
struct Fields<'t, 'a, 'd> {
    types: &'t Types<'a, 'd>,
    name: &'static str,
}

impl Fields<'_, '_, '_> {
    fn at(&self, path: &[&str]) -> Option<usize> {
        usize::try_from(self.types.offset(self.name, path)?).ok().filter(|at| *at < MAX_STRUCT)
    }

    fn size(&self) -> Option<usize> {
        usize::try_from(self.types.find_struct(self.name)?.size).ok().filter(|n| *n <= MAX_STRUCT)
    }

    /// A pointer that may be the one or the other of two words.
    fn pointer(&self, field: &str) -> Option<(usize, bool)> {
        Some((self.at(&[field])?, self.types.field_type(self.name, field)?.size == 16))
    }
}

/// A larger structure is not read.
const MAX_STRUCT: usize = 64 << 10;

fn g(types: &Types<'_, '_>) -> Result<G, Error> {
    let fields = Fields { types, name: "runtime.g" };
    if types.find_struct("runtime.g").is_none() {
        let why = "the type descriptor of runtime.g was not found; was the program obfuscated?";
        return Err(Error::Layout(why.to_owned()));
    }
    let need = |path: &[&str]| {
        fields.at(path).ok_or_else(|| Error::Layout(format!("runtime.g has no {}", path.join("."))))
    };
    let mut out = G {
        len: 0,
        stack_lo: need(&["stack", "lo"])?,
        stack_hi: need(&["stack", "hi"])?,
        sched_sp: need(&["sched", "sp"])?,
        sched_pc: need(&["sched", "pc"])?,
        syscall_sp: need(&["syscallsp"])?,
        syscall_pc: need(&["syscallpc"])?,
        status: need(&["atomicstatus"])?,
        goid: need(&["goid"])?,
        wait_since: need(&["waitsince"])?,
        wait_reason: need(&["waitreason"])?,
        created_at: need(&["gopc"])?,
        start: need(&["startpc"])?,
        parent: fields.at(&["parentGoid"]),
        waiting: fields.at(&["waiting"]),
        locked: fields.at(&["lockedm"]),
        deferred: fields.at(&["_defer"]),
        cleanups: fields.at(&["runningCleanups"]),
        stops: fields.at(&["trackingSeq"]),
    };
    let ends = [
        out.stack_hi,
        out.sched_pc,
        out.sched_sp,
        out.syscall_pc,
        out.syscall_sp,
        out.status,
        out.goid,
        out.wait_since,
        out.wait_reason,
        out.created_at,
        out.start,
    ];
    let optional = [out.parent, out.waiting, out.locked, out.deferred, out.cleanups, out.stops];
    let last = ends.into_iter().chain(optional.into_iter().flatten()).max().unwrap_or(0);
    out.len = last + 8;
    Ok(out)
}

fn queues(types: &Types<'_, '_>) -> Option<Queues> {
    let sudog = Fields { types, name: "runtime.sudog" };
    let hchan = Fields { types, name: "runtime.hchan" };
    Some(Queues {
        sudog_len: sudog.size()?,
        g: sudog.at(&["g"])?,
        next: sudog.at(&["next"])?,
        prev: sudog.at(&["prev"])?,
        wait_link: sudog.at(&["waitlink"])?,
        element: sudog.pointer("elem")?,
        channel: sudog.pointer("c")?,
        hchan_len: hchan.size()?,
        count: hchan.at(&["qcount"])?,
        capacity: hchan.at(&["dataqsiz"])?,
        closed: hchan.at(&["closed"])?,
        element_type: hchan.at(&["elemtype"])?,
        receivers: hchan.at(&["recvq", "first"])?,
        senders: hchan.at(&["sendq", "first"])?,
    })
}

/// Programs whose locks are all variables of packages have no descriptors of their types.
fn semaphores(types: &Types<'_, '_>, offsets: Offsets) -> Semaphores {
    let at = |structure: &str, field: &str| {
        let described = types.offset(structure, &[field]);
        described.or_else(|| offsets.get(&format!("{structure}.{field}")))
    };
    Semaphores {
        mutex: types.offset("internal/sync.Mutex", &["sema"]).or_else(|| at("sync.Mutex", "sema")),
        readers: at("sync.RWMutex", "readerSem"),
        writer: at("sync.RWMutex", "writerSem"),
        wait_group: at("sync.WaitGroup", "sema"),
    }
}

fn defer(types: &Types<'_, '_>) -> Option<Defer> {
    let fields = Fields { types, name: "runtime._defer" };
    Some(Defer {
        len: fields.size()?,
        sp: fields.at(&["sp"])?,
        function: fields.at(&["fn"])?,
        link: fields.at(&["link"])?,
        started: fields.at(&["started"]),
    })
}

fn workers(types: &Types<'_, '_>) -> Option<Workers> {
    let p = Fields { types, name: "runtime.p" };
    let m = Fields { types, name: "runtime.m" };
    let mut out = Workers {
        p_len: 0,
        p_id: p.at(&["id"])?,
        p_status: p.at(&["status"])?,
        p_tick: p.at(&["schedtick"])?,
        p_syscall_tick: p.at(&["syscalltick"])?,
        p_m: p.at(&["m"])?,
        queue_head: p.at(&["runqhead"])?,
        queue_tail: p.at(&["runqtail"])?,
        queue_next: p.at(&["runnext"])?,
        ids: p.at(&["goidcache"])?,
        ids_end: p.at(&["goidcacheend"])?,
        m_len: 0,
        m_id: m.at(&["id"])?,
        m_thread: m.at(&["procid"])?,
        m_current: m.at(&["curg"])?,
        m_p: m.at(&["p"])?,
        m_next: m.at(&["alllink"])?,
        m_spinning: m.at(&["spinning"])?,
        m_preempted: m.at(&["preemptGen"]),
    };
    let p_last = [out.p_status, out.p_tick, out.p_m, out.queue_next, out.ids, out.ids_end];
    out.p_len = p_last.into_iter().chain([out.queue_head, out.queue_tail]).max()? + 8;
    let m_last = [out.m_id, out.m_thread, out.m_current, out.m_p, out.m_next, out.m_spinning];
    out.m_len = m_last.into_iter().chain(out.m_preempted).max()? + 8;
    Some(out)
}
