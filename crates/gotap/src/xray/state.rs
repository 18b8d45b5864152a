//! What a goroutine does, as a request sees it. Not here: for how long (`times`).

use goruntime::{Goroutine, State};

/// Where a request's time goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Doing {
    /// Go runs it on a thread.
    Cpu,
    /// It could run, and waits for a processor of Go's.
    Runnable,
    /// It waits for a channel.
    Channel,
    /// It waits in a select.
    Select,
    /// It waits for a mutex.
    Mutex,
    /// It waits until a connection, a pipe or the like can be read or written.
    Io,
    /// It is in a system call, or in C code.
    Syscall,
    /// It sleeps.
    Sleep,
    /// It helps the garbage collector, waits for it, or the world is stopped.
    Gc,
    /// It waits for something else, as for a `sync.WaitGroup` or a `sync.Cond`.
    Other,
}

impl Doing {
    /// All of them, in the order in which they are shown.
    pub(crate) const ALL: [Self; 10] = [
        Self::Cpu,
        Self::Runnable,
        Self::Channel,
        Self::Select,
        Self::Mutex,
        Self::Io,
        Self::Syscall,
        Self::Sleep,
        Self::Gc,
        Self::Other,
    ];

    /// Its name in all outputs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Runnable => "runnable",
            Self::Channel => "channel",
            Self::Select => "select",
            Self::Mutex => "mutex",
            Self::Io => "io",
            Self::Syscall => "syscall",
            Self::Sleep => "sleep",
            Self::Gc => "gc",
            Self::Other => "other",
        }
    }

    /// What a goroutine does; `None` if that can't be told. `functions` are those of its stack, the innermost
    /// first.
    pub(crate) fn of<'f>(
        goroutine: &Goroutine,
        reason: Option<&str>,
        stopped: bool,
        functions: impl Iterator<Item = &'f str>,
    ) -> Option<Self> {
        Some(match goroutine.state {
            State::Running | State::Runnable | State::Preempted | State::CopyStack if stopped => {
                Self::Gc
            }
            State::Running | State::CopyStack => Self::Cpu,
            State::Runnable | State::Preempted => Self::Runnable,
            State::Syscall => Self::Syscall,
            State::Waiting | State::Leaked => waits_for(reason?, functions),
            State::Unknown(_) => return None,
        })
    }
}

/// By the runtime's own words (`waitReasonStrings` in `runtime/runtime2.go`).
fn waits_for<'f>(reason: &str, mut functions: impl Iterator<Item = &'f str>) -> Doing {
    let starts = |words: &[&str]| words.iter().any(|word| reason.starts_with(word));
    if starts(&["chan "]) {
        Doing::Channel
    } else if starts(&["select"]) {
        Doing::Select
    } else if starts(&["sync.Mutex", "sync.RWMutex"]) {
        Doing::Mutex
    } else if starts(&["IO wait"]) {
        Doing::Io
    } else if starts(&["sleep"]) {
        Doing::Sleep
    } else if starts(&["GC ", "garbage collection", "stopping the world"])
        || reason.contains("for GC")
        || reason.contains("GC ends")
    {
        Doing::Gc
    } else if starts(&["preempted"]) {
        Doing::Runnable
    } else if starts(&["semacquire"]) {
        // Before Go 1.20 also of mutexes, which the stack shows.
        functions.find_map(behind_semaphore).unwrap_or(Doing::Other)
    } else {
        Doing::Other
    }
}

fn behind_semaphore(function: &str) -> Option<Doing> {
    let of = |names: &[&str]| names.iter().any(|name| function.starts_with(name));
    if of(&["sync.(*Mutex)", "sync.(*RWMutex)", "internal/sync.(*Mutex)"]) {
        Some(Doing::Mutex)
    } else if of(&["internal/poll.(*fdMutex)", "internal/poll.(*FD)"]) {
        Some(Doing::Io)
    } else if of(&["sync.(*WaitGroup)"]) {
        Some(Doing::Other)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(reason: &str, functions: &[&str]) -> Doing {
        waits_for(reason, functions.iter().copied())
    }

    #[test]
    fn reasons_are_those_of_all_versions() {
        for (reason, doing) in [
            ("chan receive", Doing::Channel),
            ("chan send (nil chan)", Doing::Channel),
            ("select (no cases)", Doing::Select),
            ("sync.Mutex.Lock", Doing::Mutex),
            ("sync.RWMutex.RLock", Doing::Mutex),
            ("IO wait", Doing::Io),
            ("sleep", Doing::Sleep),
            ("GC assist wait", Doing::Gc),
            ("wait for GC cycle", Doing::Gc),
            ("wait until GC ends", Doing::Gc),
            ("sync.Cond.Wait", Doing::Other),
            ("sync.WaitGroup.Wait", Doing::Other),
            ("a reason of a later Go", Doing::Other),
        ] {
            assert_eq!(waiting(reason, &[]), doing, "{reason}");
        }
    }

    #[test]
    fn the_stack_tells_what_a_semaphore_stands_for() {
        let runtime = ["runtime.gopark", "runtime.semacquire1", "sync.runtime_SemacquireMutex"];
        let of = |last: &str| waiting("semacquire", &[&runtime[..], &[last]].concat());
        assert_eq!(of("sync.(*Mutex).lockSlow"), Doing::Mutex);
        assert_eq!(of("internal/poll.(*fdMutex).rwlock"), Doing::Io);
        assert_eq!(of("sync.(*WaitGroup).Wait"), Doing::Other);
        assert_eq!(waiting("semacquire", &[]), Doing::Other);
    }
}
