//! What the meter makes of spans.

use metrics::{Data, HistogramPoint, Value as Attribute};
use trace::{Call, Http, Kind, Named, Query, RpcSystem, synthetic};

use super::*;

const SECOND: u64 = 1_000_000_000;

fn span(resource: &Arc<Resource>, kind: Kind, operation: Operation) -> Span {
    Span {
        kind,
        start_unix_nano: 10 * SECOND,
        end_unix_nano: 10 * SECOND + 20_000_000,
        operation,
        resource: resource.clone(),
        ..synthetic::span(1, 2, None)
    }
}

fn meter(limit: usize) -> (Meter, Arc<Resource>) {
    let consumers = vec![Consumer::Push];
    let settings =
        Settings { cardinality_limit: limit, exponential: true, consumers, ..Settings::default() };
    let mut meter = Meter::new(&settings, 0);
    let resource = Arc::new(Resource::default());
    meter.add_process(7, &resource, SECOND);
    (meter, resource)
}

fn request(status: u16) -> Http {
    Http {
        method: Some(Named::known("GET")),
        path: Some("/a/1".into()),
        route: Some("/a/{id}".into()),
        status: Some(status),
        response_size: Some(70),
        ..Http::default()
    }
}

fn http(status: u16) -> Operation {
    synthetic::http(request(status))
}

