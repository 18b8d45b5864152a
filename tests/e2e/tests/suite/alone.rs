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

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

/// A span: its kind, its name, and how its parent was found.
type Wanted = (&'static str, &'static str, &'static str);

/// A program below `apps/alone/cmd`.
struct Program {
    name: &'static str,
    /// The oldest Go that builds it, and what it is built with there.
    oldest: u32,
    /// What its argument is the address of.
    argument: Argument,
    /// What must be seen in it, with nothing missing.
    sees: &'static [&'static str],
    /// An attribute that each of its spans has, an address where there is any.
    tells: &'static str,
    /// How it comes to do something.
    asked: Asked,
    /// The spans that it has then, in the order of their starts.
    spans: &'static [Wanted],
}

#[derive(Clone, Copy)]
enum Argument {
    None,
    Postgres,
    Redis,
    /// A program that was started before.
    Program(&'static str),
}

enum Asked {
    /// A client below asks it.
    ByClients,
    /// It is told to do what it does.
    Once,
    /// It is told to ask each of these.
    ToCall(&'static [&'static str]),
}

const CHECK: &str = "grpc.health.v1.Health/Check";
const BUY: &str = "gotap.v1.Shop/Buy";

static PROGRAMS: [Program; 16] = [
    Program {
        name: "grpcserver",
        oldest: 18,
        argument: Argument::None,
        sees: &["grpc-server"],
        tells: "network.peer.port",
        asked: Asked::ByClients,
        spans: &[
            ("server", CHECK, "remote"),
            ("server", CHECK, "none"),
            ("server", CHECK, "none"),
            ("server", CHECK, "none"),
        ],
    },
    Program {
        name: "grpcchain",
        oldest: 18,
        argument: Argument::Program("grpcserver"),
        sees: &["grpc-server", "grpc-client"],
        tells: "network.peer.port",
        asked: Asked::ByClients,
        spans: &[
            ("server", CHECK, "remote"),
            ("client", CHECK, "context"),
            ("client", CHECK, "goroutine"),
            ("client", CHECK, "ancestor"),
        ],
    },
    Program {
        name: "grpcclient",
        oldest: 18,
        argument: Argument::None,
        sees: &["grpc-client"],
        tells: "network.peer.port",
        asked: Asked::ToCall(&["grpcserver", "grpcchain"]),
        spans: &[("client", CHECK, "sent"), ("client", CHECK, "sent")],
    },
    Program {
        name: "httpserver",
        oldest: 18,
        argument: Argument::None,
        sees: &["http-server", "http2-server"],
        tells: "network.peer.port",
        asked: Asked::ByClients,
        spans: &[("server", "GET", "remote")],
    },
    Program {
        name: "fasthttp",
        oldest: 18,
        argument: Argument::None,
        sees: &["fasthttp-server"],
        tells: "network.peer.port",
        asked: Asked::ByClients,
        spans: &[("server", "GET", "remote")],
    },
    Program {
        name: "httpclient",
        oldest: 18,
        argument: Argument::None,
        sees: &["http-client", "http2-client"],
        tells: "server.port",
        asked: Asked::ToCall(&["httpserver", "fasthttp"]),
        spans: &[("client", "GET", "sent"), ("client", "GET", "sent")],
    },
    Program {
        name: "xnetserver",
        oldest: 18,
        argument: Argument::None,
        sees: &["http2-server"],
        tells: "network.peer.port",
        asked: Asked::ByClients,
        spans: &[("server", "GET", "remote")],
    },
    Program {
        name: "xnetclient",
        oldest: 18,
        argument: Argument::None,
        sees: &["http2-client"],
        tells: "server.port",
        asked: Asked::ToCall(&["xnetserver"]),
        spans: &[("client", "GET", "sent")],
    },
    Program {
        name: "connectserver",
        oldest: 19,
        argument: Argument::None,
        sees: &["http-server", "http2-server"],
        tells: "network.peer.port",
        asked: Asked::ByClients,
        spans: &[("server", BUY, "remote")],
    },
    Program {
        name: "connectclient",
        oldest: 19,
        argument: Argument::None,
        sees: &["http-client", "http2-client"],
        tells: "server.port",
        asked: Asked::ToCall(&["connectserver"]),
        spans: &[("client", BUY, "sent")],
    },
    Program {
        name: "sqldb",
        oldest: 18,
        argument: Argument::None,
        sees: &["sql"],
        tells: "db.system.name",
        asked: Asked::Once,
        spans: &[
            ("client", "SELECT", "none"),
            ("client", "DELETE things", "none"),
            ("client", "PREPARE SELECT", "none"),
            ("client", "SELECT", "none"),
            ("client", "BEGIN", "none"),
            ("client", "COMMIT", "none"),
        ],
    },
    Program {
        name: "pgx4",
        oldest: 18,
        argument: Argument::Postgres,
        sees: &["sql"],
        tells: "server.port",
        asked: Asked::Once,
        spans: &[("client", "SELECT", "none"), ("client", "SELECT", "none")],
    },
    Program {
        name: "pgx5",
        oldest: 18,
        argument: Argument::Postgres,
        sees: &["sql"],
        tells: "server.port",
        asked: Asked::Once,
        spans: &[("client", "SELECT", "none"), ("client", "SELECT", "none")],
    },
    Program {
        name: "redis8",
        oldest: 18,
        argument: Argument::Redis,
        sees: &["redis"],
        tells: "server.port",
        asked: Asked::Once,
        spans: &[("client", "SET", "none"), ("client", "PIPELINE", "none")],
    },
    Program {
        name: "redis9",
        oldest: 18,
        argument: Argument::Redis,
        sees: &["redis"],
        tells: "server.port",
        asked: Asked::Once,
        spans: &[("client", "SET", "none"), ("client", "PIPELINE", "none")],
    },
    Program {
        name: "redigo",
        oldest: 18,
        argument: Argument::Redis,
        sees: &["redis"],
        tells: "server.port",
        asked: Asked::Once,
        spans: &[("client", "SET", "none"), ("client", "DEL", "none")],
    },
];

