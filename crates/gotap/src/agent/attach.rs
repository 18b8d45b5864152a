//! Attaching to one process, and what is said of those in which nothing can be traced. Not here:
//! finding processes.

use std::collections::HashSet;
use std::fs::File;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use goproc::FileId;

use super::silence::Silent;
use super::targets::Observable;
use super::{Agent, Observed, say};
use crate::inspect::{Target, Unreadable};
use crate::reader::ReaderCommand;

/// Files that are remembered to have been named.
const MAX_NAMED: usize = 4096;

/// Go programs in which nothing can be traced, as compilers and many tools. They are named, each
/// once, only to who asked for them or for all that there is to say: on most machines they are many.
pub(super) struct Idle {
    pub(super) aloud: bool,
    named: HashSet<FileId>,
    processes: usize,
}

impl Idle {
    pub(super) fn new(aloud: bool) -> Self {
        Self { aloud, named: HashSet::new(), processes: 0 }
    }

    fn add(&mut self, target: &Target, why: &str) {
        self.processes += 1;
        if self.aloud && self.is_new(target.file) {
            let (name, pid) = (&target.service_name, target.process.pid);
            say(&format!("{name}[{pid}]: nothing to trace: {why}"));
        }
    }

    /// Names a Go program that can't be read, each file once; gives whether it did. They are few, and nothing else says
    /// why they are not observed.
    pub(super) fn name_unreadable(&mut self, unreadable: &Unreadable) -> bool {
        let is_new = self.is_new(unreadable.file);
        if is_new {
            let (name, pid) = (&unreadable.service_name, unreadable.process.pid);
            say(&format!("nothing is seen in {name}[{pid}]: {}", unreadable.why));
        }
        is_new
    }

    fn is_new(&mut self, file: FileId) -> bool {
        if self.named.len() >= MAX_NAMED {
            self.named.clear();
        }
        self.named.insert(file)
    }

    /// What is to be said of those that run at the start.
    pub(super) fn note(&self) -> String {
        match self.processes {
            0 => String::new(),
            _ if self.aloud => String::new(),
            1 => "; in 1 other Go process there is nothing to trace (-v names it)".into(),
            n => format!("; in {n} other Go processes there is nothing to trace (-v names them)"),
        }
    }
}

impl Agent {
    /// Attaches, unless there is nothing to trace; says why if that fails. The others go on.
    pub(super) fn try_attach(&mut self, target: &Target, file: &File, since: u64) {
        if let Some(why) = nothing_to_trace(target) {
            self.idle.add(target, why);
            self.figures.found_idle(target.process.pid, target.resource.clone());
        } else if let Err(error) = self.attach(target, file, since)
            && target.process.is_alive()
        {
            self.figures.attach_failed();
            say(&format!("{}[{}]: {error:#}", target.service_name, target.process.pid));
        }
    }

    /// Says of a Go program that can't be read that nothing is seen in it, and counts it, if it is meant. Otherwise it
    /// may be later.
    pub(super) fn note_unreadable(&mut self, unreadable: &Unreadable) {
        if !self.selection.means(unreadable) {
            let Unreadable { process, home, placed, .. } = unreadable;
            self.wait_for_match(process.pid, home, placed.as_ref());
        } else if self.idle.name_unreadable(unreadable) {
            self.figures.found_unreadable();
        }
    }

    /// Attaches.
    ///
    /// # Errors
    /// When the kernel refuses, or there is nothing to trace.
    pub(super) fn attach(&mut self, target: &Target, file: &File, since: u64) -> Result<()> {
        let pid = target.process.pid;
        let plan = &target.program.plan;
        let name = &target.service_name;
        if let Some(why) = nothing_to_trace(target) {
            bail!("{name}[{pid}]: nothing to trace: {why}");
        }
        let bias = target.bias();
        let bias =
            bias.with_context(|| format!("can't tell where process {pid} has its program"))?;
        // Announced first, so that no span comes before its process is known.
        let (instance, place) = (self.session.next_instance(), self.place(target));
        let (info, only_measured) = (target.info(bias), self.selection.leaves_traces(target));
        let of_it = info.clone();
        self.command(ReaderCommand::Add { instance, info: of_it, only_measured, place });
        let started = Instant::now();
        let attached = match self.session.attach(pid, plan, file, bias) {
            Ok(attached) => attached,
            Err(error) => {
                self.command(ReaderCommand::Remove(instance));
                return Err(error.into());
            }
        };
        self.figures.attached(pid, target.resource.clone(), started.elapsed(), place);
        self.watch(target, attached.instance, bias);
        let sees: Vec<_> = plan.abilities.iter().map(|a| a.label()).collect();
        let version = &target.program.go_version;
        let unknown = if target.program.unknown_version { ", unknown" } else { "" };
        say(&format!("attached to {name}[{pid}] ({version}{unknown}): {}", sees.join(", ")));
        for missing in plan.missing.iter().filter(|missing| !missing.is_absent()) {
            let (what, why) = (missing.ability.label(), &missing.why);
            say(&format!("not seen in {name}[{pid}]: {what}: {why}"));
        }
        let silent = Silent::of(&plan.abilities);
        let (instance, name) = (attached.instance, name.clone());
        let service = name.clone();
        self.targets.add(pid, Observable { instance, service });
        self.overhead.iter_mut().for_each(|overhead| overhead.add(pid, &name, plan));
        let observed = Observed { instance, name, target: target.clone(), since, info, silent };
        self.observed.insert(pid, observed);
        // The kernel may have reported the end before this process was looked at.
        if !target.process.is_alive() {
            self.on_exit(pid);
        }
        Ok(())
    }

    /// Counts what a process that was attached to serves, and looks at what it writes to its logs, where that is
    /// wanted.
    pub(super) fn watch(&self, target: &Target, instance: u32, bias: u64) {
        if let Some(active) = &self.figures.active {
            let layouts = target.program.plan.request_layouts();
            active.add(instance, target.process.pid, layouts);
        }
        self.look_at_logs(target, instance, bias);
    }

    fn look_at_logs(&self, target: &Target, instance: u32, bias: u64) {
        // Where an SDK makes the traces, gotap's span is sent nowhere.
        let Some(logged) = self.logged.as_ref().filter(|_| !self.selection.leaves_traces(target))
        else {
            return;
        };
        let (name, pid) = (&target.service_name, target.process.pid);
        let added = target.program.plan.logging(instance, bias).map_err(str::to_owned);
        let added =
            added.and_then(|found| logged.add(pid, &found).map_err(|error| error.to_string()));
        if let Err(why) = added {
            say(&format!("not seen in {name}[{pid}]: logs: {why}"));
        }
    }

    /// Fails if nothing is observed because others' processes may not be looked into.
    pub(super) fn check_denied(&self, denied: Option<goproc::Error>) -> Result<()> {
        // Some are hidden from root, too: those are none of ours.
        let Some(error) = denied.filter(|_| !probes::may_see_all()) else {
            return Ok(());
        };
        if self.observed.is_empty() {
            return Err(error.into());
        }
        say(&format!("some processes are left out: {error}"));
        Ok(())
    }
}

fn nothing_to_trace(target: &Target) -> Option<&str> {
    let plan = &target.program.plan;
    let why = || plan.missing.first().map_or("", |missing| missing.why.as_str());
    (!plan.is_useful()).then(why)
}
