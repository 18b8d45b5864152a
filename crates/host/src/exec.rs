//! Events of processes, decoded.

use zerocopy::FromBytes;

use crate::{DecodeError, raw};

/// What happened to a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When, by the monotonic clock.
    pub time_ns: u64,
    /// When the process was forked, by the same.
    pub start_ns: u64,
    /// Process id.
    pub pid: u32,
    /// Its parent. Of a fork: the process whose program it runs.
    pub ppid: u32,
    /// Its real user.
    pub uid: u32,
    /// Its first thread's name, or that of the thread that is there.
    pub comm: String,
    /// What it was.
    pub what: What,
}

/// The kinds of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// It is new, and runs the program of another one.
    Forked,
    /// It runs a program from now on.
    Exec(Program),
    /// It ended; `None` if the kernel had not yet noted how.
    Ended(Option<Status>),
}

/// A program that is run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Program {
    /// The file. A script's is its interpreter. `None` if it could not be read.
    pub executable: Option<String>,
    /// Its arguments; `None` if they could not be read.
    pub argv: Option<Vec<String>>,
    /// Whether there are more of them.
    pub argv_cut: bool,
    /// The process's cgroup, from the root of its hierarchy on.
    pub cgroup: Option<String>,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// By itself, with this code.
    Code(u8),
    /// Through a signal.
    Signal {
        /// Its number.
        number: u8,
        /// Whether a core was dumped.
        core: bool,
    },
}

impl Status {
    /// From the number that wait(2) gives.
    fn of(code: u32) -> Self {
        // Only the low bytes are used.
        let [low, high, ..] = code.to_le_bytes();
        match low & 0x7f {
            0 => Self::Code(high),
            number => Self::Signal { number, core: low & 0x80 != 0 },
        }
    }
}

/// What the programs count (`enum gt_exec_counter`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Counter {
    /// Forks.
    Forks = 0,
    /// Programs that were run.
    Execs = 1,
    /// Processes that ended.
    Exits = 2,
    /// Forks that did not fit into the ring buffer.
    ForksLost = 3,
    /// Programs that did not.
    ExecsLost = 4,
    /// Ends that did not.
    ExitsLost = 5,
}

/// Decodes a record.
///
/// # Errors
/// [`DecodeError`], if it is none.
pub fn decode(bytes: &[u8]) -> Result<Event, DecodeError> {
    let short = DecodeError::Short(bytes.len());
    let (head, rest) = raw::ExecEvent::read_from_prefix(bytes).map_err(|_| short)?;
    let what = match head.kind {
        raw::EXEC_FORKED => What::Forked,
        raw::EXEC_REPLACED => What::Exec(program(&head, rest).ok_or(short)?),
        raw::EXEC_ENDED if head.flags & raw::EXEC_CODE_UNREAD != 0 => What::Ended(None),
        raw::EXEC_ENDED => What::Ended(Some(Status::of(head.exit_code))),
        other => return Err(DecodeError::Kind(other)),
    };
    Ok(Event {
        time_ns: head.time_ns,
        start_ns: head.start_ns,
        pid: head.pid,
        ppid: head.ppid,
        uid: head.uid,
        comm: crate::comm(&head.comm),
        what,
    })
}

fn program(head: &raw::ExecEvent, rest: &[u8]) -> Option<Program> {
    let (path, rest) = rest.split_at_checked(raw::EXEC_PATH as usize)?;
    let (cgroup, argv) = rest.split_at_checked(raw::EXEC_CGROUP as usize)?;
    let path = path.get(..head.path_len.into())?;
    let cgroup = cgroup.get(..head.cgroup_len.into())?;
    let argv = argv.get(..head.argv_len.into())?;
    let is = |flag: u32| head.flags & flag != 0;
    let executable = (!is(raw::EXEC_PATH_UNREAD)).then(|| {
        let root = if is(raw::EXEC_NO_MOUNT) { "" } else { "/" };
        from_leaf(path, root, is(raw::EXEC_PATH_CUT))
    });
    let cgroup =
        (!is(raw::EXEC_CGROUP_UNREAD)).then(|| from_leaf(cgroup, "/", is(raw::EXEC_CGROUP_CUT)));
    Some(Program {
        executable,
        argv: (!is(raw::EXEC_ARGV_UNREAD)).then(|| arguments(argv)),
        argv_cut: is(raw::EXEC_ARGV_CUT),
        cgroup,
    })
}

