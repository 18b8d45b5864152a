//! What `deploy/` has for Prometheus and Grafana: the rules do what their tests say, dashboards ask only for what
//! gotap measures, and every query of both has an answer where a shop runs. Not here: how Grafana draws them.

use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, SOON, Shop, can_trace, eventually};
use gotap_testkit::collector::Collector;
use gotap_testkit::prometheus::{Prometheus, promtool};
use gotap_testkit::repo_root;
use serde_json::Value;

use crate::metrics::run_in;

/// Words of PromQL that are no names of metrics.
const WORDS: [&str; 16] = [
    "and",
    "or",
    "unless",
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "offset",
    "bool",
    "inf",
    "sum",
    "max",
    "min",
    "count",
];
/// Alerts that the demonstration's shop gives no reason for.
const QUIET: [&str; 6] = [
    "ServiceErrors",
    "DatabaseErrors",
    "GoroutineLeak",
    "GotapDown",
    "GotapMissing",
    "GotapAttachFails",
];

/// What the dashboards show, and is off unless it is asked for.
const HOST: [(&str, &str); 2] = [("GOTAP_HOST_TCP", "true"), ("GOTAP_HOST_PROGRAMS", "true")];

fn file(path: &str) -> Result<String> {
    fs::read_to_string(repo_root().join("deploy").join(path))
        .with_context(|| format!("read {path}"))
}

/// All dashboards, with their files' names.
fn dashboards() -> Result<Vec<(String, Value)>> {
    let folder = fs::read_dir(repo_root().join("deploy/grafana")).context("read deploy/grafana")?;
    let mut out = Vec::new();
    for entry in folder {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let text = file(&format!("grafana/{name}"))?;
        out.push((name.clone(), serde_json::from_str(&text).with_context(|| name)?));
    }
    ensure!(out.len() >= 5, "{} dashboards", out.len());
    Ok(out)
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

/// All queries of a dashboard, with the panel or the variable that asks, and what Grafana replaces in them.
fn queries(name: &str, dashboard: &Value) -> Result<Vec<(String, String)>> {
    let mut out = Vec::new();
    for panel in list(dashboard, "panels") {
        for target in list(panel, "targets") {
            let expression = target["expr"].as_str().context("a query")?;
            out.push((format!("{name}: {}", panel["title"]), expression.to_owned()));
        }
    }
    for variable in
        list(&dashboard["templating"], "list").iter().filter(|one| one["type"] == "query")
    {
        let query = variable["query"]["query"].as_str().context("a variable's query")?;
        let inner = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(")"));
        let (metric, label) =
            inner.and_then(|both| both.split_once(", ")).context("label_values")?;
        out.push((format!("{name}: variable"), format!("{metric}{{{label}!=\"\"}}")));
        let used = format!("=~\"${}\"", variable["name"].as_str().unwrap_or_default());
        ensure!(out.iter().any(|(_, query)| query.contains(&used)), "{name}: nothing uses {used}");
    }
    for (_, query) in &mut out {
        for (variable, value) in
            [("$__rate_interval", "5m"), ("$service", ".*"), ("$instance", ".*")]
        {
            *query = query.replace(variable, value);
        }
        *query = query.replace("$client", ".*").replace("$server", ".*");
    }
    ensure!(out.iter().all(|(_, query)| !query.contains('$')), "a variable is not known: {out:?}");
    Ok(out)
}

/// The names of metrics in a query.
fn metrics_of(query: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut rest = query;
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let close = |text: &str, sign: char| text.find(sign).map_or(text.len(), |at| at + 1);
    // Labels follow these words.
    let mut of_labels = false;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => 1 + close(&rest[1..], '"'),
            '{' => close(rest, '}'),
            '[' => close(rest, ']'),
            '(' if of_labels => close(rest, ')'),
            c if is_part(c) => rest.find(|c| !is_part(c)).unwrap_or(rest.len()),
            c => c.len_utf8(),
        };
        let (word, after) = rest.split_at(length);
        let is_function = after.trim_start().starts_with('(');
        let starts = |c: char| c.is_ascii_alphabetic() || c == '_';
        if word.starts_with(starts) && !is_function && !WORDS.contains(&word) {
            names.insert(word.to_owned());
        }
        of_labels = ["by", "on", "without", "ignoring"].contains(&word)
            || of_labels && word.trim().is_empty();
        rest = after;
    }
    names
}

