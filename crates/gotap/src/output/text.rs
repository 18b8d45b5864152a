//! Spans as aligned, coloured lines: time, service, direction, method, status, duration, what; and log records.

use std::io::IsTerminal;

use trace::{Kind, LogRecord, Named, Operation, Severity, Span, Status};
use wire::Unread;

const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";
const CYAN: &str = "\x1b[36m";
const DIM: &str = "\x1b[2m";
const RESET: &str = "\x1b[0m";

/// Whether standard output wants colours: a terminal, and `NO_COLOR` is not set.
pub(crate) fn colours() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

/// Characters of a statement, a path or an error that are shown, so that what stands behind it stays
/// on the line.
const SHOWN: usize = 100;

/// How lines look.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Style {
    pub(crate) colours: bool,
    /// Whether long texts are shown whole.
    pub(crate) whole: bool,
}

impl Style {
    /// What of a text is shown: without what could move a terminal's cursor, on one line.
    fn shown(self, text: &str) -> String {
        let words: Vec<&str> = text.split_whitespace().collect();
        let text = printable(&words.join(" "));
        if self.whole || text.chars().count() <= SHOWN {
            return text;
        }
        text.chars().take(SHOWN - 1).chain(['…']).collect()
    }
}

/// One span on one line; `branch` leads to it from its parent.
pub(crate) fn line(span: &Span, style: Style, branch: &str) -> String {
    let paint = |colour: &str, text: String| {
        if style.colours { format!("{colour}{text}{RESET}") } else { text }
    };
    let pid = span.resource.pid().unwrap_or(0);
    let who = printable(&format!("{branch}{}[{pid}]", span.resource.service_name()));
    let direction = match span.kind {
        Kind::Server => "server",
        Kind::Client => "client",
    };
    let (method, what) = what(span);
    let method = printable(method);
    let (status, colour) = status(span);
    let mut notes = String::new();
    if !span.unread.is_empty() {
        let unread: Vec<_> = span.unread.iter().map(Unread::label).collect();
        notes.push_str(&format!("  unread={}", unread.join(",")));
    }
    if let Operation::Http(http) = &span.operation
        && let Some(route) = &http.route
    {
        notes.push_str(&format!("  route={route}"));
    }
    for header in &span.headers {
        let values = style.shown(&header.values.join(", "));
        notes.push_str(&format!("  {}={values:?}", header.name));
    }
    if let Status::Error(message) = &span.status
        && !message.is_empty()
    {
        notes.push_str(&format!("  error={:?}", style.shown(message)));
    }
    let short = span.trace_id.iter().take(4).map(|b| format!("{b:02x}")).collect::<String>();
    notes.push_str(&format!("  trace={short}"));
    if span.parent_span_id.is_some() {
        notes.push_str(&format!(" parent={}", span.parent.label()));
    }
    format!(
        "{}  {}  {direction}  {method:<7} {} {:>9}  {}{}",
        paint(DIM, clock(span.start_unix_nano)),
        paint(CYAN, format!("{who:<20}")),
        paint(colour, format!("{status:>6}")),
        duration(span.end_unix_nano.saturating_sub(span.start_unix_nano)),
        style.shown(what),
        paint(DIM, printable(&notes)),
    )
}

/// One log record on one line: time, service, stream, severity, text, trace.
pub(crate) fn log_line(record: &LogRecord, style: Style) -> String {
    let paint = |colour: &str, text: String| {
        if style.colours { format!("{colour}{text}{RESET}") } else { text }
    };
    let pid = record.resource.pid().unwrap_or(0);
    let who = printable(&format!("{}[{pid}]", record.resource.service_name()));
    let stream = record.stream.unwrap_or("log");
    let colour = match record.severity {
        Some(Severity::Error | Severity::Fatal) => RED,
        Some(Severity::Warn) => YELLOW,
        _ => DIM,
    };
    let severity = record.severity.map_or("-", Severity::label);
    let text = record.body.as_deref().unwrap_or("(text could not be read)");
    let trace = record.span.map(|span| {
        let short = span.trace_id.iter().take(4).map(|b| format!("{b:02x}")).collect::<String>();
        format!("  trace={short}")
    });
    format!(
        "{}  {}  {stream:<6}  {}  {}{}",
        paint(DIM, clock(record.time_unix_nano)),
        paint(CYAN, format!("{who:<20}")),
        paint(colour, format!("{severity:<5}")),
        style.shown(text),
        paint(DIM, trace.unwrap_or_default()),
    )
}

