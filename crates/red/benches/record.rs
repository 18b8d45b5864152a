//! How long counting an operation takes whose attributes are known. It runs for each operation: it fails
//! where that is too long.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use red::{Consumer, Meter, Settings};
use rustix::time::{ClockId, clock_gettime};
use trace::{Endpoint, Http, Named, Resource, Span, synthetic};

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
    let consumers = vec![Consumer::Push];
    let settings = Settings { service_graph: true, consumers, ..Settings::default() };
    let mut meter = Meter::new(&settings, 0);
    let resource = Arc::new(Resource::default());
    meter.add_process(1, &resource, 0);
    let http = Http {
        method: Some(Named::known("GET")),
        scheme: Some("http"),
        path: Some("/users/1234".into()),
        route: Some("/users/{id}".into()),
        server: Endpoint::new("shop.example.com", Some(80)),
        peer: Some(Endpoint::new("10.0.0.1", Some(40000))),
        user_agent: Some("curl/8.0".into()),
        version: Some("1.1"),
        status: Some(200),
        request_size: Some(0),
        response_size: Some(512),
        ..Http::default()
    };
    let mut span = Span {
        start_unix_nano: 1_000_000_000,
        operation: synthetic::http(http),
        resource,
        ..synthetic::span(1, 2, None)
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
