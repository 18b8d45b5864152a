//! The instruments that there are and the libraries that each traces: one list, from which come the words of
//! `gotap ps`, the verbs of `gotap trace`, the versions that are tested and docs/libraries.md. Not here: how a
//! library is traced (`plan`).

use crate::Ability;

/// What traces libraries of one sort.
#[derive(Debug, Clone, Copy)]
pub struct Traced {
    /// The word for it in `gotap ps`.
    pub word: &'static str,
    /// What of `gotap trace` shows it.
    pub verb: Verb,
    /// What it lets see.
    pub abilities: &'static [Ability],
    /// What it traces, Go's own packages aside.
    pub libraries: &'static [KnownLibrary],
    /// What it traces of Go's own packages.
    pub standard: Option<&'static str>,
}

/// A sort of operations that `gotap trace` shows alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// HTTP.
    Http,
    /// gRPC.
    Grpc,
    /// Databases that speak SQL.
    Sql,
    /// Redis.
    Redis,
}

impl Verb {
    /// All, in the order of the help.
    pub const ALL: [Verb; 4] = [Verb::Http, Verb::Grpc, Verb::Sql, Verb::Redis];

    /// The word behind `gotap trace`.
    pub fn name(self) -> &'static str {
        match self {
            Verb::Http => "http",
            Verb::Grpc => "grpc",
            Verb::Sql => "sql",
            Verb::Redis => "redis",
        }
    }

    /// What the help says of it.
    pub fn about(self) -> &'static str {
        match self {
            Verb::Http => "HTTP requests that Go programs serve and make",
            Verb::Grpc => "gRPC calls that Go programs serve and make",
            Verb::Sql => "What Go programs ask databases for, through database/sql",
            Verb::Redis => "What Go programs ask Redis for: go-redis and redigo",
        }
    }
}

/// A library that is known, whether it is traced or not.
#[derive(Debug, Clone, Copy)]
pub struct KnownLibrary {
    /// Its module without the major version.
    pub module: &'static str,
    /// How it is seen.
    pub seen: Seen,
    /// Of each module with its major version, the oldest and the newest that the tests trace.
    pub tested: &'static [(&'static str, &'static str, &'static str)],
}

/// How calls of a library are seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// As something else, upon which it stands.
    As(&'static [Ability]),
    /// By probes in its own functions, of a package in it.
    Within(&'static str),
    /// By probes in its own functions.
    Inside(Ability),
    /// The same, or through its driver of database/sql, which is a package of it.
    Driver(&'static str),
    /// Not at all.
    Not,
}

const HTTP: Seen = Seen::As(&[
    Ability::HttpServer,
    Ability::HttpClient,
    Ability::Http2Server,
    Ability::Http2Client,
]);
/// What stands upon the server of net/http.
const SERVER: Seen = Seen::As(&[Ability::HttpServer, Ability::Http2Server]);
const GRPC: Seen = Seen::As(&[Ability::GrpcServer, Ability::GrpcClient]);
const SQL: Seen = Seen::As(&[Ability::Sql]);
const FAST_HTTP: Seen = Seen::Inside(Ability::FastHttp);
const REDIS: Seen = Seen::Inside(Ability::Redis);

type Tested = &'static [(&'static str, &'static str, &'static str)];

const fn known(module: &'static str, seen: Seen, tested: Tested) -> KnownLibrary {
    KnownLibrary { module, seen, tested }
}

