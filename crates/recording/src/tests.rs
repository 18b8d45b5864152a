//! Recordings of made-up records: the same spans come out, also from damaged ones whatever is left of them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use pipeline::{Now, Pipeline, Place, Sampling, Sink, Stages};
use proptest::collection::vec;
use proptest::prelude::*;
use trace::{
    Assembler, Database, Databases, ProcessInfo, Resource, Routed, Routes, Span, SqlLibrary, Value,
};
use wire::synthetic::{Request, http};

use crate::{Error, Keep, Line, Outcome, Recorder, Recording, Settings, Start};

/// Keeps spans, as they are printed for debugging.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<String>>>);

impl Sink for Kept {
    fn name(&self) -> &'static str {
        "kept"
    }

    fn span(&mut self, span: &Span) -> anyhow::Result<()> {
        self.0.lock().unwrap().push(format!("{span:?}"));
        Ok(())
    }

    fn tick(&mut self) -> anyhow::Result<()> {
        Ok(())
    }

    fn finish(self: Box<Self>, _patience: Duration) -> anyhow::Result<()> {
        Ok(())
    }
}

/// Stages, and where their spans go.
fn stages() -> (Stages, Pipeline, Kept) {
    let kept = Kept::default();
    let pipeline = Pipeline::start(vec![Box::new(kept.clone())], 1 << 10, |_| {}).unwrap();
    let stages = Stages::new(Assembler::new(), None, Sampling::default(), pipeline.clone());
    (stages, pipeline, kept)
}

/// The spans that came, after the last one.
fn spans(pipeline: &Pipeline, kept: &Kept) -> Vec<String> {
    pipeline.finish(Duration::from_secs(5));
    std::mem::take(&mut kept.0.lock().unwrap())
}

#[derive(Debug)]
struct Router;

impl Routes for Router {
    fn route(&self, request: &Routed<'_>) -> Option<String> {
        (request.path != "/none").then(|| format!("{}/routed", request.path))
    }
}

#[derive(Debug)]
struct Shop;

impl Databases for Shop {
    fn database(&self, db: u64, _library: SqlLibrary) -> Option<Database> {
        let namespace = (db != 7).then(|| "shop".to_owned());
        (db != 0).then(|| Database { system: "postgresql", namespace, ..Database::default() })
    }
}

fn process(name: &'static str) -> ProcessInfo {
    let attributes = vec![
        ("service.name".to_owned(), Value::Text(name.into())),
        ("process.pid".to_owned(), Value::Int(7)),
        ("share".to_owned(), Value::Double(0.5)),
        ("words".to_owned(), Value::Texts(["a".into(), "b".into()].into())),
    ];
    ProcessInfo {
        resource: Arc::new(Resource::new(attributes)),
        routes: Some(Arc::new(Router)),
        databases: Some(Arc::new(Shop)),
        ..ProcessInfo::default()
    }
}

/// The record of a request. The router is asked for the route of a served one: in `gt_http_head` its server, at 88, is
/// not zero, and its flags, at 104, have GT_HTTP_PATH_KEPT (1 << 10).
fn request(instance: u32, n: u8, target: &str) -> Vec<u8> {
    let mut bytes = http(&Request {
        instance,
        client: n > 100,
        trace_id: [n; 16],
        span_id: [n; 8],
        parent: None,
        trace_flags: 1,
        start_ns: 1_000 * u64::from(n),
        end_ns: 1_000 * u64::from(n) + 500,
        status: 200,
        target,
        host: "shop:80",
        route: "",
    });
    (bytes[88], bytes[105]) = (1, 4);
    bytes
}

const OFFSET: i64 = 1_700_000_000_000_000_000;

fn now(n: u64) -> Now {
    Now { monotonic_ns: n, unix_nano: n.wrapping_add_signed(OFFSET) }
}

