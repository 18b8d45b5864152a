//! What tracing costs each observed process, by the hits of its probes and what a hit costs on this machine; and
//! where a budget is set, taking probes away for a while and putting them back. Not here: when that is due, which
//! `governor` decides.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use goproc::{Executable, Process};
use instruments::Plan;
use metrics::{Metric, Point};
use probes::{Features, ProcessHits};
use trace::ProcessInfo;
use wire::Probe;

use super::figures::target;
use super::targets::Observable;
use super::{Agent, say};
use crate::governor::{Budget, Governor, Share, Step, Terms, USUAL_COST};
use crate::reader::ReaderCommand;

/// What a hit costs beside its trap, as a multiple of that, as `make bench` has it of requests over HTTP.
const PROGRAM: f64 = 1.5;
/// What a trap costs that the kernel single-steps, as a multiple of another one.
const SINGLE_STEP: f64 = 10.0;
/// How often it is looked, with a budget and without.
const OFTEN: Duration = Duration::from_millis(250);
const SELDOM: Duration = Duration::from_secs(10);
/// The time that the metric is about.
const RECENT: Duration = Duration::from_secs(20);
/// Ended processes whose cost is printed at the end.
const MAX_ENDED: usize = 20;
/// Processes that one line names.
const MAX_NAMED: usize = 5;

/// What is known of one process, for metrics.
#[derive(Debug, Clone)]
struct Shown {
    name: String,
    /// The part of its processor time that tracing took of late.
    recent: Option<f64>,
    /// For how long its probes were away.
    away: Duration,
}

/// The same of all, for any thread.
#[derive(Debug, Default)]
pub(super) struct Costs(Mutex<BTreeMap<u32, Shown>>);

impl Costs {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, Shown>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn metrics(&self) -> Vec<Metric> {
        let shown = self.lock();
        let recent = shown.iter().filter_map(|(pid, shown)| {
            Some(Point::float(shown.recent?, target(*pid, &shown.name)))
        });
        let away = |(pid, shown): (&u32, &Shown)| {
            Point::float(shown.away.as_secs_f64(), target(*pid, &shown.name))
        };
        vec![
            Metric::gauge(
                "gotap.target.overhead",
                "1",
                "The part of a process's CPU time that tracing took of late, estimated",
                recent,
            ),
            Metric::counter(
                "gotap.target.untraced.time",
                "s",
                "For how long a process was not traced, to keep to the overhead budget",
                shown.iter().map(away),
            ),
        ]
    }
}

/// What was known of a process at one moment.
#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Duration,
    used: Duration,
    spent: f64,
}

/// What tracing costs one process.
struct Cost {
    name: String,
    governor: Governor,
    share: Option<Share>,
    began: Instant,
    recent: VecDeque<Sample>,
    stepped: HashSet<Probe>,
    away: Duration,
    is_away: bool,
    told: bool,
}

impl Cost {
    /// The part of its processor time that tracing took lately.
    fn recent(&self) -> Option<f64> {
        let (first, last) = (self.recent.front()?, self.recent.back()?);
        let used = last.used.saturating_sub(first.used).as_nanos() as f64;
        (used > 0.0).then(|| (last.spent - first.spent) / used)
    }

    fn note(&mut self, sample: Sample) {
        let before = self.recent.back().map_or(sample.at, |last| last.at);
        if self.is_away {
            self.away += sample.at.saturating_sub(before);
        }
        self.recent.push_back(sample);
        let old = |second: &Sample| second.at + RECENT <= sample.at;
        while self.recent.get(1).is_some_and(old) {
            self.recent.pop_front();
        }
    }

    fn warning(&self, pid: u32) -> Option<String> {
        let warning = self.governor.coverage(self.began.elapsed()).warning()?;
        Some(format!("{}[{pid}]: {warning}", self.name))
    }
}

/// What tracing costs all of them.
pub(super) struct Overhead {
    budget: Budget,
    /// What a trap costs here, in nanoseconds.
    trap: f64,
    processes: HashMap<u32, Cost>,
    /// What is to be said of those that have ended.
    ended: Vec<String>,
    looked: Instant,
    pub(super) costs: Arc<Costs>,
}

