//! A shop of four services that send no trace context: each of its customers' requests is one trace.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, Result, ensure};
use gotap_e2e::{Gotap, Shop, Span, can_trace};

/// What an order leads to: service, kind, name, and whose child it is by its place in this list.
const ORDER: [(&str, &str, &str, Option<usize>); 10] = [
    ("gateway", "server", "POST /orders", None),
    ("gateway", "client", "POST", Some(0)),
    ("order", "server", "POST /orders", Some(1)),
    ("order", "client", "shop.Inventory/Reserve", Some(2)),
    ("inventory", "server", "shop.Inventory/Reserve", Some(3)),
    ("inventory", "client", "DECR", Some(4)),
    ("order", "client", "POST", Some(2)),
    ("payment", "server", "POST /charges", Some(6)),
    ("payment", "client", "insert charges", Some(7)),
    ("order", "client", "insert orders", Some(2)),
];

#[test]
fn each_request_of_a_shops_customers_is_one_trace() -> Result<()> {
    if !can_trace("each_request_of_a_shops_customers_is_one_trace") {
        return Ok(());
    }
    let shop = Shop::start()?;
    let selection = shop.selection();
    let selection: Vec<_> = selection.iter().map(String::as_str).collect();
    let gotap = Gotap::trace_what("all", &selection)?;
    let served = shop.open(20, 2)?;
    let requests: usize = served.values().sum();
    let orders = served.get("order 201").copied().unwrap_or(0);
    ensure!(orders > 20, "{served:?}");
    // Each order that is taken; what a look or another order leads to differs.
    gotap.wait_for_spans(ORDER.len() * orders + 3 * (requests - orders))?;
    std::thread::sleep(std::time::Duration::from_millis(500));
    let ended = gotap.stop()?;
    ensure!(ended.summary.dropped.is_empty(), "{:?}", ended.summary);
    let mut traces: HashMap<&str, Vec<&Span>> = HashMap::new();
    for span in &ended.spans {
        traces.entry(&span.trace_id).or_default().push(span);
    }
    let (mut taken, mut others) = (0, 0);
    for spans in traces.values().filter(|spans| !is_start_up(spans)) {
        let root = only_root(spans).with_context(|| format!("{spans:#?}"))?;
        if root.name == "POST /orders" && root.int("http.response.status_code") == Some(201) {
            check_order(spans).with_context(|| format!("{spans:#?}"))?;
            taken += 1;
        } else {
            others += 1;
        }
    }
    ensure!((taken, taken + others) == (orders, requests), "{taken}, {others}: {served:?}");
    Ok(())
}

/// What a pool does in the background has no request.
fn is_start_up(spans: &[&Span]) -> bool {
    spans.iter().all(|span| span.is_client() && span.text("db.system.name").is_some())
}

/// The one span without a parent; all others have theirs in the trace.
fn only_root<'s>(spans: &[&'s Span]) -> Result<&'s Span> {
    let by_id: BTreeMap<_, _> = spans.iter().map(|span| (&span.span_id, span)).collect();
    let mut roots = Vec::new();
    for span in spans {
        match by_id.get(&span.parent_span_id) {
            Some(parent) => ensure!(parent.start <= span.start, "{span:#?} before {parent:#?}"),
            None => roots.push(*span),
        }
    }
    ensure!(roots.len() == 1, "{} roots", roots.len());
    let root = roots[0];
    ensure!(root.parent == "none" && service(root) == "gateway" && root.is_server(), "{root:#?}");
    Ok(root)
}

fn service(span: &Span) -> &str {
    span.resource.get("service.name").and_then(|name| name.as_str()).unwrap_or_default()
}

fn check_order(spans: &[&Span]) -> Result<()> {
    let mut spans = spans.to_vec();
    spans.sort_by_key(|span| span.start);
    let wanted = ORDER.map(|(service, kind, name, _)| (service, kind, name));
    let found: Vec<_> =
        spans.iter().map(|span| (service(span), span.kind.as_str(), span.name.as_str())).collect();
    ensure!(found == wanted, "{found:#?}");
    for (span, (.., parent)) in spans.iter().zip(ORDER) {
        ensure!(parent.is_none_or(|parent| span.is_child_of(spans[parent])), "{span:#?}");
        let joined = span.is_server() && parent.is_some();
        ensure!((span.parent == "connection") == joined, "{span:#?}");
        // A call names who answered it, where that is observed and done before.
        let is_answer = |other: &&&Span| other.is_server() && other.is_child_of(span);
        let answer = spans.iter().find(is_answer).map(|answer| (service(answer), answer.end));
        let peer = span.text("service.peer.name");
        ensure!(peer.is_none() || peer == answer.map(|(name, _)| name), "{span:#?}");
        ensure!(peer.is_some() || answer.is_none_or(|(_, end)| end > span.end), "{span:#?}");
    }
    Ok(())
}