/// What a reader does that is recorded; gives the recording's lines and the spans that came.
fn record() -> (Vec<String>, Vec<String>) {
    let lines = Arc::new(Mutex::new(vec![Line::Start(Start::new("0", Settings::default()))]));
    let to = lines.clone();
    let keep: Keep = Arc::new(move |line| to.lock().unwrap().push(line));
    let (mut recorder, (mut stages, pipeline, kept)) = (Recorder::new(keep), stages());
    for (instance, name) in [(1, "web"), (2, "store")] {
        let info = recorder.add_process(instance, process(name), false, 5);
        stages.add_process(instance, info, false, Place::Known, 5);
    }
    let requests = [(1, 1, "/a"), (2, 2, "/none"), (1, 101, "http://store/b"), (3, 4, "/unknown")];
    for (instance, n, target) in requests {
        let bytes = request(instance, n, target);
        recorder.record(&bytes, OFFSET);
        stages.event(wire::decode(&bytes), OFFSET);
        for idle in 0..4 {
            let now = now(u64::from(n) * 10_000 + idle);
            recorder.round(now, false);
            stages.round(now.monotonic_ns, now.unix_nano, false);
        }
    }
    let renamed = process("shop").resource;
    recorder.rename_process(2, &renamed);
    stages.rename_process(2, &process("store").resource, &renamed, true, now(9_999_999));
    let bytes = request(2, 5, "/after");
    recorder.record(&bytes, OFFSET);
    stages.event(wire::decode(&bytes), OFFSET);
    recorder.remove_process(1, now(10_000_000));
    stages.remove_process(1, now(10_000_000));
    recorder.round(now(10_000_001), true);
    stages.round(10_000_001, now(10_000_001).unix_nano, true);
    let lines = lines.lock().unwrap();
    let texts = lines.iter().map(|line| serde_json::to_string(line).unwrap()).collect();
    (texts, spans(&pipeline, &kept))
}

fn replay(lines: &[String]) -> Result<(Outcome, Vec<String>), Error> {
    let recording = Recording::read(lines.join("\n").as_bytes())?;
    let (mut stages, pipeline, kept) = stages();
    let outcome = recording.replay(&mut stages);
    Ok((outcome, spans(&pipeline, &kept)))
}

#[test]
fn the_same_spans_come_out() {
    let (lines, before) = record();
    assert_eq!(before.len(), 4, "{before:#?}");
    let all = before.join("\n");
    for part in ["/a/routed", "\"web\"", "\"store\"", "\"shop\"", "/after/routed"] {
        assert!(all.contains(part), "{part} is missing in {all}");
    }
    let (outcome, after) = replay(&lines).unwrap();
    assert_eq!((outcome, after), (Outcome::default(), before));
}

#[test]
fn of_idle_rounds_the_first_and_the_last_are_kept() {
    let (lines, _) = record();
    let rounds = lines.iter().filter(|line| line.contains("round")).count();
    // Two behind each of four requests, and the end.
    assert_eq!(rounds, 9, "{lines:#?}");
}

#[test]
fn what_is_missing_is_said() {
    let (lines, before) = record();
    let without = |what: &str| -> Vec<String> {
        lines.iter().filter(|line| !line.contains(what)).cloned().collect()
    };
    let (outcome, after) = replay(&without("{\"route\":")).unwrap();
    assert_eq!((outcome.unanswered, after.len()), (3, 4), "{after:#?}");
    let (outcome, after) = replay(&without("\"last\":true")).unwrap();
    assert_eq!((outcome.cut, &after), (true, &before));
    let mut cut = lines.clone();
    cut.insert(2, "{\"lost\":{\"lines\":3}}".into());
    assert_eq!(replay(&cut).unwrap().0.lost, 3);
    // Its writer was killed within the last line.
    let end = cut.last_mut().unwrap();
    end.truncate(end.len() / 2);
    let (outcome, after) = replay(&cut).unwrap();
    assert_eq!((outcome.cut, &after), (true, &before));
    let mut bytes = cut.join("\n").into_bytes();
    bytes.extend("\n{\"process\":\"\u{e4}".as_bytes());
    bytes.pop();
    assert!(Recording::read(&bytes[..]).is_err(), "two damaged lines");
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').unwrap();
    let before_it = bytes[..whole].iter().rposition(|byte| *byte == b'\n').unwrap();
    bytes.drain(before_it..whole);
    assert!(Recording::read(&bytes[..]).is_ok(), "the last line ends within a character");
}