/// All that trace something.
pub const TRACED: [Traced; 6] = [
    Traced {
        word: "http",
        verb: Verb::Http,
        abilities: &[Ability::HttpServer, Ability::HttpClient],
        standard: Some("net/http"),
        libraries: &[
            known(
                "connectrpc.com/connect",
                HTTP,
                &[("connectrpc.com/connect", "1.11.0", "1.21.1")],
            ),
            known(
                "github.com/bufbuild/connect-go",
                HTTP,
                &[("github.com/bufbuild/connect-go", "1.1.0", "1.1.0")],
            ),
            known(
                "github.com/gin-gonic/gin",
                SERVER,
                &[("github.com/gin-gonic/gin", "1.8.1", "1.12.0")],
            ),
            known(
                "github.com/go-chi/chi",
                SERVER,
                &[("github.com/go-chi/chi/v5", "5.0.7", "5.5.0")],
            ),
            known(
                "github.com/gorilla/mux",
                SERVER,
                &[("github.com/gorilla/mux", "1.8.0", "1.8.1")],
            ),
            known(
                "github.com/labstack/echo",
                SERVER,
                &[
                    ("github.com/labstack/echo/v4", "4.9.0", "4.16.0"),
                    ("github.com/labstack/echo/v5", "5.4.4", "5.4.4"),
                ],
            ),
            known(
                "github.com/julienschmidt/httprouter",
                SERVER,
                &[("github.com/julienschmidt/httprouter", "1.3.0", "1.3.0")],
            ),
        ],
    },
    Traced {
        word: "h2",
        verb: Verb::Http,
        abilities: &[Ability::Http2Server, Ability::Http2Client],
        standard: Some("net/http"),
        libraries: &[known(
            "golang.org/x/net",
            Seen::Within("http2"),
            &[("golang.org/x/net", "0.0.0-20200822124328-c89045814202", "0.62.0")],
        )],
    },
    Traced {
        word: "fasthttp",
        verb: Verb::Http,
        abilities: &[Ability::FastHttp],
        standard: None,
        libraries: &[
            known(
                "github.com/valyala/fasthttp",
                FAST_HTTP,
                &[("github.com/valyala/fasthttp", "1.40.0", "1.78.0")],
            ),
            known(
                "github.com/gofiber/fiber",
                FAST_HTTP,
                &[
                    ("github.com/gofiber/fiber/v2", "2.39.0", "2.52.15"),
                    ("github.com/gofiber/fiber/v3", "3.1.0", "3.1.0"),
                ],
            ),
        ],
    },
    Traced {
        word: "grpc",
        verb: Verb::Grpc,
        abilities: &[Ability::GrpcServer, Ability::GrpcClient],
        standard: None,
        libraries: &[known(
            "google.golang.org/grpc",
            GRPC,
            &[("google.golang.org/grpc", "1.33.3", "1.85.0")],
        )],
    },
    Traced {
        word: "sql",
        verb: Verb::Sql,
        abilities: &[Ability::Sql],
        standard: Some("database/sql"),
        libraries: &[
            known("github.com/lib/pq", SQL, &[("github.com/lib/pq", "1.10.4", "1.12.3")]),
            known(
                "github.com/jackc/pgx",
                Seen::Driver("stdlib.(*Conn).QueryContext"),
                &[
                    ("github.com/jackc/pgx/v4", "4.10.1", "4.18.3"),
                    ("github.com/jackc/pgx/v5", "5.0.0", "5.13.0"),
                ],
            ),
            known(
                "github.com/go-sql-driver/mysql",
                SQL,
                &[("github.com/go-sql-driver/mysql", "1.6.0", "1.10.1")],
            ),
            known("modernc.org/sqlite", SQL, &[("modernc.org/sqlite", "1.18.2", "1.62.0")]),
            known(
                "github.com/mattn/go-sqlite3",
                SQL,
                &[("github.com/mattn/go-sqlite3", "1.14.16", "1.14.53")],
            ),
        ],
    },
    Traced {
        word: "redis",
        verb: Verb::Redis,
        abilities: &[Ability::Redis],
        standard: None,
        libraries: &[
            known(
                "github.com/redis/go-redis",
                REDIS,
                &[("github.com/redis/go-redis/v9", "9.0.0", "9.23.0")],
            ),
            known(
                "github.com/go-redis/redis",
                REDIS,
                &[("github.com/go-redis/redis/v8", "8.8.0", "8.11.5")],
            ),
            known(
                "github.com/gomodule/redigo",
                REDIS,
                &[("github.com/gomodule/redigo", "1.8.2", "1.9.3")],
            ),
        ],
    },
];

/// Those that are known and not traced, so that silence is not taken for idleness.
const NOT_TRACED: [KnownLibrary; 4] = [
    known("github.com/cloudwego/hertz", Seen::Not, &[]),
    known("github.com/segmentio/kafka-go", Seen::Not, &[]),
    known("github.com/IBM/sarama", Seen::Not, &[]),
    known("github.com/Shopify/sarama", Seen::Not, &[]),
];

/// All libraries that are known.
pub fn libraries() -> impl Iterator<Item = &'static KnownLibrary> {
    TRACED.iter().flat_map(|traced| traced.libraries).chain(&NOT_TRACED)
}
