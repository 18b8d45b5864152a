//! The lines of a recording. Not here: who writes and who reads them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use trace::{Database, Resource, Routed, SqlLibrary, Value};

/// The number of this format. What reads another one says so.
pub const FORMAT: u32 = 1;

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Line {
    /// The first one.
    Start(Start),
    /// A process is known from here on.
    Process(Box<Process>),
    /// Its resource is another one from here on.
    Renamed {
        /// Process instance.
        instance: u32,
        /// The new one.
        resource: Attributes,
    },
    /// A process is forgotten.
    Removed {
        /// Process instance.
        instance: u32,
        /// When.
        now: Times,
    },
    /// A record of the ring buffer.
    Record {
        /// Its bytes in hex.
        #[serde(with = "hex")]
        bytes: Vec<u8>,
        /// Real time less the kernel's monotonic clock, in nanoseconds.
        clock_offset: i64,
    },
    /// What a process's router was asked, and answered.
    Route(Answer<RouteQuestion, String>),
    /// What a process's databases were asked, and answered.
    Database(Answer<DatabaseQuestion, DatabaseAnswer>),
    /// A look at the ring buffers ended.
    Round {
        /// When.
        now: Times,
        /// It was the last one.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        last: bool,
    },
    /// So many lines are missing, anywhere before.
    Lost {
        /// How many.
        lines: u64,
    },
}

/// What a recording is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Start {
    /// [`FORMAT`].
    pub format: u32,
    /// [`wire::RECORDS`], the layout of records.
    pub records: BTreeMap<String, u32>,
    /// The version of gotap.
    pub gotap: String,
    /// What was asked for.
    pub settings: Settings,
}

/// What a recording was made with, so that it gives the same spans.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    /// Headers of requests that the kernel side was asked for, in this order.
    pub request_headers: Vec<String>,
    /// Whether routes are guessed from paths.
    pub cluster_paths: bool,
    /// Whether spans have query strings.
    pub query_strings: bool,
    /// Whether all texts of errors leave.
    pub error_messages: bool,
    /// The word behind `gotap trace`, unless all was printed. Other spans are in the recording, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sort: Option<String>,
}

impl Start {
    /// Of a recording that this program makes.
    pub fn new(gotap: &str, settings: Settings) -> Self {
        Self {
            format: FORMAT,
            records: wire::RECORDS.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect(),
            gotap: gotap.to_owned(),
            settings,
        }
    }
}

/// A time by two clocks, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Times {
    /// By the kernel's monotonic clock.
    pub monotonic: u64,
    /// Since 1970.
    pub unix: u64,
}

/// What is known of a process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Process {
    /// Process instance.
    pub instance: u32,
    /// Of its spans.
    pub resource: Attributes,
    /// Names of error types by the address of their descriptor.
    pub type_names: BTreeMap<u64, String>,
    /// Remote procedures that it knows.
    pub procedures: BTreeSet<String>,
    /// Whether it tells where calls by connect end.
    pub call_ends: bool,
    /// Whether it has routers that are asked.
    pub has_routes: bool,
    /// Whether it has databases that are asked.
    pub has_databases: bool,
    /// Whether its own SDK sends its traces.
    pub only_measured: bool,
    /// When it became known, since 1970 in nanoseconds.
    pub unix: u64,
}

/// What something of a process was asked, and answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer<Q, A> {
    /// Process instance.
    pub instance: u32,
    /// The question.
    pub asked: Q,
    /// The answer; none if there was none.
    pub answered: Option<A>,
}

/// [`Routed`] as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteQuestion {
    server: u64,
    method: String,
    authority: String,
    host: String,
    path: String,
    raw_path: String,
    escaped: String,
    pattern: String,
}

impl From<&Routed<'_>> for RouteQuestion {
    fn from(request: &Routed<'_>) -> Self {
        Self {
            server: request.server,
            method: request.method.into(),
            authority: request.authority.into(),
            host: request.host.into(),
            path: request.path.into(),
            raw_path: request.raw_path.into(),
            escaped: request.escaped.into(),
            pattern: request.pattern.into(),
        }
    }
}

/// Which database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseQuestion {
    db: u64,
    library: u8,
}

impl DatabaseQuestion {
    pub(crate) fn new(db: u64, library: SqlLibrary) -> Self {
        Self { db, library: library as u8 }
    }
}

/// [`Database`] as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseAnswer {
    pub(crate) system: String,
    pub(crate) address: Option<String>,
    pub(crate) port: Option<u16>,
    pub(crate) namespace: Option<String>,
}

impl From<Database> for DatabaseAnswer {
    fn from(database: Database) -> Self {
        let Database { system, address, port, namespace } = database;
        Self { system: system.to_owned(), address, port, namespace }
    }
}

/// The attributes of a resource, in their order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attributes(Vec<(String, Kept)>);

/// An attribute's value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Kept {
    Int(i64),
    Double(f64),
    Text(String),
    Texts(Vec<String>),
}

impl From<&Resource> for Attributes {
    fn from(resource: &Resource) -> Self {
        let kept = |value: &Value| match value {
            Value::Static(text) => Kept::Text((*text).to_owned()),
            Value::Text(text) => Kept::Text(text.to_string()),
            Value::Int(number) => Kept::Int(*number),
            Value::Double(number) => Kept::Double(*number),
            Value::Texts(texts) => Kept::Texts(texts.iter().map(ToString::to_string).collect()),
        };
        Self(resource.attributes().iter().map(|(key, value)| (key.clone(), kept(value))).collect())
    }
}

impl From<Attributes> for Resource {
    fn from(attributes: Attributes) -> Self {
        let value = |kept| match kept {
            Kept::Text(text) => Value::Text(text.into()),
            Kept::Int(number) => Value::Int(number),
            Kept::Double(number) => Value::Double(number),
            Kept::Texts(texts) => Value::Texts(texts.into_iter().map(Into::into).collect()),
        };
        Resource::new(attributes.0.into_iter().map(|(key, kept)| (key, value(kept))).collect())
    }
}

/// Bytes as hex, which is read beside the BPF headers.
mod hex {
    use std::fmt::Write as _;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(2 * bytes.len());
        // Writing to a text does not fail.
        for byte in bytes {
            let _ = write!(text, "{byte:02x}");
        }
        to.serialize_str(&text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
        let pair = |pair: &[u8]| match pair {
            &[high, low] => Some(16 * digit(high)? + digit(low)?),
            _ => None,
        };
        let bytes: Option<_> = text.as_bytes().chunks(2).map(pair).collect();
        bytes.ok_or_else(|| D::Error::custom("bytes are not in hex"))
    }
}