/// Values after `record:`, `alert:` or `expr:`, a line each or a block, in the files of rules.
fn rules(key: &str) -> Result<Vec<String>> {
    let text = file("prometheus/rules.yml")? + &file("prometheus/alerts.yml")?;
    let lines: Vec<_> = text.lines().collect();
    let mut out = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let Some(value) = line.trim_start().trim_start_matches("- ").strip_prefix(key) else {
            continue;
        };
        let indent = line.len() - line.trim_start().len();
        let deeper = |line: &&&str| line.len() - line.trim_start().len() > indent;
        let block = || {
            lines[number + 1..].iter().take_while(deeper).map(|line| format!("{} ", line.trim()))
        };
        out.push(if value.trim() == "|" { block().collect() } else { value.trim().to_owned() });
    }
    Ok(out)
}

#[test]
fn rules_do_what_their_tests_say() -> Result<()> {
    let folder = repo_root().join("deploy/prometheus");
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    promtool(&["check", "config", &path("prometheus.yml")])?;
    promtool(&["test", "rules", &path("alerts_test.yml")])?;
    let tests = file("prometheus/alerts_test.yml")?;
    let alerts = rules("alert: ")?;
    ensure!(alerts.len() > 15, "{alerts:?}");
    for alert in alerts {
        let fires = tests.split("alertname: ").skip(1).any(|test| {
            let expected = test.split("alertname: ").next().unwrap_or_default();
            test.starts_with(&format!("{alert}\n")) && expected.contains("exp_labels")
        });
        ensure!(fires, "no test lets {alert} fire");
    }
    Ok(())
}

#[test]
fn dashboards_ask_only_for_what_is_measured() -> Result<()> {
    let document = fs::read_to_string(repo_root().join("docs/metrics.md"))?;
    let recorded = rules("record: ")?;
    let is_known = |name: &str| {
        let parts = ["_bucket", "_sum", "_count", ""];
        let whole = |end: &str| {
            name.strip_suffix(end).is_some_and(|n| document.contains(&format!("`{n}`")))
        };
        recorded.iter().any(|one| one == name)
            || ["up", "ALERTS"].contains(&name)
            || parts.iter().any(|end| whole(end))
    };
    let mut ids = BTreeSet::new();
    let mut asked: Vec<_> =
        rules("expr: ")?.into_iter().map(|query| ("rules".to_owned(), query)).collect();
    for (name, dashboard) in dashboards()? {
        let id = dashboard["uid"].as_str().unwrap_or_default();
        ensure!(
            format!("{id}.json") == format!("gotap-{name}") && ids.insert(id.to_owned()),
            "{name}: {id}"
        );
        do_not_overlap(&dashboard).with_context(|| name.clone())?;
        asked.extend(queries(&name, &dashboard)?);
        let sources = dashboard.to_string();
        ensure!(sources.matches("\"type\":\"prometheus\"").count() > 5, "{name}");
        ensure!(
            !sources.replace("${datasource}", "").contains("\"uid\":\"P"),
            "{name}: a data source of some Grafana"
        );
    }
    let folder = tempfile::tempdir().context("create a folder")?;
    let mut all = "groups:\n- name: queries\n  rules:\n".to_owned();
    for (who, query) in &asked {
        let unknown: Vec<_> =
            metrics_of(query).into_iter().filter(|name| !is_known(name)).collect();
        ensure!(unknown.is_empty(), "{who}: gotap does not measure {unknown:?}");
        all.push_str(&format!(
            "  - {{record: \"query:{}\", expr: {}}}\n",
            all.len(),
            Value::from(query.as_str())
        ));
    }
    let path = folder.path().join("queries.yml");
    fs::write(&path, all)?;
    promtool(&["check", "rules", &path.to_string_lossy()])?;
    Ok(())
}

/// Each panel has an id and a place of its own.
fn do_not_overlap(dashboard: &Value) -> Result<()> {
    let (mut ids, mut places) = (BTreeSet::new(), BTreeSet::new());
    for panel in list(dashboard, "panels") {
        let title = &panel["title"];
        ensure!(ids.insert(panel["id"].as_u64()), "{title}: its id is another's, too");
        let place =
            |key: &str| panel["gridPos"][key].as_u64().with_context(|| format!("{title}: {key}"));
        let (x, y, w, h) = (place("x")?, place("y")?, place("w")?, place("h")?);
        ensure!(x + w <= 24, "{title} is too wide");
        for column in x..x + w {
            ensure!(
                (y..y + h).all(|line| places.insert((column, line))),
                "{title} covers another panel"
            );
        }
    }
    Ok(())
}