impl Overhead {
    /// Measures what a trap costs.
    pub(super) fn new(budget: Budget, features: Features) -> Self {
        let trap = probes::trap_cost(features).ok().flatten().filter(|cost| *cost > 1.0);
        Self {
            budget,
            trap: trap.unwrap_or(USUAL_COST),
            processes: HashMap::new(),
            ended: Vec::new(),
            looked: Instant::now(),
            costs: Arc::default(),
        }
    }

    fn is_limited(&self) -> bool {
        self.budget != Budget::Unlimited
    }

    /// How often it is looked.
    pub(super) fn pause(&self) -> Duration {
        if self.is_limited() { OFTEN } else { SELDOM }
    }

    /// A process was attached to.
    pub(super) fn add(&mut self, pid: u32, name: &str, plan: &Plan) {
        let stepped = plan.sites.iter().filter(|planned| planned.site.kind.is_single_stepped());
        let governor = Governor::with(self.budget, self.trap * (1.0 + PROGRAM), Terms::LONG);
        let mut cost = Cost {
            name: name.to_owned(),
            governor,
            share: self.is_limited().then(|| Share::of(pid)),
            began: Instant::now(),
            recent: VecDeque::new(),
            stepped: stepped.map(|planned| planned.probe).collect(),
            away: Duration::ZERO,
            is_away: false,
            told: false,
        };
        if let Some(used) = goproc::cpu_time(pid) {
            cost.note(Sample { at: Duration::ZERO, used, spent: 0.0 });
            cost.governor.look(Duration::ZERO, used, 0, 1);
        }
        self.processes.insert(pid, cost);
    }

    /// It is not observed any more.
    pub(super) fn remove(&mut self, pid: u32) {
        self.costs.lock().remove(&pid);
        let cost = self.processes.remove(&pid);
        let warning = cost.and_then(|cost| cost.warning(pid));
        self.ended.extend(warning.filter(|_| self.ended.len() < MAX_ENDED));
    }

    /// Looks at one process; gives what is to be done.
    fn look(&mut self, hits: &ProcessHits) -> Option<Step> {
        let (pid, trap) = (hits.pid, self.trap);
        let cost = self.processes.get_mut(&pid)?;
        let of = |(probe, n): &(Probe, u64)| {
            let stepped = if cost.stepped.contains(probe) { SINGLE_STEP } else { 1.0 };
            *n as f64 * trap * (stepped + PROGRAM)
        };
        let spent: f64 = hits.hits.iter().map(of).sum();
        let (at, used) = (cost.began.elapsed(), goproc::cpu_time(pid)?);
        cost.note(Sample { at, used, spent });
        let (recent, away) = (cost.recent(), cost.away);
        self.costs.lock().insert(pid, Shown { name: cost.name.clone(), recent, away });
        let sharers = cost.share.as_mut().map_or(1, |share| share.count(at));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "casts saturate"
        )]
        let usual = (spent / (trap * (1.0 + PROGRAM))) as u64;
        Some(cost.governor.look(at, used, usual, sharers))
    }

    /// What to say at the end.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut taken: Vec<_> = self
            .processes
            .iter()
            .filter_map(|(pid, cost)| {
                let taken = cost.governor.coverage(cost.began.elapsed()).taken?;
                Some((taken, format!("{}[{pid}]", cost.name)))
            })
            .filter(|(taken, _)| *taken >= 0.001)
            .collect();
        taken.sort_by(|a, b| b.0.total_cmp(&a.0));
        let taken = taken.iter().take(MAX_NAMED);
        let taken: Vec<_> =
            taken.map(|(n, name)| format!("{:.1} % of {name}", 100.0 * n)).collect();
        let overhead = format!("overhead, about: {} (processor time)", taken.join(", "));
        let warnings = self.processes.iter().filter_map(|(pid, cost)| cost.warning(*pid));
        let overhead = Some(overhead).filter(|_| !taken.is_empty());
        self.ended.iter().cloned().chain(warnings).chain(overhead).collect()
    }
}

impl Agent {
    /// Looks what tracing costs each process, and keeps to the budget.
    pub(super) fn look_at_overhead(&mut self) {
        let Some(overhead) = &mut self.overhead else { return };
        if overhead.looked.elapsed() < overhead.pause() {
            return;
        }
        overhead.looked = Instant::now();
        // What can't be read says nothing.
        let Ok(all) = self.session.hits().by_process() else { return };
        let steps = all.iter().filter_map(|hits| Some((hits.pid, overhead.look(hits)?)));
        for (pid, step) in steps.collect::<Vec<_>>() {
            match step {
                Step::GoOn => {}
                Step::TakeAway => self.take_away(pid),
                Step::PutBack => self.put_back(pid),
            }
        }
    }

