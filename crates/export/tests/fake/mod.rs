//! A back end with a list of answers: each request gets the next one, and when there are no more, all is taken.

#![expect(clippy::unwrap_used, reason = "a fake that fails shall fail its test")]
#![allow(dead_code, reason = "each test uses a part of it")]

pub mod breaker;
mod grpc;
mod http;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use export::Protocol;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};

/// One answer.
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    /// All are taken.
    Take,
    /// HTTP 400, INVALID_ARGUMENT.
    BadRequest,
    /// HTTP 429, RESOURCE_EXHAUSTED; perhaps with the seconds to wait.
    TooMany(Option<u64>),
    /// HTTP 503, UNAVAILABLE.
    Unavailable,
    /// All but so many are taken.
    Partial(i64),
    /// None for a long time.
    Stall,
}

/// How long a stall takes: longer than any test.
const STALL: Duration = Duration::from_secs(600);

/// What both protocols share.
#[derive(Default)]
struct Script {
    answers: Mutex<VecDeque<Answer>>,
    requests: AtomicU64,
    taken: AtomicU64,
}

impl Script {
    /// The answer to this request.
    fn next(&self, request: &ExportTraceServiceRequest) -> Answer {
        let answer = self.answers.lock().unwrap().pop_front().unwrap_or(Answer::Take);
        let scopes = request.resource_spans.iter().flat_map(|r| &r.scope_spans);
        let spans: u64 = scopes.map(|s| s.spans.len() as u64).sum();
        let taken = match answer {
            Answer::Take => spans,
            Answer::Partial(refused) => spans.saturating_sub(refused.unsigned_abs()),
            _ => 0,
        };
        self.taken.fetch_add(taken, Ordering::Relaxed);
        self.requests.fetch_add(1, Ordering::Relaxed);
        answer
    }
}

fn response(answer: Answer) -> ExportTraceServiceResponse {
    let partial_success = match answer {
        Answer::Partial(rejected_spans) => {
            Some(ExportTracePartialSuccess { rejected_spans, error_message: "a part".into() })
        }
        _ => None,
    };
    ExportTraceServiceResponse { partial_success }
}

/// A running back end, which lives as long as the test's process.
pub struct Backend {
    pub endpoint: String,
    pub protocol: Protocol,
    script: Arc<Script>,
}

impl Backend {
    pub fn start(protocol: Protocol, answers: Vec<Answer>) -> Self {
        let script = Arc::new(Script { answers: Mutex::new(answers.into()), ..Script::default() });
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let shared = script.clone();
        std::thread::spawn(move || match protocol {
            Protocol::Grpc => grpc::serve(listener, shared),
            Protocol::Http => http::serve(&listener, &shared),
        });
        Self { endpoint, protocol, script }
    }

    /// Spans that were taken.
    pub fn taken(&self) -> u64 {
        self.script.taken.load(Ordering::Relaxed)
    }

    pub fn wait_for_requests(&self, n: u64) {
        let start = Instant::now();
        while self.script.requests.load(Ordering::Relaxed) < n {
            assert!(start.elapsed() < Duration::from_secs(60), "no request came");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