/// Prometheus with the configuration of `deploy/`, which scrapes this address at a rate for tests.
fn start_prometheus(address: &str) -> Result<Prometheus> {
    let config = file("prometheus/prometheus.yml")?;
    let config =
        config.replace("localhost:9464", address).replace("interval: 15s", "interval: 500ms");
    ensure!(config.contains(address) && config.contains("interval: 500ms"), "{config}");
    let mut alerts = String::new();
    for line in file("prometheus/alerts.yml")?.lines() {
        let waits = line.trim_start().starts_with("for: ");
        alerts.push_str(if waits { "        for: 1s" } else { line });
        alerts.push('\n');
    }
    let files = [("rules.yml", file("prometheus/rules.yml")?), ("alerts.yml", alerts)];
    Prometheus::start_config(&config, &files, &[])
}

/// Whether a query gives a number.
fn has_data(prometheus: &Prometheus, query: &str) -> bool {
    let samples = prometheus.query(query).unwrap_or_default();
    samples.iter().any(|sample| sample["value"][1] != "NaN")
}

fn fires(prometheus: &Prometheus, alert: &str) -> bool {
    let query = format!("ALERTS{{alertname=\"{alert}\", alertstate=\"firing\"}}");
    prometheus.query(&query).is_ok_and(|samples| !samples.is_empty())
}

#[test]
fn every_query_has_an_answer_where_a_shop_runs() -> Result<()> {
    if !can_trace("every_query_has_an_answer_where_a_shop_runs") {
        return Ok(());
    }
    let (shop, collector) = (Shop::start()?, Collector::start()?);
    // One with a limit of memory, which the shop has not.
    let limited = App::start_with(&App::newest()?, &[], &[("GOMEMLIMIT", "1GiB")])?;
    let mut selection = shop.selection();
    selection.push(format!("--pid={}", limited.pid()));
    let selection: Vec<_> = selection.iter().map(String::as_str).collect();
    let (gotap, address) = run_in(&selection, &HOST, &collector)?;
    let prometheus = start_prometheus(&address)?;
    let mut asked: Vec<_> =
        rules("record: ")?.into_iter().map(|name| ("rules".to_owned(), name)).collect();
    for query in rules("expr: ")? {
        let metrics = metrics_of(&query).into_iter();
        asked.extend(metrics.map(|name| (query.clone(), name)));
    }
    for (name, dashboard) in dashboards()? {
        asked.extend(queries(&name, &dashboard)?);
    }
    ensure!(asked.len() > 100, "{} queries", asked.len());
    let served = shop.open(20, 6)?;
    ensure!(served.get("order 402").is_some_and(|n| *n > 0), "{served:?}");
    // A connection that nobody takes, and a program that ends.
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    ensure!(TcpStream::connect(closed).is_err(), "somebody listens at {closed}");
    Command::new("true").status().context("run a program")?;
    // Only what has no answer yet is asked again.
    let mut left = asked;
    let answered = eventually(SOON, || {
        left.retain(|(_, query)| !has_data(&prometheus, query));
        left.is_empty() && fires(&prometheus, "CallsFail")
    });
    ensure!(answered, "no data: {left:#?}; calls fail: {}", fires(&prometheus, "CallsFail"));
    let groups = prometheus.api("/api/v1/rules")?;
    let rules = list(&groups, "groups").iter().flat_map(|group| list(group, "rules"));
    let bad: Vec<_> = rules.filter(|rule| rule["health"] != "ok").collect();
    ensure!(bad.is_empty(), "{bad:#?}");
    let wrong: Vec<_> = QUIET.iter().filter(|alert| fires(&prometheus, alert)).collect();
    ensure!(wrong.is_empty(), "they fire without a reason: {wrong:?}");
    gotap.stop()?;
    ensure!(
        eventually(SOON, || fires(&prometheus, "GotapDown")),
        "gotap is down, and no alert fires"
    );
    Ok(())
}
