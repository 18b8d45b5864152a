//! Settings of profiles.

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Config, Invalid};

/// Profiles of what is observed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Profiles {
    /// To whom profiles are given at /targets/PID/debug/pprof/ of the address for Prometheus, for go tool pprof:
    /// to nobody (off), to this machine alone (local), or to all who reach it (all)
    pub(crate) serve: Serve,
}

/// Who gets profiles by HTTP.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Serve {
    /// Nobody
    #[default]
    Off,
    /// Who asks from this machine
    Local,
    /// Who reaches it
    All,
}

impl Profiles {
    /// Finds what the types can't.
    pub(super) fn validate(&self, config: &Config) -> Result<()> {
        if self.serve != Serve::Off && config.prometheus_listen.is_none() {
            let why = "profiles.serve: also say where, as prometheus_listen";
            return Err(Invalid(why.into()).into());
        }
        Ok(())
    }
}
