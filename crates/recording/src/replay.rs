//! Makes spans of a recording. Not here: what becomes of them.

use std::collections::{HashMap, VecDeque};
use std::io::BufRead;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use pipeline::{Now, Place, Stages};
use trace::{Database, Databases, ProcessInfo, Resource, Routed, Routes, SqlLibrary};
use zerocopy::IntoBytes;

use crate::line::{
    Answer, DatabaseAnswer, DatabaseQuestion, FORMAT, Line, Process, RouteQuestion, Settings,
    Start, Times,
};

/// Why something is no recording that can be replayed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be read.
    #[error("can't be read")]
    Read(#[from] std::io::Error),
    /// It is something else, or damaged.
    #[error("line {0} is not one of a recording")]
    Line(usize, #[source] serde_json::Error),
    /// It does not say what it is.
    #[error("is not a recording: its first line does not say so")]
    NoStart,
    /// Its lines mean something else.
    #[error("is a recording of format {0}, and this gotap reads {FORMAT}")]
    Format(u32),
    /// Its records have another layout.
    #[error(
        "was recorded by gotap {0}, whose records differ: replay it with that one, or record it again"
    )]
    Records(String),
}

/// What of a recording did not come out as it was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Lines that were lost when it was made.
    pub lost: u64,
    /// Questions to routers and databases that it has no answer for.
    pub unanswered: u64,
    /// Whether it has no end: its gotap was killed.
    pub cut: bool,
}

/// A recording that was read.
pub struct Recording {
    start: Start,
    lines: Vec<Line>,
}

impl Recording {
    /// Reads a recording whole. A last line that was not written whole is left out.
    ///
    /// # Errors
    /// [`Error`].
    pub fn read(from: impl BufRead) -> Result<Self, Error> {
        let mut lines = VecDeque::new();
        let mut damaged = None;
        // A line that was cut may end within a character.
        for (number, text) in from.split(b'\n').enumerate() {
            if let Some((line, error)) = damaged {
                return Err(Error::Line(line, error));
            }
            match serde_json::from_slice(&text?) {
                Ok(line) => lines.push_back(line),
                Err(error) => damaged = Some((number + 1, error)),
            }
        }
        let Some(Line::Start(start)) = lines.pop_front() else { return Err(Error::NoStart) };
        if start.format != FORMAT {
            return Err(Error::Format(start.format));
        }
        // What came since is in none of its records.
        let same =
            |(name, number): (&String, &u32)| wire::RECORDS.contains(&(name.as_str(), *number));
        if start.records.is_empty() || !start.records.iter().all(same) {
            return Err(Error::Records(start.gotap));
        }
        Ok(Self { start, lines: lines.into() })
    }

    /// What it was made with: the assembler must be given the same.
    pub fn settings(&self) -> &Settings {
        &self.start.settings
    }

    /// How many lines it has: it gives no more spans than that.
    pub fn lines(&self) -> usize {
        self.lines.len()
    }

    /// Gives everything to the stages, in the order in which it came. Where the end is missing, what waits is handed on
    /// as at an end.
    pub fn replay(self, stages: &mut Stages) -> Outcome {
        let (answers, events) = Answers::sort(self.lines);
        let mut outcome = Outcome { cut: true, ..Outcome::default() };
        let (mut resources, mut latest) = (HashMap::new(), Now::default());
        for line in events {
            match line {
                Line::Lost { lines } => outcome.lost += lines,
                Line::Round { now, last } => (latest, outcome.cut) = (at(now), !last),
                _ => {}
            }
            give(line, stages, &answers, &mut resources);
        }
        if outcome.cut {
            stages.round(latest.monotonic_ns, latest.unix_nano, true);
        }
        outcome.unanswered = answers.unanswered.load(Ordering::Relaxed);
        outcome
    }
}

/// Gives one line to the stages.
fn give(
    line: Line,
    stages: &mut Stages,
    answers: &Arc<Answers>,
    resources: &mut HashMap<u32, Arc<Resource>>,
) {
    match line {
        Line::Process(process) => {
            let (instance, only_measured) = (process.instance, process.only_measured);
            let (unix, info) = (process.unix, info(*process, answers));
            resources.insert(instance, info.resource.clone());
            stages.add_process(instance, info, only_measured, Place::Known, unix);
        }
        Line::Renamed { instance, resource } => {
            let resource = Arc::new(Resource::from(resource));
            if let Some(before) = resources.insert(instance, resource.clone()) {
                stages.rename_process(instance, &before, &resource, true, Now::default());
            }
        }
        Line::Removed { instance, now } => {
            resources.remove(&instance);
            stages.remove_process(instance, at(now));
        }
        Line::Record { bytes, clock_offset } => stages.event(decode(&bytes), clock_offset),
        Line::Round { now, last } => stages.round(now.monotonic, now.unix, last),
        // Sorted out or counted before.
        Line::Start(_) | Line::Route(_) | Line::Database(_) | Line::Lost { .. } => {}
    }
}

