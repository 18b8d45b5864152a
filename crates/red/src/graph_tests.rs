//! What the service graph makes of spans.

use metrics::{Data, Number};
use trace::{Http, Query, Value, synthetic};

use super::*;

const SECOND: u64 = 1_000_000_000;

fn service(name: &str) -> Arc<Resource> {
    Arc::new(Resource::new(vec![("service.name".into(), Value::Text(name.into()))]))
}

fn span(resource: &Arc<Resource>, kind: Kind, id: u8, parent: Option<u8>) -> Span {
    let server = Endpoint::new("::1", Some(90));
    let http = match kind {
        Kind::Client => Http { server, ..Http::default() },
        Kind::Server => Http::default(),
    };
    let (operation, resource) = (synthetic::http(http), resource.clone());
    Span { kind, operation, resource, ..synthetic::span(1, id, parent) }
}

/// What is asked of a database on this host.
fn asked(system: &'static str, port: u16) -> Operation {
    let server = Endpoint::new("::1", Some(port));
    Operation::Database(Box::new(Query { system, server, ..Query::default() }))
}

fn record(graph: &mut Graph, span: &Span, seconds: f64) {
    graph.record(span, seconds, 1);
}

/// `client>server(connection_type)` with total and failed.
fn edges(graph: &Graph) -> Vec<(String, u64, u64)> {
    let metrics = graph.metrics();
    let counts = |name: &str| -> Vec<(String, u64)> {
        let metric = metrics.iter().find(|metric| metric.name == name).unwrap();
        let Data::Counter(points) = &metric.data else { panic!("{metric:?}") };
        let one = |point: &Point| {
            let texts: Vec<_> = point.attributes.iter().map(|(_, v)| v.to_text()).collect();
            let Number::Int(n) = point.value else { panic!("{point:?}") };
            let text = match texts.as_slice() {
                [client, server, kind] => format!("{client}>{server}({kind})"),
                other => format!("{other:?}"),
            };
            (text, n)
        };
        points.iter().map(one).collect()
    };
    let failed = counts("traces_service_graph_request_failed_total");
    let total = counts("traces_service_graph_request_total").into_iter();
    let mut all: Vec<_> =
        total.zip(failed).map(|((edge, n), (_, failed))| (edge, n, failed)).collect();
    all.sort();
    all
}

#[test]
fn a_call_and_its_request_are_one_edge_in_any_order() {
    let (front, back) = (service("front"), service("back"));
    let mut graph = Graph::new(5, MAX_GRAPH_CALLS);
    for (id, server_first) in [(1, true), (2, false)] {
        let call = span(&front, Kind::Client, id, None);
        let mut request = span(&back, Kind::Server, id + 10, Some(id));
        if server_first {
            request.status = Status::Error(String::new());
            record(&mut graph, &request, 0.01);
            record(&mut graph, &call, 0.03);
        } else {
            record(&mut graph, &call, 0.03);
            record(&mut graph, &request, 0.01);
        }
    }
    assert_eq!(edges(&graph), [("front>back()".to_owned(), 2, 1)]);
    let metrics = graph.metrics();
    for (name, sum) in [
        ("traces_service_graph_request_client", 0.06),
        ("traces_service_graph_request_server", 0.02),
    ] {
        let metric = metrics.iter().find(|metric| metric.name == name).unwrap();
        let Data::Histogram(points) = &metric.data else { panic!("{metric:?}") };
        assert!((points[0].histogram.sum().unwrap() - sum).abs() < 1e-9, "{name}");
        assert_eq!(metric.since, Some(5));
    }
    graph.tick(10 * SECOND);
    assert_eq!((edges(&graph).len(), graph.waiting.len(), graph.order.len()), (1, 0, 0));
}

#[test]
fn what_is_not_observed_is_a_virtual_node_after_a_while() {
    let front = service("front");
    let mut graph = Graph::new(0, MAX_GRAPH_CALLS);
    graph.tick(SECOND);
    record(&mut graph, &span(&front, Kind::Client, 1, None), 0.1);
    graph.tick(SECOND + PATIENCE - 1);
    assert_eq!(edges(&graph), []);
    graph.tick(SECOND + PATIENCE);
    assert_eq!(edges(&graph), [("front>[::1]:90(virtual_node)".to_owned(), 1, 0)]);
    // Where it went is not known.
    let mut nowhere = span(&front, Kind::Client, 2, None);
    nowhere.operation = synthetic::http(Http::default());
    record(&mut graph, &nowhere, 0.1);
    graph.tick(100 * SECOND);
    assert_eq!((edges(&graph).len(), graph.dropped), (1, 1));
}

#[test]
fn databases_need_no_other_end() {
    let front = service("front");
    let mut graph = Graph::new(0, MAX_GRAPH_CALLS);
    let mut query = span(&front, Kind::Client, 1, None);
    query.operation = asked("postgresql", 90);
    record(&mut graph, &query, 0.1);
    assert_eq!(edges(&graph), [("front>postgresql [::1]:90(database)".to_owned(), 1, 0)]);
}

#[test]
fn a_request_whose_call_is_not_seen_has_no_edge_and_is_counted() {
    let (front, back) = (service("front"), service("back"));
    let mut graph = Graph::new(0, MAX_GRAPH_CALLS);
    record(&mut graph, &span(&back, Kind::Server, 1, None), 0.1);
    record(&mut graph, &span(&back, Kind::Server, 2, Some(9)), 0.1);
    // Served twice: the second one is not the call's any more.
    record(&mut graph, &span(&back, Kind::Server, 3, Some(9)), 0.1);
    record(&mut graph, &span(&front, Kind::Client, 4, None), 0.1);
    record(&mut graph, &span(&front, Kind::Client, 9, None), 0.1);
    graph.tick(SECOND);
    assert_eq!(edges(&graph), [("front>back()".to_owned(), 1, 0)]);
    assert_eq!(graph.unpaired.values().sum::<u64>(), 2);
}

#[test]
fn what_waits_is_bounded_and_counted() {
    let front = service("front");
    let mut graph = Graph::new(0, MAX_GRAPH_CALLS);
    let mut call = span(&front, Kind::Client, 0, None);
    for i in 0..MAX_GRAPH_CALLS + 5 {
        call.span_id = (i as u64).to_ne_bytes();
        record(&mut graph, &call, 0.1);
    }
    assert_eq!((graph.waiting.len(), graph.dropped), (MAX_GRAPH_CALLS, 5));
    graph.tick(PATIENCE);
    assert_eq!((graph.waiting.len(), graph.order.len()), (0, 0));
    assert_eq!(edges(&graph)[0].1, MAX_GRAPH_CALLS as u64);
}

#[test]
fn edges_that_find_no_room_are_one() {
    let front = service("front");
    let mut graph = Graph::new(0, MAX_GRAPH_CALLS);
    let mut query = span(&front, Kind::Client, 1, None);
    for port in 0..2 * MAX_EDGES as u16 {
        query.operation = asked("redis", port);
        record(&mut graph, &query, 0.1);
    }
    let all = edges(&graph);
    assert_eq!(all.len(), MAX_EDGES);
    let overflow = all.iter().find(|(edge, ..)| edge == "[\"true\"]").unwrap();
    assert_eq!(overflow.1, MAX_EDGES as u64 + 1);
}
