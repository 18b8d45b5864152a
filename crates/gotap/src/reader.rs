//! The thread that reads the ring buffers and hands spans on. It waits for nothing else. Not here: where
//! spans go (`pipeline`).

use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use probes::{EventSource, Fill};
use red::Meter;
use rustix::time::{ClockId, clock_gettime};
use trace::{Assembler, ProcessInfo, Resource, Span, Status, Value};
use wire::{Event, Unread, raw};

use crate::opened::unix_nanoseconds;
use crate::pipeline::Pipeline;

/// How long events may wait in the ring buffer. Many of them wake the reader earlier.
const POLL: Duration = Duration::from_millis(100);
/// How long a process that ended stays known, for its last events.
const GRACE: Duration = Duration::from_secs(5);
/// Spans that are handed on in one go.
const BATCH: usize = 256;

/// What the agent asks of the reader.
pub(crate) enum ReaderCommand {
    /// Spans of this instance will come; they are sent nowhere if they are `only_measured`.
    Add { instance: u32, info: ProcessInfo, only_measured: bool },
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
    /// The user asked to stop.
    Stop,
    /// Reading or writing failed for good.
    Failed(anyhow::Error),
}

/// Counts that only the reader knows.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ReaderCounts {
    pub(crate) spans: u64,
    pub(crate) undecodable: u64,
    pub(crate) unknown_process: u64,
    pub(crate) tracestate_invalid: u64,
    /// Requests whose own trace the program told of too late.
    pub(crate) trace_split: u64,
    /// Of traces that their callers decided against: such spans go nowhere.
    pub(crate) unsampled: u64,
    /// Of traces that gotap's own sampling left out.
    pub(crate) sampled_out: u64,
    /// Of programs whose own SDK sends their traces: they are measured only.
    pub(crate) left_to_sdk: u64,
    /// Spans of which something could not be read, by what that is.
    pub(crate) unread: [u64; Unread::ALL.len()],
    /// Deliveries of telemetry, and what was done for them.
    pub(crate) telemetry: u64,
}

/// What the reader lets others see.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) counts: ReaderCounts,
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

/// What counts operations, for the reader and for those who collect.
#[derive(Debug)]
pub(crate) struct SharedMeter(Mutex<Meter>);

impl SharedMeter {
    /// One that knows no process.
    pub(crate) fn new(settings: &red::Settings) -> Self {
        Self(Mutex::new(Meter::new(settings, unix_nanoseconds())))
    }

    /// The meter. The reader waits for it with each span: not to be held for long.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Meter> {
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
    /// Starts the thread.
    pub(crate) fn start(
        source: EventSource,
        assembler: Assembler,
        meter: Option<Arc<SharedMeter>>,
        sampling: raw::Sampling,
        pipeline: Pipeline,
        events: Sender<AgentEvent>,
    ) -> std::io::Result<Self> {
        let (commands, receiver) = std::sync::mpsc::channel();
        let (counts, fill) = (ReaderCounts::default(), <[Fill; 2]>::default());
        let shown = Shown { counts, fill, beat: Instant::now() };
        let shared = Arc::new(Shared(Mutex::new(shown)));
        let shown = shared.clone();
        let thread = std::thread::Builder::new().name("gotap-reader".into()).spawn(move || {
            let state = State::new(assembler, meter, sampling, pipeline, &receiver, &events);
            if let Err(error) = read(source, state, &shown) {
                // Nobody listens any more only when the program ends anyway.
                let _ = events.send(AgentEvent::Failed(error));
            }
        })?;
        Ok(Self { commands, shared, thread })
    }

    /// Reads what is left, hands it over and gives the final counts.
    pub(crate) fn stop(self) -> ReaderCounts {
        // A reader that failed is gone already.
        let _ = self.commands.send(ReaderCommand::Stop);
        let _ = self.thread.join();
        self.shared.read().counts
    }
}

/// State that the ring buffer's callback changes.
struct State<'a> {
    assembler: Assembler,
    meter: Option<Arc<SharedMeter>>,
    sampling: raw::Sampling,
    /// Processes whose own SDK sends their traces.
    only_measured: Vec<(u32, Arc<Resource>)>,
    pipeline: Pipeline,
    /// Spans that are handed on soon.
    batch: Vec<Span>,
    commands: &'a Receiver<ReaderCommand>,
    events: &'a Sender<AgentEvent>,
    leaving: Vec<(Instant, u32)>,
    stopping: bool,
    clock_offset: i64,
    counts: ReaderCounts,
}

impl<'a> State<'a> {
    fn new(
        assembler: Assembler,
        meter: Option<Arc<SharedMeter>>,
        sampling: raw::Sampling,
        pipeline: Pipeline,
        commands: &'a Receiver<ReaderCommand>,
        events: &'a Sender<AgentEvent>,
    ) -> Self {
        Self {
            assembler,
            meter,
            sampling,
            only_measured: Vec::new(),
            pipeline,
            batch: Vec::new(),
            commands,
            events,
            leaving: Vec::new(),
            stopping: false,
            clock_offset: clock_offset(),
            counts: ReaderCounts::default(),
        }
    }

