//! Which processes are meant.

use std::path::Path;

use anyhow::Result;
use glob::Pattern;
use goproc::Process;
use podwatch::Placed;

use crate::cli::SelectArgs;
use crate::config::{Invalid, PodChoice, SdkPrograms, Select};
use crate::inspect::{Target, Unreadable};

/// A compiled selection.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selection {
    pub(crate) pids: Vec<u32>,
    executables: Vec<Pattern>,
    ports: Vec<u16>,
    names: Vec<Pattern>,
    pods: Vec<PodPattern>,
    sdk_programs: SdkPrograms,
    /// Whether operations are measured, too.
    measures: bool,
}

/// A process as far as selections ask.
struct Candidate<'a> {
    process: Process,
    executable: &'a Path,
    service_name: &'a str,
    placed: Option<&'a Placed>,
}

/// Pods that match all of this.
#[derive(Debug, Clone, Default)]
struct PodPattern {
    namespace: Option<Pattern>,
    pod: Option<Pattern>,
    container: Option<Pattern>,
    labels: Vec<(String, Pattern)>,
}

impl PodPattern {
    fn new(choice: &PodChoice) -> Result<Self> {
        let one = |glob: &Option<String>| glob.as_deref().map(pattern).transpose();
        let label = |(key, glob): (&String, &String)| Ok((key.clone(), pattern(glob)?));
        Ok(Self {
            namespace: one(&choice.namespace)?,
            pod: one(&choice.pod)?,
            container: one(&choice.container)?,
            labels: choice.labels.iter().map(label).collect::<Result<_>>()?,
        })
    }

    fn matches(&self, placed: &Placed) -> bool {
        let is = |wanted: &Option<Pattern>, name: Option<&str>| {
            wanted.as_ref().is_none_or(|wanted| name.is_some_and(|name| wanted.matches(name)))
        };
        let label = |key: &str| placed.pod.labels.get(key);
        is(&self.namespace, Some(&placed.pod.namespace))
            && is(&self.pod, Some(&placed.pod.name))
            && is(&self.container, placed.container().map(|one| one.name.as_str()))
            && self.labels.iter().all(|(key, value)| label(key).is_some_and(|v| value.matches(v)))
    }
}

fn pattern(glob: &str) -> Result<Pattern> {
    Pattern::new(glob).map_err(|e| Invalid(format!("pattern {glob:?}: {e}")).into())
}

impl Selection {
    /// Compiles the patterns.
    pub(crate) fn new(select: &Select) -> Result<Self> {
        let compile = |globs: &[String]| -> Result<Vec<Pattern>> {
            globs.iter().map(|glob| pattern(glob)).collect()
        };
        Ok(Self {
            pids: select.pids.clone(),
            executables: compile(&select.executables)?,
            ports: select.ports.clone(),
            names: compile(&select.names)?,
            pods: select.kubernetes.iter().map(PodPattern::new).collect::<Result<_>>()?,
            sdk_programs: SdkPrograms::default(),
            measures: false,
        })
    }

    /// The same, with or without the programs that have OpenTelemetry's SDK.
    pub(crate) fn with_sdk_programs(self, sdk_programs: SdkPrograms) -> Self {
        Self { sdk_programs, ..self }
    }

    /// The same of a command that measures operations: it observes the programs whose traces it leaves to the SDK.
    pub(crate) fn measuring(self, measures: bool) -> Self {
        Self { measures, ..self }
    }

    /// Whether the traces of a program are left to its own SDK.
    pub(crate) fn leaves_traces(&self, target: &Target) -> bool {
        self.sdk_programs == SdkPrograms::Off && target.program.plan.has_sdk
    }

    /// Whether nothing was chosen, so that every Go process is meant.
    pub(crate) fn is_everything(&self) -> bool {
        self.pids.is_empty()
            && self.executables.is_empty()
            && self.ports.is_empty()
            && self.names.is_empty()
            && self.pods.is_empty()
    }

    /// Whether a process that starts later can match.
    pub(crate) fn is_open(&self) -> bool {
        self.is_everything()
            || !self.executables.is_empty()
            || !self.ports.is_empty()
            || !self.names.is_empty()
            || !self.pods.is_empty()
    }

    /// Whether processes are chosen by their pods.
    pub(crate) fn chooses_pods(&self) -> bool {
        !self.pods.is_empty()
    }

    /// Whether a process may match later that does not now, as it does not listen yet.
    pub(crate) fn waits_for_port(&self) -> bool {
        !self.ports.is_empty()
    }

    /// That all that is named by id are processes.
    ///
    /// # Errors
    /// [`goproc::Error::Thread`].
    pub(crate) fn check_pids(&self) -> Result<(), goproc::Error> {
        self.pids.iter().try_for_each(|pid| Process { pid: *pid }.check_is_no_thread())
    }

    /// Whether `target` is meant.
    pub(crate) fn matches(&self, target: &Target) -> bool {
        if self.leaves_traces(target) && !self.measures {
            return false;
        }
        if self.is_everything() {
            return !target.program.is_collector;
        }
        self.chooses(&Candidate {
            process: target.process,
            executable: &target.executable,
            service_name: &target.service_name,
            placed: target.placed.as_ref(),
        })
    }

    /// Whether a Go program is meant that can't be read.
    pub(crate) fn means(&self, unreadable: &Unreadable) -> bool {
        self.is_everything()
            || self.chooses(&Candidate {
                process: unreadable.process,
                executable: &unreadable.executable,
                service_name: &unreadable.service_name,
                placed: unreadable.placed.as_ref(),
            })
    }

    fn chooses(&self, candidate: &Candidate<'_>) -> bool {
        let Candidate { process, executable, service_name, placed } = candidate;
        if self.pids.contains(&process.pid) {
            return true;
        }
        if placed.is_some_and(|placed| self.pods.iter().any(|p| p.matches(placed))) {
            return true;
        }
        let path = executable.to_string_lossy();
        if self.executables.iter().any(|p| p.matches(&path)) {
            return true;
        }
        let name = process.name();
        let file = executable.file_name().and_then(|n| n.to_str());
        let mut names = [Some(*service_name), name.as_deref(), file].into_iter().flatten();
        if names.any(|name| self.names.iter().any(|p| p.matches(name))) {
            return true;
        }
        !self.ports.is_empty()
            && goproc::listening_ports(*process).iter().any(|p| self.ports.contains(p))
    }
}

/// The selection of a command's flags alone.
pub(crate) fn from_args(args: &SelectArgs) -> Result<Selection> {
    Selection::new(&Select {
        pids: args.pids.clone(),
        executables: args.executables.clone(),
        ports: args.ports.clone(),
        names: args.names.clone(),
        kubernetes: Vec::new(),
    })
}

/// The processes to look at: those named by id, or all of them.
pub(crate) fn candidates(selection: &Selection) -> Result<Vec<Process>> {
    let pids = if selection.is_open() { goproc::pids()? } else { selection.pids.clone() };
    Ok(pids.into_iter().map(|pid| Process { pid }).collect())
}
