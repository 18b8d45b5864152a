//! One round of a scenario: all modes side by side, each with a server and an observer of its own, and what is
//! measured of both. Not here: which scenarios and modes there are (`scenario`), medians (`report`).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use gotap_testkit::go::{self, Mode as BuildMode, Version};
use gotap_testkit::process::Running;
use serde::Serialize;

use crate::backend::Backend;
use crate::load::Outcome;
use crate::received::Sink;
use crate::scenario::{App, Mode, READY, Scenario};
use crate::{measure, report};

/// One mode in one round.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Run {
    pub(crate) scenario: &'static str,
    pub(crate) mode: &'static str,
    pub(crate) rps: f64,
    /// Medians of the slices' percentiles.
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) target_us: f64,
    pub(crate) slices: Vec<Slice>,
    pub(crate) agent_us: f64,
    pub(crate) agent_rss_mb: f64,
    pub(crate) spans: u64,
    pub(crate) expected_spans: u64,
    /// Traps per request, by probe.
    pub(crate) traps: BTreeMap<String, f64>,
    /// What gotap said that it lost, and how much of it was delivered.
    pub(crate) lost: String,
}

/// What came of the load of one slice.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Slice {
    pub(crate) rps: f64,
    pub(crate) target_us: f64,
}

/// How long the load stays with a server.
const SLICE: Duration = Duration::from_millis(250);
/// Until the spans of a slice are where they go, so that they burden nobody else's.
const PAUSE: Duration = Duration::from_millis(50);

/// A server under load with its observer.
struct Contestant {
    mode: Mode,
    sink: Sink,
    target: Running,
    addr: String,
    agent: Option<Running>,
    /// Requests before anything was measured.
    warm: u64,
    /// CPU seconds of the target in each slice.
    target_cpu: Vec<f64>,
    /// CPU seconds of the agent while its own target was loaded: it does not rest in between.
    agent_cpu: f64,
    outcomes: Vec<Outcome>,
}

impl Contestant {
    fn agent_seconds(&self) -> Result<f64> {
        self.agent.as_ref().map_or(Ok(0.0), |agent| measure::cpu_seconds(agent.pid()))
    }

    fn target_seconds(&self) -> Result<f64> {
        measure::cpu_seconds(self.target.pid())
    }

    fn finish(mut self, scenario: &Scenario) -> Result<Run> {
        let counted: u64 = self.outcomes.iter().map(|o| o.requests).sum();
        let operations = (counted * scenario.times) as f64;
        let target_us = self.target_cpu.iter().sum::<f64>() * 1e6 / operations;
        let slice = |(outcome, cpu): (&Outcome, &f64)| {
            let operations = (outcome.requests * scenario.times) as f64;
            Slice { rps: operations / outcome.seconds, target_us: cpu * 1e6 / operations }
        };
        let slices = self.outcomes.iter().zip(&self.target_cpu).map(slice).collect();
        let agent_pid = self.agent.as_ref().map(Running::pid);
        let agent_rss_mb = agent_pid.map_or(Ok(0.0), measure::peak_rss_mb)?;
        // Both flush when they are asked to end.
        let said = self.agent.as_mut().map(stop).transpose()?.unwrap_or_default();
        self.target.stop()?;
        let total = counted + self.warm;
        let expected = match self.mode {
            Mode::None | Mode::Traps => 0,
            // Which ones is decided by chance.
            Mode::GotapTenth | Mode::SdkTenth => total * scenario.spans() / 10,
            _ => total * scenario.spans(),
        };
        let of_slices = |value: fn(&Outcome) -> u32| {
            report::median(self.outcomes.iter().map(|o| value(o).into()).collect())
        };
        Ok(Run {
            scenario: scenario.name,
            mode: self.mode.label(),
            rps: operations / self.outcomes.iter().map(|o| o.seconds).sum::<f64>(),
            p50_us: of_slices(|o| o.p50_us),
            p99_us: of_slices(|o| o.p99_us),
            target_us,
            slices,
            agent_us: self.agent_cpu * 1e6 / operations,
            agent_rss_mb,
            spans: self.sink.settled(expected)?,
            expected_spans: expected,
            traps: traps(&said, (total * scenario.times) as f64),
            lost: said
                .iter()
                .find_map(|l| Some(l.split("spans, ").nth(1)?.to_owned()))
                .unwrap_or_default(),
        })
    }
}

/// The programs that take part.
pub(crate) struct Programs {
    gotap: PathBuf,
    agent: Option<String>,
    hello: Pair,
    backends: Pair,
    bench: PathBuf,
    copies: tempfile::TempDir,
}

/// The same server twice.
struct Pair {
    plain: PathBuf,
    sdk: PathBuf,
}

impl Pair {
    fn build(app: &str) -> Result<Self> {
        let part =
            |name: &str| go::build(&format!("{app}/cmd/{name}"), Version::of(26), BuildMode::Plain);
        Ok(Self { plain: part("plain")?, sdk: part("sdk")? })
    }
}

impl Programs {
    pub(crate) fn build(gotap: PathBuf, agent: Option<String>) -> Result<Self> {
        Ok(Self {
            gotap,
            agent,
            hello: Pair::build("hello")?,
            backends: Pair::build("backends")?,
            bench: std::env::current_exe()?,
            copies: tempfile::tempdir()?,
        })
    }

    fn pair(&self, scenario: &Scenario) -> &Pair {
        match scenario.app {
            App::Hello => &self.hello,
            App::Backends => &self.backends,
        }
    }

    /// Starts what the scenario's handler asks, if it asks anything.
    pub(crate) fn backend(&self, scenario: &Scenario) -> Result<Option<Backend>> {
        let plain = &self.pair(scenario).plain;
        scenario.asks.map(|kind| Backend::start(kind, plain)).transpose()
    }

