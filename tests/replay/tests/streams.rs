//! What `gotap replay` makes of recordings of real programs, which lie in `streams/`, beside the spans that gotap
//! printed when each was made (`make recordings`). No root, no BPF, no Go: what stands here is quick, and tests of how
//! records become spans, and how spans are printed, belong here. What the kernel side reads is in `tests/e2e`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use gotap_e2e::{Span, binary, replay};
use serde_json::Value;

/// A recording, and the spans that it gives.
struct Stream {
    path: PathBuf,
    lines: Vec<String>,
    spans: Vec<Span>,
}

impl Stream {
    /// All that the repository has.
    fn all() -> Result<Vec<Self>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("streams");
        let mut all = Vec::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|end| end == "rec") {
                let text = fs::read_to_string(path.with_extension("spans"))?;
                let lines: Vec<_> = text.lines().map(str::to_owned).collect();
                let spans = lines.iter().map(|line| Span::parse(line)).collect::<Result<_>>()?;
                all.push(Self { path, lines, spans });
            }
        }
        all.sort_by(|a, b| a.path.cmp(&b.path));
        ensure!(all.len() >= 20, "only {} recordings", all.len());
        Ok(all)
    }

    /// Its name, for messages.
    fn name(&self) -> String {
        self.path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// The lines of the spans that pass.
    fn those(&self, passes: impl Fn(&Span) -> bool) -> Vec<&String> {
        let all = self.lines.iter().zip(&self.spans);
        all.filter(|(_, span)| passes(span)).map(|(line, _)| line).collect()
    }
}

fn took(span: &Span) -> u64 {
    span.end - span.start
}

