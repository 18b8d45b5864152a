//! The answers as gRPC statuses.

#![expect(clippy::unwrap_used, reason = "a fake that fails shall fail its test")]

use std::net::TcpListener;
use std::sync::Arc;

use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Request, Response, Status};

use super::{Answer, STALL, Script, response};

struct Service(Arc<Script>);

#[tonic::async_trait]
impl TraceService for Service {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let answer = self.0.next(request.get_ref());
        match answer {
            Answer::Take | Answer::Partial(_) => Ok(Response::new(response(answer))),
            Answer::BadRequest => Err(Status::invalid_argument("bad")),
            Answer::Unavailable => Err(Status::unavailable("away")),
            Answer::TooMany(None) => Err(Status::resource_exhausted("full")),
            Answer::TooMany(Some(seconds)) => {
                let details = retry_info(u8::try_from(seconds).unwrap());
                Err(Status::with_details(Code::ResourceExhausted, "full", details.into()))
            }
            Answer::Stall => {
                tokio::time::sleep(STALL).await;
                Err(Status::aborted("too late"))
            }
        }
    }
}

/// Takes all metrics.
struct TakesMetrics;

#[tonic::async_trait]
impl MetricsService for TakesMetrics {
    async fn export(
        &self,
        _request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

/// `google.rpc.Status` with a `RetryInfo` in it, byte by byte.
fn retry_info(seconds: u8) -> Vec<u8> {
    let field = |number: u8, bytes: &[u8]| {
        let length = u8::try_from(bytes.len()).unwrap();
        [&[number << 3 | 2, length], bytes].concat()
    };
    let info = field(1, &[1 << 3, seconds]);
    let any = [field(1, b"type.googleapis.com/google.rpc.RetryInfo"), field(2, &info)].concat();
    [vec![1 << 3, 8], field(2, b"full"), field(3, &any)].concat()
}

pub fn serve(listener: TcpListener, script: Arc<Script>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        listener.set_nonblocking(true).unwrap();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let service = TraceServiceServer::new(Service(script));
        let server = tonic::transport::Server::builder().add_service(service);
        let server = server.add_service(MetricsServiceServer::new(TakesMetrics));
        server.serve_with_incoming(TcpIncoming::from(listener)).await.unwrap();
    });
}