/// Names that stand from the leaf to the root, as a path.
fn from_leaf(names: &[u8], root: &str, cut: bool) -> String {
    let mut names: Vec<_> = names.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
    // Behind the last NUL is nothing.
    names.pop();
    names.reverse();
    let start = if cut { "…/" } else { root };
    format!("{start}{}", names.join("/"))
}

/// What is between NULs, as in `/proc/PID/cmdline`.
pub fn arguments(bytes: &[u8]) -> Vec<String> {
    let bytes = bytes.strip_suffix(&[0]).unwrap_or(bytes);
    if bytes.is_empty() {
        return Vec::new();
    }
    bytes.split(|byte| *byte == 0).map(|arg| String::from_utf8_lossy(arg).into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use zerocopy::IntoBytes;

    use super::*;

    fn record(kind: u32, flags: u32, path: &[u8], cgroup: &[u8], argv: &[u8]) -> Vec<u8> {
        let mut comm = [0; 16];
        comm[..2].copy_from_slice(b"sh");
        let len = |part: &[u8]| u16::try_from(part.len()).unwrap();
        let head = raw::ExecEvent {
            kind,
            flags,
            time_ns: 7,
            start_ns: 5,
            pid: 20,
            ppid: 10,
            uid: 1000,
            exit_code: 0x0300,
            path_len: len(path),
            cgroup_len: len(cgroup),
            argv_len: len(argv),
            pad: 0,
            comm,
        };
        let mut out = head.as_bytes().to_vec();
        for (part, size) in [(path, raw::EXEC_PATH), (cgroup, raw::EXEC_CGROUP), (argv, 256)] {
            out.extend(part);
            out.resize(out.len() + size as usize - part.len(), 0xaa);
        }
        out
    }

    #[test]
    fn a_program_is_decoded() {
        let bytes =
            record(1, raw::EXEC_ARGV_CUT, b"sh\0bin\0", b"x.scope\0a.slice\0", b"sh\0-c\0\0tr");
        let event = decode(&bytes).unwrap();
        assert_eq!((event.pid, event.ppid, event.uid, event.comm.as_str()), (20, 10, 1000, "sh"));
        let What::Exec(program) = event.what else { panic!("{event:?}") };
        assert_eq!(program.executable.as_deref(), Some("/bin/sh"));
        assert_eq!(program.cgroup.as_deref(), Some("/a.slice/x.scope"));
        assert_eq!(program.argv.unwrap(), ["sh", "-c", "", "tr"]);
        assert!(program.argv_cut);
    }

    #[test]
    fn what_could_not_be_read_is_missing() {
        let unread = raw::EXEC_ARGV_UNREAD | raw::EXEC_PATH_UNREAD | raw::EXEC_CGROUP_UNREAD;
        let What::Exec(program) = decode(&record(1, unread, b"", b"", b"")).unwrap().what else {
            panic!("a program")
        };
        assert_eq!(program, Program::default());
        let cut = record(1, raw::EXEC_PATH_CUT, b"c\0b\0", b"", b"");
        let What::Exec(program) = decode(&cut).unwrap().what else { panic!("a program") };
        assert_eq!(program.executable.as_deref(), Some("…/b/c"));
        assert_eq!(program.argv, Some(Vec::new()));
        assert_eq!(program.cgroup.as_deref(), Some("/"));
        let unknown = decode(&record(2, raw::EXEC_CODE_UNREAD, b"", b"", b"")).unwrap();
        assert_eq!(unknown.what, What::Ended(None));
    }

    #[test]
    fn ends_are_codes_or_signals() {
        let ended = decode(&record(2, 0, b"", b"", b"")).unwrap();
        assert_eq!(ended.what, What::Ended(Some(Status::Code(3))));
        assert_eq!(Status::of(9), Status::Signal { number: 9, core: false });
        assert_eq!(Status::of(0x8b), Status::Signal { number: 11, core: true });
    }

    proptest! {
        #[test]
        fn no_bytes_panic(kind in 0u32..4, bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            let _ = decode(&bytes);
            let mut known = kind.to_ne_bytes().to_vec();
            known.extend(bytes);
            let _ = decode(&known);
        }
    }
}
