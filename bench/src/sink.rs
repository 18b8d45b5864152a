//! The back end: an OTLP gRPC server that counts spans and keeps nothing. It prints its endpoint,
//! then the count for each line that it reads.
//!
//! It runs on the same processors as what is measured, so it does not decode what it only counts: a
//! back end is elsewhere, and what it costs is no observer's cost.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use anyhow::Result;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use prost::bytes::Bytes;
use tokio::io::{AsyncBufReadExt, BufReader};
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

/// `ExportTraceServiceRequest`, whose parts are not decoded.
#[derive(Clone, PartialEq, Message)]
struct Export {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    resource_spans: Vec<Bytes>,
}

/// `ResourceSpans`.
#[derive(Clone, PartialEq, Message)]
struct OfResource {
    #[prost(bytes = "bytes", repeated, tag = "2")]
    scope_spans: Vec<Bytes>,
}

/// `ScopeSpans`.
#[derive(Clone, PartialEq, Message)]
struct OfScope {
    #[prost(bytes = "bytes", repeated, tag = "2")]
    spans: Vec<Bytes>,
}

fn count(request: &Export) -> Result<u64, prost::DecodeError> {
    let mut spans = 0;
    for resource in &request.resource_spans {
        for scope in OfResource::decode(resource.clone())?.scope_spans {
            spans += OfScope::decode(scope)?.spans.len() as u64;
        }
    }
    Ok(spans)
}

#[derive(Clone)]
struct Counter(Arc<AtomicU64>);

impl UnaryService<Export> for Counter {
    type Response = ExportTraceServiceResponse;
    type Future = BoxFuture<Response<Self::Response>, Status>;

    fn call(&mut self, request: Request<Export>) -> Self::Future {
        let counted = count(request.get_ref()).map_err(|e| Status::invalid_argument(e.to_string()));
        let total = self.0.clone();
        Box::pin(async move {
            total.fetch_add(counted?, Ordering::Relaxed);
            Ok(Response::new(ExportTraceServiceResponse::default()))
        })
    }
}

impl NamedService for Counter {
    const NAME: &'static str = "opentelemetry.proto.collector.trace.v1.TraceService";
}

impl Service<http::Request<tonic::body::Body>> for Counter {
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
        let counter = self.clone();
        Box::pin(async move { Ok(Grpc::new(ProstCodec::default()).unary(counter, request).await) })
    }
}

/// Serves until standard input ends.
pub(crate) fn run() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let count = Arc::new(AtomicU64::new(0));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("endpoint http://{}", listener.local_addr()?);
        let server = tonic::transport::Server::builder().add_service(Counter(count.clone()));
        let server = tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        let mut lines = BufReader::new(tokio::io::stdin()).lines();
        while lines.next_line().await?.is_some() {
            println!("count {}", count.load(Ordering::Relaxed));
        }
        server.abort();
        Ok(())
    })
}
