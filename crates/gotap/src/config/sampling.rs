//! Settings of sampling: which traces are sent. Decided when a trace begins, by the kernel side.

use std::time::Duration;

use anyhow::Result;
use pipeline::TailSettings;
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
    /// Whole traces that are sent though the share above leaves them out
    pub(crate) tail: Tail,
}

/// Tail sampling, in the agent: spans of traces that are left out wait until it is known whether something in
/// them failed or was slow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Tail {
    /// Send whole traces in which something failed or was slow, in place of single operations
    pub(crate) enabled: bool,
    /// Those in which an operation failed
    pub(crate) errors: bool,
    /// Those with a request that took longer than this, such as 500ms; none if not given
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) slower_than: Option<String>,
    /// Those with a request that took longer than 99 of 100 others of its route
    pub(crate) slower_than_p99: bool,
    /// For how long the spans of a trace may wait
    pub(crate) wait: String,
    /// Bytes of spans that may wait
    pub(crate) buffer_bytes: usize,
}

impl Default for Tail {
    fn default() -> Self {
        Self {
            enabled: false,
            errors: true,
            slower_than: None,
            slower_than_p99: false,
            wait: "30s".into(),
            buffer_bytes: 32 << 20,
        }
    }
}

impl Tail {
    /// As the agent wants it; `None` where it is off.
    fn settings(&self) -> Result<Option<TailSettings>> {
        let invalid = |why: &str| Err(Invalid(format!("sampling.tail{why}")).into());
        if !self.enabled {
            let given = *self != Self::default();
            return if given {
                invalid(".enabled: is false, and other settings of sampling.tail are given")
            } else {
                Ok(None)
            };
        }
        let slower_than = self.slower_than.as_ref();
        let slower_than =
            slower_than.map(|text| time("sampling.tail.slower_than", text)).transpose()?;
        let wait = time("sampling.tail.wait", &self.wait)?;
        if !self.errors && slower_than.is_none() && !self.slower_than_p99 {
            return invalid(": want errors, slower_than or slower_than_p99");
        }
        if wait < Duration::from_secs(1) {
            return invalid(".wait: want at least 1s");
        }
        if self.buffer_bytes < 1 << 20 {
            return invalid(".buffer_bytes: want at least 1048576");
        }
        Ok(Some(TailSettings {
            errors: self.errors,
            slower_than,
            slower_than_p99: self.slower_than_p99,
            wait,
            bytes: self.buffer_bytes,
        }))
    }
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            ratio: 1.0,
            traces_per_second: None,
            errors: true,
            slower_than: None,
            tail: Tail::default(),
        }
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
        let tail = self.tail.settings()?;
        if tail.is_some() && !self.choice(false)?.leaves_out() {
            let why = "sampling.tail: all traces are sent anyway; set sampling.ratio to the share of \
                       other traces to send, such as 0.1";
            return Err(Invalid(why.into()).into());
        }
        Ok(())
    }

    /// As the programs want it. What is `measured`, or what tail sampling may keep, is sent in any case, and left
    /// out by the agent.
    ///
    /// # Errors
    /// [`Invalid`] for a time that can't be read.
    fn choice(&self, measured: bool) -> Result<raw::Sampling> {
        let slow = self.slower_than.as_ref();
        let slow = slow.map(|text| time("sampling.slower_than", text)).transpose()?;
        let slow_ns = slow.map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
        let choice = raw::Sampling {
            slow_ns,
            per_second: self.traces_per_second.unwrap_or(0),
            keeps_errors: self.errors.into(),
            sends_all: (measured || self.tail.enabled).into(),
            ..raw::Sampling::default()
        };
        Ok(choice.with_ratio(self.ratio))
    }
}

impl super::Config {
    /// Which traces are sent, where operations are `measured` or not. So many bytes may wait for that.
    ///
    /// # Errors
    /// [`Invalid`] for a time that can't be read.
    pub(crate) fn sampling(&self, measured: bool, tail_bytes: usize) -> Result<pipeline::Sampling> {
        let (head, mut tail) = (self.sampling.choice(measured)?, self.sampling.tail.settings()?);
        if let Some(tail) = &mut tail {
            tail.bytes = tail_bytes;
        }
        Ok(pipeline::Sampling { head, tail })
    }
}
