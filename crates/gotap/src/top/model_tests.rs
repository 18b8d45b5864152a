//! Counts of two times as rates.

use metrics::{Attributes, Histogram, HistogramPoint, Point};
use trace::synthetic::{http, span};
use trace::{Endpoint, Http, Query, Value};

use super::*;

pub(crate) fn resource(service: &str, pid: i64) -> Arc<Resource> {
    let service = ("service.name".to_owned(), Value::Text(service.into()));
    Arc::new(Resource::new(vec![service, ("process.pid".into(), Value::Int(pid))]))
}

/// So many requests of 10 ms, of which some failed, with a client's call of 1 s.
pub(crate) fn counts(resource: &Arc<Resource>, requests: u64, errors: u64) -> Counts {
    let point = |route: &'static str, n: u64, failed: bool, seconds: f64| {
        let mut attributes: Attributes =
            vec![("http.request.method", "GET".into()), ("http.route", route.into())];
        if failed {
            attributes.push(("error.type", "500".into()));
        }
        let mut point = HistogramPoint::new(attributes, Histogram::new(&[]));
        let mut times = Exponential::default();
        times.record_many(seconds, n);
        point.exponential = Some(times);
        point
    };
    let served = [point("/a", requests - errors, false, 0.01), point("/a", errors, true, 0.01)];
    let mut call = point("/x", 1, false, 1.0);
    call.attributes = vec![
        ("http.request.method", "GET".into()),
        ("server.address", "h".into()),
        ("server.port", metrics::Value::Int(80)),
    ];
    let metrics = [
        Metric::histogram("http.server.request.duration", "s", "", served),
        Metric::histogram("http.client.request.duration", "s", "", [call]),
        Metric::gauge("go.goroutine.count", "", "", [Point::int(34, Vec::new())]),
        Metric::counter("gotap.go.gc.cycles", "", "", [Point::int(requests, Vec::new())]),
    ];
    Counts::new(resource.clone(), &metrics, Some(Duration::from_millis(requests * 10)))
}

pub(crate) fn snapshot(second: u64, processes: Vec<Counts>) -> Snapshot {
    Snapshot { time: Duration::from_secs(second), processes }
}

#[test]
fn rates_are_of_what_came_between_two_times() {
    let shop = resource("shop", 7);
    let before = snapshot(10, vec![counts(&shop, 100, 10)]);
    let now = snapshot(20, vec![counts(&shop, 200, 60)]);
    let view = View::between(&before, &now);
    let [row] = view.rows.as_slice() else { panic!("{view:?}") };
    assert_eq!((row.service.as_str(), row.pid, row.goroutines), ("shop", 7, Some(34)));
    assert_eq!((row.rates.count, row.rates.errors, row.rates.per_second), (100, 50, 10.0));
    assert_eq!(row.rates.error_share(), Some(0.5));
    assert!(row.rates.p99.is_some_and(|p99| (p99 / 0.01 - 1.0).abs() < 0.1), "{row:?}");
    assert_eq!((row.collections_per_second, row.cpu, row.heap), (Some(10.0), Some(0.1), None));
    // The call was made before.
    let names: Vec<_> = row.operations.iter().map(|(o, r)| (o.name.as_str(), r.count)).collect();
    assert_eq!(names, [("GET /a", 100), ("GET h:80", 0)]);
    assert_eq!(row.operations[1].1.p99, None);
}

#[test]
fn what_is_not_known_of_a_new_process_is_not_zero() {
    let now = snapshot(20, vec![counts(&resource("new", 8), 5, 0)]);
    let view = View::between(&snapshot(10, Vec::new()), &now);
    assert_eq!(view.rows[0].rates.count, 5);
    assert_eq!((view.rows[0].cpu, view.rows[0].collections_per_second), (None, None));
}

#[test]
fn a_request_has_the_name_of_its_metric() {
    let mut request = span(1, 2, None);
    let served = Http {
        method: Some(Named::known("GET")),
        scheme: Some("http"),
        path: Some("/a/1".into()),
        server: Endpoint::new("h", None),
        status: Some(404),
        ..Http::default()
    };
    request.operation = http(served.clone());
    let shown = Request::new(&request);
    assert_eq!((shown.operation.name.as_str(), shown.operation.made), ("GET", false));
    assert_eq!((shown.outcome.as_str(), shown.what.as_str()), ("404", "/a/1"));
    request.operation = http(Http { route: Some("/a/{id}".into()), ..served });
    assert_eq!(Request::new(&request).operation.name, "GET /a/{id}");
    request.kind = Kind::Client;
    let query = Query { system: "redis", operation: Some("GET".into()), ..Query::default() };
    request.operation = trace::Operation::Database(Box::new(query));
    let shown = Request::new(&request);
    assert_eq!((shown.operation.name.as_str(), shown.operation.made), ("redis GET", true));
    assert_eq!((shown.outcome.as_str(), shown.what.as_str()), ("ok", "GET"));
}
