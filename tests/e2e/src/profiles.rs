//! A program that profiles itself, gotap that profiles it, and Go's own reader of profiles.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use anyhow::{Context, Result, ensure};
use gotap_testkit::go::{self, Mode, Version};
use gotap_testkit::process::{Running, heed_signals};
use gotap_testkit::setup;
use serde_json::Value;
use tempfile::TempDir;

use crate::{SOON, binary};

/// A running profileapp.
#[derive(Debug)]
pub struct ProfileApp {
    /// The process.
    pub process: Running,
    /// What it was built as.
    pub program: PathBuf,
    folder: TempDir,
}

impl ProfileApp {
    /// Builds and starts it. It profiles itself for so long when it is asked to.
    pub fn start(version: Version, mode: Mode, arguments: &[&str], own: &str) -> Result<Self> {
        let program = go::build("profileapp", version, mode)?;
        let folder = TempDir::new().context("create a folder")?;
        let file = folder.path().join("own.pb.gz");
        let file = file.to_str().context("a path")?;
        let process =
            Running::start(&program, &[&["-own", file, "-for", own], arguments].concat(), &[])?;
        process.wait_for("ready", SOON)?;
        Ok(Self { process, program, folder })
    }

    /// A file in a folder of its own.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts `gotap profile KIND PID` with these arguments.
    pub fn spawn(&self, kind: &str, arguments: &[&str]) -> Result<Child> {
        let mut command = Command::new(binary());
        command.args(["profile", kind, &self.process.pid().to_string()]).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        heed_signals(&mut command);
        command.spawn().context("start gotap")
    }

    /// The same, to its end.
    pub fn gotap(&self, kind: &str, arguments: &[&str]) -> Result<Output> {
        self.spawn(kind, arguments)?.wait_with_output().context("run gotap")
    }

    /// The table of functions as JSON.
    pub fn table(&self, kind: &str, arguments: &[&str]) -> Result<Value> {
        let output =
            self.gotap(kind, &[&["--format", "json", "--top", "1000"], arguments].concat())?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).context("gotap prints JSON")
    }

    /// Has it profile itself, and waits for it. The kinds but `cpu` are in files of their own.
    pub fn profile_itself(&mut self) -> Result<PathBuf> {
        self.process.signal(libc::SIGUSR1)?;
        self.process.wait_for("profiled", SOON)?;
        Ok(self.file("own.pb.gz"))
    }
}

/// What `go tool pprof` says of a profile.
#[derive(Debug, Default)]
pub struct Top {
    /// All that was sampled, as it is written.
    pub heading: String,
    /// Shares of functions, flat and cumulative, in percent.
    pub shares: BTreeMap<String, (f64, f64)>,
    /// Cumulative values of functions, as they are written.
    pub values: BTreeMap<String, String>,
}

impl Top {
    /// Of a file; of one of its kinds of values, if it is given.
    pub fn of(file: &Path, kind: Option<&str>) -> Result<Self> {
        let index = kind.map(|kind| format!("-sample_index={kind}"));
        let mut command = go_tool(Version::NEWEST)?;
        command.args(["tool", "pprof", "-top", "-nodecount=100000", "-nodefraction=0"]);
        let output = command.args(index).arg(file).output().context("run go tool pprof")?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "go tool pprof: {said}");
        let mut out = Self { heading: text.clone(), ..Self::default() };
        for line in text.lines().skip_while(|line| !line.contains("flat%")).skip(1) {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            let [_, flat, _, value, cumulative, name @ ..] = &*words else { continue };
            let name = name.join(" ").replace(" (inline)", "");
            let percent = |text: &str| -> Result<f64> {
                text.trim_end_matches('%').parse().with_context(|| line.to_owned())
            };
            out.values.insert(name.clone(), (*value).to_owned());
            out.shares.insert(name, (percent(flat)?, percent(cumulative)?));
        }
        Ok(out)
    }

    /// Seconds that were sampled in all.
    pub fn seconds(&self) -> Result<f64> {
        let total = self.heading.split_once("Total samples = ").map(|(_, rest)| rest);
        let total = total.and_then(|rest| rest.split_ascii_whitespace().next());
        let seconds = |text: &str| match text.strip_suffix("ms") {
            Some(milliseconds) => milliseconds.parse::<f64>().map(|n| n / 1e3),
            None => text.trim_end_matches('s').parse(),
        };
        let parsed = total.map(seconds).transpose()?;
        parsed.with_context(|| format!("no sum of samples: {}", self.heading))
    }

    /// The cumulative share of a function, 0 if there is none.
    pub fn cumulative(&self, name: &str) -> f64 {
        self.shares.get(name).map_or(0.0, |shares| shares.1)
    }
}

/// The go command of a version, with the caches of the tests.
pub fn go_tool(version: Version) -> Result<Command> {
    let cache = gotap_testkit::cache_dir()?;
    let mut command = Command::new(setup(&["go", &version.to_string()])?.join("bin/go"));
    command.envs([("GOTOOLCHAIN", "local"), ("GOWORK", "off"), ("GOFLAGS", "-buildvcs=false")]);
    command.env("GOMODCACHE", cache.join("go-mod")).env("GOCACHE", cache.join("go-build"));
    Ok(command)
}
