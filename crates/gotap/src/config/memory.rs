//! The memory that gotap may take, as bounds of its queues and caches. Not here: what they do when they are full,
//! which is counted by each.

use anyhow::Result;

use super::{Config, Invalid};

/// What gotap takes with nothing in its queues.
const BASE: u64 = 40 << 20;
/// The least limit that leaves room for queues.
const LEAST: u64 = 64 << 20;
/// Bytes of a span with its attributes, and of a series of a metric.
const SPAN_BYTES: u64 = 1536;
const SERIES_BYTES: u64 = 1200;
/// Bytes of a call that waits for its other end.
const CALL_BYTES: u64 = 224;

/// How much may wait, and be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Spans that wait for a sink.
    pub(crate) queued_spans: usize,
    /// Bytes of encoded spans that wait for the collector.
    pub(crate) export_bytes: usize,
    /// Bytes of spans that wait for tail sampling.
    pub(crate) tail_bytes: usize,
    /// Spans and parts of spans that wait for the rest, of each sort.
    pub(crate) pending_spans: usize,
    /// Series of metrics of operations.
    pub(crate) series: usize,
    /// Calls that wait for their other end, for the service graph.
    pub(crate) graph_calls: usize,
}

impl Config {
    /// The bounds of queues and caches.
    ///
    /// # Errors
    /// [`Invalid`] for a limit that is none, or that is too low.
    pub(crate) fn bounds(&self) -> Result<Bounds> {
        let free = Bounds {
            queued_spans: pipeline::MAX_QUEUED,
            export_bytes: self.otlp.queue_bytes,
            tail_bytes: self.sampling.tail.buffer_bytes,
            pending_spans: trace::MAX_PENDING,
            series: red::MAX_SERIES,
            graph_calls: red::MAX_GRAPH_CALLS,
        };
        let Some(text) = &self.memory_limit else { return Ok(free) };
        let limit = bytes(text)
            .ok_or_else(|| Invalid(format!("memory_limit: {text:?} is no size such as 128MiB")))?;
        if limit < LEAST {
            let why = format!("memory_limit: want at least {}MiB, not {text}", LEAST >> 20);
            return Err(Invalid(why).into());
        }
        let room = limit - BASE;
        // What each gets of a hundred parts; all together less than all, as memory has gaps.
        let part = |percent: u64, each: u64| usize::try_from(room / 100 * percent / each);
        let at_most =
            |most: usize, percent, each| part(percent, each).map_or(most, |n| n.min(most));
        Ok(Bounds {
            queued_spans: at_most(free.queued_spans, 20, SPAN_BYTES),
            export_bytes: at_most(free.export_bytes, 15, 1),
            tail_bytes: at_most(free.tail_bytes, 20, 1),
            // Of two sorts.
            pending_spans: at_most(free.pending_spans, 10, 2 * SPAN_BYTES),
            series: at_most(free.series, 15, SERIES_BYTES),
            graph_calls: at_most(free.graph_calls, 5, CALL_BYTES),
        })
    }
}

/// A size as people write it: `134217728`, `128MiB`, `128M`, `1GiB`; `MB` is a million.
fn bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = match unit.trim_start() {
        "" | "B" => 1,
        "K" | "Ki" | "KiB" => 1 << 10,
        "M" | "Mi" | "MiB" => 1 << 20,
        "G" | "Gi" | "GiB" => 1 << 30,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(limit: Option<&str>) -> Result<Bounds> {
        Config { memory_limit: limit.map(Into::into), ..Config::default() }.bounds()
    }

    #[test]
    fn sizes_are_read_as_people_write_them() {
        let sizes = [("134217728", 134_217_728), ("128MiB", 134_217_728), ("128 M", 134_217_728)];
        for (text, size) in sizes.into_iter().chain([("1Gi", 1 << 30), ("200MB", 200_000_000)]) {
            assert_eq!(bytes(text), Some(size), "{text}");
        }
        for wrong in ["", "MiB", "1.5GiB", "-1", "1Q", "99999999999GiB"] {
            assert_eq!(bytes(wrong), None, "{wrong}");
        }
    }

    /// Bytes of all queues and caches that are full, but for those of tail sampling.
    fn together(of: &Bounds) -> u64 {
        // With the log records that wait beside spans.
        let queued = of.queued_spans + of.queued_spans / 4;
        let spans = (queued + 2 * of.pending_spans) as u64 * SPAN_BYTES;
        let known = of.series as u64 * SERIES_BYTES + of.graph_calls as u64 * CALL_BYTES;
        spans + of.export_bytes as u64 + known
    }

    #[test]
    fn all_bounds_together_fit_below_the_limit() {
        let free = bounds(None).unwrap();
        for limit in [64u64, 96, 128, 200, 4096] {
            let of = bounds(Some(&format!("{limit}MiB"))).unwrap();
            let all = BASE + together(&of) + of.tail_bytes as u64;
            assert!(all <= limit << 20, "{limit}: {of:?}");
            assert!(of.queued_spans > 1000 && of.export_bytes > 2 << 20, "{limit}: {of:?}");
        }
        assert_eq!(bounds(Some("4GiB")).unwrap(), free, "never more than without a limit");
        assert!(bounds(Some("32MiB")).is_err() && bounds(Some("much")).is_err());
    }
    /// As docs/kubernetes.md says it, where the limit of a container follows from it.
    #[test]
    fn the_document_says_what_full_queues_take() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/kubernetes.md");
        let document = std::fs::read_to_string(path).unwrap();
        let most = together(&bounds(None).unwrap()).div_ceil(1 << 20);
        let row = format!(
            "| what its queues and caches of spans and series may take beside that, when all are full | {most} MiB |"
        );
        assert!(document.contains(&row), "{path} lacks: {row}");
    }
}
