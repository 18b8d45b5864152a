//! How long counting an operation takes whose attributes are known. It runs for each operation: it fails
//! where that is too long.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use red::{Consumer, Groups, Meter, Settings};
use rustix::time::{ClockId, clock_gettime};
use trace::{Kind, Resource, Span, Status, Value};

const TIMES: u32 = 2_000_000;
/// Several times what it takes.
const LIMIT: Duration = Duration::from_nanos(800);

/// Of this thread: others may run on the machine.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let (seconds, nanoseconds) = (time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs());
    Duration::from_secs(seconds) + Duration::from_nanos(nanoseconds)
}

fn main() {
    let settings = Settings {
        groups: Groups::ALL,
        cardinality_limit: 2000,
        exponential: false,
        service_graph: true,
        each_once: false,
        max_series: red::MAX_SERIES,
        max_graph_calls: red::MAX_GRAPH_CALLS,
        consumers: vec![Consumer::Push],
    };
    let mut meter = Meter::new(&settings, 0);
    let resource = Arc::new(Resource::default());
    meter.add_process(1, &resource, 0);
    let text = |text: &str| Value::Text(text.into());
    let mut span = Span {
        trace_id: [1; 16],
        span_id: [2; 8],
        parent_span_id: None,
        trace_flags: 1,
        telemetry: false,
        own_trace: false,
        links: Vec::new(),
        left_out: false,
        trace_state: String::new(),
        name: "GET /users/{id}".into(),
        kind: Kind::Server,
        start_unix_nano: 1_000_000_000,
        end_unix_nano: 1_000_000_000,
        status: Status::Unset,
        attributes: vec![
            ("http.request.method", Value::Static("GET")),
            ("url.scheme", Value::Static("http")),
            ("url.path", text("/users/1234")),
            ("http.route", text("/users/{id}")),
            ("server.address", text("shop.example.com")),
            ("server.port", Value::Int(80)),
            ("client.address", text("10.0.0.1")),
            ("network.peer.address", text("10.0.0.1")),
            ("network.peer.port", Value::Int(40000)),
            ("user_agent.original", text("curl/8.0")),
            ("network.protocol.version", Value::Static("1.1")),
            ("http.response.status_code", Value::Int(200)),
            ("http.request.body.size", Value::Int(0)),
            ("http.response.body.size", Value::Int(512)),
        ],
        parent: wire::Parent::None,
        unread: wire::UnreadSet::default(),
        resource,
    };
    let started = cpu_time();
    for i in 0..TIMES {
        span.end_unix_nano = span.start_unix_nano + u64::from(i % 1024) * 10_000;
        meter.record(black_box(&span), 1);
    }
    let each = (cpu_time() - started) / TIMES;
    println!("counting a request takes {each:?}");
    assert!(each < LIMIT, "more than {LIMIT:?}");
}