    /// What to say at the end of what tracing cost.
    pub(super) fn overhead_lines(&mut self) -> Vec<String> {
        let Some(overhead) = &mut self.overhead else { return Vec::new() };
        for hits in self.session.hits().by_process().unwrap_or_default() {
            overhead.look(&hits);
        }
        overhead.lines()
    }

    fn cost(&mut self, pid: u32) -> Option<&mut Cost> {
        self.overhead.as_mut()?.processes.get_mut(&pid)
    }

    /// Takes the probes of a process away.
    fn take_away(&mut self, pid: u32) {
        let Some(overhead) = &mut self.overhead else { return };
        let budget = overhead.budget;
        let Some(cost) = overhead.processes.get_mut(&pid) else { return };
        cost.is_away = true;
        if !std::mem::replace(&mut cost.told, true) {
            say(&format!(
                "{}[{pid}]: tracing takes more than the overhead budget of {budget}: from now on it is traced a \
                 part of the time. What happens in between is in no span and in no metric of operations",
                cost.name
            ));
        }
        self.session.pause(pid);
        // How many requests it serves is not known now: that is not zero.
        if let (Some(active), Some(observed)) = (&self.figures.active, self.observed.get(&pid)) {
            active.remove(observed.instance);
        }
    }

    /// Puts them back.
    fn put_back(&mut self, pid: u32) {
        let done = self.attach_again(pid);
        let Some(cost) = self.cost(pid) else { return };
        match done {
            Ok(()) => cost.is_away = false,
            // The next look tries again. One that has ended is forgotten soon.
            Err(error) => {
                cost.governor.stay_away();
                if Process::is_alive(Process { pid }) {
                    let name = cost.name.clone();
                    self.figures.attach_failed();
                    say(&format!("{name}[{pid}]: {error:#}"));
                }
            }
        }
    }

    fn attach_again(&mut self, pid: u32) -> Result<()> {
        let observed = self.observed.get(&pid).context("it is not observed any more")?;
        let target = observed.target.clone();
        let executable = Executable::open(target.process)?;
        // Its file may have been replaced on disk.
        ensure!(executable.id().is_same_file(&target.file), "it runs another program by now");
        let bias = target.bias().context("can't tell where it has its program")?;
        let before = observed.instance;
        let info = ProcessInfo { resource: target.resource.clone(), ..observed.info.clone() };
        // A number of its own: what was under way when the probes were taken away must not be gone on with.
        let (instance, place) = (self.session.next_instance(), self.place(&target));
        let only_measured = self.selection.leaves_traces(&target);
        self.command(ReaderCommand::Add { instance, info, only_measured, place });
        let plan = &target.program.plan;
        if let Err(error) = self.session.attach(pid, plan, &executable.into_file(), bias) {
            self.command(ReaderCommand::Remove(instance));
            return Err(error.into());
        }
        self.watch(&target, instance, bias);
        self.command(ReaderCommand::Remove(before));
        let observed = self.observed.get_mut(&pid).context("it is not observed any more")?;
        observed.instance = instance;
        let service = observed.name.clone();
        self.targets.add(pid, Observable { instance, service });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost() -> Cost {
        Cost {
            name: "a".into(),
            governor: Governor::with(Budget::Unlimited, 1000.0, Terms::LONG),
            share: None,
            began: Instant::now(),
            recent: VecDeque::new(),
            stepped: HashSet::new(),
            away: Duration::ZERO,
            is_away: false,
            told: false,
        }
    }

    #[test]
    fn the_metric_is_of_the_last_seconds_and_time_without_probes_adds_up() {
        let mut cost = cost();
        let mut spent = 0.0;
        for i in 0..60 {
            let at = Duration::from_secs(i);
            // Half a processor; a tenth of that for twenty seconds, then nothing.
            cost.is_away = i > 20;
            cost.note(Sample { at, used: at / 2, spent });
            spent += if i < 20 { 50e6 } else { 0.0 };
            if i == 20 {
                assert!((cost.recent().unwrap() - 0.1).abs() < 1e-9);
            }
        }
        assert_eq!(cost.recent(), Some(0.0));
        assert_eq!(cost.away, Duration::from_secs(39));
        assert!(cost.recent.len() < 25);
    }
}
