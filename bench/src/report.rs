//! Medians, the table, the chart and the file.

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::json;

use crate::rounds::{Run, Slice};

/// Medians of the runs of one scenario in one mode.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Summary {
    scenario: &'static str,
    mode: &'static str,
    rps: f64,
    target_us: f64,
    /// Added target CPU per request against no observer.
    added_us: f64,
    /// Requests per second against no observer.
    rps_share: f64,
    p50_us: f64,
    p99_us: f64,
    agent_us: f64,
    agent_rss_mb: f64,
    /// Spans received of those expected, over all runs.
    received: f64,
    /// Traps per request.
    traps: f64,
}

/// The middle one of `values`; 0 of none.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// Medians by scenario and mode, in the order of the runs.
pub(crate) fn summarize(runs: &[Run]) -> Vec<Summary> {
    let mut keys: Vec<(&'static str, &'static str)> = Vec::new();
    for run in runs {
        if !keys.contains(&(run.scenario, run.mode)) {
            keys.push((run.scenario, run.mode));
        }
    }
    let chosen =
        |scenario, mode| runs.iter().filter(move |r| r.scenario == scenario && r.mode == mode);
    let of = |scenario: &'static str, mode: &'static str, value: fn(&Run) -> f64| {
        median(chosen(scenario, mode).map(value).collect())
    };
    keys.into_iter()
        .map(|(scenario, mode)| {
            // Each slice is compared with the bare server's that went before.
            let beside = |compare: fn(&Slice, &Slice) -> f64| {
                let slices = |mode| chosen(scenario, mode).flat_map(|run| &run.slices);
                let pairs = slices(mode).zip(slices("none"));
                median(pairs.map(|(run, bare)| compare(run, bare)).collect())
            };
            let spans: u64 = chosen(scenario, mode).map(|r| r.spans).sum();
            let expected: u64 = chosen(scenario, mode).map(|r| r.expected_spans).sum();
            Summary {
                scenario,
                mode,
                rps: of(scenario, mode, |r| r.rps),
                target_us: of(scenario, mode, |r| r.target_us),
                added_us: beside(|run, bare| run.target_us - bare.target_us),
                rps_share: beside(|run, bare| run.rps / bare.rps),
                p50_us: of(scenario, mode, |r| r.p50_us),
                p99_us: of(scenario, mode, |r| r.p99_us),
                agent_us: of(scenario, mode, |r| r.agent_us),
                agent_rss_mb: of(scenario, mode, |r| r.agent_rss_mb),
                received: if expected == 0 { 0.0 } else { spans as f64 / expected as f64 },
                traps: of(scenario, mode, |r| r.traps.values().sum()),
            }
        })
        .collect()
}

/// The few rows of the README: the workload in which overhead is largest, if it was measured.
pub(crate) fn short_table(summaries: &[Summary]) -> Option<String> {
    if !summaries.iter().any(|s| s.scenario == "hello") {
        return None;
    }
    let mut out = String::from(
        "| observer | requests per second | CPU per request | added | agent CPU per request | spans received |\n|---|---:|---:|---:|---:|---:|\n",
    );
    for s in summaries.iter().filter(|s| s.scenario == "hello") {
        let bare = s.mode == "none";
        let unless = |missing: bool, text: String| if missing { "–".to_owned() } else { text };
        let share = if bare { String::new() } else { format!(" ({:.0} %)", s.rps_share * 100.0) };
        out.push_str(&format!(
            "| {} | {:.0}{share} | {:.1} µs | {} | {} | {} |\n",
            s.mode,
            s.rps,
            s.target_us,
            unless(bare, format!("{:+.1} µs", s.added_us)),
            unless(s.mode != "gotap", format!("{:.1} µs", s.agent_us)),
            unless(matches!(s.mode, "none" | "traps"), format!("{:.2} %", s.received * 100.0)),
        ));
    }
    Some(out)
}

/// The table of `docs/benchmarks.md`.
pub(crate) fn table(summaries: &[Summary]) -> String {
    let mut out = String::from(
        "| workload | observer | req/s | of bare | target CPU/req | added | p50 | p99 | agent CPU/req | agent RSS | traps/req | spans received |\n|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for s in summaries {
        let bare = s.mode == "none";
        let unless_bare = |text: String| if bare { "–".to_owned() } else { text };
        let idle = s.agent_rss_mb == 0.0 || s.mode == "traps";
        let agent = |text: String| if idle { "–".to_owned() } else { text };
        out.push_str(&format!(
            "| {} | {} | {:.0} | {} | {:.1} µs | {} | {:.0} µs | {:.0} µs | {} | {} | {} | {} |\n",
            s.scenario,
            s.mode,
            s.rps,
            unless_bare(format!("{:.0} %", s.rps_share * 100.0)),
            s.target_us,
            unless_bare(format!("{:+.1} µs", s.added_us)),
            s.p50_us,
            s.p99_us,
            agent(format!("{:.1} µs", s.agent_us)),
            agent(format!("{:.0} MB", s.agent_rss_mb)),
            if s.mode.starts_with("gotap") { format!("{:.2}", s.traps) } else { "–".into() },
            if matches!(s.mode, "none" | "traps") {
                "–".into()
            } else {
                format!("{:.2} %", s.received * 100.0)
            },
        ));
    }
    out
}

/// Everything, for other tools.
pub(crate) fn json(runs: &[Run], summaries: &[Summary]) -> Result<String> {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let all = json!({"kernel": kernel.trim(), "summaries": summaries, "runs": runs});
    Ok(serde_json::to_string_pretty(&all)?)
}

/// Bars of the target's CPU per request, one a scenario and mode.
pub(crate) fn svg(summaries: &[Summary]) -> String {
    const ROW: usize = 24;
    let widest = summaries.iter().map(|s| s.target_us).fold(1.0, f64::max);
    let height = ROW * (summaries.len() + 2);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"720\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"13\">\n<text x=\"10\" y=\"18\" font-weight=\"bold\">Target CPU per request, µs (shorter is better)</text>\n"
    );
    for (i, s) in summaries.iter().enumerate() {
        let y = ROW * (i + 1) + 8;
        let width = s.target_us / widest * 460.0;
        let colour = match s.mode {
            "none" => "#9aa0a6",
            "gotap" | "gotap, 10 %" => "#00857c",
            _ => "#c5523f",
        };
        out.push_str(&format!(
            "<text x=\"10\" y=\"{text}\">{} / {}</text><rect x=\"130\" y=\"{y}\" width=\"{width:.1}\" height=\"16\" fill=\"{colour}\"/><text x=\"{end:.1}\" y=\"{text}\">{:.1}</text>\n",
            s.scenario,
            s.mode,
            s.target_us,
            text = y + 13,
            end = 136.0 + width,
        ));
    }
    out.push_str("</svg>\n");
    out
}

/// Replaces what stands between the markers of a document.
pub(crate) fn update(document: &str, name: &str, table: &str) -> Result<()> {
    let (begin, end) = (format!("<!-- {name}:begin -->"), format!("<!-- {name}:end -->"));
    let text = std::fs::read_to_string(document).context("run this at the repository's root")?;
    let marker = || format!("{document} has no marker of {name}");
    let (head, rest) = text.split_once(&begin).with_context(marker)?;
    let (_, tail) = rest.split_once(&end).with_context(marker)?;
    std::fs::write(document, format!("{head}{begin}\n{table}{end}{tail}"))?;
    Ok(())
}
