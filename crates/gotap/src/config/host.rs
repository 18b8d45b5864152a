//! Settings of what is measured of all programs of the host, in any language.

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Invalid;

/// What is measured of all programs of this host, in any language. Each part costs those programs something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Host {
    /// Metrics of TCP connections: how many, how long, bytes, round trip times, failures
    pub(crate) tcp: bool,
    /// With tcp, a span for each connection that has ended, too
    pub(crate) tcp_spans: bool,
    /// With tcp, look at the ends of system calls, too, which tell who accepted a connection and why one failed
    /// before anything was sent
    pub(crate) tcp_system_calls: bool,
    /// Metrics of programs that start and end
    pub(crate) programs: bool,
    /// With programs, a log record for each start and end, too: event process.exec or process.exit, with arguments
    /// in which what looks like a secret is masked
    pub(crate) program_logs: bool,
}

impl Default for Host {
    fn default() -> Self {
        Self {
            tcp: false,
            tcp_spans: false,
            tcp_system_calls: true,
            programs: false,
            program_logs: false,
        }
    }
}

impl Host {
    /// Finds settings that have no effect.
    pub(super) fn validate(self) -> Result<()> {
        if !self.tcp && (self.tcp_spans || !self.tcp_system_calls) {
            return Err(Invalid(
                "host.tcp: is false, and other settings of host.tcp are given".into(),
            )
            .into());
        }
        if self.program_logs && !self.programs {
            let why = "host.program_logs: is true, and host.programs is false";
            return Err(Invalid(why.into()).into());
        }
        Ok(())
    }
}
