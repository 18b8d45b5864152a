//! X-rays on the spans of slow requests, while `gotap run` observes: what is added to a span, and what is counted
//! beside. Not here: the looks (`slow`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use metrics::{Metric, Point};
use pipeline::Beside;
use trace::{Kind, Span, Value};

use super::print::readable;
use super::state::Doing;
use super::table::Table;
use super::times::{Stack, Times};

/// Requests are looked at when they have taken this part of what counts as slow, and so often, within bounds.
const PART: u32 = 20;
const EARLIEST: Duration = Duration::from_millis(1);
const OFTEN: Duration = Duration::from_millis(5);
const SELDOM: Duration = Duration::from_millis(100);
/// Functions of a stack, and bytes of the name of each.
const FUNCTIONS: usize = 16;
const NAME: usize = 256;

const UNKNOWN: &str = "gotap.xray.unknown";
const LOOKS: &str = "gotap.xray.looks";

/// What is counted.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Slow requests that were looked at, and those that were not.
    seen: AtomicU64,
    unseen: AtomicU64,
    /// Nanoseconds of processors that looks took.
    pub(super) cost: AtomicU64,
    /// Rounds that left requests out, as there were too many.
    pub(super) many_requests: AtomicU64,
    /// Requests that were not looked at, as too many processes have such.
    pub(super) many_processes: AtomicU64,
    /// Looks that failed.
    pub(super) failed: AtomicU64,
}

/// What is known of slow requests, for any thread.
#[derive(Debug)]
pub(crate) struct Slow {
    slower_than: Duration,
    /// The part of a processor that looks may take; any if not given.
    pub(super) budget: Option<f64>,
    pub(super) table: Table,
    /// Rounds of looks that have begun, and that are over.
    begun: AtomicU64,
    done: AtomicU64,
    pub(super) counts: Counts,
}

impl Slow {
    pub(crate) fn new(slower_than: Duration, budget: Option<f64>) -> Self {
        Self {
            slower_than,
            budget,
            table: Table::default(),
            begun: AtomicU64::new(0),
            done: AtomicU64::new(0),
            counts: Counts::default(),
        }
    }

    /// Requests are looked at when they have taken so long.
    pub(super) fn early(&self) -> Duration {
        (self.slower_than / PART).clamp(EARLIEST, SELDOM)
    }

    /// How often to look at a request, if that costs little enough.
    pub(super) fn interval(&self) -> Duration {
        (self.slower_than / PART).clamp(OFTEN, SELDOM)
    }

    /// Looks. Spans that end meanwhile wait until it is over.
    pub(super) fn round<T>(&self, look: impl FnOnce() -> T) -> T {
        let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let out = look();
        self.done.store(number, Ordering::SeqCst);
        out
    }

    fn add(&self, span: &mut Span) {
        let (looked, took) = (self.table.take(span.span_id), length(span));
        if took <= self.slower_than {
            return;
        }
        let times = looked.map(|looked| looked.ended(nanoseconds(took)));
        let times = times.filter(|times| times.looks > 0);
        let looks = times.as_ref().map_or(0, |times| times.looks);
        let counted = if looks > 0 { &self.counts.seen } else { &self.counts.unseen };
        counted.fetch_add(1, Ordering::Relaxed);
        span.added.push(LOOKS, Value::Int(looks.into()));
        match times {
            Some(times) => self.tell(times, took, span),
            // The other states are not zero: nobody knows.
            None => span.added.push(UNKNOWN, Value::Double(took.as_secs_f64())),
        }
    }

    fn tell(&self, times: Times, took: Duration, span: &mut Span) {
        let sums = times.sums().settled(nanoseconds(took), nanoseconds(self.early()));
        let states = Doing::ALL.map(|doing| (attribute(doing), seconds(sums.of(doing))));
        span.added.extend(states);
        span.added.push(UNKNOWN, seconds(sums.unknown));
        // What runs has left its stack behind; what is known of it is of an earlier stop.
        let waits = sums.stacks().filter(|(doing, _, _)| *doing != Doing::Cpu);
        let longest = waits.max_by(|a, b| (a.2, b.1, b.0).cmp(&(b.2, a.1, a.0)));
        if let Some((doing, stack, time)) = longest {
            span.added.extend([
                ("gotap.xray.stack", Value::Text(functions(stack).into())),
                ("gotap.xray.stack.state", Value::Static(doing.name())),
                ("gotap.xray.stack.seconds", seconds(time)),
            ]);
        }
    }

