//! Pods: starting their watch, and what the agent does when it tells of news. Processes come to be known by their
//! pods, also those that were attached to before, and those that are chosen by their pods are found. Not here: the
//! watch (`podwatch`), and spans that wait (`pipeline`).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use anyhow::Result;
use metrics::{Metric, Point};
use pipeline::Place;
use podwatch::{Failure, Notice, Placed, Pods, Server, State, Watcher};

use super::processes::{LeftOut, remember};
use super::targets::Observable;
use super::{Agent, PORT_PATIENCE, say};
use crate::config::{Config, Invalid, Use};
use crate::home::Home;
use crate::inspect::Target;
use crate::reader::{AgentEvent, ReaderCommand};
use crate::resource::Cluster;

/// How long the start waits for the pods that run already.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long spans wait for a pod that is not known: kubelets tell of a container some seconds after it runs.
const KUBELET: Duration = Duration::from_secs(5);
/// Processes that may yet listen on a wanted port.
const MAX_WAITING: usize = 1024;
/// Processes in containers that are remembered to be in no chosen pod.
const MAX_UNCHOSEN: usize = 16_384;

/// What is asked of Kubernetes.
pub(super) struct Asked {
    server: Server,
    pub(super) node: String,
    service_labels: bool,
    /// Whether gotap does not run without.
    needed: bool,
}

impl Asked {
    /// What the settings say. Where nothing depends on it, what is wrong is said and no error.
    pub(super) fn new(config: &Config) -> Result<Option<Self>> {
        let chooses = !config.select.kubernetes.is_empty();
        let needed = chooses || config.kubernetes.enabled == Use::On;
        let service_labels = config.kubernetes.service_labels;
        match config.kubernetes.server(chooses) {
            Ok(found) => {
                Ok(found.map(|(server, node)| Self { server, node, service_labels, needed }))
            }
            Err(error) if needed => Err(error),
            Err(error) => {
                say(&format!("{error:#}; going on without"));
                Ok(None)
            }
        }
    }
}

/// The watch, and what was said of it.
pub(super) struct Placing {
    /// It ends with this.
    _watcher: Watcher,
    pub(super) cluster: Cluster,
    /// Go processes in containers that were not chosen, and where they were then.
    unchosen: HashMap<u32, (Home, Option<Placed>)>,
    away: bool,
}

impl Placing {
    /// Starts the watch and waits a little for its first answer.
    pub(super) fn start(asked: Option<Asked>, events: Sender<AgentEvent>) -> Result<Option<Self>> {
        let Some(Asked { server, node, service_labels, needed }) = asked else { return Ok(None) };
        let tell = move |notice| {
            // Nobody listens any more only when the program ends anyway.
            let _ = events.send(AgentEvent::Pods(notice));
        };
        let watcher = match Watcher::start(&server, &node, tell) {
            Ok(watcher) => watcher,
            Err(error) if needed => return Err(Invalid(format!("kubernetes: {error}")).into()),
            Err(error) => {
                say(&format!("kubernetes: {error}; going on without"));
                return Ok(None);
            }
        };
        let pods = watcher.pods();
        let status = pods.wait(PATIENCE);
        match status.state {
            State::Current => {
                let pods = super::count(status.pods, "pod", "pods");
                say(&format!("Kubernetes: {pods} on node {node}"));
                if status.pods == 0 {
                    say(
                        "Kubernetes: is this the node's name? --node or NODE_NAME says another one",
                    );
                }
            }
            State::Partial => say(&format!(
                "Kubernetes: more pods on node {node} than there is room for: {} are known, {} are not",
                status.pods, status.left_out
            )),
            State::Starting => say("Kubernetes: the API server has not answered yet; going on"),
            // The watch tells why.
            State::Away => {}
        }
        let cluster = Cluster { pods, node, service_labels };
        let unchosen = HashMap::new();
        Ok(Some(Self { _watcher: watcher, cluster, unchosen, away: false }))
    }
}

impl Agent {
    /// Whether the spans of a process are to wait for its pod.
    pub(super) fn place(&self, target: &Target) -> Place {
        let Some(placing) = &self.placing else { return Place::Known };
        let home = &target.identity.home;
        match &target.placed {
            Some(placed) if placed.container().is_some() => Place::Known,
            None if home.pod.is_none() => Place::Known,
            // What has a pod's cgroup and no container's is none of Kubernetes' containers.
            Some(_) if home.container.is_none() => Place::Known,
            _ => match placing.cluster.pods.status().state {
                State::Current | State::Partial => Place::Soon(KUBELET),
                State::Starting | State::Away => Place::Unknown,
            },
        }
    }

    /// Looks at a target again later that may be chosen then.
    pub(super) fn wait_for_target(&mut self, target: &Target) {
        self.wait_for_match(target.process.pid, &target.identity.home, target.placed.as_ref());
    }

