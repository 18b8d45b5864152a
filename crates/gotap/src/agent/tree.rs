//! Traces as trees: the spans of each are kept until its root has ended, and printed with their
//! parents above them. Not here: how a span looks on a line.

use std::collections::{HashMap, HashSet};
use std::io::{BufWriter, Write};
use std::time::{Duration, Instant};

use anyhow::Result;
use pipeline::Sink;
use trace::Span;

use super::sinks::Filter;
use crate::output::text::{self, Style};

/// How long a trace whose root has ended waits for spans that other programs end at the same time.
const AFTER_ROOT: Duration = Duration::from_millis(300);
/// How long a trace whose root is not seen, as it is another program's, waits for another span.
const WITHOUT_ROOT: Duration = Duration::from_secs(2);
/// Spans that are kept. What does not fit makes the oldest trace be printed before its time.
const MAX_SPANS: usize = 20_000;

/// A trace that has not been printed whole.
struct Kept {
    spans: Vec<Span>,
    /// When the last span came, or the root.
    since: Instant,
    rooted: bool,
}

impl Kept {
    fn is_due(&self, now: Instant) -> bool {
        let patience = if self.rooted { AFTER_ROOT } else { WITHOUT_ROOT };
        now.saturating_duration_since(self.since) >= patience
    }
}

/// Prints traces as trees.
pub(super) struct Trees {
    out: BufWriter<Box<dyn Write + Send>>,
    style: Style,
    filter: Filter,
    traces: HashMap<[u8; 16], Kept>,
    spans: usize,
}

impl Trees {
    pub(super) fn new(style: Style, filter: Filter) -> Self {
        Self::to(Box::new(std::io::stdout()), style, filter)
    }

    fn to(out: Box<dyn Write + Send>, style: Style, filter: Filter) -> Self {
        Self { out: BufWriter::new(out), style, filter, traces: HashMap::new(), spans: 0 }
    }

    fn keep(&mut self, span: Span, now: Instant) -> Result<()> {
        while self.spans >= MAX_SPANS
            && let Some(oldest) = self.traces.iter().min_by_key(|(_, kept)| kept.since)
        {
            let id = *oldest.0;
            self.print(&id)?;
        }
        let kept = self.traces.entry(span.trace_id);
        let kept = kept.or_insert(Kept { spans: Vec::new(), since: now, rooted: false });
        // What comes after the root does not put it off.
        if !kept.rooted {
            kept.since = now;
        }
        kept.rooted |= span.parent_span_id.is_none();
        kept.spans.push(span);
        self.spans += 1;
        Ok(())
    }

    fn print_due(&mut self, now: Instant) -> Result<()> {
        let due = self.traces.iter().filter(|(_, kept)| kept.is_due(now));
        let mut due: Vec<_> = due.map(|(id, kept)| (kept.since, *id)).collect();
        due.sort_unstable();
        due.iter().try_for_each(|(_, id)| self.print(id))?;
        Ok(self.out.flush()?)
    }

    fn print(&mut self, id: &[u8; 16]) -> Result<()> {
        let Some(mut kept) = self.traces.remove(id) else { return Ok(()) };
        self.spans -= kept.spans.len();
        if !kept.spans.iter().any(|span| self.filter.passes(span)) {
            return Ok(());
        }
        kept.spans.sort_by_key(|span| span.start_unix_nano);
        for (span, branch) in branches(&kept.spans) {
            writeln!(self.out, "{}", text::line(span, self.style, &branch))?;
        }
        Ok(())
    }
}