/// The points of a metric.
fn points(meter: &mut Meter, name: &str) -> Vec<HistogramPoint> {
    let all = meter.collect(Consumer::Push, 20 * SECOND);
    let mut found = all.into_iter().flat_map(|(_, metrics)| metrics);
    match found.find(|metric| metric.name == name).map(|metric| metric.data) {
        Some(Data::Histogram(points)) => points,
        None => Vec::new(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn operations_with_the_same_attributes_are_one_series() {
    let (mut meter, resource) = meter(2000);
    let ok = span(&resource, Kind::Server, http(200));
    meter.record(&ok, 1);
    let method = Some(Named::Known("GET".to_owned().into()));
    let other = synthetic::http(Http { method, path: Some("/a/2".into()), ..request(200) });
    meter.record(&span(&resource, Kind::Server, other), 4);
    meter.record(&span(&resource, Kind::Server, http(500)), 1);
    let mut found = points(&mut meter, "http.server.request.duration");
    found.sort_by_key(|point| std::cmp::Reverse(point.histogram.count()));
    let counts: Vec<_> = found.iter().map(|point| point.histogram.count()).collect();
    assert_eq!(counts, [5, 1]);
    let expected = vec![
        ("http.request.method", Attribute::Text("GET".into())),
        ("http.route", Attribute::Text("/a/{id}".into())),
        ("http.response.status_code", Attribute::Int(200)),
    ];
    assert_eq!(found[0].attributes, expected);
    assert!((found[0].histogram.sum().unwrap() - 0.1).abs() < 1e-9);
    assert_eq!(found[0].exponential.as_ref().unwrap().count(), 5);
    assert_eq!(found[0].exemplars.len(), 1);
    assert_eq!((found[0].exemplars[0].trace_id, found[0].exemplars[0].value), ([1; 16], 0.02));
    let sizes = points(&mut meter, "http.server.response.body.size");
    assert_eq!(sizes.iter().map(|point| point.histogram.count()).sum::<u64>(), 6);
    // What is not known is not zero.
    assert!(points(&mut meter, "http.server.request.body.size").is_empty());
}

#[test]
fn an_operation_that_is_not_sampled_counts_and_is_no_exemplar() {
    let (mut meter, resource) = meter(2000);
    let mut left_out = span(&resource, Kind::Client, http(200));
    left_out.trace_flags = 0;
    meter.record(&left_out, 1);
    let found = points(&mut meter, "http.client.request.duration");
    assert_eq!((found[0].histogram.count(), found[0].exemplars.len()), (1, 0));
}

#[test]
fn a_call_that_is_a_request_counts_as_both() {
    let (mut meter, resource) = meter(2000);
    let call = Some(Call { system: RpcSystem::Grpc, method: None, code: None });
    let called = synthetic::http(Http { call, ..request(200) });
    meter.record(&span(&resource, Kind::Server, called), 1);
    let database = Operation::Database(Box::new(Query { system: "redis", ..Query::default() }));
    meter.record(&span(&resource, Kind::Client, database), 1);
    // Nothing of it could be read, but that it was a request.
    meter.record(&span(&resource, Kind::Client, synthetic::http(Http::default())), 1);
    for (name, n) in [
        ("http.server.request.duration", 1),
        ("rpc.server.call.duration", 1),
        ("db.client.operation.duration", 1),
        ("http.client.request.duration", 1),
        ("rpc.client.call.duration", 0),
    ] {
        assert_eq!(points(&mut meter, name).len(), n, "{name}");
    }
}

#[test]
fn what_finds_no_room_is_one_series() {
    let (mut meter, resource) = meter(3);
    for status in 200..210 {
        meter.record(&span(&resource, Kind::Server, http(status)), 1);
    }
    let found = points(&mut meter, "http.server.request.duration");
    assert_eq!(found.len(), 3);
    let overflow = vec![("otel.metric.overflow", Attribute::Bool(true))];
    let of_overflow = found.iter().find(|point| point.attributes == overflow).unwrap();
    assert_eq!(of_overflow.histogram.count(), 8);
    assert!(meter.overflowed().any(|point| point.value == metrics::Number::Int(8)));
    // Those that are known still count for themselves.
    meter.record(&span(&resource, Kind::Server, http(200)), 1);
    assert!(
        points(&mut meter, "http.server.request.duration").iter().any(|p| p.histogram.count() == 2)
    );
}

#[test]
fn a_process_that_ended_is_collected_once_more_and_forgotten() {
    let (mut meter, resource) = meter(2000);
    meter.record(&span(&resource, Kind::Server, http(200)), 1);
    meter.remove_process(7, 30 * SECOND);
    // Nobody has collected it since, so it stays for longer.
    assert_eq!(meter.collect(Consumer::View, 100 * SECOND).len(), 1);
    assert_eq!(meter.collect(Consumer::Push, 101 * SECOND).len(), 1);
    assert_eq!(meter.collect(Consumer::Push, 102 * SECOND).len(), 0);
    assert_eq!((meter.room.used, meter.processes.len()), (0, 0));
    // Its spans that come later belong to nobody.
    meter.record(&span(&resource, Kind::Server, http(200)), 1);
    assert_eq!(meter.collect(Consumer::Push, 103 * SECOND).len(), 0);
    assert_eq!((meter.unknown(), meter.uncollected()), (1, 0));
}

#[test]
fn processes_that_nobody_collected_are_counted() {
    let (mut meter, first) = meter(1);
    let mut end = |number: u32, resource: &Arc<Resource>| {
        meter.add_process(number, resource, SECOND);
        meter.record(&span(resource, Kind::Server, http(200)), 1);
        meter.remove_process(number, u64::from(number) * SECOND);
    };
    end(7, &first);
    let ended = u32::try_from(MAX_ENDED).unwrap();
    for number in 8..8 + ended {
        end(number, &Arc::default());
    }
    assert_eq!((meter.uncollected(), meter.processes.len()), (1, MAX_ENDED));
    assert_eq!(meter.collect(Consumer::Push, 2000 * SECOND).len(), 0);
    assert_eq!((meter.uncollected(), meter.unknown()), (1 + MAX_ENDED as u64, 0));
}

#[test]
fn counters_begin_when_the_process_is_observed() {
    let (mut meter, resource) = meter(2000);
    meter.record(&span(&resource, Kind::Server, http(200)), 1);
    let (_, metrics) = meter.collect(Consumer::Push, 20 * SECOND).pop().unwrap();
    assert!(metrics.iter().all(|metric| metric.since == Some(SECOND)), "{metrics:?}");
}

#[test]
fn groups_that_are_off_are_not_measured() {
    let groups = Groups { http: false, body_sizes: false, rpc: false, database: true };
    let settings = Settings { groups, cardinality_limit: 9, ..Settings::default() };
    let mut meter = Meter::new(&settings, 0);
    let resource = Arc::new(Resource::default());
    meter.add_process(1, &resource, 0);
    meter.record(&span(&resource, Kind::Server, http(200)), 1);
    assert!(meter.collect(Consumer::Push, 1).is_empty());
    assert_eq!(meter.overflowed().count(), 1);
}

/// Probes that are taken away for a while and put back make a new instance of the same process.
#[test]
fn a_process_that_is_attached_to_again_counts_on() {
    let (mut meter, resource) = meter(2000);
    meter.record(&span(&resource, Kind::Server, http(200)), 1);
    meter.add_process(8, &resource, 20 * SECOND);
    meter.remove_process(7, 25 * SECOND);
    meter.record(&span(&resource, Kind::Server, http(200)), 1);
    let found = points(&mut meter, "http.server.request.duration");
    assert!(found.iter().any(|point| point.histogram.count() == 2), "{found:?}");
    meter.remove_process(8, 30 * SECOND);
    assert_eq!(meter.collect(Consumer::Push, 200 * SECOND).len(), 1);
    assert_eq!(meter.collect(Consumer::Push, 201 * SECOND).len(), 0);
}
