//! The instruments that there are and the libraries that each traces: one list, from which come the words of
//! `gotap ps`, the verbs of `gotap trace`, the versions that are tested and docs/libraries.md. Not here: how a
//! library is traced (`plan`).

use trace::Operation;

use crate::instrument::INSTRUMENTS;
use crate::plan::Ability;

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
    /// Modules, without their major versions, by which programs with OpenTelemetry's SDK make spans of the same.
    pub sdk: &'static [&'static str],
}

/// A sort of operations that `gotap trace` shows alone.
#[derive(Debug, Clone, Copy)]
pub struct Verb {
    /// The word behind `gotap trace`.
    pub name: &'static str,
    /// What the help says of it.
    pub about: &'static str,
    /// Whether an operation is of this sort.
    pub shows: fn(&Operation) -> bool,
}

impl PartialEq for Verb {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// Requests of HTTP, whoever serves or makes them.
pub(crate) const HTTP_VERB: Verb = Verb {
    name: "http",
    about: "HTTP requests that Go programs serve and make",
    shows: |operation| matches!(operation, Operation::Http(http) if http.method.is_some()),
};

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
    Driver(Ability, &'static str),
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

type Tested = &'static [(&'static str, &'static str, &'static str)];

pub(crate) const fn known(module: &'static str, seen: Seen, tested: Tested) -> KnownLibrary {
    KnownLibrary { module, seen, tested }
}

/// HTTP; other instruments say the same of theirs themselves.
const TRACED: [Traced; 2] = [
    Traced {
        word: "http",
        verb: HTTP_VERB,
        abilities: &[Ability::HttpServer, Ability::HttpClient],
        standard: Some("net/http"),
        sdk: &[
            "go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp",
            "go.opentelemetry.io/contrib/instrumentation/github.com/gin-gonic/gin/otelgin",
            "go.opentelemetry.io/contrib/instrumentation/github.com/gorilla/mux/otelmux",
            "go.opentelemetry.io/contrib/instrumentation/github.com/labstack/echo/otelecho",
            "github.com/riandyrn/otelchi",
            "github.com/gofiber/contrib/otelfiber",
        ],
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
        verb: HTTP_VERB,
        abilities: &[Ability::Http2Server, Ability::Http2Client],
        standard: Some("net/http"),
        sdk: &[],
        libraries: &[known(
            "golang.org/x/net",
            Seen::Within("http2"),
            &[("golang.org/x/net", "0.0.0-20200822124328-c89045814202", "0.62.0")],
        )],
    },
];

/// Those that are known and not traced, so that silence is not taken for idleness.
const NOT_TRACED: [KnownLibrary; 4] = [
    known("github.com/cloudwego/hertz", Seen::Not, &[]),
    known("github.com/segmentio/kafka-go", Seen::Not, &[]),
    known("github.com/IBM/sarama", Seen::Not, &[]),
    known("github.com/Shopify/sarama", Seen::Not, &[]),
];

/// All that trace something, in the order of output.
pub fn traced() -> impl Iterator<Item = &'static Traced> {
    let own = INSTRUMENTS.iter().filter_map(|instrument| instrument.traced.as_ref());
    TRACED.iter().chain(own)
}

/// All sorts of operations, in the order of the help.
pub fn verbs() -> Vec<Verb> {
    let mut all: Vec<Verb> = Vec::new();
    for verb in traced().map(|traced| traced.verb) {
        if !all.contains(&verb) {
            all.push(verb);
        }
    }
    all
}

/// All libraries that are known.
pub fn libraries() -> impl Iterator<Item = &'static KnownLibrary> {
    traced().flat_map(|traced| traced.libraries).chain(&NOT_TRACED)
}
