//! Settings of log records.

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wire::LogStream;

use super::otlp::with_scheme;
use super::{Config, Invalid, Otlp};

/// What programs write to their logs while they serve a request becomes log records with its trace and span. The
/// kernel runs gotap's program at the end of each system call of the host for it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Logs {
    /// Where lines are looked for: stdout, stderr, and files, which are those that a program appends to; nowhere
    /// when empty
    pub(crate) streams: Vec<Stream>,
    /// Send what lines say, up to 4096 bytes of each write. They may hold secrets. Otherwise their time, severity,
    /// goroutine and trace are sent
    pub(crate) text: bool,
}

/// Where programs write lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Stream {
    /// Standard output
    Stdout,
    /// Standard error
    Stderr,
    /// Files that were opened for appending
    Files,
}

impl Stream {
    fn to_wire(self) -> LogStream {
        match self {
            Self::Stdout => LogStream::Stdout,
            Self::Stderr => LogStream::Stderr,
            Self::Files => LogStream::File,
        }
    }
}

impl Logs {
    /// Those of `gotap trace --logs`.
    pub(crate) fn shown() -> Self {
        Self { streams: vec![Stream::Stdout, Stream::Stderr], text: true }
    }

    /// Whether lines are looked for.
    pub(crate) fn is_on(&self) -> bool {
        !self.streams.is_empty()
    }

    /// As the kernel side has them.
    pub(crate) fn streams(&self) -> Vec<LogStream> {
        self.streams.iter().map(|stream| stream.to_wire()).collect()
    }
}

impl Config {
    /// Where log records go; `None` where there are none.
    ///
    /// # Errors
    /// [`Invalid`] if it is not said where.
    pub(crate) fn logs_to(&self) -> Result<Option<export::LogsEndpoint>> {
        if !self.logs.is_on() && !self.host.program_logs {
            if self.logs.text {
                return Err(
                    Invalid("logs.text: also say from where, as logs.streams".into()).into()
                );
            }
            return Ok(None);
        }
        let Otlp { logs_endpoint, endpoint, traces_endpoint, protocol, .. } = &self.otlp;
        let to = match (logs_endpoint.as_deref().or(endpoint.as_deref()), traces_endpoint) {
            (Some(given), _) => given,
            (None, None) => protocol.default_endpoint(),
            (None, Some(_)) => {
                let why = "otlp.logs_endpoint: also say where log records go, beside otlp.traces_endpoint";
                return Err(Invalid(why.into()).into());
            }
        };
        let exact_url = logs_endpoint.is_some();
        Ok(Some(export::LogsEndpoint { endpoint: with_scheme(to), exact_url }))
    }
}
