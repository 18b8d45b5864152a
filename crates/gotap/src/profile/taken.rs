//! Profiles that the agent takes of a process, as files for pprof. Not here: who asks for them.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::Result;
use profile::pprof;

use super::wait::Stop;
use crate::cli::{CpuArgs, Format, ProfileArgs, ProfileCommand, WallArgs};

/// Samples a second of each processor.
const FREQUENCY: u64 = 99;
/// How often goroutines are looked at.
const INTERVAL: Duration = Duration::from_millis(20);

/// What is taken, over how long. Of what Go's own profiler keeps, it is all since the program started where no time
/// is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    Cpu(Duration),
    Wall(Duration),
    Offcpu(Duration),
    Heap(Option<Duration>),
    Alloc(Option<Duration>),
    Mutex(Option<Duration>),
    Block(Option<Duration>),
    Goroutines,
}

/// Takes a profile; `stopped` ends it early. Takes as long as the profile is.
///
/// # Errors
/// Why there is none.
pub(crate) fn take(pid: u32, what: Taken, stopped: Arc<AtomicBool>) -> Result<Vec<u8>> {
    let of = |duration| ProfileArgs {
        pid,
        duration,
        output: None,
        diff: None,
        top: 0,
        format: Format::Text,
    };
    let kept = |duration: Option<Duration>| of(duration.or(Some(Duration::ZERO)));
    let command = match what {
        Taken::Cpu(duration) => ProfileCommand::Cpu(CpuArgs {
            profile: of(Some(duration)),
            frequency: FREQUENCY,
            goroutines: false,
            route: None,
        }),
        Taken::Wall(duration) => ProfileCommand::Wall(WallArgs {
            profile: of(Some(duration)),
            interval: INTERVAL,
            system: false,
            route: None,
        }),
        Taken::Offcpu(duration) => ProfileCommand::Offcpu(of(Some(duration))),
        Taken::Heap(duration) => ProfileCommand::Heap(of(duration)),
        Taken::Alloc(duration) => ProfileCommand::Alloc(kept(duration)),
        Taken::Mutex(duration) => ProfileCommand::Mutex(kept(duration)),
        Taken::Block(duration) => ProfileCommand::Block(kept(duration)),
        Taken::Goroutines => return crate::goroutines::profile(pid),
    };
    super::collect(&command, &Stop::by(stopped), None, |_, collected| {
        Ok(pprof::encode(&collected.profile)?)
    })
}