    /// All modes of a scenario side by side: each has a server of its own, and the load goes from one
    /// to the next every quarter of a second, so that what slows the machine down meets them all.
    pub(crate) fn round(
        &self,
        scenario: &Scenario,
        backend: Option<&Backend>,
        modes: &[Mode],
        time: Duration,
    ) -> Result<Vec<Run>> {
        let start = |mode: &Mode| {
            self.contestant(scenario, backend, *mode)
                .with_context(|| format!("{} / {}", scenario.name, mode.label()))
        };
        let mut contestants: Vec<_> = modes.iter().map(start).collect::<Result<_>>()?;
        // In the same order each time, so that all have been idle for as long when it is their turn.
        for _ in 0..(time.as_millis() / SLICE.as_millis()).max(1) {
            for contestant in &mut contestants {
                let agent = contestant.agent_seconds()?;
                let target = contestant.target_seconds()?;
                contestant.outcomes.push(self.load(scenario, &contestant.addr, SLICE)?);
                std::thread::sleep(PAUSE);
                contestant.agent_cpu += contestant.agent_seconds()? - agent;
                contestant.target_cpu.push(contestant.target_seconds()? - target);
            }
        }
        contestants.into_iter().map(|c| c.finish(scenario)).collect()
    }

    /// A server with its observer, warm.
    fn contestant(
        &self,
        scenario: &Scenario,
        backend: Option<&Backend>,
        mode: Mode,
    ) -> Result<Contestant> {
        let sink = Sink::start(&self.bench)?;
        let (target, addr) = self.server(scenario, backend, mode, &sink.endpoint)?;
        let agent = self.observe(mode, target.pid(), &sink.endpoint)?;
        // Connections and caches of the target, of the agent and of the kernel get warm.
        let warm = self.load(scenario, &addr, Duration::from_millis(500))?.requests;
        let (target_cpu, outcomes) = (Vec::new(), Vec::new());
        Ok(Contestant {
            mode,
            sink,
            target,
            addr,
            agent,
            warm,
            target_cpu,
            agent_cpu: 0.0,
            outcomes,
        })
    }

    fn server(
        &self,
        scenario: &Scenario,
        backend: Option<&Backend>,
        mode: Mode,
        endpoint: &str,
    ) -> Result<(Running, String)> {
        let programs = self.pair(scenario);
        let mut flags = [scenario.work, &["-addr", "127.0.0.1:0"]].concat();
        flags.extend(backend.iter().flat_map(|b| &b.flags).map(String::as_str));
        let server = if matches!(mode, Mode::Sdk | Mode::SdkTenth) {
            flags.push("-sdk");
            flags.extend((mode == Mode::SdkTenth).then_some("-ratio=0.1"));
            Running::start(&programs.sdk, &flags, &[("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)])?
        } else {
            // Probes are a file's: those of one observer must not be in another's way.
            let own = self.copies.path().join(mode.label());
            std::fs::copy(&programs.plain, &own)?;
            Running::start(&own, &flags, &[])?
        };
        let addr = server.wait_for("listening ", READY)?;
        Ok((server, addr))
    }

    fn observe(&self, mode: Mode, pid: u32, endpoint: &str) -> Result<Option<Running>> {
        let pid = pid.to_string();
        match (mode, &self.agent) {
            (Mode::Gotap | Mode::GotapTenth | Mode::Traps, _) => {
                let mut flags = vec!["run", "--pid", &pid, "--otlp-endpoint", endpoint];
                flags.extend((mode == Mode::Traps).then_some("--empty-probes"));
                let tenth: &[_] =
                    &[("GOTAP_SAMPLING_RATIO", "0.1"), ("GOTAP_OTLP_METRICS", "false")];
                let settings = if mode == Mode::GotapTenth { tenth } else { &[] };
                let gotap = Running::start(&self.gotap, &flags, settings)?;
                gotap.wait_for_error("ready", READY)?;
                Ok(Some(gotap))
            }
            (Mode::Agent, Some(command)) => {
                let command = command.replace("{pid}", &pid).replace("{endpoint}", endpoint);
                let shell = format!("exec {command}");
                let agent = Running::start("/bin/sh".as_ref(), &["-c", &shell], &[])?;
                // Other agents do not all say when they are ready.
                std::thread::sleep(Duration::from_secs(10));
                Ok(Some(agent))
            }
            _ => Ok(None),
        }
    }

    fn load(&self, scenario: &Scenario, addr: &str, time: Duration) -> Result<Outcome> {
        let output = Command::new(&self.bench)
            .args(["load", "--addr", addr])
            .args(["--protocol", scenario.protocol.name()])
            .args(["--connections", &scenario.connections.to_string()])
            .args(["--rate", &scenario.rate.to_string()])
            .args(["--millis", &time.as_millis().to_string()])
            .stderr(Stdio::inherit())
            .output()?;
        serde_json::from_slice(&output.stdout).context("the load generator failed")
    }
}

/// Ends an agent as Ctrl-C does; gives what it said.
pub(crate) fn stop(agent: &mut Running) -> Result<Vec<String>> {
    const SIGINT: i32 = 2;
    agent.signal(SIGINT)?;
    agent.wait(Duration::from_secs(10))?;
    Ok(agent.stderr())
}

/// Traps per request, from gotap's last words.
fn traps(said: &[String], requests: f64) -> BTreeMap<String, f64> {
    let line = said.iter().find_map(|l| l.split("traps: ").nth(1)).unwrap_or_default();
    line.split(", ")
        .filter_map(|pair| pair.split_once(' '))
        .filter_map(|(probe, n)| Some((probe.to_owned(), n.trim().parse::<f64>().ok()? / requests)))
        .collect()
}
