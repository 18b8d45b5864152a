//! The commands that look into Go's runtime, and what a program says itself of what they give: what it says before and
//! after a command are the bounds of each number.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use gotap_e2e::goroutines::RuntimeApp;
use gotap_e2e::{LOADING, SOON, binary};
use gotap_testkit::go::Version;
use gotap_testkit::process::Running;
use serde_json::{Value, json};
use tempfile::TempDir;

/// How many processors the programs have.
const PROCESSORS: f64 = 3.0;

/// A command.
pub(super) struct Command {
    pub(super) name: &'static str,
    /// `PID` and `FILE` stand for themselves.
    arguments: &'static [&'static str],
    /// Whether it goes on until it is stopped.
    follows: bool,
    bounds: fn(&Said) -> Vec<Bound>,
}

pub(super) const COMMANDS: [Command; 9] = [
    Command {
        name: "goroutines",
        arguments: &["goroutines", "PID", "--all"],
        follows: false,
        bounds: goroutines,
    },
    Command { name: "chan", arguments: &["chan", "PID"], follows: false, bounds: chan },
    Command { name: "gc", arguments: &["gc", "PID"], follows: false, bounds: gc },
    Command {
        name: "sched",
        arguments: &["sched", "PID", "-d", "300ms"],
        follows: false,
        bounds: sched,
    },
    Command { name: "alloc", arguments: &["alloc", "PID"], follows: false, bounds: alloc },
    Command {
        name: "alloc -d",
        arguments: &["alloc", "PID", "-d", "500ms", "--sampled"],
        follows: false,
        bounds: alloc_meanwhile,
    },
    Command {
        name: "gc --follow",
        arguments: &["gc", "PID", "--follow"],
        follows: true,
        bounds: followed,
    },
    Command {
        name: "trace goroutines",
        arguments: &["trace", "goroutines", "--pid", "PID"],
        follows: true,
        bounds: tracked,
    },
    // Last: by now a part of the recorder's window is complete.
    Command {
        name: "flight",
        arguments: &["flight", "PID", "-o", "FILE"],
        follows: false,
        bounds: flight,
    },
];

/// A number of a command, and what it may be.
struct Bound {
    what: &'static str,
    ours: Value,
    least: f64,
    most: f64,
}

/// What came of a command.
pub(super) struct Said {
    pub(super) code: Option<i32>,
    lines: Vec<String>,
    errors: Vec<String>,
    /// What the program said before the command, after it, and twice while it ran if it follows.
    before: Value,
    after: Value,
    meanwhile: Option<[Value; 2]>,
    /// What is in the file that it wrote.
    file: Option<Vec<u8>>,
    threads: usize,
}

/// Starts a program with goroutines that wait in every way, others that leak, and a flight recorder where Go has some.
pub(super) fn start(program: &Path, version: Version) -> Result<RuntimeApp> {
    let mut arguments = vec!["-goroutines", "100", "-leak", "20"];
    if version.minor >= 25 {
        arguments.extend(["-flight", "-"]);
    }
    let processors = PROCESSORS.to_string();
    RuntimeApp::start(program, &arguments, &[("GOMAXPROCS", processors.as_str())])
}

/// Runs a command.
pub(super) fn ask(app: &mut RuntimeApp, command: &Command) -> Result<Said> {
    let folder = TempDir::new().context("create a folder")?;
    let file = folder.path().join("out");
    let (pid, name) = (app.process.pid().to_string(), file.to_string_lossy().into_owned());
    let given = command.arguments.iter().map(|argument| match *argument {
        "PID" => pid.as_str(),
        "FILE" => name.as_str(),
        other => other,
    });
    let arguments: Vec<&str> = given.chain(["--format", "json"]).collect();
    let before = app.report()?;
    let mut gotap = Running::start(binary(), &arguments, &[])?;
    // It may refuse.
    let ready = command.follows && gotap.wait_for_error("gotap: ", LOADING)?.contains("ready");
    let meanwhile = match ready {
        true => {
            let first = app.report()?;
            std::thread::sleep(Duration::from_secs(1));
            let both = [first, app.report()?];
            gotap.signal(libc::SIGINT)?;
            Some(both)
        }
        false => None,
    };
    let status = gotap.wait(SOON)?;
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).context("its threads")?.count();
    Ok(Said {
        code: status.code(),
        lines: gotap.stdout(),
        errors: gotap.stderr(),
        before,
        after: app.report()?,
        meanwhile,
        file: std::fs::read(file).ok(),
        threads,
    })
}

impl Said {
    /// Fails unless it is one sentence with these words, and nothing else.
    pub(super) fn is_refusal(&self, words: &str) -> Result<()> {
        let errors = self.errors.join("\n");
        ensure!(self.code == Some(1), "{:?}: {errors} {:?}", self.code, self.lines);
        ensure!(self.lines.is_empty() && self.file.is_none(), "{:?}", self.lines);
        ensure!(self.errors.len() == 1 && errors.starts_with("gotap: "), "{errors}");
        ensure!(errors.contains(words) && !errors.contains("panicked"), "no {words} in {errors}");
        Ok(())
    }

