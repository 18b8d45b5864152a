//! The counts that gotap prints when it ends, as lines for people or as one of JSON:
//!
//! ```text
//! gotap: traps: http_server_start 4
//! gotap: incomplete spans: lineage_lost 1 (may lack a parent)
//! gotap: under way at attach: start_unseen 1 (had begun before gotap attached: no span)
//! gotap: not recorded: unsampled 2 (the caller does not sample the trace)
//! gotap: 3 spans, lost: ring_full 1 (the event buffer was full); 2 delivered, not delivered: export_queue_full 1
//! ```

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// Counts by name.
pub type Counts = BTreeMap<String, u64>;

/// What was seen, and what became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Spans that were made.
    pub spans: u64,
    /// All that was counted beside spans, by reason: the groups below together.
    pub dropped: Counts,
    /// What was seen and has no span.
    pub no_span: Counts,
    /// Spans that may lack something.
    pub incomplete: Counts,
    /// What had begun before gotap attached.
    pub at_attach: Counts,
    /// Starts and ends of processes that were seen late.
    pub processes: Counts,
    /// What was seen and has no span because somebody decided so; not part of `dropped`.
    pub not_recorded: Counts,
    /// Spans that the collector took; `None` when there was none to send to.
    pub delivered: Option<u64>,
    /// Spans that the collector did not get, by reason.
    pub lost: Counts,
    /// Traps, by probe.
    pub traps: Counts,
}

impl Summary {
    /// Finds the lines among those of standard error.
    pub fn find(lines: &[String]) -> Result<Self> {
        let own = || lines.iter().rev().filter_map(|line| line.strip_prefix("gotap: "));
        let json = own().find_map(|line| line.strip_prefix("summary "));
        let mut summary = match json {
            Some(json) => Self::of_json(json)?,
            None => {
                let mut summary = own().find_map(Self::last_line);
                if let Some(summary) = &mut summary {
                    let list = |heading: &str| {
                        let list = own().find_map(|l| l.strip_prefix(heading)?.strip_prefix(": "));
                        counts(list.unwrap_or_default()).with_context(|| heading.to_owned())
                    };
                    summary.traps = list("traps")?;
                    summary.incomplete = list("incomplete spans")?;
                    summary.at_attach = list("under way at attach")?;
                    summary.not_recorded = list("not recorded")?;
                    summary.processes = list("starts and ends of processes seen late")?;
                }
                summary.with_context(|| format!("no summary in {lines:#?}"))?
            }
        };
        for group in [&summary.no_span, &summary.incomplete, &summary.at_attach, &summary.processes]
        {
            summary.dropped.extend(group.iter().map(|(reason, n)| (reason.clone(), *n)));
        }
        Ok(summary)
    }

    /// How many traps there were at probes whose name has one of these parts.
    pub fn trapped(&self, parts: &[&str]) -> u64 {
        let named = self.traps.iter().filter(|(name, _)| parts.iter().any(|p| name.contains(p)));
        named.map(|(_, n)| n).sum()
    }

    /// `3 spans, none lost; 3 delivered`.
    fn last_line(rest: &str) -> Option<Self> {
        let (seen, export) = match rest.split_once("; ") {
            Some((seen, export)) => (seen, Some(export)),
            None => (rest, None),
        };
        let (spans, losses) = seen.split_once(", ")?;
        let spans = spans.strip_suffix(" spans").or_else(|| spans.strip_suffix(" span"))?;
        let no_span = match losses.strip_prefix("lost: ") {
            Some(list) => counts(list)?,
            None if losses == "none lost" => Counts::new(),
            None => return None,
        };
        let (delivered, lost) = match export {
            None => (None, Counts::new()),
            Some(export) => {
                let (delivered, lost) =
                    export.split_once(", not delivered: ").unwrap_or((export, ""));
                let delivered = delivered.strip_suffix(" delivered")?.parse().ok()?;
                (Some(delivered), counts(lost)?)
            }
        };
        let spans = spans.parse().ok()?;
        Some(Self { spans, no_span, delivered, lost, ..Self::default() })
    }

