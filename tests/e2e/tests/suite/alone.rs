//! Each instrument in a program that links nothing else: what it needs to know, it must find there. A
//! library that another one brings along can hide that it does not.
//!
//! All programs of a generation run at once, and one gotap observes them.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Gotap, SOON, Span, binary, can_trace};
use gotap_testkit::go::{self, Mode, Version};
use gotap_testkit::postgres::Postgres;
use gotap_testkit::redis::Redis;
use serde_json::Value;

use crate::alone_programs::{Argument, Asked, JOINED, LACKS, Lack, PROGRAMS, Program, Wanted};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

#[test]
fn each_instrument_works_in_a_program_that_links_nothing_else() -> Result<()> {
    if !can_trace("each_instrument_works_in_a_program_that_links_nothing_else") {
        return Ok(());
    }
    let servers = Servers { postgres: Postgres::start()?, redis: Redis::start()? };
    let oldest = |program: &Program| {
        let go = Version::of(program.oldest);
        go::build_with(&program.folder(), "old", go, Mode::Plain)
    };
    observe(&servers, PROGRAMS.iter(), oldest, &[]).context("the oldest Go and libraries")?;
    let newest = |go| move |program: &Program| go::build(&program.folder(), go, Mode::Plain);
    observe(&servers, PROGRAMS.iter(), newest(Version::NEWEST), &[])
        .context("the newest Go and libraries")?;
    // With the newest Go, golang.org/x/net has no HTTP/2 of its own any more.
    let xnet = PROGRAMS.iter().filter(|program| program.name.starts_with("xnet"));
    observe(&servers, xnet, newest(Version::of(26)), &[])
        .context("the Go before, and golang.org/x/net")
}

/// Without optimisation the code has other places, and functions that are inlined else.
#[test]
fn each_instrument_works_in_builds_for_a_debugger() -> Result<()> {
    if !can_trace("each_instrument_works_in_builds_for_a_debugger") {
        return Ok(());
    }
    let servers = Servers { postgres: Postgres::start()?, redis: Redis::start()? };
    let build =
        |program: &Program| go::build(&program.folder(), Version::NEWEST, Mode::Unoptimised);
    observe(&servers, PROGRAMS.iter(), build, &LACKS)
}

struct Servers {
    postgres: Postgres,
    redis: Redis,
}

impl Program {
    fn folder(&self) -> String {
        format!("alone/cmd/{}", self.name)
    }

    fn argument(&self, servers: &Servers, started: &[(&Self, App)]) -> Result<Vec<String>> {
        Ok(match self.argument {
            Argument::None => vec![],
            Argument::Postgres => vec![servers.postgres.dsn()],
            Argument::Redis => vec![servers.redis.address()],
            Argument::Program(name) => vec![address(name, started)?],
        })
    }
}

fn address(name: &str, started: &[(&Program, App)]) -> Result<String> {
    let found = started.iter().find(|(program, _)| program.name == name);
    Ok(found.with_context(|| format!("{name} was not started"))?.1.address.clone())
}

fn observe(
    servers: &Servers,
    programs: impl Iterator<Item = &'static Program>,
    build: impl Fn(&Program) -> Result<PathBuf>,
    lacks: &[Lack],
) -> Result<()> {
    let mut started = Vec::new();
    for program in programs {
        let arguments = program.argument(servers, &started)?;
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        started.push((program, App::start_with(&build(program)?, &arguments, &[])?));
    }
    let lack = |program: &Program| lacks.iter().find(|lack| lack.program == program.name);
    let wanted = |program: &Program| lack(program).map_or(program.spans, |lack| lack.spans);
    for (program, app) in &started {
        check_plan(program, app, lack(program)).with_context(|| program.name)?;
    }
    for (program, app) in started.iter().filter(|(program, _)| wanted(program).is_empty()) {
        check_refused(app, lack(program).context("a lack")?)?;
    }
    let traced = started.iter().filter(|(program, _)| !wanted(program).is_empty());
    let pids: Vec<_> = traced.clone().map(|(_, app)| app.pid().to_string()).collect();
    let selection: Vec<_> = pids.iter().flat_map(|pid| ["--pid", pid.as_str()]).collect();
    let gotap = Gotap::trace_what("all", &selection)?;
    for (program, app) in &started {
        ask(program, app, &started).with_context(|| program.name)?;
    }
    let said = gotap.process.stderr();
    for lack in traced.clone().filter_map(|(program, _)| lack(program)) {
        let is_said = said.iter().any(|line| is_of_debugger(line, lack));
        ensure!(is_said, "{} is not told: {said:#?}", lack.program);
    }
    let spans = gotap.finish(traced.clone().map(|(program, _)| wanted(program).len()).sum())?;
    let failed = traced.filter_map(|(program, app)| {
        let error = check_spans(program, app, wanted(program), &spans).err()?;
        Some(format!("{}: {error:#}", program.name))
    });
    let failed: Vec<_> = failed.collect();
    ensure!(failed.is_empty(), "{}", failed.join("\n\n"));
    Ok(())
}

