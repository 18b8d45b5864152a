//! `gotap replay`: the spans of a recording, printed as `gotap trace` prints them. Not here: what a recording is
//! (`recording`).

use std::fs::File;
use std::io::BufReader;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use pipeline::{Pipeline, Sampling, Stages};
use recording::{Outcome, Recording};

use super::{count, say, verbs};
use crate::cli::ReplayArgs;
use crate::config;

/// How long the output has between two looks at it.
const PAUSE: Duration = Duration::from_millis(2);

/// How long whoever reads it may take for what is printed at the end.
const LONG: Duration = Duration::from_secs(24 * 3600);

/// `gotap replay`.
pub(crate) fn replay(args: &ReplayArgs) -> Result<()> {
    verbs::check_print(&args.print)?;
    let path = args.recording.display();
    let file = File::open(&args.recording).with_context(|| format!("open {path}"))?;
    let recording = Recording::read(BufReader::new(file)).with_context(|| path.to_string())?;
    let recorded = recording.settings();
    let missing_queries = args.urls.query_strings && !recorded.query_strings;
    let http = config::Http {
        cluster_paths: recorded.cluster_paths || args.urls.routes.cluster_paths,
        query_strings: recorded.query_strings || args.urls.query_strings,
        request_headers: recorded.request_headers.clone(),
    };
    let messages = recorded.error_messages || args.texts.error_messages;
    let assembler = verbs::assembler(&http, messages);
    let (failed, failure) = std::sync::mpsc::channel();
    let sort = recorded.sort.as_deref();
    let verb =
        sort.and_then(|sort| instruments::verbs().into_iter().find(|verb| verb.name == sort));
    let printer = verbs::printer(&args.print, verb);
    // All of it may wait: it is read whole anyway, and whoever reads the output may take any time.
    let limit = recording.lines() + 1;
    let pipeline = Pipeline::start(vec![printer], limit, move |error| drop(failed.send(error)))?;
    let mut stages = Stages::new(assembler, None, Sampling::default(), pipeline.clone());
    let outcome = recording.replay(&mut stages);
    while pipeline.outlets().any(|outlet| outlet.waiting() > 0) {
        match failure.recv_timeout(PAUSE) {
            Ok(error) => return Err(error),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => bail!("what prints the spans has ended"),
        }
    }
    pipeline.finish(LONG);
    if let Ok(error) = failure.try_recv() {
        return Err(error);
    }
    notes(outcome, stages.counts().undecodable).iter().for_each(|note| say(note));
    if missing_queries {
        say("it was made without --query-strings: no query strings are in it");
    }
    Ok(())
}

/// What is missing.
fn notes(outcome: Outcome, undecodable: u64) -> Vec<String> {
    let Outcome { lost, unanswered, cut } = outcome;
    let of =
        |n: u64, one: &str, more: &str| count(usize::try_from(n).unwrap_or(usize::MAX), one, more);
    [
        (
            cut && lost == 0,
            "the recording has no end: the gotap that made it was killed".to_owned(),
        ),
        (lost > 0, format!("the recording lacks {}", of(lost, "line", "lines"))),
        (
            unanswered > 0,
            format!("it has no answer to {}", of(unanswered, "question", "questions")),
        ),
        (undecodable > 0, format!("{} could not be decoded", of(undecodable, "record", "records"))),
    ]
    .into_iter()
    .filter_map(|(is_so, note)| is_so.then_some(note))
    .collect()
}
