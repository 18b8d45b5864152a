//! The thread that reads the ring buffers. It waits for nothing else. Not here: what becomes of events
//! (`pipeline`).

use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pipeline::{Counts, Now, Place, Stages};
use probes::{EventSource, Fill};
use recording::Recorder;
use rustix::time::{ClockId, clock_gettime};
use trace::{ProcessInfo, Resource};
use wire::{Event, LogLine};

use crate::opened::unix_nanoseconds;

/// How long events may wait in the ring buffer. Many of them wake the reader earlier.
const POLL: Duration = Duration::from_millis(100);
/// How long a process that ended stays known, for its last events.
const GRACE: Duration = Duration::from_secs(5);

/// What the agent asks of the reader.
pub(crate) enum ReaderCommand {
    /// Spans of this instance will come; they are sent nowhere if they are `only_measured`.
    Add { instance: u32, info: ProcessInfo, only_measured: bool, place: Place },
    /// Its resource is another one than before; `whole` if its pod and container are known by now.
    Rename { instance: u32, before: Arc<Resource>, resource: Arc<Resource>, whole: bool },
    /// Lines of logs.
    Logs(Vec<LogLine>),
    /// No more spans of this instance will come, but those in the buffer.
    Remove(u32),
    /// Read what is left, hand it over and stop.
    Stop,
}

/// What the agent must act on.
pub(crate) enum AgentEvent {
    /// A process replaced its program, at this time of the monotonic clock.
    Exec(u32, u64),
    /// A process ended.
    Exit(u32, u64),
    /// There is news of pods.
    Pods(podwatch::Notice),
    /// The user asked to stop.
    Stop,
    /// Reading or writing failed for good.
    Failed(anyhow::Error),
}

/// What the reader lets others see.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) counts: Counts,
    /// How full the ring buffers were before they were read last.
    pub(crate) fill: [Fill; 2],
    /// When that was.
    pub(crate) beat: Instant,
}

/// The same, for any thread.
#[derive(Debug)]
pub(crate) struct Shared(Mutex<Shown>);

impl Shared {
    /// What the reader showed last.
    pub(crate) fn read(&self) -> MutexGuard<'_, Shown> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running reader.
pub(crate) struct Reader {
    pub(crate) commands: Sender<ReaderCommand>,
    pub(crate) shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

impl Reader {
    /// Starts the thread. What it is given goes to the recorder, too.
    pub(crate) fn start(
        source: EventSource,
        stages: Stages,
        recorder: Option<Recorder>,
        events: Sender<AgentEvent>,
    ) -> std::io::Result<Self> {
        let (commands, receiver) = std::sync::mpsc::channel();
        let (counts, fill) = (Counts::default(), <[Fill; 2]>::default());
        let shown = Shown { counts, fill, beat: Instant::now() };
        let shared = Arc::new(Shared(Mutex::new(shown)));
        let shown = shared.clone();
        let thread = std::thread::Builder::new().name("gotap-reader".into()).spawn(move || {
            let state = State::new(stages, recorder, &receiver, &events);
            if let Err(error) = read(source, state, &shown) {
                // Nobody listens any more only when the program ends anyway.
                let _ = events.send(AgentEvent::Failed(error));
            }
        })?;
        Ok(Self { commands, shared, thread })
    }

    /// Reads what is left, hands it over and gives the final counts.
    pub(crate) fn stop(self) -> Counts {
        // A reader that failed is gone already.
        let _ = self.commands.send(ReaderCommand::Stop);
        let _ = self.thread.join();
        self.shared.read().counts
    }
}

/// State that the ring buffer's callback changes.
struct State<'a> {
    stages: Stages,
    recorder: Option<Recorder>,
    commands: &'a Receiver<ReaderCommand>,
    events: &'a Sender<AgentEvent>,
    leaving: Vec<(Instant, u32)>,
    stopping: bool,
    clock_offset: i64,
}

impl<'a> State<'a> {
    fn new(
        stages: Stages,
        recorder: Option<Recorder>,
        commands: &'a Receiver<ReaderCommand>,
        events: &'a Sender<AgentEvent>,
    ) -> Self {
        let (leaving, clock_offset) = (Vec::new(), clock_offset());
        Self { stages, recorder, commands, events, leaving, stopping: false, clock_offset }
    }

