//! What becomes of each event, on the reader's thread: a span, its metrics, and whether it is sent. Not here:
//! sinks and their queues (`lanes`).

use std::sync::Arc;

use trace::{Assembler, Kept, LogRecord, ProcessInfo, Resource, Span, Status};
use wire::{DecodeError, Event, LogLine, Unread, raw};

use crate::beside::{Beside, Joined};
use crate::connections::Connections;
use crate::held::{Held, Place, Released};
use crate::lanes::Pipeline;
use crate::logs::Logs;
use crate::meter::SharedMeter;
use crate::peers::Peers;
use crate::tail::{Tail, TailSettings, Verdict};

/// Spans that are handed on in one go.
const BATCH: usize = 256;

/// What became of events. Every span that was made is in `spans` or in one of those that say why it is sent
/// nowhere.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Spans that went to the sinks.
    pub spans: u64,
    /// Records that are none.
    pub undecodable: u64,
    /// Events of processes that are not known any more.
    pub unknown_process: u64,
    /// Inbound tracestates that are no lists.
    pub tracestate_invalid: u64,
    /// Requests whose own trace became known too late.
    pub trace_split: u64,
    /// Of traces that their callers decided against: such spans go nowhere.
    pub unsampled: u64,
    /// Of traces that gotap's own sampling left out.
    pub sampled_out: u64,
    /// The same, but not decided: too many waited for that.
    pub tail_evicted: u64,
    /// Traces that were kept when a part of their spans was gone.
    pub tail_partial: u64,
    /// Bytes of spans whose traces are not decided yet.
    pub tail_bytes: usize,
    /// Of programs whose own SDK sends their traces: they are measured only.
    pub left_to_sdk: u64,
    /// Spans that lack something which could not be read, by what that is.
    pub unread: [u64; Unread::ALL.len()],
    /// Deliveries of telemetry, and what was done for them.
    pub telemetry: u64,
    /// Served requests whose headers were forgotten before they ended.
    pub headers_forgotten: u64,
    /// Spans that were sent before the pod of their process was known.
    pub no_pod: u64,
    /// Log records that went to the sinks.
    pub logs: u64,
    /// Lines of logs of processes that are not known any more.
    pub logs_unknown_process: u64,
    /// Lines of logs that deliveries of telemetry wrote.
    pub logs_telemetry: u64,
    /// Spans that went on before all was known that is added to them.
    pub beside_unfinished: u64,
}

/// A time by two clocks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Now {
    /// By the kernel's clock, which is not set: how long ago something was is said by it.
    pub monotonic_ns: u64,
    /// In nanoseconds since 1970.
    pub unix_nano: u64,
}

/// Which traces are sent.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sampling {
    /// As the kernel side decides when a trace begins.
    pub head: raw::Sampling,
    /// What is kept of the others. In place of single spans, which `head` names, these are whole traces.
    pub tail: Option<TailSettings>,
}

/// Turns events into spans and hands them to the sinks.
pub struct Stages {
    assembler: Assembler,
    meter: Option<Arc<SharedMeter>>,
    sampling: raw::Sampling,
    tail: Option<Tail>,
    /// Processes whose own SDK sends their traces.
    only_measured: Vec<(u32, Arc<Resource>)>,
    peers: Peers,
    joined: Joined,
    held: Held,
    /// Lines of logs, if they are looked at.
    logs: Option<Logs>,
    /// Where requests are remembered by their connection, if somebody wants to know.
    connections: Option<Arc<Connections>>,
    sinks: Pipeline,
    /// Spans that are handed on soon.
    batch: Vec<Span>,
    /// Log records, too.
    records: Vec<LogRecord>,
    counts: Counts,
}

