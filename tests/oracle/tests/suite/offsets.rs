//! The table of structures that only DWARF describes: against DWARF, and written from it.
//!
//! `scripts/offsets.sh` runs this with `GOTAP_WRITE_OFFSETS` set, which writes the table anew.

use std::collections::HashMap;
use std::fs;

use anyhow::{Context, Result, ensure};
use gotap_testkit::go::{Mode, VERSIONS};
use gotap_testkit::repo_root;

use crate::dwarf::{self, Layout};
use crate::fixture::{Differences, Fixture, each};

const TABLE: &str = "crates/runtime/src/offsets.tsv";

/// Structures of package runtime, and those of others with the package's name, and what is read of them; a structure's
/// size is `size`.
const FIELDS: [(&str, &[&str]); 14] = [
    (
        "schedt",
        &[
            "lock",
            "ngsys",
            "npidle",
            "nmspinning",
            "runqsize",
            "runq.size",
            "gcwaiting",
            "timeToRun",
            "totalMutexWaitTime",
            "stwStoppingTimeGC",
            "stwStoppingTimeOther",
            "stwTotalTimeGC",
            "stwTotalTimeOther",
            "goroutinesCreated",
        ],
    ),
    (
        "mstats",
        &[
            "numgc",
            "numforcedgc",
            "pause_total_ns",
            "pause_ns",
            "pause_end",
            "last_gc_unix",
            "last_gc_nanotime",
            "gc_cpu_fraction",
            "gcPauseDist",
            "heapStats",
        ],
    ),
    (
        "gcControllerState",
        &[
            "gcPercent",
            "memoryLimit",
            "gcPercentHeapGoal",
            "heapLive",
            "heapMarked",
            "heapInUse",
            "heapReleased",
            "heapFree",
            "totalAlloc",
            "totalFree",
            "mappedReady",
            "lastHeapGoal",
            "assistTime",
            "dedicatedMarkTime",
            "fractionalMarkTime",
            "idleMarkTime",
        ],
    ),
    (
        "workType",
        &[
            "cycles",
            "pauseNS",
            "tSweepTerm",
            "tMark",
            "tMarkTerm",
            "tEnd",
            "stwprocs",
            "maxprocs",
            "userForced",
            "heap0",
            "heap1",
            "heap2",
            "heapGoal",
            "goroutineLeak",
        ],
    ),
    ("timeHistogram", &["counts", "underflow", "size"]),
    ("semaRoot", &["treap", "nwait"]),
    ("bucket", &["allnext", "typ", "hash", "objectSize", "nstk", "size"]),
    ("memRecord", &["active", "future"]),
    ("memRecordCycle", &["allocs", "frees", "size"]),
    ("blockRecord", &["count", "cycles"]),
    (
        "heapStatsDelta",
        &[
            "tinyAllocCount",
            "largeAlloc",
            "largeAllocCount",
            "smallAllocCount",
            "largeFree",
            "largeFreeCount",
            "smallFreeCount",
            "size",
        ],
    ),
    ("sync.Mutex", &["sema"]),
    ("sync.RWMutex", &["readerSem", "writerSem"]),
    ("sync.WaitGroup", &["sema"]),
];

type Structs = HashMap<String, Vec<Layout>>;

/// The type of the variable `runtime.work`, which has no name of its own in Go 1.18.
fn unnamed<'s>(structs: &'s Structs, structure: &str) -> Option<&'s Vec<Layout>> {
    let has = |layout: &Layout, name| layout.fields.iter().any(|(field, _)| field == name);
    let is_work = |all: &&Vec<Layout>| {
        all.iter().all(|layout| has(layout, "tSweepTerm") && has(layout, "userForced"))
    };
    (structure == "workType").then(|| structs.values().find(is_work)).flatten()
}

/// What DWARF says of a field; `None` where there is none.
fn truth(structs: &Structs, structure: &str, field: &str) -> Option<u64> {
    // Since Go 1.24 the mutex is that of another package, and since 1.20 a wait group's semaphore has a name.
    let (structure, field) = match (structure, field) {
        ("sync.Mutex", _) if structs.contains_key("internal/sync.Mutex") => {
            ("internal/sync.Mutex", field)
        }
        ("sync.WaitGroup", "sema") if !has_field(structs, structure, field) => {
            (structure, "state2")
        }
        other => other,
    };
    let named = structs.get(structure).or_else(|| structs.get(&format!("runtime.{structure}")));
    let layout = named.or_else(|| unnamed(structs, structure))?.first()?;
    let at = |layout: &Layout, name: &str| {
        layout.fields.iter().find(|(field, _)| field == name).map(|(_, offset)| *offset)
    };
    match field {
        "size" => Some(layout.size),
        // A field of that name.
        "objectSize" => at(layout, "size"),
        "runq.size" => {
            let queue = structs.get("runtime.gQueue")?.first()?;
            Some(at(layout, "runq")? + at(queue, "size")?)
        }
        field => at(layout, field),
    }
}

fn has_field(structs: &Structs, structure: &str, field: &str) -> bool {
    let layouts = structs.get(structure).into_iter().flatten();
    layouts.flat_map(|layout| &layout.fields).any(|(name, _)| name == field)
}

fn rows() -> impl Iterator<Item = (&'static str, &'static str)> {
    FIELDS.into_iter().flat_map(|(name, fields)| fields.iter().map(move |field| (name, *field)))
}

fn cell(value: Option<u64>) -> String {
    value.map_or_else(|| "-".to_owned(), |offset| offset.to_string())
}

#[test]
fn offsets_are_those_of_dwarf() {
    if std::env::var_os("GOTAP_WRITE_OFFSETS").is_some() {
        write().expect("the table is written");
    }
    let readable = |mode| !matches!(mode, Mode::Stripped | Mode::Arm64);
    each("oracle", |_, mode| readable(mode), compare);
}

fn compare(fixture: &Fixture) -> Result<()> {
    let table = fs::read_to_string(repo_root().join(TABLE)).context("read the table")?;
    let minor = fixture.version.minor.to_string();
    let heading: Vec<&str> = table.lines().next().context("a heading")?.split('\t').collect();
    let column = heading.iter().position(|text| *text == minor).context("a column")?;
    let structs = dwarf::structs(&fixture.data)?;
    ensure!(structs.contains_key("runtime.schedt"), "no DWARF of the runtime");
    let mut differences = Differences::default();
    for (structure, field) in rows() {
        let name = format!("{structure}.{field}");
        let line = table.lines().find(|line| line.split('\t').next() == Some(&name));
        let found = line.and_then(|line| line.split('\t').nth(column)).unwrap_or("no line");
        differences.compare(&name, found.to_owned(), cell(truth(&structs, structure, field)));
    }
    differences.finish()
}

fn write() -> Result<()> {
    let mut columns = Vec::new();
    for version in VERSIONS {
        let fixture = Fixture::new("oracle", version, Mode::Plain)?;
        columns.push((version.minor, dwarf::structs(&fixture.data)?));
    }
    let mut out = String::from("field");
    for (minor, _) in &columns {
        out += &format!("\t{minor}");
    }
    out.push('\n');
    for (structure, field) in rows() {
        out += &format!("{structure}.{field}");
        for (_, structs) in &columns {
            out += &format!("\t{}", cell(truth(structs, structure, field)));
        }
        out.push('\n');
    }
    fs::write(repo_root().join(TABLE), out).context("write the table")
}
