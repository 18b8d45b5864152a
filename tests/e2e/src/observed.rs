//! A program that one gotap observes while a test asks for one thing after the other: each start of gotap takes longer
//! than many requests.

use std::path::Path;

use anyhow::Result;

use crate::{App, Gotap, Span};

/// A program, the one that it calls, and the gotap that observes the first.
#[derive(Debug)]
pub struct Observed {
    /// What is observed.
    pub app: App,
    /// What it calls, which is not observed.
    pub backend: App,
    gotap: Gotap,
}

impl Observed {
    /// Starts all three, lets `test` run, and checks that there is nothing that it did not wait for.
    pub fn with(program: &Path, test: impl FnOnce(&Self) -> Result<()>) -> Result<()> {
        let (app, backend) = App::start_pair(program)?;
        let gotap = Gotap::trace_pid(app.pid())?;
        let observed = Self { app, backend, gotap };
        test(&observed)?;
        observed.gotap.end()
    }

    /// The spans of what `request` asks for, in the order of their traces. There must be this number.
    pub fn spans_of(
        &self,
        n: usize,
        request: impl FnOnce(&App) -> Result<()>,
    ) -> Result<Vec<Span>> {
        let mut spans = self.gotap.spans_of(n, || request(&self.app))?;
        Span::sort_by_trace(&mut spans);
        Ok(spans)
    }
}