    /// What was counted, as metrics.
    pub(crate) fn metrics(&self) -> Vec<Metric> {
        let (counts, table) = (&self.counts, self.table.counts());
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let point = |n: u64, key: &'static str, value: &'static str| {
            Point::int(n, vec![(key, value.into())])
        };
        let cost = Duration::from_nanos(read(&counts.cost)).as_secs_f64();
        vec![
            Metric::counter(
                "gotap.xray.requests",
                "{request}",
                "Slow requests, by whether their goroutines were looked at",
                [
                    point(read(&counts.seen), "seen", "true"),
                    point(read(&counts.unseen), "seen", "false"),
                ],
            ),
            Metric::counter(
                "gotap.xray.looks",
                "{look}",
                "Looks at goroutines that serve requests",
                [Point::int(table.looks, Vec::new())],
            ),
            Metric::counter(
                "gotap.xray.cpu.time",
                "s",
                "CPU time of gotap that looks took",
                [Point::float(cost, Vec::new())],
            ),
            Metric::counter(
                "gotap.xray.drops",
                "{look}",
                "What was not looked at, or in vain",
                [
                    point(read(&counts.many_requests), "reason", "many_requests"),
                    point(read(&counts.many_processes), "reason", "many_processes"),
                    point(read(&counts.failed), "reason", "failed"),
                    point(table.full, "reason", "table_full"),
                    point(table.forgotten, "reason", "no_span"),
                ],
            ),
        ]
    }

    /// What to say at the end.
    pub(crate) fn line(&self) -> String {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (seen, unseen) = (read(&self.counts.seen), read(&self.counts.unseen));
        let slow = humantime::format_duration(self.slower_than);
        format!(
            "X-ray: {} requests took longer than {slow}, {seen} of them were looked at, {} looks in all",
            seen + unseen,
            self.table.counts().looks
        )
    }
}

/// Gives what is known to the pipeline.
pub(crate) struct Added(pub(crate) Arc<Slow>);

impl Beside for Added {
    fn ticket(&self, span: &Span) -> Option<u64> {
        let Self(slow) = self;
        // Those that are not slow, but may have been looked at, too: what was seen of them is to be forgotten.
        let concerned = span.kind == Kind::Server && length(span) >= slow.early();
        concerned.then(|| slow.begun.load(Ordering::SeqCst))
    }

    fn is_done(&self, ticket: u64) -> bool {
        self.0.done.load(Ordering::SeqCst) >= ticket
    }

    fn add(&mut self, span: &mut Span) {
        self.0.add(span);
    }
}

fn length(span: &Span) -> Duration {
    Duration::from_nanos(span.end_unix_nano.saturating_sub(span.start_unix_nano))
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn seconds(nanoseconds: u64) -> Value {
    Value::Double(nanoseconds as f64 / 1e9)
}

/// The functions of a stack, the innermost first, one a line.
fn functions(stack: &Stack) -> String {
    let short = |name: &str| -> String { name.chars().take(NAME).collect() };
    let all = readable(stack).take(FUNCTIONS).map(|place| short(&place.function));
    all.collect::<Vec<_>>().join("\n")
}

fn attribute(doing: Doing) -> &'static str {
    match doing {
        Doing::Cpu => "gotap.xray.cpu",
        Doing::Runnable => "gotap.xray.runnable",
        Doing::Channel => "gotap.xray.channel",
        Doing::Select => "gotap.xray.select",
        Doing::Mutex => "gotap.xray.mutex",
        Doing::Io => "gotap.xray.io",
        Doing::Syscall => "gotap.xray.syscall",
        Doing::Sleep => "gotap.xray.sleep",
        Doing::Gc => "gotap.xray.gc",
        Doing::Other => "gotap.xray.other",
    }
}