impl Stages {
    /// Stages that know no process.
    pub fn new(
        assembler: Assembler,
        meter: Option<Arc<SharedMeter>>,
        sampling: Sampling,
        sinks: Pipeline,
    ) -> Self {
        Self {
            assembler,
            meter,
            sampling: sampling.head,
            tail: sampling.tail.map(Tail::new),
            only_measured: Vec::new(),
            peers: Peers::default(),
            joined: Joined::default(),
            held: Held::default(),
            logs: None,
            connections: None,
            sinks,
            batch: Vec::with_capacity(BATCH),
            records: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// Lines of logs will come; `texts` says whether what they say is sent.
    pub fn expect_logs(&mut self, texts: bool) {
        self.logs = Some(Logs::new(texts));
    }

    /// Requests that are sent are remembered by their connection.
    pub fn remember_connections(&mut self, connections: Arc<Connections>) {
        self.connections = Some(connections);
    }

    /// Adds to spans what this knows of their requests.
    #[must_use]
    pub fn beside(mut self, beside: Option<Box<dyn Beside>>) -> Self {
        self.joined = Joined::new(beside);
        self
    }

    /// Spans of this instance will come; they are sent nowhere if they are `only_measured`. `place` says whether
    /// they wait for a pod.
    pub fn add_process(
        &mut self,
        instance: u32,
        info: ProcessInfo,
        only_measured: bool,
        place: Place,
        now_unix_nano: u64,
    ) {
        if only_measured {
            self.only_measured.push((instance, info.resource.clone()));
        }
        if let Some(logs) = &mut self.logs {
            logs.set_process(instance, &info.resource);
        }
        // Else it is measured when it is known, or nobody waits any longer.
        if !self.held.add(instance, &info.resource, place) {
            self.measure(instance, &info.resource, now_unix_nano);
        }
        self.assembler.add_process(instance, info);
    }

    /// From now on the resource of a process is another one than `before`. `whole` is whether all of its pod is
    /// known.
    pub fn rename_process(
        &mut self,
        instance: u32,
        before: &Arc<Resource>,
        resource: &Arc<Resource>,
        whole: bool,
        now: Now,
    ) {
        self.assembler.set_resource(instance, resource);
        if let Some(logs) = &mut self.logs {
            logs.set_process(instance, resource);
        }
        for (_, of) in self.only_measured.iter_mut().filter(|(of, _)| *of == instance) {
            *of = resource.clone();
        }
        let waits = self.held.waits(instance);
        let released = self.held.rename(instance, before, resource, whole);
        // What was counted so far stays with the resource that it was counted for.
        if !waits && !Arc::ptr_eq(before, resource) {
            if let Some(meter) = &self.meter {
                meter.lock().remove_process(instance, now.monotonic_ns);
            }
            self.measure(instance, resource, now.unix_nano);
        }
        self.release(released, now.unix_nano);
    }

    /// From now on a process is measured as what this says.
    fn measure(&self, instance: u32, resource: &Arc<Resource>, now_unix_nano: u64) {
        if let Some(meter) = &self.meter {
            meter.lock().add_process(instance, resource, now_unix_nano);
        }
    }

    /// Hands on spans that need not wait for a pod any more.
    fn release(&mut self, released: impl IntoIterator<Item = Released>, now_unix_nano: u64) {
        for Released { instance, resource, spans } in released {
            self.measure(instance, &resource, now_unix_nano);
            spans.into_iter().for_each(|span| self.keep_or_leave(span));
        }
    }

    /// No more spans of this instance will come.
    pub fn remove_process(&mut self, instance: u32, now: Now) {
        let open = self.assembler.remove_process(instance);
        self.hand_over_all(open);
        let released = self.held.remove(instance);
        self.release(released, now.unix_nano);
        self.only_measured.retain(|(of, _)| *of != instance);
        if let Some(logs) = &mut self.logs {
            logs.remove_process(instance);
        }
        if let Some(meter) = &self.meter {
            meter.lock().remove_process(instance, now.monotonic_ns);
        }
    }

    /// Takes an event. `clock_offset` is real time less the kernel's monotonic clock, in nanoseconds.
    pub fn event(&mut self, event: Result<Event, DecodeError>, clock_offset: i64) {
        match event {
            Ok(event) => {
                if let Some(span) = self.assembler.on_event(event, clock_offset) {
                    self.hand_over(span);
                }
            }
            Err(_) => self.counts.undecodable += 1,
        }
    }

    /// Takes a line of a log. `now_ns` is by the kernel's clock.
    pub fn log(&mut self, line: LogLine, clock_offset: i64, now_ns: u64, now_unix_nano: u64) {
        if let Some(logs) = &mut self.logs {
            self.records.extend(logs.take(line, clock_offset, now_ns, now_unix_nano));
        }
    }

    /// Hands on what waits, after each look at the ring buffers. `now_ns` is by the kernel's clock. `last` says
    /// that nothing more comes: whatever waits for something is handed on, too.
    pub fn round(&mut self, now_ns: u64, now_unix_nano: u64, last: bool) {
        let open = if last { self.assembler.finish() } else { self.assembler.tick(now_ns) };
        self.hand_over_all(open);
        let joined = self.joined.due(last);
        joined.into_iter().for_each(|span| self.hold_or_keep(span));
        let due = self.held.due(last);
        self.release(due, now_unix_nano);
        if let Some(tail) = &mut self.tail {
            tail.tick(if last { u64::MAX } else { now_ns });
        }
        if let Some(logs) = &mut self.logs {
            self.records.extend(logs.tick(now_ns, last));
        }
        self.hand_on();
        if let Some(meter) = &self.meter {
            // At the end nothing more comes that could wait for its other end.
            meter.lock().tick(if last { u64::MAX } else { now_ns });
        }
    }

    /// What became of the events so far.
    pub fn counts(&self) -> Counts {
        let tail = self.tail.as_ref().map(Tail::gone).unwrap_or_default();
        Counts {
            sampled_out: self.counts.sampled_out + tail.dropped,
            no_pod: self.held.without,
            logs_unknown_process: self.logs.as_ref().map_or(0, |logs| logs.unknown_process),
            logs_telemetry: self.logs.as_ref().map_or(0, |logs| logs.telemetry),
            beside_unfinished: self.joined.unfinished,
            tail_evicted: tail.evicted,
            tail_partial: tail.partial,
            tail_bytes: self.tail.as_ref().map_or(0, Tail::bytes),
            undecodable: self.counts.undecodable + self.assembler.undecodable(),
            unknown_process: self.assembler.unknown_process(),
            tracestate_invalid: self.assembler.invalid_tracestate(),
            trace_split: self.assembler.split_traces(),
            headers_forgotten: self.assembler.forgotten_headers(),
            ..self.counts
        }
    }

    fn hand_over_all(&mut self, spans: Vec<Span>) {
        spans.into_iter().for_each(|span| self.hand_over(span));
    }

    fn hand_over(&mut self, span: Span) {
        if span.telemetry {
            self.counts.telemetry += 1;
            if let Some(logs) = &mut self.logs {
                logs.forget(&span);
            }
        } else if let Some(span) = self.joined.take(span) {
            self.hold_or_keep(span);
        }
    }

    fn hold_or_keep(&mut self, span: Span) {
        if let Some(span) = self.held.take(span) {
            self.keep_or_leave(span);
        }
    }

    /// Measures a span, and sends it if it is to be.
    fn keep_or_leave(&mut self, mut span: Span) {
        self.peers.name(&mut span);
        if let Some(logs) = &mut self.logs {
            self.records.extend(logs.of(&span));
        }
        // Also those that go nowhere: metrics are of all operations.
        if let Some(meter) = &self.meter {
            meter.lock().record(&span, 1);
        }
        let slow = self.tail.as_mut().is_some_and(|tail| tail.learn(&span));
        if self.only_measured.iter().any(|(_, of)| Arc::ptr_eq(of, &span.resource)) {
            self.counts.left_to_sdk += 1;
        } else if span.is_sampled() {
            self.send(span);
        } else if !span.left_out {
            self.counts.unsampled += 1;
        } else if let Some(tail) = &mut self.tail {
            if let Verdict::Kept(waited, span) = tail.take(span, slow) {
                waited.into_iter().for_each(|span| self.send(span));
                self.send(*span);
            }
        } else if keep(&mut span, &self.sampling) {
            self.send(span);
        } else {
            self.counts.sampled_out += 1;
        }
    }

    fn send(&mut self, mut span: Span) {
        // It may have waited for a decision.
        self.held.renew(&mut span);
        self.counts.spans += 1;
        if !span.unread.is_empty() {
            for (count, what) in self.counts.unread.iter_mut().zip(Unread::ALL) {
                *count += u64::from(span.unread.has(*what));
            }
        }
        if let Some(connections) = &self.connections {
            connections.note(&span);
        }
        self.batch.push(span);
        if self.batch.len() >= BATCH {
            self.hand_on();
        }
    }

    fn hand_on(&mut self) {
        if !self.records.is_empty() {
            self.counts.logs += self.records.len() as u64;
            self.sinks.logs(std::mem::take(&mut self.records));
        }
        if self.batch.is_empty() {
            return;
        }
        let batch = Vec::with_capacity(BATCH);
        self.sinks.spans(std::mem::replace(&mut self.batch, batch));
    }
}

/// Whether a span is sent although gotap's sampling left its trace out; it says why then.
fn keep(span: &mut Span, sampling: &raw::Sampling) -> bool {
    let took = span.end_unix_nano.saturating_sub(span.start_unix_nano);
    let why = match span.status {
        _ if !span.left_out => return false,
        Status::Error(_) if sampling.keeps_errors != 0 => Kept::Error,
        _ if sampling.slow_ns != 0 && took > sampling.slow_ns => Kept::Slow,
        _ => return false,
    };
    span.kept = Some(why);
    true
}
