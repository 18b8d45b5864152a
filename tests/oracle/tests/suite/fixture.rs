//! Going through the selected builds of a program.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use gobin::Binary;
use gotap_testkit::go::{self, Mode, Version};

/// One built program.
pub(crate) struct Fixture {
    pub(crate) app: &'static str,
    pub(crate) version: Version,
    pub(crate) mode: Mode,
    pub(crate) path: PathBuf,
    pub(crate) data: Vec<u8>,
}

impl Fixture {
    /// Builds the program, or takes it from the cache.
    pub(crate) fn new(app: &'static str, version: Version, mode: Mode) -> Result<Self> {
        let path = go::build(app, version, mode)?;
        let data = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        Ok(Self { app, version, mode, path, data })
    }

    /// The same program of the same version, built in another mode.
    pub(crate) fn sibling(&self, mode: Mode) -> Result<Self> {
        Self::new(self.app, self.version, mode)
    }

    /// What `gobin` makes of it.
    pub(crate) fn parse(&self) -> Result<Binary<'_>> {
        Binary::parse(&self.data).with_context(|| format!("parse {}", self.path.display()))
    }

    /// Whether symbol table and DWARF are there.
    pub(crate) fn has_symbols(&self) -> bool {
        self.mode != Mode::Stripped
    }
}

/// Checks every selected build of `app` that `wanted` accepts.
///
/// # Panics
/// With the list of all builds that failed, or if there was none to check.
pub(crate) fn each(
    app: &'static str,
    wanted: impl Fn(Version, Mode) -> bool,
    check: impl Fn(&Fixture) -> Result<()>,
) {
    let mut failures = Vec::new();
    let mut checked = 0;
    for (version, mode) in go::selected().into_iter().filter(|(v, m)| wanted(*v, *m)) {
        checked += 1;
        if let Err(error) = Fixture::new(app, version, mode).and_then(|fixture| check(&fixture)) {
            failures.push(format!("{app}, Go {version}, {mode}: {error:#}"));
        }
    }
    assert!(checked > 0, "no build of {app} was selected");
    assert!(
        failures.is_empty(),
        "{} of {checked} builds:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

/// Any version, any mode.
pub(crate) fn all(_: Version, _: Mode) -> bool {
    true
}

/// Those that can be compared with a plain build of the same version.
pub(crate) fn beside_plain(version: Version, _: Mode) -> bool {
    go::is_common(version, Mode::Plain)
}

/// Stripped ones of these.
pub(crate) fn stripped_beside_plain(version: Version, mode: Mode) -> bool {
    mode == Mode::Stripped && beside_plain(version, mode)
}

/// Collects differences and fails with the first few of them.
#[derive(Default)]
pub(crate) struct Differences {
    all: Vec<String>,
}

impl Differences {
    /// Notes a difference.
    pub(crate) fn add(&mut self, what: String) {
        self.all.push(what);
    }

    /// Notes a difference if the two sides are not equal.
    pub(crate) fn compare<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, got: T, want: T) {
        if got != want {
            self.add(format!("{what}: gobin says {got:x?}, the truth is {want:x?}"));
        }
    }

    /// An error if there was any difference.
    pub(crate) fn finish(self) -> Result<()> {
        const SHOWN: usize = 12;
        let shown = self.all.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>();
        ensure!(self.all.is_empty(), "{} differences: {}", self.all.len(), shown.join("; "));
        Ok(())
    }
}