    fn of_json(text: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(text).context("the summary is JSON")?;
        let list = |key: &str| -> Result<Counts> {
            let object = value[key].as_object().with_context(|| format!("{key} in {text}"))?;
            let pairs = object.iter().filter_map(|(name, n)| Some((name.clone(), n.as_u64()?)));
            let counts: Counts = pairs.collect();
            ensure!(counts.len() == object.len(), "{key} in {text}");
            Ok(counts)
        };
        let delivered = value["delivered"].as_u64();
        Ok(Self {
            spans: value["spans"].as_u64().with_context(|| format!("spans in {text}"))?,
            dropped: Counts::new(),
            no_span: list("lost")?,
            incomplete: list("incomplete")?,
            at_attach: list("at_attach")?,
            processes: list("processes")?,
            not_recorded: list("not_recorded")?,
            delivered,
            lost: if delivered.is_some() { list("not_delivered")? } else { Counts::new() },
            traps: list("traps")?,
        })
    }

    /// How often something was counted for this reason.
    pub fn drops(&self, reason: &str) -> u64 {
        self.dropped.get(reason).copied().unwrap_or(0)
    }

    /// All spans that did not reach the collector.
    pub fn lost_spans(&self) -> u64 {
        self.lost.values().sum()
    }
}

/// `ring_full 1 (the event buffer was full), read_fault 2 (…)`; the words may be left out.
fn counts(list: &str) -> Option<Counts> {
    let pairs = list.split(", ").filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (reason, rest) = pair.split_once(' ')?;
            let n = rest.split_once(" (").map_or(rest, |(n, _)| n);
            Some((reason.to_owned(), n.parse().ok()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(lines: &[&str]) -> Result<Summary> {
        Summary::find(&lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn reads_text() {
        let one = find(&["gotap: 1 span, none lost"]).unwrap();
        assert_eq!(one, Summary { spans: 1, ..Summary::default() });
        let all = find(&[
            "gotap: traps: a_start 3, b_start 4, b_end 1",
            "gotap: incomplete spans: lineage_lost 7 (may lack a parent)",
            "gotap: under way at attach: start_unseen 1 (had begun before: no span)",
            "gotap: not recorded: unsampled 6 (the caller does not sample the trace)",
            "gotap: 9 spans, lost: ring_full 2 (full), read_fault 4; 5 delivered, not delivered: a 3, b 1",
        ]);
        let all = all.unwrap();
        assert_eq!((all.spans, all.drops("ring_full"), all.drops("read_fault")), (9, 2, 4));
        assert_eq!((all.no_span.len(), all.incomplete["lineage_lost"]), (2, 7));
        assert_eq!((all.at_attach["start_unseen"], all.dropped.len()), (1, 4));
        assert_eq!(all.not_recorded["unsampled"], 6);
        assert_eq!((all.delivered, all.lost_spans()), (Some(5), 4));
        assert_eq!((all.trapped(&["start"]), all.trapped(&["b_"])), (7, 5));
    }

    #[test]
    fn reads_json() {
        let all = find(&[
            r#"gotap: summary {"spans":9,"lost":{"ring_full":2},"incomplete":{"lineage_lost":7},"at_attach":{},"processes":{},"not_recorded":{"unsampled":3},"traps":{"a":1}}"#,
        ]);
        let all = all.unwrap();
        assert_eq!((all.spans, all.delivered, all.no_span["ring_full"]), (9, None, 2));
        assert_eq!((all.dropped.len(), all.traps["a"]), (2, 1));
        assert_eq!(all.not_recorded["unsampled"], 3);
        assert!(find(&[r#"gotap: summary {"spans":9}"#]).is_err());
    }

    #[test]
    fn other_lines_are_no_summary() {
        for line in ["gotap: ready, observing 1 process", "gotap: sending traces to http://x; y"] {
            assert!(find(&[line]).is_err(), "{line}");
        }
    }
}
