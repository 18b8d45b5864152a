//! Jaeger gets the shop's traces, and says of an order what led to what, in which service and for how long.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use gotap_e2e::{Gotap, SOON, Shop, can_trace, eventually};
use gotap_testkit::jaeger::Jaeger;
use serde_json::Value;

/// A service and one of its operations.
type Operation = (&'static str, &'static str);

/// What an order leads to, and what each is a child of.
const ORDER: [(Operation, Option<Operation>); 10] = [
    (("gateway", "POST /orders"), None),
    (("gateway", "POST"), Some(("gateway", "POST /orders"))),
    (("order", "POST /orders"), Some(("gateway", "POST"))),
    (("order", "shop.Inventory/Reserve"), Some(("order", "POST /orders"))),
    (("inventory", "shop.Inventory/Reserve"), Some(("order", "shop.Inventory/Reserve"))),
    (("inventory", "DECR"), Some(("inventory", "shop.Inventory/Reserve"))),
    (("order", "POST"), Some(("order", "POST /orders"))),
    (("payment", "POST /charges"), Some(("order", "POST"))),
    (("payment", "insert charges"), Some(("payment", "POST /charges"))),
    (("order", "insert orders"), Some(("order", "POST /orders"))),
];

#[test]
fn an_order_is_one_trace_of_four_services() -> Result<()> {
    if !can_trace("an_order_is_one_trace_of_four_services") {
        return Ok(());
    }
    let (jaeger, shop) = (Jaeger::start()?, Shop::start()?);
    let (selection, url) = (shop.selection(), jaeger.endpoint());
    let mut arguments = vec!["run", "--otlp-endpoint", &url];
    arguments.extend(selection.iter().map(String::as_str));
    let gotap = Gotap::start(&arguments, &[("GOTAP_OTLP_METRICS", "false")])?;
    gotap.wait_ready()?;
    let served = shop.open(10, 2)?;
    let orders = served.get("order 201").copied().context("orders")?;
    let summary = gotap.stop()?.summary;
    ensure!(summary.lost_spans() == 0 && summary.dropped.is_empty(), "{summary:?}");
    let taken = || -> Result<Vec<Value>> {
        let traces = jaeger.traces("gateway")?.into_iter();
        Ok(traces.filter(|trace| spans(trace).len() == ORDER.len()).collect())
    };
    ensure!(
        eventually(SOON, || taken().is_ok_and(|found| found.len() == orders)),
        "{:?}",
        taken()?
    );
    for trace in taken()? {
        check(&trace).with_context(|| format!("{trace:#}"))?;
    }
    Ok(())
}

fn spans(trace: &Value) -> &[Value] {
    trace["spans"].as_array().map_or(&[], Vec::as_slice)
}

fn check(trace: &Value) -> Result<()> {
    let name = |span: &Value| -> Result<(String, String)> {
        let process = span["processID"].as_str().context("a process")?;
        let service = trace["processes"][process]["serviceName"].as_str().context("a service")?;
        let operation = span["operationName"].as_str().context("an operation")?;
        Ok((service.to_owned(), operation.to_owned()))
    };
    let by_id: BTreeMap<_, _> =
        spans(trace).iter().map(|span| (span["spanID"].as_str(), span)).collect();
    let mut found = BTreeSet::new();
    for span in spans(trace) {
        let reference = span["references"].as_array().and_then(|all| all.first());
        let parent = reference.map(|one| {
            ensure!(one["refType"] == "CHILD_OF", "{one}");
            by_id.get(&one["spanID"].as_str()).copied().context("the parent is missing")
        });
        let parent = parent.transpose()?;
        if let Some(parent) = parent {
            let times = |span: &Value| -> Result<(u64, u64)> {
                let start = span["startTime"].as_u64().context("a start")?;
                Ok((start, start + span["duration"].as_u64().context("a duration")?))
            };
            let (own, outer) = (times(span)?, times(parent)?);
            // Jaeger tells microseconds.
            ensure!(outer.0 <= own.0 + 1 && own.0 <= outer.1 + 1, "{span:#} in {parent:#}");
        }
        found.insert((name(span)?, parent.map(name).transpose()?));
    }
    let owned = |(service, operation): (&str, &str)| (service.to_owned(), operation.to_owned());
    let wanted: BTreeSet<_> =
        ORDER.iter().map(|(span, parent)| (owned(*span), parent.map(owned))).collect();
    ensure!(found == wanted, "{found:#?}");
    Ok(())
}
