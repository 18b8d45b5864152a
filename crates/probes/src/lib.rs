//! From a plan to live probes: what the kernel can do ([`Features`]), loading and attaching ([`Session`]), reading events
//! ([`Events`]) and the counters of hits and losses ([`Counters`]). The goroutine tracker
//! ([`TrackerPlan`], [`Tracker`]), the observer of collections ([`GcPlan`], [`GcObserver`]), the meter ([`Meter`])
//! and the sampler ([`SamplerPlan`], [`Sampler`]) are apart from these; [`Requests`] tells which requests are being
//! served, and [`Logs`] what is written to logs for them.
//!
//! The only crate that knows libbpf. Not here: what is attached where (`instruments`), and what events mean
//! (`trace`).

mod calibrate;
mod events;
mod features;
mod gc;
mod hits;
pub mod host;
mod instrument;
mod known;
mod loaded;
mod logs;
mod meter;
mod object;
mod privileges;
mod reaper;
mod run_times;
mod sampler;
mod serving;
mod session;
#[cfg(test)]
mod stack_tests;
mod tracker;
mod tracker_plan;
mod verifier;

pub use events::{EventSource, Events, Fill, RINGS};
pub use features::{Features, KernelVersion};
pub use gc::{GcObserver, GcPlan};
pub use hits::{Counters, Hits, ProcessHits};
pub use logs::{LogCounts, LogOptions, LogProcesses, Logs};
pub use meter::{Counted, Meter, Metered, MeteredRequests, RequestCount, trap_cost};
pub use privileges::{lacks_read_search, may_see_all, missing_capabilities, needed_capabilities};
pub use run_times::{LoadedProgram, RunTimes, loaded_programs};
pub use sampler::{Kind as SamplerKind, STACKS_OF_MANY, Sampler, SamplerPlan, Served};
pub use serving::{ActiveRequests, Requests, ServedMaps};
pub use session::{Attached, Session};
pub use tracker::{Tracker, TrackerCounts};
pub use tracker_plan::TrackerPlan;
pub use verifier::{Refused, Verified, verify};

/// Why probes could not be loaded or attached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The sampler has the tables of so many files already.
    #[error("the tables of {} files are in the kernel already", wire::SAMPLED_FILES)]
    ManyFiles,
    /// The agent lacks rights.
    #[error("{what}: not permitted: {why}")]
    Denied {
        /// What was tried.
        what: String,
        /// What is missing, and what to do.
        why: String,
    },
    /// No BTF in the kernel.
    #[error(
        "the kernel has no type information (/sys/kernel/btf/vmlinux); gotap needs one built with CONFIG_DEBUG_INFO_BTF=y"
    )]
    NoBtf,
    /// Too old a kernel.
    #[error("Linux {0} is too old; gotap needs 5.10 or newer")]
    OldKernel(KernelVersion),
    /// libbpf or the kernel refused.
    #[error("{what}: {said:#}")]
    Bpf {
        /// What was tried.
        what: String,
        /// What libbpf said, with all its causes.
        said: libbpf_rs::Error,
    },
    /// A clock can't be opened.
    #[error("open a clock on processor {cpu}: {said}")]
    Clock {
        /// Which processor's.
        cpu: u32,
        /// What the kernel said.
        said: std::io::Error,
    },
    /// A map is full.
    #[error("more than {0} processes can't be observed at once")]
    TooManyProcesses(u32),
    /// A file can't be kept open.
    #[error("keep a file open: {0}")]
    File(std::io::Error),
    /// A thread can't be started.
    #[error("start a thread: {0}")]
    Thread(std::io::Error),
}

impl Error {
    pub(crate) fn bpf(what: impl Into<String>) -> impl FnOnce(libbpf_rs::Error) -> Self {
        move |source| Self::refused(what.into(), privileges::why_refused, source)
    }

    /// The same of a probe that is placed by itself, which takes a right of its own.
    pub(crate) fn single(what: impl Into<String>) -> impl FnOnce(libbpf_rs::Error) -> Self {
        move |source| Self::refused(what.into(), privileges::why_refused_single, source)
    }

    fn refused(
        what: String,
        why: impl FnOnce(Option<i32>) -> Option<String>,
        said: libbpf_rs::Error,
    ) -> Self {
        match why(os_error(&said)) {
            Some(why) => Self::Denied { what, why },
            None => Self::Bpf { what, said },
        }
    }
}

/// The number by which the kernel refused: libbpf's errors tell it in words alone.
fn os_error(error: &libbpf_rs::Error) -> Option<i32> {
    let text = format!("{error:#}");
    let number = text.rsplit_once("(os error ")?.1;
    number.split(')').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_a_refusal_is_found() {
        use libbpf_rs::ErrorExt;
        let error = libbpf_rs::Error::from_raw_os_error(13).context("load").context("attach");
        assert_eq!(os_error(&error), Some(13));
        assert_eq!(os_error(&libbpf_rs::Error::from_raw_os_error(1)), Some(1));
        let said = Error::bpf("load")(libbpf_rs::Error::from_raw_os_error(22)).to_string();
        assert_eq!(said.matches("os error").count(), 1, "{said}");
    }
}
