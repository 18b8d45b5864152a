//! A timeline in Chrome's trace-event format, which Perfetto opens: processors, threads and goroutines are
//! groups of tracks.
//!
//! Slices are complete events, which need no partner; a track's are in order and do not overlap.

use std::io::{self, Write};

use goruntime::runs::{Doing, Slice, Track};
use serde_json::{Value, json};

use super::Recorded;

/// Writes the file.
pub(super) fn write(recorded: &Recorded<'_, '_, '_>, to: &mut dyn Write) -> io::Result<()> {
    let about = json!({
        "resolution": recorded.resolution(),
        "pid": recorded.target.process.pid,
        "service": recorded.target.service,
        "goVersion": recorded.target.binary.build_info().go_version,
        "startUnixNano": recorded.began_unix,
        "processors": recorded.processors(),
        "slicesLeftOut": recorded.timeline.left_out,
    });
    writeln!(to, "{{\"displayTimeUnit\":\"ns\",\"otherData\":{about},\"traceEvents\":[")?;
    let mut first = true;
    let mut put = |event: Value| {
        let comma = if std::mem::take(&mut first) { "" } else { ",\n" };
        write!(to, "{comma}{event}")
    };
    let of = format!("{}[{}]", recorded.target.service, recorded.target.process.pid);
    for (group, name) in [(1, "processors (P)"), (2, "threads (M)"), (3, "goroutines (G)")] {
        let args = json!({"name": format!("{name} of {of}")});
        put(json!({"ph": "M", "name": "process_name", "pid": group, "args": args}))?;
        let args = json!({"sort_index": group});
        put(json!({"ph": "M", "name": "process_sort_index", "pid": group, "args": args}))?;
    }
    for slice in recorded.tracks(|_| true) {
        let (group, number) = place(slice.track);
        let args = json!({"name": title(recorded, slice)});
        let name = "thread_name";
        put(json!({"ph": "M", "name": name, "pid": group, "tid": number, "args": args}))?;
    }
    for slice in &recorded.timeline.slices {
        put(event(recorded, slice))?;
    }
    for (at, queued) in &recorded.timeline.queued {
        let (name, args) = ("goroutines in queues of processors", json!({"queued": queued}));
        put(json!({"ph": "C", "name": name, "pid": 1, "ts": micros(*at), "args": args}))?;
    }
    writeln!(to, "\n]}}")
}

/// Group and number of a track.
fn place(track: Track) -> (u32, u64) {
    match track {
        Track::Processor(id) => (1, u64::try_from(id).unwrap_or(0)),
        Track::Thread(id) => (2, id),
        Track::Goroutine(goid) => (3, goid),
    }
}

/// The name of the track that a slice is on.
fn title(recorded: &Recorded<'_, '_, '_>, slice: &Slice) -> String {
    match (slice.track, slice.doing) {
        (Track::Processor(id), _) => format!("P {id}"),
        (Track::Thread(id), _) => format!("thread {id}"),
        (Track::Goroutine(goid), Doing::Goroutine(running)) => {
            format!("goroutine {goid} {}", recorded.name(running.start))
        }
        (Track::Goroutine(goid), _) => format!("goroutine {goid}"),
    }
}

fn event(recorded: &Recorded<'_, '_, '_>, slice: &Slice) -> Value {
    let (group, number) = place(slice.track);
    let mut args = json!({"samples": slice.samples});
    if let Some(processor) = slice.processor {
        args["processor"] = processor.into();
    }
    let (name, category) = match slice.doing {
        Doing::Goroutine(running) => {
            args["goid"] = running.goid.into();
            let name = recorded.name(running.start);
            match running.in_syscall {
                true => (format!("{name} (system call)"), "syscall"),
                false => (name, "running"),
            }
        }
        Doing::Working => ("(goroutine not known)".to_owned(), "running"),
        Doing::Syscall => ("(system call)".to_owned(), "syscall"),
        Doing::Stopped => ("(stopped for the garbage collector)".to_owned(), "gc"),
    };
    json!({
        "ph": "X",
        "name": name,
        "cat": category,
        "pid": group,
        "tid": number,
        "ts": micros(slice.start),
        "dur": micros(slice.end - slice.start),
        "args": args,
    })
}

/// The format's unit.
fn micros(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e3
}
