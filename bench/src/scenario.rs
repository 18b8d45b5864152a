//! What is run: the scenarios, and how their servers are observed. Not here: running them (`rounds`).

use std::time::Duration;

use crate::backend::Kind;
use crate::load::Protocol;

pub(crate) const READY: Duration = Duration::from_secs(20);

/// A load on a server.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) connections: usize,
    pub(crate) rate: u64,
    /// Flags of the server.
    pub(crate) work: &'static [&'static str],
    /// How the load generator speaks.
    pub(crate) protocol: Protocol,
    /// The program that serves.
    pub(crate) app: App,
    /// What the handler asks, so that two spans are expected of a request.
    pub(crate) asks: Option<Kind>,
    /// Whether a tenth of the traces is measured beside all of them.
    sampled: bool,
    /// How often it asks for each request. All that is told, but for times, is of one of them then.
    pub(crate) times: u64,
}

/// A folder of `apps/` that has a program without the SDK and one with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum App {
    Hello,
    Backends,
}

impl Scenario {
    pub(crate) fn all() -> Vec<Self> {
        let hello = Self {
            name: "hello",
            connections: 8,
            rate: 0,
            work: &[],
            protocol: Protocol::Http1,
            app: App::Hello,
            asks: None,
            sampled: false,
            times: 1,
        };
        let asks = |name, kind| Self {
            name,
            app: if kind == Kind::Hello { App::Hello } else { App::Backends },
            asks: Some(kind),
            ..hello.clone()
        };
        let many = |name, kind| Self { work: &["-times", "20"], times: 20, ..asks(name, kind) };
        vec![
            hello.clone(),
            Self { name: "sampled", sampled: true, ..hello.clone() },
            Self { name: "1ms", connections: 16, work: &["-work", "1ms"], ..hello.clone() },
            // A fixed amount of work: what an observer takes away from it is missing in the rate.
            Self { name: "busy", connections: 16, work: &["-hash", "2000000"], ..hello.clone() },
            Self { name: "10k/s", rate: 10_000, ..hello.clone() },
            asks("call", Kind::Hello),
            Self { name: "tls", protocol: Protocol::Tls, work: &["-tls"], ..hello.clone() },
            Self { name: "h2", protocol: Protocol::Http2, work: &["-h2"], ..hello.clone() },
            Self {
                name: "grpc",
                protocol: Protocol::Grpc,
                app: App::Backends,
                work: &["-grpc"],
                ..hello.clone()
            },
            asks("grpc-call", Kind::Grpc),
            asks("sql", Kind::Sql),
            asks("pgx", Kind::Pgx),
            asks("redis", Kind::Redis),
            // So that the request has but a twentieth of what it costs in each operation's figures.
            many("query", Kind::Sql),
            many("pgx-query", Kind::Pgx),
            many("command", Kind::Redis),
        ]
    }

    /// Spans of one request: the SDK's instruments are set up to have no others, see `apps/`.
    pub(crate) fn spans(&self) -> u64 {
        1 + if self.asks.is_some() { self.times } else { 0 }
    }
}

/// How the server is observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    None,
    /// gotap with programs that do nothing: what is added is the cost of the traps themselves.
    Traps,
    Gotap,
    /// A tenth of the traces, and no metrics: for those gotap needs each request.
    GotapTenth,
    Sdk,
    /// A tenth of the traces.
    SdkTenth,
    Agent,
}

impl Mode {
    pub(crate) fn of(scenario: &Scenario, agent: bool) -> Vec<Self> {
        if scenario.sampled {
            return vec![Mode::None, Mode::Gotap, Mode::GotapTenth, Mode::Sdk, Mode::SdkTenth];
        }
        let mut modes = vec![Mode::None, Mode::Traps, Mode::Gotap, Mode::Sdk];
        modes.extend(agent.then_some(Mode::Agent));
        modes
    }

    pub(crate) fn label(self) -> &'static str {
        match self {
            Mode::None => "none",
            Mode::Traps => "traps",
            Mode::Gotap => "gotap",
            Mode::GotapTenth => "gotap, 10 %",
            Mode::Sdk => "sdk",
            Mode::SdkTenth => "sdk, 10 %",
            Mode::Agent => "agent",
        }
    }
}