/// What `gotap ps` promises of a program.
fn check_plan(program: &Program, app: &App, known: Option<&Lack>) -> Result<()> {
    let mut command = Command::new(binary());
    let output = command.args(["ps", "--format", "json", "--pid", &app.pid().to_string()]);
    let found: Value = serde_json::from_slice(&output.output()?.stdout)?;
    let texts = |key: &str| -> Vec<String> {
        let list = found[key].as_array().into_iter().flatten();
        list.filter_map(|text| text.as_str().map(str::to_owned)).collect()
    };
    let (sees, missing) = (texts("sees"), texts("missing"));
    for ability in program.sees {
        let lack = missing.iter().find(|text| text.starts_with(&format!("{ability}:")));
        if let Some(known) = known {
            ensure!(lack.is_some_and(|text| is_of_debugger(text, known)), "{ability}: {lack:?}");
            continue;
        }
        ensure!(sees.iter().any(|seen| seen == ability), "{ability} is not seen: {sees:?}");
        ensure!(lack.is_none(), "{lack:?}");
    }
    Ok(())
}

/// Whether the text says what is not seen of a program, and that the build is why.
fn is_of_debugger(text: &str, lack: &Lack) -> bool {
    text.contains(lack.said) && text.contains("built without optimisation")
}

/// That `gotap trace` says why it does not trace a program.
fn check_refused(app: &App, lack: &Lack) -> Result<()> {
    let mut gotap = Gotap::start(&["trace", "all", "--pid", &app.pid().to_string()], &[])?;
    let status = gotap.process.wait(SOON)?;
    let said = gotap.process.stderr().join("\n");
    ensure!(!status.success() && is_of_debugger(&said, lack), "{status}: {said}");
    Ok(())
}

fn ask(program: &Program, app: &App, started: &[(&Program, App)]) -> Result<()> {
    let lines = match program.asked {
        Asked::ByClients => vec![],
        Asked::Once => vec!["go".to_owned()],
        Asked::ToCall(names) => {
            let line =
                |name: &&str| Ok(format!("{} 00-{TRACE}-{CALLER}-01", address(name, started)?));
            names.iter().map(line).collect::<Result<_>>()?
        }
    };
    if lines.is_empty() {
        return Ok(());
    }
    let mut stream = TcpStream::connect(&app.address)?;
    stream.set_read_timeout(Some(SOON))?;
    let mut answers = BufReader::new(stream.try_clone()?);
    for line in lines {
        writeln!(stream, "{line}")?;
        let mut answer = String::new();
        answers.read_line(&mut answer)?;
        ensure!(answer == "ok\n", "{line}: {answer:?}; {:?}", app.process.stderr());
    }
    Ok(())
}

fn check_spans(program: &Program, app: &App, wanted: &[Wanted], all: &[Span]) -> Result<()> {
    let of_app = |span: &&Span| span.resource.get("process.pid") == Some(&app.pid().into());
    let mut spans: Vec<_> = all.iter().filter(of_app).collect();
    spans.sort_by_key(|span| span.start);
    let list = || format!("{:#?}", spans.iter().map(told).collect::<Vec<_>>());
    let same = spans.len() == wanted.len()
        && spans.iter().zip(wanted).all(|(span, wanted)| is_wanted(told(span), *wanted));
    ensure!(same, "{}", list());
    let served = spans.iter().find(|span| span.is_server());
    for span in &spans {
        ensure!(span.attributes.contains_key(program.tells), "no {}: {span:#?}", program.tells);
        match span.parent.as_str() {
            "none" => ensure!(span.trace_id != TRACE, "{span:#?}"),
            "connection" => {
                let caller =
                    all.iter().find(|caller| caller.is_client() && span.is_child_of(caller));
                ensure!(caller.is_some(), "{span:#?}");
            }
            "remote" | "sent" => {
                ensure!(span.trace_id == TRACE && span.parent_span_id == CALLER, "{span:#?}");
            }
            _ => ensure!(served.is_some_and(|served| span.is_child_of(served)), "{span:#?}"),
        }
    }
    Ok(())
}

fn is_wanted(told: (&str, &str, &str), wanted: Wanted) -> bool {
    let joined = wanted.2 == JOINED && ["connection", "none"].contains(&told.2);
    told == wanted || joined && (told.0, told.1) == (wanted.0, wanted.1)
}

fn told<'a>(span: &&'a Span) -> (&'a str, &'a str, &'a str) {
    (&span.kind, &span.name, &span.parent)
}