/// The spans of a trace, each after its parent, with what leads to it. Those whose parent is not
/// among them stand at the edge. Deep trees need no deep stack.
fn branches(spans: &[Span]) -> Vec<(&Span, String)> {
    let ids: HashSet<[u8; 8]> = spans.iter().map(|span| span.span_id).collect();
    let mut children: HashMap<Option<[u8; 8]>, Vec<&Span>> = HashMap::new();
    for span in spans {
        let parent = span.parent_span_id.filter(|id| ids.contains(id) && *id != span.span_id);
        children.entry(parent).or_default().push(span);
    }
    let mut out = Vec::with_capacity(spans.len());
    let roots = children.remove(&None).unwrap_or_default();
    let mut open: Vec<_> = roots.into_iter().rev().map(|s| (s, String::new(), "", "")).collect();
    while let Some((span, before, own, below)) = open.pop() {
        out.push((span, format!("{before}{own}")));
        let next = children.remove(&Some(span.span_id)).unwrap_or_default();
        for (i, child) in next.into_iter().rev().enumerate() {
            // Those that come later are pushed first.
            let (own, under) = if i == 0 { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            open.push((child, format!("{before}{below}"), own, under));
        }
    }
    // Parents that go round in a circle, which only a made-up traceparent can say.
    out.extend(children.into_values().flatten().map(|span| (span, String::new())));
    out
}

impl Sink for Trees {
    fn name(&self) -> &'static str {
        "output"
    }

    fn span(&mut self, span: &Span) -> Result<()> {
        self.keep(span.clone(), Instant::now())
    }

    fn tick(&mut self) -> Result<()> {
        self.print_due(Instant::now())
    }

    fn finish(mut self: Box<Self>, _patience: Duration) -> Result<()> {
        let mut left: Vec<_> = self.traces.iter().map(|(id, kept)| (kept.since, *id)).collect();
        left.sort_unstable();
        left.iter().try_for_each(|(_, id)| self.print(id))?;
        Ok(self.out.flush()?)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, PoisonError};

    use trace::Status;

    use super::*;
    use trace::synthetic::span;

    /// What was written, for the test to look at.
    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Written {
        fn lines(&self) -> usize {
            String::from_utf8_lossy(&self.0.lock().unwrap()).lines().count()
        }
    }

    fn trees(filter: Filter) -> (Trees, Written) {
        let written = Written::default();
        (Trees::to(Box::new(written.clone()), Style::default(), filter), written)
    }

    #[test]
    fn children_stand_below_their_parents() {
        let spans = [(1, None), (2, Some(1)), (3, Some(2)), (4, Some(1)), (9, Some(77))];
        let spans = spans.map(|(id, parent)| span(1, id, parent));
        let all = branches(&spans);
        let shown: Vec<_> = all.iter().map(|(s, b)| (s.span_id[0], b.as_str())).collect();
        assert_eq!(shown, [(1, ""), (2, "├─ "), (3, "│  └─ "), (4, "└─ "), (9, "")]);
        let circle = [span(1, 1, Some(2)), span(1, 2, Some(1)), span(1, 3, Some(3))];
        assert_eq!(branches(&circle).len(), 3);
    }

    #[test]
    fn a_trace_is_printed_when_its_root_has_ended() {
        let (mut trees, written) = trees(Filter::default());
        let start = Instant::now();
        trees.keep(span(1, 2, Some(1)), start).unwrap();
        trees.print_due(start + AFTER_ROOT).unwrap();
        assert_eq!(written.lines(), 0);
        trees.keep(span(1, 1, None), start + AFTER_ROOT).unwrap();
        trees.keep(span(1, 3, Some(1)), start + AFTER_ROOT + AFTER_ROOT / 2).unwrap();
        trees.print_due(start + AFTER_ROOT * 2).unwrap();
        assert_eq!((written.lines(), trees.spans), (3, 0));
        // A root that another program has is not waited for without end.
        trees.keep(span(2, 2, Some(1)), start).unwrap();
        trees.print_due(start + WITHOUT_ROOT).unwrap();
        assert_eq!(written.lines(), 4);
    }

    #[test]
    fn what_is_kept_is_bounded_and_printed_at_the_end() {
        let (mut trees, written) = trees(Filter::default());
        let now = Instant::now();
        for i in 0..=MAX_SPANS {
            let mut child = span(0, 2, Some(1));
            child.trace_id[..8].copy_from_slice(&i.to_ne_bytes());
            trees.keep(child, now).unwrap();
        }
        assert_eq!(trees.spans, MAX_SPANS);
        Box::new(trees).finish(Duration::ZERO).unwrap();
        assert_eq!(written.lines(), MAX_SPANS + 1);
    }

    #[test]
    fn one_span_that_passes_shows_the_whole_trace() {
        let (mut trees, written) = trees(Filter { errors: true, ..Filter::default() });
        let now = Instant::now();
        trees.keep(span(1, 1, None), now).unwrap();
        let failed = Span { status: Status::Error(String::new()), ..span(2, 2, Some(1)) };
        trees.keep(failed, now).unwrap();
        trees.keep(span(2, 1, None), now).unwrap();
        Box::new(trees).finish(Duration::ZERO).unwrap();
        assert_eq!(written.lines(), 2);
    }
}