    /// The same of any process.
    pub(super) fn wait_for_match(&mut self, pid: u32, home: &Home, placed: Option<&Placed>) {
        let until = Instant::now() + PORT_PATIENCE;
        if self.selection.waits_for_port()
            && !remember(&mut self.waiting, MAX_WAITING, pid, until)
            && self.figures.left_out(LeftOut::Port)
        {
            say(
                "too many Go processes may yet listen on a wanted port: some may not be found by it",
            );
        }
        self.wait_for_pod(pid, home, placed);
    }

    /// Remembers a process in a container that is not chosen: its pod may be known later, or get other labels.
    fn wait_for_pod(&mut self, pid: u32, home: &Home, placed: Option<&Placed>) {
        let Some(placing) = self.placing.as_mut().filter(|_| self.selection.chooses_pods()) else {
            return;
        };
        if home.container.is_none() && home.pod.is_none() {
            return;
        }
        let place = (home.clone(), placed.cloned());
        if !remember(&mut placing.unchosen, MAX_UNCHOSEN, pid, place)
            && self.figures.left_out(LeftOut::Pod)
        {
            say(
                "Kubernetes: too many processes in containers: some may not be found by their pods",
            );
        }
    }

    pub(super) fn forget_unchosen(&mut self, pid: u32) {
        if let Some(placing) = &mut self.placing {
            placing.unchosen.remove(&pid);
        }
    }

    pub(super) fn on_notice(&mut self, notice: Notice) {
        let Some(placing) = &mut self.placing else { return };
        match notice {
            Notice::Away(why) => {
                placing.away = true;
                say(&format!("Kubernetes: {why}; going on without, and trying again"));
            }
            Notice::Current(pods) => {
                if std::mem::take(&mut placing.away) {
                    let pods = super::count(pods, "pod", "pods");
                    say(&format!("Kubernetes: the API server answers: {pods}"));
                }
            }
            Notice::Changed => {
                self.name_anew();
                self.look_for_chosen();
            }
        }
    }

    /// Names observed processes by what is known now. Those whose pod is gone keep its name.
    fn name_anew(&mut self) {
        let Some(placing) = &self.placing else { return };
        let cluster = &placing.cluster;
        let mut renamed = Vec::new();
        for (pid, observed) in &mut self.observed {
            let target = &mut observed.target;
            let Some(found) = cluster.find(&target.identity.home) else { continue };
            if target.placed.as_ref().is_some_and(|placed| placed.is_same(&found)) {
                continue;
            }
            // A container's id is not in the status of a pod that ends: less is known then than before.
            let knew = target.placed.as_ref().is_some_and(|placed| placed.container().is_some());
            if knew && found.container().is_none() {
                continue;
            }
            let (whole, before) = (found.container().is_some(), target.resource.clone());
            let resource = target.identity.resource(Some(&found), Some(cluster));
            if resource != *before {
                target.resource = Arc::new(resource);
                target.service_name = target.resource.service_name().to_owned();
                observed.name = target.service_name.clone();
            }
            target.placed = Some(found);
            let (instance, resource) = (observed.instance, target.resource.clone());
            self.figures.renamed(*pid, resource.clone());
            let service = observed.name.clone();
            self.targets.add(*pid, Observable { instance, service });
            renamed.push(ReaderCommand::Rename { instance, before, resource, whole });
        }
        renamed.into_iter().for_each(|command| self.command(command));
    }

    /// Looks again at processes whose pods have come to be known or have changed.
    fn look_for_chosen(&mut self) {
        let Some(placing) = &mut self.placing else { return };
        let cluster = &placing.cluster;
        let news = |(_, (home, before)): &(&u32, &(Home, Option<Placed>))| {
            let found = cluster.find(home);
            found.is_some_and(|found| !before.as_ref().is_some_and(|b| b.is_same(&found)))
        };
        let news: Vec<_> = placing.unchosen.iter().filter(news).map(|(pid, _)| *pid).collect();
        for pid in news {
            self.forget_unchosen(pid);
            self.look_at(pid);
        }
    }
}

/// How it is with the watch.
pub(super) fn metrics(pods: &Pods) -> Vec<Metric> {
    let status = pods.status();
    let one = |n: u64| [Point::int(n, Vec::new())];
    let current = u64::from(status.state == State::Current);
    let failures = Failure::ALL.into_iter().zip(status.failures);
    let failures =
        failures.map(|(failure, n)| Point::int(n, vec![("reason", failure.label().into())]));
    vec![
        Metric::gauge(
            "gotap.kubernetes.pods",
            "{pod}",
            "Pods of this node",
            one(status.pods as u64),
        ),
        Metric::gauge(
            "gotap.kubernetes.current",
            "1",
            "Whether all pods of this node are known, by the API server's last word",
            one(current),
        ),
        Metric::counter(
            "gotap.kubernetes.failures",
            "{failure}",
            "How often the watch of pods failed",
            failures,
        ),
        Metric::counter(
            "gotap.kubernetes.left_out",
            "{pod}",
            "Pods that there was no room for",
            one(status.left_out),
        ),
    ]
}
