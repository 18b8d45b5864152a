//! The counts that gotap prints when it ends:
//! `gotap: 3 spans, dropped: start_unseen 1; 2 delivered, export_queue_full 1`, and how often it
//! trapped the programs.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

/// What was seen, and what became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Spans that were made.
    pub spans: u64,
    /// What was seen and made no span, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Spans that the collector took; `None` when there was none to send to.
    pub delivered: Option<u64>,
    /// Spans that the collector did not get, by reason.
    pub lost: BTreeMap<String, u64>,
    /// Traps, by probe.
    pub traps: BTreeMap<String, u64>,
}

impl Summary {
    /// Finds the line among those of standard error.
    pub fn find(lines: &[String]) -> Result<Self> {
        let parsed = lines.iter().rev().find_map(|line| Self::parse(line));
        let traps = lines.iter().rev().find_map(|line| line.strip_prefix("gotap: traps: "));
        let mut summary = parsed.with_context(|| format!("no summary in {lines:#?}"))?;
        summary.traps = counts(traps.unwrap_or_default()).context("the line of traps")?;
        Ok(summary)
    }

    /// How many traps there were at probes whose name has one of these parts.
    pub fn trapped(&self, parts: &[&str]) -> u64 {
        let named = self.traps.iter().filter(|(name, _)| parts.iter().any(|p| name.contains(p)));
        named.map(|(_, n)| n).sum()
    }

    fn parse(line: &str) -> Option<Self> {
        let rest = line.strip_prefix("gotap: ")?;
        let (seen, export) = match rest.split_once("; ") {
            Some((seen, export)) => (seen, Some(export)),
            None => (rest, None),
        };
        let (spans, losses) = seen.split_once(", ")?;
        let spans = spans.strip_suffix(" spans").or_else(|| spans.strip_suffix(" span"))?;
        let dropped = match losses.strip_prefix("dropped: ") {
            Some(list) => counts(list)?,
            None if losses == "none dropped" => BTreeMap::new(),
            None => return None,
        };
        let (delivered, lost) = match export {
            None => (None, BTreeMap::new()),
            Some(export) => {
                let (delivered, lost) = export.split_once(", ").unwrap_or((export, ""));
                let delivered = delivered.strip_suffix(" delivered")?.parse().ok()?;
                (Some(delivered), counts(lost)?)
            }
        };
        let spans = spans.parse().ok()?;
        Some(Self { spans, dropped, delivered, lost, traps: BTreeMap::new() })
    }

    /// How often something was dropped for this reason.
    pub fn drops(&self, reason: &str) -> u64 {
        self.dropped.get(reason).copied().unwrap_or(0)
    }

    /// All spans that did not reach the collector.
    pub fn lost_spans(&self) -> u64 {
        self.lost.values().sum()
    }
}

fn counts(list: &str) -> Option<BTreeMap<String, u64>> {
    let pairs = list.split(", ").filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (reason, n) = pair.split_once(' ')?;
            Some((reason.to_owned(), n.parse().ok()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_form() {
        let one = Summary::parse("gotap: 1 span, none dropped").unwrap();
        assert_eq!(one, Summary { spans: 1, ..Summary::default() });
        let line = "gotap: 9 spans, dropped: ring_full 2, start_unseen 1; 5 delivered, a 3, b 1";
        let all = Summary::parse(line).unwrap();
        assert_eq!((all.spans, all.drops("ring_full"), all.drops("start_unseen")), (9, 2, 1));
        assert_eq!((all.delivered, all.lost_spans()), (Some(5), 4));
        assert_eq!(Summary::parse("gotap: ready, observing 1 process"), None);
        let lines = ["gotap: traps: a_start 3, b_start 4, b_end 1", "gotap: 1 span, none dropped"];
        let found = Summary::find(&lines.map(str::to_owned)).unwrap();
        assert_eq!((found.spans, found.trapped(&["start"]), found.trapped(&["b_"])), (1, 7, 5));
        assert_eq!(Summary::parse("gotap: sending traces to http://x; y"), None);
    }
}