#[test]
fn each_recording_gives_its_spans() -> Result<()> {
    let mut wrong = Vec::new();
    for stream in Stream::all()? {
        let again = replay(&stream.path, &["--format=json"])
            .context("where the layout of records changed, make recordings makes them anew")?;
        let differ = again.iter().zip(&stream.lines).find(|(now, before)| now != before);
        if let Some((now, before)) = differ {
            wrong.push(format!("{}: {now}\n  and not {before}", stream.name()));
        } else if again.len() != stream.lines.len() {
            let (now, before) = (again.len(), stream.lines.len());
            wrong.push(format!("{}: {now} spans and not {before}", stream.name()));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// The recordings are of all that is traced, with old and new Go.
#[test]
fn each_sort_of_operation_is_recorded() -> Result<()> {
    let streams = Stream::all()?;
    let spans = || streams.iter().flat_map(|stream| &stream.spans);
    let values =
        |key: &str| -> BTreeSet<&str> { spans().filter_map(|span| span.text(key)).collect() };
    let wanted = [
        ("rpc.system.name", &["grpc", "connectrpc"][..]),
        ("db.system.name", &["redis", "postgresql", "mysql", "sqlite"]),
        ("network.protocol.version", &["1.1", "2"]),
        ("url.scheme", &["http"]),
    ];
    for (key, wanted) in wanted {
        let found = values(key);
        let missing: Vec<_> = wanted.iter().filter(|one| !found.contains(**one)).collect();
        ensure!(missing.is_empty(), "{key}: {missing:?} is in no recording, which have {found:?}");
    }
    let parents: BTreeSet<&str> = spans().map(|span| span.parent.as_str()).collect();
    for parent in ["none", "remote", "context", "goroutine", "ancestor"] {
        ensure!(parents.contains(parent), "no parent is found by {parent}: {parents:?}");
    }
    let versions =
        spans().filter_map(|span| span.resource.get("process.runtime.version")?.as_str());
    let versions: BTreeSet<&str> = versions.collect();
    for go in ["go1.18.", "go1.27."] {
        ensure!(versions.iter().any(|version| version.starts_with(go)), "{go}: {versions:?}");
    }
    Ok(())
}

#[test]
fn only_errors_and_slow_spans_are_printed_on_demand() -> Result<()> {
    let (mut errors, mut slow) = (0, 0);
    for stream in Stream::all()? {
        let expected = stream.those(|span| span.status == "error");
        errors += expected.len();
        let printed = replay(&stream.path, &["--format=json", "--errors"])?;
        ensure!(printed.iter().eq(expected), "{}: errors: {printed:#?}", stream.name());
        let mut times: Vec<_> = stream.spans.iter().map(took).collect();
        times.sort_unstable();
        let limit = times[times.len() / 2];
        let expected = stream.those(|span| took(span) > limit);
        slow += expected.len();
        let slower = format!("--slower-than={limit}ns");
        let printed = replay(&stream.path, &["--format=json", &slower])?;
        ensure!(printed.iter().eq(expected), "{}: {slower}: {printed:#?}", stream.name());
        let expected = stream.those(|span| span.status == "error" && took(span) > limit);
        let printed = replay(&stream.path, &["--format=json", "--errors", &slower])?;
        ensure!(printed.iter().eq(expected), "{}: both: {printed:#?}", stream.name());
    }
    ensure!(errors > 10 && slow > 10, "{errors} errors, {slow} slow");
    Ok(())
}

/// What is long does not push the trace off the line, unless it is to be printed whole.
#[test]
fn long_texts_are_cut() -> Result<()> {
    let mut long = 0;
    for stream in Stream::all()? {
        let (cut, whole) = (replay(&stream.path, &[])?, replay(&stream.path, &["--verbose"])?);
        ensure!(cut.len() == stream.spans.len() && whole.len() == cut.len(), "{}", stream.name());
        for ((cut, whole), span) in cut.iter().zip(&whole).zip(&stream.spans) {
            let trace = format!("trace={}", &span.trace_id[..8]);
            ensure!(cut.contains(&trace) && whole.contains(&trace), "{cut}\n{whole}");
            ensure!(cut.chars().count() < 300, "{}: {cut}", stream.name());
            let target = span.target();
            let is_long = target.len() > 200 && !target.contains('?');
            long += usize::from(is_long);
            ensure!(
                !is_long || (whole.contains(target) && !cut.contains(target)),
                "{cut}\n{whole}"
            );
        }
    }
    ensure!(long > 0, "no recording has a long path");
    Ok(())
}

/// Each span is in the tree of its trace once, below its parent.
#[test]
fn traces_are_printed_as_trees() -> Result<()> {
    let mut children = 0;
    for stream in Stream::all()? {
        let tree = replay(&stream.path, &["--tree"])?;
        ensure!(tree.len() == stream.spans.len(), "{}: {tree:#?}", stream.name());
        let is_child = |span: &&Span| stream.spans.iter().any(|other| span.is_child_of(other));
        let expected = stream.spans.iter().filter(is_child).count();
        let drawn = tree.iter().filter(|line| line.contains("└─") || line.contains("├─")).count();
        ensure!(drawn == expected, "{}: {expected} children: {tree:#?}", stream.name());
        children += drawn;
    }
    ensure!(children > 50, "only {children} children");
    Ok(())
}

/// Recordings hold what programs asked; without a flag none of it leaves that may be somebody's data.
#[test]
fn what_may_be_secret_does_not_leave() -> Result<()> {
    let mut kept = 0;
    for stream in Stream::all()? {
        let text = fs::read_to_string(&stream.path)?;
        // The hex of "secret".
        kept += usize::from(text.contains("736563726574"));
        for options in [&["--format=json"][..], &["--verbose"], &["--tree"]] {
            let printed = replay(&stream.path, options)?.join("\n");
            ensure!(!printed.contains("secret"), "{}: {printed}", stream.name());
        }
    }
    ensure!(kept > 0, "no recording holds a secret");
    Ok(())
}

/// What is no recording, or is damaged, gets one sentence; what is left of a recording is printed.
#[test]
fn damaged_recordings_are_named() -> Result<()> {
    let folder = tempfile::TempDir::with_prefix("gotap-replay-")?;
    let stream = Stream::all()?.swap_remove(0);
    let text = fs::read_to_string(&stream.path)?;
    let lines: Vec<&str> = text.lines().collect();
    let run = |content: &str| -> Result<(Option<i32>, String, usize)> {
        let path = folder.path().join("some.rec");
        fs::write(&path, content)?;
        let output = Command::new(binary()).arg("replay").arg(&path).output()?;
        let said = String::from_utf8(output.stderr)?;
        Ok((output.status.code(), said, String::from_utf8(output.stdout)?.lines().count()))
    };
    let start: Value = serde_json::from_str(lines[0])?;
    let layout = start["start"]["records"]["struct gt_span"].as_u64().context("a layout")?;
    let bad = [
        (String::new(), "is not a recording"),
        ("{}\n{}\n".into(), "line 1 is not one of a recording"),
        (text.replacen(&layout.to_string(), "7", 1), "records differ"),
        (text.replacen("\"format\":1", "\"format\":2", 1), "format 2"),
        ([lines[0], "{", lines[1]].join("\n"), "line 2 is not one of a recording"),
    ];
    for (content, sentence) in bad {
        let (code, said, printed) = run(&content)?;
        ensure!((code, printed) == (Some(1), 0) && said.contains(sentence), "{code:?}: {said}");
        ensure!(said.lines().count() == 1 && said.starts_with("gotap: "), "{said}");
    }
    // Its gotap was killed.
    let (code, said, printed) = run(&lines[..lines.len() - 1].join("\n"))?;
    ensure!(code == Some(0) && printed == stream.spans.len(), "{printed} spans: {said}");
    ensure!(said.contains("has no end"), "{said}");
    let missing = Command::new(binary()).args(["replay", "/nonexistent/some.rec"]).output()?;
    let said = String::from_utf8(missing.stderr)?;
    ensure!(missing.status.code() == Some(1) && said.lines().count() == 1, "{said}");
    Ok(())
}