/// Decodes a record at an address as in the ring buffer, which aligns them to eight bytes.
fn decode(bytes: &[u8]) -> Result<wire::Event, wire::DecodeError> {
    let mut words = vec![0_u64; bytes.len().div_ceil(size_of::<u64>())];
    let aligned = &mut words.as_mut_bytes()[..bytes.len()];
    aligned.copy_from_slice(bytes);
    wire::decode(aligned)
}

fn at(now: Times) -> Now {
    Now { monotonic_ns: now.monotonic, unix_nano: now.unix }
}

fn info(process: Process, answers: &Arc<Answers>) -> ProcessInfo {
    let recorded = Recorded { instance: process.instance, answers: answers.clone() };
    ProcessInfo {
        resource: Arc::new(process.resource.into()),
        type_names: Arc::new(process.type_names.into_iter().collect()),
        routes: process.has_routes.then(|| Arc::new(recorded.clone()) as Arc<dyn Routes>),
        databases: process.has_databases.then(|| Arc::new(recorded) as Arc<dyn Databases>),
        procedures: Arc::new(process.procedures),
        call_ends: process.call_ends,
    }
}

/// The databases of the process with instance 1, as these lines say.
#[cfg(test)]
pub(crate) fn answering(lines: Vec<Line>) -> impl Databases {
    Recorded { instance: 1, answers: Answers::sort(lines).0 }
}

/// What routers and databases answered.
#[derive(Debug)]
struct Answers {
    all: Mutex<Sorted>,
    unanswered: AtomicU64,
}

#[derive(Debug, Default)]
struct Sorted {
    routes: Kept<RouteQuestion, String>,
    databases: Kept<DatabaseQuestion, DatabaseAnswer>,
}

impl Answers {
    /// The answers among lines, and the other lines.
    fn sort(lines: Vec<Line>) -> (Arc<Self>, Vec<Line>) {
        let mut sorted = Sorted::default();
        let mut others = Vec::with_capacity(lines.len());
        for line in lines {
            match line {
                Line::Route(answer) => sorted.routes.push(answer),
                Line::Database(answer) => sorted.databases.push(answer),
                line => others.push(line),
            }
        }
        (Arc::new(Self { all: Mutex::new(sorted), unanswered: AtomicU64::new(0) }), others)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Sorted> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers to one sort of questions, in the order in which they were given.
#[derive(Debug)]
struct Kept<Q, A>(HashMap<u32, VecDeque<(Q, Option<A>)>>);

impl<Q, A> Default for Kept<Q, A> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<Q: PartialEq, A> Kept<Q, A> {
    fn push(&mut self, answer: Answer<Q, A>) {
        self.0.entry(answer.instance).or_default().push_back((answer.asked, answer.answered));
    }

    /// What the next such question of a process was answered.
    fn take(&mut self, instance: u32, question: &Q) -> Option<Option<A>> {
        let of = self.0.get_mut(&instance)?;
        let at = of.iter().position(|(asked, _)| asked == question)?;
        of.remove(at).map(|(_, answered)| answered)
    }
}

/// A process that answers as it did when it was recorded.
#[derive(Debug, Clone)]
struct Recorded {
    instance: u32,
    answers: Arc<Answers>,
}

impl Recorded {
    fn found<A>(&self, answer: Option<Option<A>>) -> Option<A> {
        if answer.is_none() {
            self.answers.unanswered.fetch_add(1, Ordering::Relaxed);
        }
        answer.flatten()
    }
}

impl Routes for Recorded {
    fn route(&self, request: &Routed<'_>) -> Option<String> {
        let answer = self.answers.lock().routes.take(self.instance, &request.into());
        self.found(answer)
    }
}

impl Databases for Recorded {
    fn database(&self, db: u64, library: SqlLibrary) -> Option<Database> {
        let question = DatabaseQuestion::new(db, library);
        let answer = self.answers.lock().databases.take(self.instance, &question);
        let DatabaseAnswer { system, address, port, namespace } = self.found(answer)?;
        Some(Database { system: known(system), address, port, namespace })
    }
}

/// The name of a database system as spans have it, which is known at compile time elsewhere. There are few, and each
/// is kept once for as long as the program runs.
fn known(system: String) -> &'static str {
    static NAMES: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(name) = names.iter().find(|name| **name == system) {
        return name;
    }
    let name: &'static str = system.leak();
    names.push(name);
    name
}
