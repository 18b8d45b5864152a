//! What programs write while they serve a request becomes log records with its trace and span. A line waits until
//! its span is made, as that may tell of another trace than the kernel side knew, and of the pod; it waits for
//! seconds only, as requests may take for ever. Not here: what the lines say (`text`).

mod text;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use trace::{Added, LogRecord, Resource, Span, SpanContext, Value};
use wire::{LogLine, LogStream};

/// Lines that may wait.
const MAX_WAITING: usize = 1 << 13;
/// How long a line waits for its span, in nanoseconds.
const PATIENCE: u64 = 3_000_000_000;

/// Lines on their way.
#[derive(Debug, Default)]
pub(crate) struct Logs {
    /// Whether what lines say is sent.
    texts: bool,
    resources: HashMap<u32, Arc<Resource>>,
    /// By the id of the span.
    waiting: HashMap<[u8; 8], Vec<Line>>,
    /// The spans that are waited for, the oldest first, with when that ends.
    order: VecDeque<(u64, [u8; 8])>,
    held: usize,
    /// Lines of processes that are not known any more.
    pub(crate) unknown_process: u64,
    /// Lines of deliveries of telemetry.
    pub(crate) telemetry: u64,
}

#[derive(Debug)]
struct Line {
    line: LogLine,
    time_unix_nano: u64,
    observed_unix_nano: u64,
}

impl Logs {
    pub(crate) fn new(texts: bool) -> Self {
        Self { texts, ..Self::default() }
    }

    /// A process that comes, or has another resource from now on.
    pub(crate) fn set_process(&mut self, instance: u32, resource: &Arc<Resource>) {
        self.resources.insert(instance, resource.clone());
    }

    /// No more lines of a process come.
    pub(crate) fn remove_process(&mut self, instance: u32) {
        self.resources.remove(&instance);
    }

    /// Takes a line that was read at `now_unix_nano`, at `now_ns` of the kernel's clock.
    pub(crate) fn take(
        &mut self,
        line: LogLine,
        clock_offset: i64,
        now_ns: u64,
        now_unix_nano: u64,
    ) -> Vec<LogRecord> {
        let span = line.span_id;
        let line = Line {
            time_unix_nano: line.time_ns.saturating_add_signed(clock_offset),
            observed_unix_nano: now_unix_nano,
            line,
        };
        if self.held >= MAX_WAITING {
            return self.records(vec![line], None);
        }
        let waiting = self.waiting.entry(span).or_default();
        if waiting.is_empty() {
            self.order.push_back((now_ns + PATIENCE, span));
        }
        waiting.push(line);
        self.held += 1;
        Vec::new()
    }

    /// What was written while this span was active.
    pub(crate) fn of(&mut self, span: &Span) -> Vec<LogRecord> {
        if self.held == 0 {
            return Vec::new();
        }
        let lines = self.release(span.span_id);
        self.records(lines, Some(span))
    }

    /// What was written while a span was active that is sent nowhere is sent nowhere either.
    pub(crate) fn forget(&mut self, span: &Span) {
        self.telemetry += self.release(span.span_id).len() as u64;
    }

    /// What has waited for long enough; all of it at the end.
    pub(crate) fn tick(&mut self, now_ns: u64, last: bool) -> Vec<LogRecord> {
        let mut out = Vec::new();
        while let Some((due, span)) = self.order.front().copied() {
            if due > now_ns && !last {
                break;
            }
            self.order.pop_front();
            let lines = self.release(span);
            out.extend(self.records(lines, None));
        }
        out
    }

    fn release(&mut self, span: [u8; 8]) -> Vec<Line> {
        let lines = self.waiting.remove(&span).unwrap_or_default();
        self.held -= lines.len();
        lines
    }

    fn records(&mut self, lines: Vec<Line>, span: Option<&Span>) -> Vec<LogRecord> {
        let mut out = Vec::new();
        for line in lines {
            let resource = match span {
                Some(span) => Some(&span.resource),
                None => self.resources.get(&line.line.instance),
            };
            match resource {
                Some(resource) => self.one(&line, span, resource, &mut out),
                None => self.unknown_process += 1,
            }
        }
        out
    }