#[test]
fn what_is_no_recording_is_refused() {
    let (lines, _) = record();
    assert!(matches!(replay(&[]), Err(Error::NoStart)));
    assert!(matches!(replay(&lines[1..]), Err(Error::NoStart)));
    let damaged = [&lines[..2], &["{".into()], &lines[2..]].concat();
    assert!(matches!(replay(&damaged), Err(Error::Line(3, _))));
    let changed = |from: &str, to: &str| {
        let mut lines = lines.clone();
        lines[0] = lines[0].replace(from, to);
        replay(&lines).unwrap_err()
    };
    assert!(matches!(changed("\"format\":1", "\"format\":9"), Error::Format(9)));
    let (name, number) = wire::RECORDS[7];
    let one = format!("\"{name}\":{number}");
    assert!(lines[0].contains(&one), "{}", lines[0]);
    let other = format!("\"{name}\":{}", number ^ 1);
    assert!(matches!(changed(&one, &other), Error::Records(by) if by == "0"));
    assert!(matches!(changed(&one, "\"struct gone\":1"), Error::Records(_)));
    // What an instrument adds is in none of these records.
    let mut fewer = lines.clone();
    fewer[0] = fewer[0].replace(&format!("{one},"), "");
    assert!(fewer[0] != lines[0] && replay(&fewer).is_ok());
    for bytes in ["\"0\"", "\"zz\"", "\"\u{e4}\""] {
        let line = format!("{{\"record\":{{\"bytes\":{bytes},\"clockOffset\":1}}}}");
        let bad = [&lines[..1], &[line], &lines[1..]].concat();
        assert!(matches!(replay(&bad), Err(Error::Line(2, _))), "{bytes}");
    }
}

#[test]
fn databases_answer_as_they_did() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let to = lines.clone();
    let keep: Keep = Arc::new(move |line| to.lock().unwrap().push(line));
    let info = Recorder::new(keep).add_process(1, process("web"), false, 5);
    let databases = info.databases.unwrap();
    let asked = [(0, SqlLibrary::Std), (7, SqlLibrary::Pgx5), (8, SqlLibrary::Std)];
    let answers = asked.map(|(db, library)| databases.database(db, library));
    let kept = crate::replay::answering(lines.lock().unwrap().drain(1..).collect());
    let again = asked.map(|(db, library)| kept.database(db, library));
    assert_eq!(again, answers);
    assert_eq!(kept.database(8, SqlLibrary::Std), None, "each answer was given once");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// A recording may come from anybody: whatever it says, there is an end and no panic.
    #[test]
    fn any_recording_has_an_end(
        patches in vec((0..384_usize, any::<u8>()), 0..24),
        offset in any::<i64>(),
        monotonic in any::<u64>(),
        unix in any::<u64>(),
        instance in 0..3_u32,
    ) {
        let (mut lines, _) = record();
        let mut bytes = request(instance, 9, "/any");
        patches.iter().for_each(|(at, value)| bytes[*at] = *value);
        let now = format!("{{\"monotonic\":{monotonic},\"unix\":{unix}}}");
        let bytes: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let more = [
            format!("{{\"record\":{{\"bytes\":\"{bytes}\",\"clockOffset\":{offset}}}}}"),
            format!("{{\"round\":{{\"now\":{now}}}}}"),
            format!("{{\"removed\":{{\"instance\":{instance},\"now\":{now}}}}}"),
        ];
        let at = lines.len() - 1;
        lines.splice(at..at, more);
        let (outcome, _) = replay(&lines).unwrap();
        prop_assert!(!outcome.cut);
    }
}