#[cfg(test)]
mod tests {
    use super::super::times::{Moment, Place, Seen};
    use super::*;
    use trace::synthetic::{attribute, keys, span};

    const MS: u64 = 1_000_000;

    fn slow() -> Arc<Slow> {
        Arc::new(Slow::new(Duration::from_millis(200), None))
    }

    fn served(id: u8, milliseconds: u64) -> Span {
        let mut out = span(1, id, None);
        out.end_unix_nano = out.start_unix_nano + milliseconds * MS;
        out
    }

    fn look(slow: &Slow, span: &Span, at: u64, doing: Doing) {
        let mut request = wire::decode_serving(&[0; size_of::<wire::Serving>()])[0];
        request.span_id = u64::from_ne_bytes(span.span_id);
        let places = ["runtime.gopark", "runtime.chanrecv1", "main.f", "main.g"];
        let place = |f: &&str| Place { function: (*f).into(), file: "/f.go".into(), line: 7 };
        let moment = Moment { at: at * MS, weight: 50 * MS, late: 0, reach: 50 * MS };
        let stack = Some(places.iter().map(place).collect());
        slow.table.look_later(&request, Seen { moment, doing, stack }, true);
    }

    fn get(span: &Span, key: &str) -> Option<f64> {
        match attribute(span, key) {
            Some(Value::Double(seconds)) => Some(seconds),
            None => None,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_slow_span_says_what_its_request_did_and_where() {
        let (slow, mut span) = (slow(), served(1, 300));
        for (at, doing) in [(50, Doing::Cpu), (100, Doing::Channel), (150, Doing::Channel)] {
            look(&slow, &span, at, doing);
        }
        Added(slow.clone()).add(&mut span);
        assert_eq!(
            (get(&span, "gotap.xray.cpu"), get(&span, "gotap.xray.io")),
            (Some(0.05), Some(0.0))
        );
        assert_eq!(get(&span, "gotap.xray.channel"), Some(0.1));
        // Three looks stand for half of it.
        assert_eq!(get(&span, UNKNOWN), Some(0.15));
        assert_eq!(attribute(&span, LOOKS), Some(Value::Int(3)));
        let text = |key: &str| attribute(&span, key)?.as_str().map(str::to_owned);
        let stack = text("gotap.xray.stack");
        assert_eq!(stack.as_deref(), Some("runtime.chanrecv1\nmain.f\nmain.g"));
        assert_eq!(text("gotap.xray.stack.state").as_deref(), Some("channel"));
        assert_eq!(get(&span, "gotap.xray.stack.seconds"), Some(0.1));
        assert!(slow.line().contains("1 requests took longer than 200ms, 1 of them"));
    }

    #[test]
    fn a_slow_span_that_nobody_looked_at_is_unknown_and_a_quick_one_says_nothing() {
        let (slow, mut unseen, mut quick) = (slow(), served(1, 300), served(2, 200));
        look(&slow, &quick, 50, Doing::Io);
        let mut added = Added(slow.clone());
        added.add(&mut unseen);
        added.add(&mut quick);
        assert_eq!((get(&unseen, UNKNOWN), get(&unseen, "gotap.xray.io")), (Some(0.3), None));
        assert!(keys(&quick).is_empty());
        assert!(slow.table.take(quick.span_id).is_none(), "it is forgotten");
    }

    #[test]
    fn spans_wait_for_the_round_in_which_they_ended() {
        let (slow, span, quick) = (slow(), served(1, 300), served(2, 3));
        let added = Added(slow.clone());
        assert!(added.is_done(added.ticket(&span).unwrap()));
        assert_eq!(added.ticket(&quick), None);
        let ticket = slow.round(|| {
            let ticket = added.ticket(&span).unwrap();
            assert!(!added.is_done(ticket));
            ticket
        });
        assert!(added.is_done(ticket));
    }
}
