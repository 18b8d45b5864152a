//! A log record for each program that starts or ends. Not here: what is counted of them.

use std::sync::Arc;

use host::container;
use host::exec::{Event, Program, Status, What};
use host::mask::Masker;
use trace::{LogRecord, Resource, Value};

/// The record of an event; none of a process that was only forked. `offset` leads from the event's clock to nanoseconds
/// since 1970.
pub(super) fn record(
    event: &Event,
    program: Option<&Program>,
    masker: &Masker,
    offset: u64,
    resource: &Arc<Resource>,
) -> Option<LogRecord> {
    let event_name = match event.what {
        What::Forked => return None,
        What::Exec(_) => "process.exec",
        What::Ended(_) => "process.exit",
    };
    let time = event.time_ns.wrapping_add(offset);
    Some(LogRecord {
        time_unix_nano: time,
        observed_unix_nano: crate::opened::unix_nanoseconds(),
        severity: None,
        event_name,
        body: None,
        stream: None,
        added: attributes(event, program, masker).into(),
        span: None,
        resource: resource.clone(),
    })
}

/// By the conventions where they have a name for it. What could not be read is missing.
fn attributes(
    event: &Event,
    program: Option<&Program>,
    masker: &Masker,
) -> Vec<(&'static str, Value)> {
    let text = |text: &str| Value::Text(text.into());
    let int = |n: u64| Value::Int(i64::try_from(n).unwrap_or(i64::MAX));
    let mut out = vec![
        ("process.pid", int(event.pid.into())),
        ("process.parent_pid", int(event.ppid.into())),
        ("process.real_user.id", int(event.uid.into())),
    ];
    if let Some(path) = program.and_then(|program| program.executable.as_deref()) {
        let name = path.rsplit('/').next().unwrap_or(path);
        out.extend([
            ("process.executable.path", text(path)),
            ("process.executable.name", text(name)),
        ]);
    } else {
        out.push(("process.executable.name", text(&event.comm)));
    }
    if let What::Exec(program) = &event.what
        && let Some(argv) = &program.argv
    {
        let words: Vec<_> = masker.argv(argv).iter().map(|word| word.as_str().into()).collect();
        out.push(("process.command_args", Value::Texts(words.into())));
        if program.argv_cut {
            out.push(("gotap.process.command_args_cut", Value::Int(1)));
        }
    }
    if let What::Ended(status) = event.what {
        match status {
            Some(Status::Code(code)) => out.push(("process.exit.code", Value::Int(code.into()))),
            Some(Status::Signal { number, .. }) => {
                out.push(("gotap.process.exit.signal", Value::Int(number.into())));
            }
            None => {}
        }
        let lived = event.time_ns.saturating_sub(event.start_ns);
        out.push(("gotap.process.lifetime_ns", int(lived)));
    }
    let cgroup = program.and_then(|program| program.cgroup.as_deref());
    if let Some(container) = cgroup.and_then(container::of_cgroup) {
        out.push(("container.id", text(&container.id)));
    }
    out
}
