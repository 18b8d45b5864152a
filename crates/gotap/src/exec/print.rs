//! Programs that start and end, and their summary, as text or JSON.

use std::io::{self, Write};
use std::time::Duration;

use host::container;
use host::exec::{Event, Program, Status, What};
use host::mask::Masker;
use host::processes::Known;
use probes::host::Lost;
use serde_json::{Value, json};

use crate::output::text::{clock, duration, printable};
use crate::output::{losses, note};

/// Digits of a container's id in text, as its runtime shows them.
const SHORT_ID: usize = 12;

/// What was printed.
#[derive(Debug, Default)]
pub(super) struct Tally {
    execs: u64,
    exits: u64,
    /// Ends with another code than 0, or through a signal.
    failed: u64,
    argv_unread: u64,
    argv_cut: u64,
    /// Processes that were too many to be remembered.
    pub(super) not_remembered: u64,
    /// Records that could not be understood.
    pub(super) invalid: u64,
}

impl Tally {
    pub(super) fn add(&mut self, event: &Event) {
        match &event.what {
            What::Forked => {}
            What::Exec(program) => {
                self.execs += 1;
                self.argv_unread += u64::from(program.argv.is_none());
                self.argv_cut += u64::from(program.argv_cut);
            }
            What::Ended(status) => {
                self.exits += 1;
                let failed = status.is_some_and(|status| status != Status::Code(0));
                self.failed += u64::from(failed);
            }
        }
    }
}

/// Prints to `output`.
pub(super) struct Printer<W> {
    pub(super) output: W,
    json: bool,
    masker: Masker,
}

impl<W: Write> Printer<W> {
    pub(super) fn new(output: W, json: bool, masker: Masker) -> Self {
        Self { output, json, masker }
    }

    /// Prints one event. `offset` leads from its clock to nanoseconds since 1970.
    pub(super) fn event(
        &mut self,
        event: &Event,
        known: Option<&Known>,
        offset: u64,
    ) -> io::Result<()> {
        let time = event.time_ns.wrapping_add(offset);
        let program = known.map(|known| &*known.program);
        if self.json {
            return writeln!(self.output, "{}", self.to_json(event, program, time));
        }
        let path = program.and_then(|program| program.executable.as_deref());
        let file = path.and_then(|path| path.rsplit('/').next()).unwrap_or(&event.comm);
        let who = format!("{}[{}]", printable(file), event.pid);
        let rest = match &event.what {
            What::Forked => return Ok(()),
            What::Exec(program) => {
                format!("by {} uid {}  {}", event.ppid, event.uid, self.command(program))
            }
            What::Ended(status) => {
                let lived = duration(event.time_ns.saturating_sub(event.start_ns));
                format!("{} after {lived}", ended(*status))
            }
        };
        let word = if matches!(event.what, What::Exec(_)) { "exec" } else { "exit" };
        let container = program.and_then(|p| container::of_cgroup(p.cgroup.as_deref()?));
        let container = container.map(|c| format!("  container={}", &c.id[..SHORT_ID]));
        let container = container.unwrap_or_default();
        writeln!(self.output, "{}  {word}  {who}  {rest}{container}", clock(time))
    }

    /// The command line for people: in quotes where a shell would need them.
    fn command(&self, program: &Program) -> String {
        let path = || program.executable.as_deref().unwrap_or("(unknown program)");
        let Some(argv) = &program.argv else {
            return format!("{} (arguments could not be read)", printable(path()));
        };
        let mut words: Vec<String> = self.masker.argv(argv).iter().map(|arg| quoted(arg)).collect();
        if words.is_empty() {
            words.push(printable(path()));
        }
        if program.argv_cut {
            words.push("…".to_owned());
        }
        words.join(" ")
    }

