//! The programs below `apps/alone/cmd`, what they do, and what is to be told of it.

/// A span: its kind, its name, and how its parent was found.
pub(crate) type Wanted = (&'static str, &'static str, &'static str);

/// A program below `apps/alone/cmd`.
pub(crate) struct Program {
    pub(crate) name: &'static str,
    /// The oldest Go that builds it, and what it is built with there.
    pub(crate) oldest: u32,
    /// What its argument is the address of.
    pub(crate) argument: Argument,
    /// What must be seen in it, with nothing missing.
    pub(crate) sees: &'static [&'static str],
    /// An attribute that each of its spans has, an address where there is any.
    pub(crate) tells: &'static str,
    /// How it comes to do something.
    pub(crate) asked: Asked,
    /// The spans that it has then, in the order of their starts.
    pub(crate) spans: &'static [Wanted],
}

#[derive(Clone, Copy)]
pub(crate) enum Argument {
    None,
    Postgres,
    Redis,
    /// A program that was started before.
    Program(&'static str),
}

pub(crate) enum Asked {
    /// A client below asks it.
    ByClients,
    /// It is told to do what it does.
    Once,
    /// It is told to ask each of these.
    ToCall(&'static [&'static str]),
}

const CHECK: &str = "grpc.health.v1.Health/Check";
const BUY: &str = "gotap.v1.Shop/Buy";

/// The parent of a request that another program's call makes: `connection`, and `none` where the library is too
/// old to be joined.
pub(crate) const JOINED: &str = "joined";

pub(crate) static PROGRAMS: [Program; 16] = [
    Program {
        name: "grpcserver",
        oldest: 18,
        argument: Argument::None,
        sees: &["grpc-server"],
        tells: "network.peer.port",
        asked: Asked::ByClients,
        spans: &[
            ("server", CHECK, "remote"),
            ("server", CHECK, JOINED),
            ("server", CHECK, JOINED),
            ("server", CHECK, JOINED),
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

/// What is not seen of a program, as `gotap ps` and `gotap trace` say, and the spans that it has still.
pub(crate) struct Lack {
    pub(crate) program: &'static str,
    pub(crate) said: &'static str,
    pub(crate) spans: &'static [Wanted],
}

/// Of builds without optimisation.
pub(crate) const LACKS: [Lack; 3] = [
    Lack { program: "fasthttp", said: "no site found in github.com/valyala/fasthttp", spans: &[] },
    Lack {
        program: "pgx4",
        said: "no site found for queries of github.com/jackc/pgx/v4",
        spans: &[("client", "SELECT", "none")],
    },
    Lack {
        program: "pgx5",
        said: "no site found for queries of github.com/jackc/pgx/v5",
        spans: &[("client", "SELECT", "none"), ("client", "PREPARE SELECT", "none")],
    },
];
