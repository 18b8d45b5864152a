//! The recordings. Not here: what is tested with them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use gotap_e2e::Span;
use serde_json::Value;

/// A recording, and the spans that it gives.
pub(crate) struct Stream {
    pub(crate) path: PathBuf,
    pub(crate) lines: Vec<String>,
    pub(crate) spans: Vec<Span>,
}

impl Stream {
    /// All that the repository has.
    pub(crate) fn all() -> Result<Vec<Self>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("streams");
        let mut all = Vec::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|end| end == "rec") {
                let text = fs::read_to_string(path.with_extension("spans"))?;
                let lines: Vec<_> = text.lines().map(str::to_owned).collect();
                let spans = lines.iter().map(|line| Span::parse(line)).collect::<Result<_>>()?;
                all.push(Self { path, lines, spans });
            }
        }
        all.sort_by(|a, b| a.path.cmp(&b.path));
        ensure!(all.len() > 100, "only {} recordings", all.len());
        Ok(all)
    }

    /// Its name, for messages.
    pub(crate) fn name(&self) -> String {
        self.path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// The end-to-end test that it is of.
    pub(crate) fn test(&self) -> Result<String> {
        let name = self.name();
        let test = name.strip_suffix("-last").or_else(|| name.strip_suffix("-first"));
        Ok(test
            .with_context(|| format!("{name} is neither a first nor a last one"))?
            .replace('-', "::"))
    }

    /// What it was recorded with.
    pub(crate) fn settings(&self) -> Result<Value> {
        let text = fs::read_to_string(&self.path)?;
        let mut start: Value = serde_json::from_str(text.lines().next().context("a line")?)?;
        Ok(start["start"]["settings"].take())
    }

    /// The recordings of a test.
    pub(crate) fn of(test: &str) -> Result<Vec<Self>> {
        let mut those = Vec::new();
        for stream in Self::all()? {
            if stream.test()? == test {
                those.push(stream);
            }
        }
        ensure!(!those.is_empty(), "{test} is not recorded");
        Ok(those)
    }

    /// The lines of the spans that pass.
    pub(crate) fn those(&self, passes: impl Fn(&Span) -> bool) -> Vec<&String> {
        let all = self.lines.iter().zip(&self.spans);
        all.filter(|(_, span)| passes(span)).map(|(line, _)| line).collect()
    }
}