    fn to_json(&self, event: &Event, program: Option<&Program>, time: u64) -> Value {
        let is_exec = matches!(event.what, What::Exec(_));
        let status = match event.what {
            What::Ended(status) => status,
            _ => None,
        };
        let (code, signal, core) = match status {
            Some(Status::Code(code)) => (Some(code), None, None),
            Some(Status::Signal { number, core }) => (None, Some(number), Some(core)),
            None => (None, None, None),
        };
        let lifetime = event.time_ns.saturating_sub(event.start_ns);
        let cgroup = program.and_then(|program| program.cgroup.as_deref());
        let container = cgroup.and_then(container::of_cgroup);
        let argv = program.and_then(|program| program.argv.as_ref());
        json!({
            "event": if is_exec { "exec" } else { "exit" },
            "pid": event.pid,
            "ppid": event.ppid,
            "uid": event.uid,
            "name": event.comm,
            "executable": program.and_then(|program| program.executable.as_deref()),
            "argv": argv.map(|argv| self.masker.argv(argv)),
            "argvTruncated": program.map(|program| program.argv_cut),
            "timeUnixNano": time,
            "exitCode": code,
            "signal": signal,
            "coreDumped": core,
            "lifetimeNanos": (!is_exec).then_some(lifetime),
            "cgroup": cgroup,
            "container": container.as_ref().map(|container| &container.id),
            "containerRuntime": container.as_ref().and_then(|container| container.runtime),
        })
    }

    /// Prints what all of them add up to: as the last line of JSON, else on standard error.
    pub(super) fn summary(
        &mut self,
        tally: &Tally,
        counts: &Lost,
        elapsed: Duration,
    ) -> io::Result<()> {
        let lost = [
            (
                "execsRingFull",
                counts.execs_lost,
                "programs have no event, as the ring buffer was full",
            ),
            ("exitsRingFull", counts.exits_lost, "ends have no event, as the ring buffer was full"),
            (
                "forksRingFull",
                counts.forks_lost,
                "forks were not seen, as the ring buffer was full",
            ),
            ("notRun", counts.not_run, "events were left out by the kernel"),
            (
                "argvUnread",
                tally.argv_unread,
                "programs have no arguments, which could not be read",
            ),
            (
                "notRemembered",
                tally.not_remembered,
                "processes were not remembered, as there are too many",
            ),
            ("invalid", tally.invalid, "events could not be understood"),
        ];
        if self.json {
            let summary = json!({
                "seconds": elapsed.as_secs_f64(),
                "execs": tally.execs,
                "exits": tally.exits,
                "failed": tally.failed,
                "argvTruncated": tally.argv_cut,
                "hostExecs": counts.execs,
                "hostExits": counts.exits,
                "lost": losses::to_json(&lost),
            });
            return writeln!(self.output, "{}", json!({ "summary": summary }));
        }
        self.output.flush()?;
        let none = losses::say(&lost);
        note(format!(
            "{} programs run and {} processes ended, {} of them not with 0{none}; on the whole \
             host {} and {}",
            tally.execs, tally.exits, tally.failed, counts.execs, counts.exits
        ));
        Ok(())
    }
}

fn ended(status: Option<Status>) -> String {
    match status {
        Some(Status::Code(code)) => format!("code {code}"),
        Some(Status::Signal { number, core }) => {
            let core = if core { ", core dumped" } else { "" };
            format!("{}{core}", signal(number))
        }
        None => "for an unknown reason".to_owned(),
    }
}

/// Names of the signals that end processes.
fn signal(number: u8) -> String {
    let name = match number {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        10 => "SIGUSR1",
        11 => "SIGSEGV",
        12 => "SIGUSR2",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        31 => "SIGSYS",
        other => return format!("signal {other}"),
    };
    name.to_owned()
}

fn quoted(argument: &str) -> String {
    let text = printable(argument);
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:=@%+,*~^".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text;
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_quoted_where_a_shell_needs_it() {
        assert_eq!(quoted("--a=b/c"), "--a=b/c");
        assert_eq!(quoted(""), "''");
        assert_eq!(quoted("it's\u{1b}[2J"), "'it'\\''s\u{fffd}[2J'");
    }
}