    /// Fails unless it succeeded.
    pub(super) fn is_result(&self) -> Result<()> {
        let errors: Vec<_> = self.errors.iter().filter(|e| !e.contains("gotap: ready")).collect();
        ensure!(self.code == Some(0) && errors.is_empty(), "{:?}: {errors:?}", self.code);
        Ok(())
    }

    /// The last line.
    fn object(&self) -> Value {
        self.lines.last().and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default()
    }

    /// Compares all numbers; gives those that are not known, for which there must be a reason.
    pub(super) fn compare(&self, command: &Command) -> Result<Vec<&'static str>> {
        let (object, mut unknown) = (self.object(), Vec::new());
        ensure!(object.is_object(), "{:?}", self.lines);
        for Bound { what, ours, least, most } in (command.bounds)(self) {
            match ours.as_f64() {
                None if ours.is_null() => unknown.push(what),
                Some(n) if n >= least && n <= most => {}
                _ => anyhow::bail!("{what} is {ours} and not between {least} and {most}: {object}"),
            }
        }
        let reasons = ["missing", "notes"].iter().filter_map(|key| object[key].as_array());
        ensure!(unknown.is_empty() || reasons.flatten().count() > 0, "{unknown:?}: {object}");
        Ok(unknown)
    }

    /// Fails unless the output of this command says that these are missing.
    pub(super) fn lacks(&self, command: &Command, all: &[(&str, &[&str])]) -> Result<()> {
        let object = self.object();
        let missing = object["missing"].as_array().map(Vec::as_slice).unwrap_or_default();
        for (what, _) in all.iter().filter(|(_, commands)| commands.contains(&command.name)) {
            ensure!(missing.iter().any(|one| one["what"] == *what), "no {what}: {object}");
        }
        Ok(())
    }

    /// A number that the program says before and after, and by how much ours may lie outside.
    fn between(&self, what: &'static str, ours: Value, path: &str, slack: f64) -> Option<Bound> {
        let [a, b] = [&self.before, &self.after].map(|report| report.pointer(path)?.as_f64());
        let (a, b) = (a?, b?);
        Some(Bound { what, ours, least: a.min(b) - slack, most: a.max(b) + slack })
    }

    fn number(&self, report: &Value, path: &str) -> f64 {
        report.pointer(path).and_then(Value::as_f64).unwrap_or(f64::NAN)
    }

    /// By how much a number of the program went up between the first and the last report.
    fn grown(&self, path: &str) -> f64 {
        self.number(&self.after, path) - self.number(&self.before, path)
    }

    /// The same between the two while the command ran.
    fn grown_meanwhile(&self, path: &str) -> f64 {
        let [first, last] = self.meanwhile.as_ref().map_or([f64::NAN; 2], |both| {
            [&both[0], &both[1]].map(|report| self.number(report, path))
        });
        last - first
    }
}

fn exactly(what: &'static str, ours: Value, truth: f64) -> Bound {
    Bound { what, ours, least: truth, most: truth }
}

fn goroutines(said: &Said) -> Vec<Bound> {
    let object = said.object();
    let count = object["count"].as_f64().unwrap_or(f64::NAN);
    let sum = |key: &str| -> Value {
        let all = object[key].as_array();
        all.map_or(Value::Null, |all| {
            json!(all.iter().filter_map(|g| g["count"].as_u64()).sum::<u64>())
        })
    };
    let listed = object["goroutines"].as_array().map(Vec::len);
    let mut out = vec![
        exactly("the sum of groups", sum("groups"), count),
        exactly("listed goroutines", json!(listed), count),
    ];
    out.extend(said.between("count", object["count"].clone(), "/goroutines", 1.0));
    out
}

fn chan(said: &Said) -> Vec<Bound> {
    let object = said.object();
    let find = |list: &str, fact: &str| -> Value {
        let Some(all) = object[list].as_array() else { return Value::Null };
        let found = all.iter().find(|one| one["address"] == said.before["facts"][fact]);
        found.cloned().unwrap_or_else(|| json!({"len": "it is not listed"}))
    };
    let len = |value: &Value| value.as_array().map_or(Value::Null, |all| json!(all.len()));
    let (full, mutex) = (find("channels", "full"), find("mutexes", "mutex"));
    vec![
        exactly("elements of a channel", full["len"].clone(), 2.0),
        exactly("senders of a channel", len(&full["senders"]), 4.0),
        exactly("who waits for a mutex", len(&mutex["waiters"]), 4.0),
    ]
}