    /// The records of one write: one for each line of it.
    fn one(&self, line: &Line, span: Option<&Span>, of: &Arc<Resource>, out: &mut Vec<LogRecord>) {
        let Line { line, time_unix_nano, observed_unix_nano } = line;
        let LogLine { trace_id, span_id, trace_flags, .. } = *line;
        let known = SpanContext { trace_id, span_id, trace_flags };
        let active = span.map_or(known, Span::context);
        let record = |text: Option<&str>, left_out: u64| LogRecord {
            time_unix_nano: *time_unix_nano,
            observed_unix_nano: *observed_unix_nano,
            severity: text.and_then(text::severity),
            event_name: "",
            body: text.filter(|_| self.texts).map(str::to_owned),
            stream: match line.stream {
                LogStream::Stdout => Some("stdout"),
                LogStream::Stderr => Some("stderr"),
                LogStream::File => None,
            },
            added: added(line, left_out),
            span: Some(active),
            resource: of.clone(),
        };
        let Some(written) = &line.text else {
            out.push(record(None, line.length));
            return;
        };
        let left_out = line.length.saturating_sub(written.len() as u64);
        let written = String::from_utf8_lossy(written);
        let mut lines = written.split_terminator('\n').filter(|text| !text.is_empty()).peekable();
        while let Some(text) = lines.next() {
            let left_out = if lines.peek().is_none() { left_out } else { 0 };
            out.push(record(Some(text.trim_end_matches('\r')), left_out));
        }
    }
}

fn added(line: &LogLine, left_out: u64) -> Added {
    let int = |n: u64| Value::Int(i64::try_from(n).unwrap_or(i64::MAX));
    let mut out = Added::default();
    out.push("gotap.goroutine.id", int(line.goid));
    if left_out > 0 {
        out.push("gotap.log.bytes_left_out", int(left_out));
    }
    out
}

#[cfg(test)]
mod tests {
    use trace::ValueRef;

    use super::*;

    fn line(span: u8, text: Option<&str>, length: u64) -> LogLine {
        LogLine {
            instance: 1,
            time_ns: 100,
            trace_id: [9; 16],
            span_id: [span; 8],
            trace_flags: 1,
            stream: LogStream::Stdout,
            goid: 7,
            length,
            text: text.map(|text| text.as_bytes().to_vec()),
        }
    }

    fn logs(texts: bool) -> Logs {
        let mut logs = Logs::new(texts);
        logs.set_process(1, &Arc::default());
        logs
    }

    #[test]
    fn a_line_gets_the_trace_of_its_span() {
        let mut logs = logs(true);
        assert!(logs.take(line(5, Some("a\nlevel=warn b\n"), 15), 1000, 0, 7).is_empty());
        assert!(logs.of(&trace::synthetic::span(1, 4, None)).is_empty());
        let records = logs.of(&trace::synthetic::span(1, 5, None));
        let texts: Vec<_> = records.iter().map(|r| r.body.as_deref().unwrap()).collect();
        assert_eq!(texts, ["a", "level=warn b"]);
        assert_eq!(records[1].severity, Some(trace::Severity::Warn));
        assert_eq!(records[0].span.unwrap().trace_id, [1; 16]);
        assert_eq!((records[0].time_unix_nano, records[0].observed_unix_nano), (1100, 7));
        assert!(logs.tick(u64::MAX, true).is_empty() && logs.held == 0);
    }

    #[test]
    fn a_line_of_a_request_that_goes_on_is_sent_before_it_ends() {
        let mut logs = logs(false);
        logs.take(line(5, Some("secret"), 6), 0, 10, 0);
        assert!(logs.tick(10 + PATIENCE - 1, false).is_empty());
        let records = logs.tick(10 + PATIENCE, false);
        assert_eq!(records[0].span.unwrap().trace_id, [9; 16]);
        assert_eq!(records[0].body, None);
    }

    #[test]
    fn what_was_not_read_is_marked() {
        let mut logs = logs(true);
        logs.take(line(5, None, 30), 0, 0, 0);
        logs.take(line(5, Some("abc\nde"), 30), 0, 0, 0);
        let left_out = |record: &LogRecord| {
            let mut found = None;
            record.attributes(|key, value| match value {
                ValueRef::Int(n) if key == "gotap.log.bytes_left_out" => found = Some(n),
                _ => {}
            });
            found
        };
        let records = logs.tick(0, true);
        let marked: Vec<_> = records.iter().map(left_out).collect();
        assert_eq!(marked, [Some(30), None, Some(24)]);
    }

    #[test]
    fn lines_of_deliveries_of_telemetry_are_counted() {
        let mut logs = logs(true);
        logs.take(line(5, Some("sent"), 4), 0, 0, 0);
        logs.forget(&trace::synthetic::span(1, 5, None));
        assert!(logs.tick(u64::MAX, true).is_empty());
        assert_eq!(logs.telemetry, 1);
    }

    #[test]
    fn lines_are_bounded_and_those_of_ended_processes_counted() {
        let mut logs = logs(true);
        for _ in 0..MAX_WAITING {
            assert!(logs.take(line(1, Some("x"), 1), 0, 0, 0).is_empty());
        }
        assert_eq!(logs.take(line(2, Some("x"), 1), 0, 0, 0).len(), 1);
        logs.remove_process(1);
        assert!(logs.tick(0, true).is_empty());
        assert_eq!(logs.unknown_process, MAX_WAITING as u64);
    }
}
