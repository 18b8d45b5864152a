//! Makes the lines of a recording, on the thread that reads the ring buffers. Not here: writing them.

use std::sync::Arc;

use pipeline::Now;
use trace::{Database, Databases, ProcessInfo, Resource, Routed, Routes, SqlLibrary};

use crate::line::{Answer, DatabaseQuestion, Line, Process, RouteQuestion, Times};

/// Takes lines. It must not wait: the ring buffers are not read meanwhile.
pub type Keep = Arc<dyn Fn(Line) + Send + Sync>;

/// Makes lines of what the reader is given.
pub struct Recorder {
    keep: Keep,
    /// Whether something was kept since the last round that was kept.
    changed: bool,
    /// The last round, if it was not kept: of many that follow each other the first and the last are enough.
    idle: Option<Times>,
}

impl Recorder {
    /// One whose lines go to `keep`, behind the first one, which the caller writes.
    pub fn new(keep: Keep) -> Self {
        Self { keep, changed: false, idle: None }
    }

    /// A process becomes known. Gives what the stages must be told in place of `info`, so that answers are kept.
    pub fn add_process(
        &mut self,
        instance: u32,
        info: ProcessInfo,
        only_measured: bool,
        unix: u64,
    ) -> ProcessInfo {
        let names = info.type_names.iter().map(|(address, name)| (*address, name.clone()));
        self.put(Line::Process(Box::new(Process {
            instance,
            resource: info.resource.as_ref().into(),
            type_names: names.collect(),
            procedures: info.procedures.as_ref().clone(),
            call_ends: info.call_ends,
            has_routes: info.routes.is_some(),
            has_databases: info.databases.is_some(),
            only_measured,
            unix,
        })));
        let asked = |keep: &Keep| Asked { instance, keep: keep.clone() };
        let routes = info.routes.map(|inner| {
            Arc::new(RecordedRoutes { inner, asked: asked(&self.keep) }) as Arc<dyn Routes>
        });
        let databases = info.databases.map(|inner| {
            Arc::new(RecordedDatabases { inner, asked: asked(&self.keep) }) as Arc<dyn Databases>
        });
        ProcessInfo { routes, databases, ..info }
    }

    /// The resource of a process is another one.
    pub fn rename_process(&mut self, instance: u32, resource: &Resource) {
        self.put(Line::Renamed { instance, resource: resource.into() });
    }

    /// A process is forgotten.
    pub fn remove_process(&mut self, instance: u32, now: Now) {
        self.put(Line::Removed { instance, now: times(now) });
    }

    /// A record came.
    pub fn record(&mut self, bytes: &[u8], clock_offset: i64) {
        self.put(Line::Record { bytes: bytes.to_vec(), clock_offset });
    }

    /// A look at the ring buffers ended.
    pub fn round(&mut self, now: Now, last: bool) {
        if self.changed || last {
            self.put(Line::Round { now: times(now), last });
            self.changed = false;
        } else {
            self.idle = Some(times(now));
        }
    }

    fn put(&mut self, line: Line) {
        if let Some(now) = self.idle.take() {
            (self.keep)(Line::Round { now, last: false });
        }
        (self.keep)(line);
        self.changed = true;
    }
}

fn times(now: Now) -> Times {
    Times { monotonic: now.monotonic_ns, unix: now.unix_nano }
}

/// Keeps what something of a process answers.
struct Asked {
    instance: u32,
    keep: Keep,
}

impl std::fmt::Debug for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "instance {}", self.instance)
    }
}

#[derive(Debug)]
struct RecordedRoutes {
    inner: Arc<dyn Routes>,
    asked: Asked,
}

impl Routes for RecordedRoutes {
    fn route(&self, request: &Routed<'_>) -> Option<String> {
        let (asked, answered) = (RouteQuestion::from(request), self.inner.route(request));
        let (instance, kept) = (self.asked.instance, answered.clone());
        (self.asked.keep)(Line::Route(Answer { instance, asked, answered: kept }));
        answered
    }
}

#[derive(Debug)]
struct RecordedDatabases {
    inner: Arc<dyn Databases>,
    asked: Asked,
}

impl Databases for RecordedDatabases {
    fn database(&self, db: u64, library: SqlLibrary) -> Option<Database> {
        let answered = self.inner.database(db, library);
        let (instance, asked) = (self.asked.instance, DatabaseQuestion::new(db, library));
        let kept = answered.clone().map(Into::into);
        (self.asked.keep)(Line::Database(Answer { instance, asked, answered: kept }));
        answered
    }
}
