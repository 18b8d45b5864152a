//! Settings of X-rays of slow requests.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Invalid, time};
use crate::governor::Budget;
use crate::xray::Slow;

/// What spans of slow requests say of where their time went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Xray {
    /// Say on spans of requests that took longer than this, such as 200ms, how long they ran and waited, for what
    /// and where: from looks at their goroutines. Off if not given
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) slower_than: Option<String>,
    /// How much of one processor these looks may take, such as 2%, or unlimited
    pub(crate) budget: String,
}

impl Default for Xray {
    fn default() -> Self {
        Self { slower_than: None, budget: "2%".into() }
    }
}

impl Xray {
    /// As the agent wants it; `None` where it is off.
    ///
    /// # Errors
    /// [`Invalid`] for a time or a share that can't be used.
    pub(crate) fn settings(&self) -> Result<Option<Arc<Slow>>> {
        let budget: Budget =
            self.budget.parse().map_err(|why| Invalid(format!("xray.budget: {why}")))?;
        let budget = match budget {
            Budget::Unlimited => None,
            Budget::Share(share) => Some(share),
        };
        let Some(text) = &self.slower_than else { return Ok(None) };
        let slower_than = time("xray.slower_than", text)?;
        if slower_than < Duration::from_millis(10) {
            return Err(Invalid("xray.slower_than: want at least 10ms".into()).into());
        }
        Ok(Some(Arc::new(Slow::new(slower_than, budget))))
    }
}