#[test]
fn each_instrument_works_in_a_program_that_links_nothing_else() -> Result<()> {
    if !can_trace("each_instrument_works_in_a_program_that_links_nothing_else") {
        return Ok(());
    }
    let servers = Servers { postgres: Postgres::start()?, redis: Redis::start()? };
    observe(&servers, PROGRAMS.iter(), |program| {
        let go = Version::of(program.oldest);
        go::build_with(&program.folder(), "old", go, Mode::Plain)
    })
    .context("the oldest Go and libraries")?;
    let newest = |go| move |program: &Program| go::build(&program.folder(), go, Mode::Plain);
    observe(&servers, PROGRAMS.iter(), newest(Version::NEWEST))
        .context("the newest Go and libraries")?;
    // With the newest Go, golang.org/x/net has no HTTP/2 of its own any more.
    let xnet = PROGRAMS.iter().filter(|program| program.name.starts_with("xnet"));
    observe(&servers, xnet, newest(Version::of(26))).context("the Go before, and golang.org/x/net")
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
) -> Result<()> {
    let mut started = Vec::new();
    for program in programs {
        let arguments = program.argument(servers, &started)?;
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        started.push((program, App::start_with(&build(program)?, &arguments, &[])?));
    }
    for (program, app) in &started {
        check_plan(program, app).with_context(|| program.name)?;
    }
    let pids: Vec<_> = started.iter().map(|(_, app)| app.pid().to_string()).collect();
    let selection: Vec<_> = pids.iter().flat_map(|pid| ["--pid", pid.as_str()]).collect();
    let gotap = Gotap::trace_what("all", &selection)?;
    for (program, app) in &started {
        ask(program, app, &started).with_context(|| program.name)?;
    }
    let spans = gotap.finish(started.iter().map(|(program, _)| program.spans.len()).sum())?;
    let failed = started.iter().filter_map(|(program, app)| {
        let error = check_spans(program, app, &spans).err()?;
        Some(format!("{}: {error:#}", program.name))
    });
    let failed: Vec<_> = failed.collect();
    ensure!(failed.is_empty(), "{}", failed.join("\n\n"));
    Ok(())
}

/// What `gotap ps` promises of a program.
fn check_plan(program: &Program, app: &App) -> Result<()> {
    let mut command = Command::new(binary());
    let output = command.args(["ps", "--format", "json", "--pid", &app.pid().to_string()]);
    let found: Value = serde_json::from_slice(&output.output()?.stdout)?;
    let texts = |key: &str| -> Vec<String> {
        let list = found[key].as_array().into_iter().flatten();
        list.filter_map(|text| text.as_str().map(str::to_owned)).collect()
    };
    let (sees, missing) = (texts("sees"), texts("missing"));
    for ability in program.sees {
        ensure!(sees.iter().any(|seen| seen == ability), "{ability} is not seen: {sees:?}");
        let lack = missing.iter().find(|text| text.starts_with(&format!("{ability}:")));
        ensure!(lack.is_none(), "{lack:?}");
    }
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

fn check_spans(program: &Program, app: &App, spans: &[Span]) -> Result<()> {
    let of_app = |span: &&Span| span.resource.get("process.pid") == Some(&app.pid().into());
    let mut spans: Vec<_> = spans.iter().filter(of_app).collect();
    spans.sort_by_key(|span| span.start);
    let list = || format!("{:#?}", spans.iter().map(told).collect::<Vec<_>>());
    let same = spans.len() == program.spans.len()
        && spans.iter().zip(program.spans).all(|(span, wanted)| told(span) == *wanted);
    ensure!(same, "{}", list());
    let served = spans.iter().find(|span| span.is_server());
    for span in &spans {
        ensure!(span.attributes.contains_key(program.tells), "no {}: {span:#?}", program.tells);
        match span.parent.as_str() {
            "none" => ensure!(span.trace_id != TRACE, "{span:#?}"),
            "remote" | "sent" => {
                ensure!(span.trace_id == TRACE && span.parent_span_id == CALLER, "{span:#?}");
            }
            _ => ensure!(served.is_some_and(|served| span.is_child_of(served)), "{span:#?}"),
        }
    }
    Ok(())
}

fn told<'a>(span: &&'a Span) -> (&'a str, &'a str, &'a str) {
    (&span.kind, &span.name, &span.parent)
}
