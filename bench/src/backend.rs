//! What the handlers of some scenarios ask: a server of its own, that is there for all runs of the
//! scenario and ends with them.

use std::any::Any;
use std::path::Path;

use anyhow::Result;
use gotap_testkit::postgres::Postgres;
use gotap_testkit::process::Running;
use gotap_testkit::redis::Redis;

use crate::scenario::READY;

/// What is asked, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The server under load again, by HTTP.
    Hello,
    /// A gRPC service, by a unary call.
    Grpc,
    /// PostgreSQL, by `database/sql`.
    Sql,
    /// PostgreSQL, by pgx alone.
    Pgx,
    Redis,
}

/// One that runs.
pub(crate) struct Backend {
    /// How the server under load finds it.
    pub(crate) flags: [String; 2],
    /// Ends it when it is dropped.
    _running: Box<dyn Any>,
}

impl Backend {
    /// Starts it; `plain` is the program of the server under load.
    pub(crate) fn start(kind: Kind, plain: &Path) -> Result<Self> {
        let (flag, value, running): (_, _, Box<dyn Any>) = match kind {
            Kind::Hello => {
                let (server, addr) = serve(plain, &[])?;
                ("-call", format!("http://{addr}/"), Box::new(server))
            }
            Kind::Grpc => {
                let (server, addr) = serve(plain, &["-grpc"])?;
                ("-grpc-call", addr, Box::new(server))
            }
            Kind::Sql | Kind::Pgx => {
                let server = Postgres::start()?;
                let flag = if kind == Kind::Sql { "-sql" } else { "-pgx" };
                (flag, server.dsn(), Box::new(server))
            }
            Kind::Redis => {
                let server = Redis::start()?;
                server.ask("SET greeting hello")?;
                ("-redis", server.address(), Box::new(server))
            }
        };
        Ok(Self { flags: [flag.to_owned(), value], _running: running })
    }
}

fn serve(program: &Path, flags: &[&str]) -> Result<(Running, String)> {
    let flags: Vec<&str> = flags.iter().copied().chain(["-addr", "127.0.0.1:0"]).collect();
    let server = Running::start(program, &flags, &[])?;
    let addr = server.wait_for("listening ", READY)?;
    Ok((server, addr))
}