    fn apply_commands(&mut self) {
        while let Ok(command) = self.commands.try_recv() {
            match command {
                ReaderCommand::Add { instance, info, only_measured, place } => {
                    let now = unix_nanoseconds();
                    let info = match &mut self.recorder {
                        Some(to) => to.add_process(instance, info, only_measured, now),
                        None => info,
                    };
                    self.stages.add_process(instance, info, only_measured, place, now);
                }
                ReaderCommand::Rename { instance, before, resource, whole } => {
                    let now = time();
                    if let Some(recorder) = &mut self.recorder {
                        recorder.rename_process(instance, &resource);
                    }
                    self.stages.rename_process(instance, &before, &resource, whole, now);
                }
                ReaderCommand::Logs(lines) => {
                    let (now_ns, now) = (monotonic_ns(), unix_nanoseconds());
                    for line in lines {
                        self.stages.log(line, self.clock_offset, now_ns, now);
                    }
                }
                ReaderCommand::Remove(instance) => {
                    self.leaving.push((Instant::now() + GRACE, instance))
                }
                ReaderCommand::Stop => self.stopping = true,
            }
        }
    }

    /// Forgets the processes that ended long enough ago.
    fn forget(&mut self) {
        let now = Instant::now();
        let left: Vec<_> = self.leaving.extract_if(.., |(until, _)| *until <= now).collect();
        for (_, instance) in left {
            let now = time();
            if let Some(recorder) = &mut self.recorder {
                recorder.remove_process(instance, now);
            }
            self.stages.remove_process(instance, now);
        }
    }

    fn take(&mut self, record: &[u8]) {
        // A process is announced before it is attached to. Its first event may be in the buffer
        // that is being read already, so the announcement is looked for here, too.
        self.apply_commands();
        match wire::decode(record) {
            Ok(Event::Exec { pid, time_ns }) => self.send(AgentEvent::Exec(pid, time_ns)),
            Ok(Event::Exit { pid, time_ns }) => self.send(AgentEvent::Exit(pid, time_ns)),
            event => {
                if let Some(recorder) = &mut self.recorder {
                    recorder.record(record, self.clock_offset);
                }
                self.stages.event(event, self.clock_offset);
            }
        }
    }

    /// A look at the ring buffers ended.
    fn round(&mut self, last: bool) {
        let now = time();
        if let Some(recorder) = &mut self.recorder {
            recorder.round(now, last);
        }
        self.stages.round(now.monotonic_ns, now.unix_nano, last);
    }

    fn send(&self, event: AgentEvent) {
        // The receiver is gone only when the program ends.
        let _ = self.events.send(event);
    }
}

fn read(source: EventSource, state: State<'_>, shared: &Shared) -> anyhow::Result<()> {
    let state = std::cell::RefCell::new(state);
    let rings = source.open(|record| state.borrow_mut().take(record))?;
    let mut last = false;
    while !last {
        state.borrow_mut().apply_commands();
        last = state.borrow().stopping;
        let fill = rings.read(if last { Duration::ZERO } else { POLL })?;
        let mut state = state.borrow_mut();
        // The real-time clock may be set while we run.
        state.clock_offset = clock_offset();
        state.round(last);
        state.forget();
        let counts = state.stages.counts();
        *shared.read() = Shown { counts, fill, beat: Instant::now() };
    }
    Ok(())
}

/// Real time less the clock that the kernel side reads, in nanoseconds. The two can't be read at
/// once: of a few attempts the one that was interrupted the least is the best.
fn clock_offset() -> i64 {
    let attempt = |_| {
        let before = nanos(ClockId::Monotonic);
        let real = nanos(ClockId::Realtime);
        let after = nanos(ClockId::Monotonic);
        (after - before, real - (before + (after - before) / 2))
    };
    (0..3).map(attempt).min_by_key(|(width, _)| *width).map_or(0, |(_, offset)| offset)
}

fn time() -> Now {
    Now { monotonic_ns: monotonic_ns(), unix_nano: unix_nanoseconds() }
}

fn monotonic_ns() -> u64 {
    u64::try_from(nanos(ClockId::Monotonic)).unwrap_or_default()
}

fn nanos(clock: ClockId) -> i64 {
    let time = clock_gettime(clock);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}