    fn apply_commands(&mut self) {
        while let Ok(command) = self.commands.try_recv() {
            match command {
                ReaderCommand::Add { instance, info, only_measured } => {
                    if only_measured {
                        self.only_measured.push((instance, info.resource.clone()));
                    }
                    if let Some(meter) = &self.meter {
                        meter.lock().add_process(instance, &info.resource, unix_nanoseconds());
                    }
                    self.assembler.add_process(instance, info);
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
            let open = self.assembler.remove_process(instance);
            self.hand_over(open);
            self.only_measured.retain(|(of, _)| *of != instance);
            if let Some(meter) = &self.meter {
                meter.lock().remove_process(instance, unix_nanoseconds());
            }
        }
    }

    fn hand_over(&mut self, spans: impl IntoIterator<Item = Span>) {
        for span in spans {
            if span.telemetry {
                self.counts.telemetry += 1;
                continue;
            }
            // Also those that go nowhere: metrics are of all operations.
            if let Some(meter) = &self.meter {
                meter.lock().record(&span, 1);
            }
            let mut span = span;
            if self.only_measured.iter().any(|(_, of)| Arc::ptr_eq(of, &span.resource)) {
                self.counts.left_to_sdk += 1;
            } else if !span.is_sampled() && !keep(&mut span, &self.sampling) {
                let left_out = span.left_out;
                self.counts.unsampled += u64::from(!left_out);
                self.counts.sampled_out += u64::from(left_out);
            } else {
                self.counts.spans += 1;
                for (count, what) in self.counts.unread.iter_mut().zip(Unread::ALL) {
                    *count += u64::from(span.unread.has(*what));
                }
                self.batch.push(span);
            }
        }
        if self.batch.len() >= BATCH {
            self.hand_on();
        }
    }

    fn hand_on(&mut self) {
        self.pipeline.spans(std::mem::take(&mut self.batch));
    }

    fn take(&mut self, event: Result<Event, wire::DecodeError>) {
        // A process is announced before it is attached to. Its first event may be in the buffer
        // that is being read already, so the announcement is looked for here, too.
        self.apply_commands();
        match event {
            Ok(Event::Exec { pid, time_ns }) => self.send(AgentEvent::Exec(pid, time_ns)),
            Ok(Event::Exit { pid, time_ns }) => self.send(AgentEvent::Exit(pid, time_ns)),
            Ok(event) => {
                let span = self.assembler.on_event(event, self.clock_offset);
                self.hand_over(span);
            }
            Err(_) => self.counts.undecodable += 1,
        }
    }

    fn send(&self, event: AgentEvent) {
        // The receiver is gone only when the program ends.
        let _ = self.events.send(event);
    }
}

/// Whether a span is sent although gotap's sampling left its trace out; it says why then.
fn keep(span: &mut Span, sampling: &raw::Sampling) -> bool {
    let took = span.end_unix_nano.saturating_sub(span.start_unix_nano);
    let why = match span.status {
        _ if !span.left_out => return false,
        Status::Error(_) if sampling.keeps_errors != 0 => "error",
        _ if sampling.slow_ns != 0 && took > sampling.slow_ns => "slow",
        _ => return false,
    };
    span.attributes.push(("gotap.sampling.kept", Value::Text(why.into())));
    true
}

fn read(source: EventSource, state: State<'_>, shared: &Shared) -> anyhow::Result<()> {
    let state = std::cell::RefCell::new(state);
    let rings = source.open(|event| state.borrow_mut().take(event))?;
    let mut last = false;
    while !last {
        state.borrow_mut().apply_commands();
        last = state.borrow().stopping;
        let fill = rings.read(if last { Duration::ZERO } else { POLL })?;
        let mut state = state.borrow_mut();
        // The real-time clock may be set while we run.
        state.clock_offset = clock_offset();
        let now_ns = u64::try_from(nanos(ClockId::Monotonic)).unwrap_or_default();
        let open = if last { state.assembler.finish() } else { state.assembler.tick(now_ns) };
        state.hand_over(open);
        state.hand_on();
        state.forget();
        if let Some(meter) = &state.meter {
            // At the end nothing more comes that could wait for its other end.
            meter.lock().tick(if last { u64::MAX } else { now_ns });
        }
        state.counts.unknown_process = state.assembler.unknown_process();
        state.counts.tracestate_invalid = state.assembler.invalid_tracestate();
        state.counts.trace_split = state.assembler.split_traces();
        *shared.read() = Shown { counts: state.counts, fill, beat: Instant::now() };
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

fn nanos(clock: ClockId) -> i64 {
    let time = clock_gettime(clock);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}