fn gc(said: &Said) -> Vec<Bound> {
    /// What changes while nobody collects, by so much at most.
    const SOME: f64 = 4e6;
    let object = said.object();
    let of = |key: &str| object[key].clone();
    let nanoseconds = object["pauseTotalSeconds"].as_f64().map_or(Value::Null, |s| json!(s * 1e9));
    let all = [
        said.between("collections", of("collections"), "/memory/NumGC", 0.0),
        said.between("forced", of("forcedCollections"), "/memory/NumForcedGC", 0.0),
        said.between("pauses", nanoseconds, "/memory/PauseTotalNs", 1.0),
        said.between("last", of("lastCollectionUnixNano"), "/memory/LastGC", 0.0),
        said.between("goal", of("heapGoalBytes"), "/memory/NextGC", 0.0),
        said.between("allocated", of("allocatedBytes"), "/memory/TotalAlloc", SOME),
        said.between("live", of("heapMarkedBytes"), "/numbers/~1gc~1heap~1live:bytes", 0.0),
        said.between("percent", of("gcPercent"), "/numbers/~1gc~1gogc:percent", 0.0),
    ];
    // A collection meanwhile makes others of these, which need not lie between those before and after.
    let collections = |report: &Value| said.number(report, "/memory/NumGC");
    let is_quiet = collections(&said.before) == collections(&said.after);
    let all = all.into_iter().flatten();
    let all = all.filter(|bound| is_quiet || !["goal", "live"].contains(&bound.what));
    let mut out: Vec<Bound> = all.collect();
    // What is ready to be used is a part of all that is mapped.
    let total = said.number(&said.after, "/numbers/~1memory~1classes~1total:bytes");
    out.push(Bound { what: "mapped", ours: of("mappedBytes"), least: 1e6, most: total });
    out.push(Bound { what: "released", ours: of("heapReleasedBytes"), least: 0.0, most: total });
    out
}

fn sched(said: &Said) -> Vec<Bound> {
    let object = said.object();
    let of = |key: &str| object[key].clone();
    let processors = object["processors"].as_array().map(Vec::len);
    let created = "/numbers/~1sched~1goroutines-created:goroutines";
    let created = said.between("created", of("goroutinesCreated"), created, 16.0);
    let others = said.number(&said.after, "/goroutines") + 300.0;
    let leaked = [&said.before, &said.after].map(|report| said.number(report, "/counted/leaked"));
    vec![
        exactly("GOMAXPROCS", of("maxProcessors"), PROCESSORS),
        exactly("processors", json!(processors), PROCESSORS),
        Bound { what: "threads", ours: of("threads"), least: 2.0, most: said.threads as f64 + 2.0 },
        Bound { what: "queued", ours: of("queued"), least: 0.0, most: 100.0 },
        Bound { what: "use", ours: of("utilization"), least: 0.0, most: 0.95 },
        Bound {
            what: "latencies",
            ours: object["schedulingLatency"]["count"].clone(),
            least: 0.0,
            most: 1e6,
        },
        created.unwrap_or(Bound {
            what: "created",
            ours: of("goroutinesCreated"),
            least: leaked[0],
            most: leaked[1] + others,
        }),
    ]
}

fn alloc(said: &Said) -> Vec<Bound> {
    let object = said.object();
    let within = |what, ours: &Value, path: &str, share: f64| Bound {
        what,
        ours: ours.clone(),
        least: said.number(&said.before, path) * (1.0 - share),
        most: said.number(&said.after, path) * (1.0 + share),
    };
    vec![
        within("counted bytes", &object["countedBytes"], "/memory/TotalAlloc", 0.1),
        within("counted objects", &object["countedObjects"], "/memory/Mallocs", 0.2),
        // The program allocates much in few pieces, each of which is sampled.
        within("sampled bytes", &object["totalBytes"], "/memory/TotalAlloc", 0.3),
    ]
}

fn alloc_meanwhile(said: &Said) -> Vec<Bound> {
    let object = said.object();
    let most = |path: &str| 1.1 * said.grown(path) + 1e6;
    let bytes = object["countedBytes"].clone();
    let objects = object["countedObjects"].clone();
    vec![
        Bound { what: "bytes", ours: bytes, least: 0.0, most: most("/memory/TotalAlloc") },
        Bound { what: "objects", ours: objects, least: 0.0, most: most("/memory/Mallocs") },
    ]
}

fn followed(said: &Said) -> Vec<Bound> {
    let (path, summary) = ("/memory/NumGC", said.object()["summary"].clone());
    let shown = said.lines.len() as f64 - 1.0;
    vec![
        Bound {
            what: "collections",
            ours: summary["cycles"].clone(),
            least: said.grown_meanwhile(path),
            most: said.grown(path),
        },
        exactly("collections that are shown", summary["cycles"].clone(), shown),
        exactly("lost events", summary["lost"]["events"].clone(), 0.0),
    ]
}

fn tracked(said: &Said) -> Vec<Bound> {
    let (path, summary) = ("/counted/leaked", said.object()["summary"].clone());
    vec![Bound {
        what: "created",
        ours: summary["created"].clone(),
        least: said.grown_meanwhile(path) - 1.0,
        // The runtime starts some for its collections.
        most: said.grown(path) + 20.0,
    }]
}

fn flight(said: &Said) -> Vec<Bound> {
    let object = said.object();
    let trace = said.file.clone().unwrap_or_default();
    let is_trace = f64::from(u8::from(trace.starts_with(b"go 1.2") && trace.len() > 1000));
    vec![
        exactly("bytes", object["bytes"].clone(), trace.len() as f64),
        exactly("a trace", json!(is_trace), 1.0),
        Bound { what: "generations", ours: object["generations"].clone(), least: 1.0, most: 100.0 },
    ]
}
