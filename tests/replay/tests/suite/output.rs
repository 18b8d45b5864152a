//! How spans are printed: formats, filters, and what leaves only where it is asked for. Not here: what spans are.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use gotap_e2e::{Span, binary, replay};
use serde_json::Value;

use crate::stream::Stream;

/// What is printed of a recording as JSON with these options.
fn spans(stream: &Stream, options: &[&str]) -> Result<Vec<Span>> {
    let printed = replay(&stream.path, &[&["--format=json"], options].concat())?;
    printed.iter().map(|line| Span::parse(line)).collect()
}

fn took(span: &Span) -> u64 {
    span.end - span.start
}

#[test]
fn only_errors_and_slow_spans_are_printed_on_demand() -> Result<()> {
    let (mut errors, mut slow) = (0, 0);
    for stream in Stream::all()? {
        let expected = stream.those(|span| span.status == "error");
        errors += expected.len();
        let printed = replay(&stream.path, &["--format=json", "--errors"])?;
        ensure!(
            printed.iter().eq(expected.iter().copied()),
            "{}: errors: {printed:#?}",
            stream.name()
        );
        if expected.is_empty() {
            continue;
        }
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
    let (mut children, mut more) = (0, 0);
    for stream in Stream::all()? {
        let tree = replay(&stream.path, &["--tree"])?;
        // Where operations of one sort were asked for, others stand in their traces, too.
        let sort = stream.settings()?["sort"].as_str().unwrap_or("http").to_owned();
        if sort != "http" {
            ensure!(tree.len() >= stream.spans.len(), "{}: {tree:#?}", stream.name());
            more += tree.len() - stream.spans.len();
            continue;
        }
        ensure!(tree.len() == stream.spans.len(), "{}: {tree:#?}", stream.name());
        let is_child = |span: &&Span| stream.spans.iter().any(|other| span.is_child_of(other));
        let expected = stream.spans.iter().filter(is_child).count();
        let drawn = tree.iter().filter(|line| line.contains("└─") || line.contains("├─")).count();
        ensure!(drawn == expected, "{}: {expected} children: {tree:#?}", stream.name());
        children += drawn;
    }
    ensure!(children > 50 && more > 0, "only {children} children, {more} more");
    Ok(())
}

/// Who reads the output may be gone; an output that takes no more is an error, also where the end is all that it gets.
#[test]
fn an_output_that_takes_nothing_is_an_error() -> Result<()> {
    let stream = Stream::all()?.swap_remove(0);
    for options in [&[][..], &["--format=json"], &["--tree"]] {
        let run = |to: fs::File| {
            let mut command = Command::new(binary());
            command.arg("replay").arg(&stream.path).args(options).stdout(to).output()
        };
        let output = run(fs::OpenOptions::new().write(true).open("/dev/full")?)?;
        let said = String::from_utf8(output.stderr)?;
        ensure!(output.status.code() == Some(1), "{options:?}: {}: {said}", output.status);
        ensure!(said.contains("No space left") && said.lines().count() == 1, "{said}");
        let output = run(fs::OpenOptions::new().write(true).open("/dev/null")?)?;
        ensure!(output.status.success() && output.stderr.is_empty(), "{options:?}: {output:?}");
    }
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
    ensure!(kept > 10, "only {kept} recordings hold a secret");
    Ok(())
}

/// Texts that may quote data are kept, and leave on demand. Nothing else changes.
#[test]
fn texts_of_errors_are_printed_on_demand() -> Result<()> {
    let mut told = 0;
    for stream in Stream::all()? {
        let asked = stream.settings()?["errorMessages"] == true;
        let spans = spans(&stream, &["--error-messages"])?;
        ensure!(spans.len() == stream.spans.len(), "{}: {} spans", stream.name(), spans.len());
        for (span, before) in spans.iter().zip(&stream.spans) {
            let silent = Span { message: before.message.clone(), ..span.clone() };
            ensure!(silent == *before, "{span:#?}\n  and not {before:#?}");
            let more = span.message != before.message;
            ensure!(!more || (before.message.is_empty() && !asked), "{span:#?} and {before:#?}");
            ensure!(!more || span.status == "error", "{span:#?}");
            told += usize::from(more);
        }
    }
    ensure!(told > 20, "only {told} texts");
    for stream in Stream::of("resets::a_reset_of_grpc_is_named")? {
        let messages: Vec<_> =
            spans(&stream, &["--error-messages"])?.into_iter().map(|span| span.message).collect();
        for text in ["connection reset by peer", "connection refused"] {
            ensure!(messages.iter().any(|message| message.contains(text)), "{text}: {messages:?}");
        }
    }
    Ok(())
}

/// A guess is made only where it is asked for, only where no route is known, and only of what is there.
#[test]
fn routes_are_guessed_on_demand() -> Result<()> {
    let mut guesses = BTreeMap::new();
    for stream in Stream::all()? {
        let spans = spans(&stream, &["--cluster-paths"])?;
        ensure!(spans.len() == stream.spans.len(), "{}: {} spans", stream.name(), spans.len());
        for (span, before) in spans.iter().zip(&stream.spans) {
            if span == before {
                continue;
            }
            let mut plain = Span { name: before.name.clone(), ..span.clone() };
            let route = plain.attributes.remove("http.route");
            ensure!(plain == *before && before.is_server(), "{span:#?}\n  and not {before:#?}");
            let route = route.as_ref().and_then(Value::as_str).context("a route")?;
            ensure!(span.name == format!("{} {route}", before.name), "{span:#?}");
            ensure!(span.int("http.response.status_code") != Some(404), "{span:#?}");
            guesses.insert(span.target().to_owned(), route.to_owned());
        }
    }
    for (path, route) in [
        ("/users/7", Some("/users/{id}")),
        ("/static", Some("/static")),
        ("/api/v1/things/x", Some("/api/v1/things/x")),
        // No server has it.
        ("/none", None),
        ("/users/x9", None),
    ] {
        let guess = guesses.get(path).map(String::as_str);
        ensure!(guess == route, "{path}: {guess:?}, of {guesses:#?}");
    }
    Ok(())
}

/// A line of text says who did what, how it went, and where in its trace it belongs.
#[test]
fn lines_say_what_spans_say() -> Result<()> {
    for stream in Stream::all()? {
        for (line, span) in replay(&stream.path, &["--verbose"])?.iter().zip(&stream.spans) {
            let pid = span.resource["process.pid"].as_i64().context("a pid")?;
            let service = span.resource["service.name"].as_str().context("a name")?;
            let mut parts = vec![format!("{service}[{pid}]"), format!("  {}  ", span.kind)];
            parts.push(format!("  trace={}", &span.trace_id[..8]));
            if span.parent != "none" {
                parts.push(format!(" parent={}", span.parent));
            }
            if let Some(route) = span.text("http.route") {
                parts.push(format!("  route={route}"));
            }
            if let Some(code) = span.int("http.response.status_code")
                && span.text("rpc.system.name").is_none()
            {
                parts.push(format!(" {code} "));
            }
            for part in parts {
                ensure!(line.contains(&part), "{part:?} is not in {line}");
            }
        }
    }
    Ok(())
}

/// What a recording has not is named; a tree is for people.
#[test]
fn what_can_not_be_printed_is_said() -> Result<()> {
    let stream = Stream::all()?.swap_remove(0);
    let run = |arguments: &[&str]| -> Result<(Option<i32>, String)> {
        let output = Command::new(binary()).args(arguments).output()?;
        Ok((output.status.code(), String::from_utf8(output.stderr)?))
    };
    let recording = stream.path.to_string_lossy();
    let (code, said) = run(&["replay", &recording, "--query-strings"])?;
    ensure!(code == Some(0) && said.contains("no query strings"), "{code:?}: {said}");
    for command in [&["replay", &recording][..], &["trace", "all"]] {
        let (code, said) = run(&[command, &["--tree", "--format=json"]].concat())?;
        ensure!(code == Some(2) && said.lines().count() == 1, "{command:?}: {code:?}: {said}");
        ensure!(said.contains("--tree"), "{command:?}: {said}");
    }
    Ok(())
}
