//! Profiles that `gotap run` takes all the time, of all processes that it observes, by one sampler: a CPU profile
//! of each for each interval. This is the thread that does it. Not here: which processes there are (`targets`),
//! how profiles are made of samples (`cut`), which requests samples belong to (`links`), profiles of other kinds
//! (`kinds`, `readers`), where profiles go (`outlets`).

mod cut;
mod kinds;
mod links;
mod losses;
mod outlets;
mod readers;
mod targets;

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use probes::{Features, Sampler, ServedMaps};

use crate::opened::unix_nanoseconds;
use cut::Samples;
use outlets::Sent;
use readers::Readers;
use targets::Targets;

pub(crate) use kinds::Kind;
pub(crate) use links::{Links, Observer};
pub(crate) use losses::Counts;
pub(crate) use outlets::Outlets;
pub(crate) use targets::{Chosen, Since};

/// How often processes are looked for and samples read.
const PAUSE: Duration = Duration::from_millis(250);

/// One line to the user.
type Say = fn(&str);
/// The processes that are to be profiled now.
type Choose = Box<dyn Fn() -> Vec<Chosen> + Send>;

/// What is wanted.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) kinds: Vec<Kind>,
    /// How long a profile is.
    pub(crate) interval: Duration,
    /// Samples a second of each processor.
    pub(crate) frequency: u64,
}

/// What the thread needs.
pub(crate) struct Needs {
    pub(crate) settings: Settings,
    pub(crate) features: Features,
    /// Where it stands which requests goroutines serve.
    pub(crate) maps: ServedMaps,
    pub(crate) links: Arc<Links>,
    pub(crate) choose: Choose,
    pub(crate) outlets: Outlets,
    pub(crate) say: Say,
}

/// The thread.
pub(crate) struct Continuous {
    /// Until when it may take to end.
    stop: Sender<Instant>,
    thread: JoinHandle<()>,
}

impl Continuous {
    /// Starts it. Where the sampler can't be loaded, it says so, and there are no profiles.
    pub(crate) fn start(needs: Needs, counts: Arc<Counts>) -> io::Result<Self> {
        let (stop, stopped) = channel();
        let thread = std::thread::Builder::new()
            .name("gotap-profiles".into())
            .spawn(move || run(needs, counts, &stopped))?;
        Ok(Self { stop, thread })
    }

    /// Has it send what there is, by then; does not wait for it.
    pub(crate) fn stop_by(&self, deadline: Instant) {
        // It has ended if nobody listens.
        let _ = self.stop.send(deadline);
    }

    /// Waits for its end.
    pub(crate) fn join(self) {
        // A panic in it was printed already.
        let _ = self.thread.join();
    }
}

fn run(needs: Needs, counts: Arc<Counts>, stopped: &Receiver<Instant>) {
    let Needs { settings, features, maps, links, choose, outlets, say } = needs;
    let outlets = Arc::new(outlets);
    let sampler = match settings.kinds.contains(&Kind::Cpu) {
        true => Sampler::of_many(features, settings.frequency, &maps).map(Some),
        false => Ok(None),
    };
    let sampler = sampler.unwrap_or_else(|why| {
        say(&format!("no CPU profiles are taken: {why}"));
        None
    });
    let mut readers = Readers::new(settings.clone(), outlets.clone(), counts.clone(), say);
    let mut profiler = sampler.map(|sampler| Profiler {
        targets: Targets::new(say, counts.clone()),
        samples: Samples::new(settings.frequency, links, counts),
        sampler,
        outlets: outlets.clone(),
        began: unix_nanoseconds(),
    });
    let mut next = Instant::now() + settings.interval;
    let deadline = loop {
        let chosen = choose();
        readers.update(&chosen);
        if let Some(profiler) = &mut profiler {
            profiler.targets.update(&mut profiler.sampler, chosen);
        }
        let pause = PAUSE.min(next.saturating_duration_since(Instant::now()));
        match stopped.recv_timeout(pause) {
            Ok(deadline) => break Some(deadline),
            Err(RecvTimeoutError::Disconnected) => break None,
            Err(RecvTimeoutError::Timeout) => {}
        }
        let Some(profiler) = &mut profiler else { continue };
        profiler.samples.read(&mut profiler.sampler);
        if Instant::now() >= next {
            next = (next + settings.interval).max(Instant::now());
            profiler.cut();
        }
    };
    if let (Some(profiler), Some(_)) = (&mut profiler, deadline) {
        profiler.sampler.detach();
        profiler.cut();
    }
    drop(profiler);
    let (now, deadline) = (Instant::now(), deadline.unwrap_or_else(Instant::now));
    // Sending takes its time, too.
    readers.finish(now + deadline.saturating_duration_since(now) / 2);
    outlets.finish(deadline);
}

struct Profiler {
    sampler: Sampler,
    targets: Targets,
    samples: Samples,
    outlets: Arc<Outlets>,
    /// When this interval began, in nanoseconds since 1970.
    began: u64,
}

impl Profiler {
    /// Ends an interval: each process that was sampled gets its profile.
    fn cut(&mut self) {
        self.samples.read(&mut self.sampler);
        let now = unix_nanoseconds();
        let began = std::mem::replace(&mut self.began, now);
        let outlets = &self.outlets;
        self.samples.cut(&mut self.sampler, &mut self.targets, began, now, |resource, profile| {
            outlets.send(resource, profile, Sent { name: Kind::Cpu.name(), all_types: false });
        });
        self.targets.forget_ended(&mut self.sampler);
    }
}
