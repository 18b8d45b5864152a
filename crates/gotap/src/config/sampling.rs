//! Settings of sampling: which traces are sent. Decided when a trace begins, by the kernel side.

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wire::raw;

use super::{Invalid, time};

/// Which traces are sent. A caller's decision, which comes with its request, holds before this.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Sampling {
    /// Share of the traces that begin on this host, from 0 to 1
    pub(crate) ratio: f64,
    /// Traces that each process may begin in a second; any number if not given
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) traces_per_second: Option<u32>,
    /// Send the failed operations of other traces, too, each by itself
    pub(crate) errors: bool,
    /// And what took longer than this, such as 500ms; nothing if not given
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) slower_than: Option<String>,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { ratio: 1.0, traces_per_second: None, errors: true, slower_than: None }
    }
}

impl Sampling {
    /// Finds what the types can't.
    pub(super) fn validate(&self) -> Result<()> {
        if !(0.0..=1.0).contains(&self.ratio) {
            let why = format!("sampling.ratio: want a number from 0 to 1, not {}", self.ratio);
            return Err(Invalid(why).into());
        }
        if self.traces_per_second == Some(0) {
            let why = "sampling.traces_per_second: want at least 1; for no traces set sampling.ratio to 0";
            return Err(Invalid(why.into()).into());
        }
        self.choice(false).map(drop)
    }

    /// As the programs want it. What is `measured` is sent in any case, and left out by the agent.
    ///
    /// # Errors
    /// [`Invalid`] for a time that can't be read.
    pub(crate) fn choice(&self, measured: bool) -> Result<raw::Sampling> {
        let slow = self.slower_than.as_ref();
        let slow = slow.map(|text| time("sampling.slower_than", text)).transpose()?;
        let slow_ns = slow.map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
        let choice = raw::Sampling {
            slow_ns,
            per_second: self.traces_per_second.unwrap_or(0),
            keeps_errors: self.errors.into(),
            sends_all: measured.into(),
            ..raw::Sampling::default()
        };
        Ok(choice.with_ratio(self.ratio))
    }
}