/// The HTTP method or the system, and what was asked for.
fn what(span: &Span) -> (&str, &str) {
    if let Some(call) = span.operation.call() {
        return (call.system.label(), call.method.as_ref().map_or("", Named::sent));
    }
    match &span.operation {
        Operation::Http(http) => {
            let what = if span.kind == Kind::Server { &http.path } else { &http.url };
            (http.method.as_ref().map_or("", Named::sent), what.as_deref().unwrap_or_default())
        }
        Operation::Database(query) => {
            let what = query.text.as_deref().or(query.operation.as_deref());
            (query.system, what.unwrap_or_default())
        }
        Operation::Rpc(_) | Operation::Connection(_) => ("", ""),
    }
}

/// Status code or a word, and its colour.
fn status(span: &Span) -> (String, &'static str) {
    if let Some(code) = span.operation.call().and_then(|call| call.code.as_deref()) {
        let colour = match (code, &span.status) {
            ("OK", _) => GREEN,
            (_, Status::Unset) => YELLOW,
            _ => RED,
        };
        return (code.to_owned(), colour);
    }
    if let Operation::Http(http) = &span.operation
        && let Some(code) = http.status
    {
        let colour = match code {
            500.. => RED,
            400.. => YELLOW,
            _ => GREEN,
        };
        return (code.to_string(), colour);
    }
    match span.status {
        Status::Error(_) => ("error".into(), RED),
        _ if [Unread::Status, Unread::Error].iter().any(|what| span.unread.has(*what)) => {
            ("unread".into(), YELLOW)
        }
        Status::Unset => ("-".into(), DIM),
    }
}

/// Time of day in UTC, to the microsecond.
pub(crate) fn clock(unix_nano: u64) -> String {
    let (seconds, nanos) = (unix_nano / 1_000_000_000, unix_nano % 1_000_000_000);
    let day = seconds % 86_400;
    format!("{:02}:{:02}:{:02}.{:06}", day / 3600, day / 60 % 60, day % 60, nanos / 1000)
}

/// Three digits and a unit.
pub(crate) fn duration(nanos: u64) -> String {
    let (unit, divisor) = match nanos {
        0..1_000_000 => ("µs", 1e3),
        1_000_000..1_000_000_000 => ("ms", 1e6),
        _ => ("s", 1e9),
    };
    let value = nanos as f64 / divisor;
    // What rounds up to the next power of ten has a digit more before the point.
    let digits = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
    format!("{value:.digits$}{unit}")
}

/// The text without what could move a terminal's cursor: paths come from the network, names from processes and files.
pub(crate) fn printable(text: &str) -> String {
    without(text, char::is_control)
}

/// The same of text that may have several lines, and tabulators.
pub(crate) fn harmless(text: &str) -> String {
    without(text, |c| c.is_control() && c != '\n' && c != '\t')
}

fn without(text: &str, is_bad: impl Fn(char) -> bool) -> String {
    text.chars().map(|c| if is_bad(c) { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_three_digits() {
        assert_eq!(duration(1_234), "1.23µs");
        assert_eq!(duration(9_996_000), "10.0ms");
        assert_eq!(duration(56_700_000), "56.7ms");
        assert_eq!(duration(123_000_000_000), "123s");
    }

    #[test]
    fn escapes_from_the_network_do_not_reach_the_terminal() {
        assert_eq!(printable("/a\x1b[2J\n"), "/a\u{fffd}[2J\u{fffd}");
        assert_eq!(harmless("a\tb\nc\r\u{9b}2J\x07"), "a\tb\nc\u{fffd}\u{fffd}2J\u{fffd}");
        assert_eq!(Style::default().shown("a\x1b\n  b"), "a\u{fffd} b");
    }

    #[test]
    fn long_texts_are_cut_unless_they_are_asked_for() {
        let long = "SELECT é ".repeat(100);
        let cut = Style::default().shown(&long);
        assert!(cut.chars().count() == SHOWN && cut.ends_with('…'), "{cut}");
        let whole = Style { whole: true, ..Style::default() }.shown(&long);
        assert_eq!(whole, long.trim_end());
        assert_eq!(Style::default().shown("short"), "short");
    }

    #[test]
    fn time_of_day_is_utc() {
        assert_eq!(clock(1_700_000_000_123_456_789), "22:13:20.123456");
    }
}
