//! Streams of one HTTP/2 connection without TLS: requests, or unary gRPC calls.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use http::{HeaderMap, Request};

use super::{Pace, Protocol, connect as connect_tcp, micros};

/// The method that is called, and what with: a `google.protobuf.StringValue` of "hello" that is not
/// compressed, and its length.
const METHOD: &str = "/gotap.bench.Echo/Say";
const MESSAGE: &[u8] = b"\x00\x00\x00\x00\x07\x0a\x05hello";

/// Opens the connection that all streams share.
pub(super) async fn connect(addr: SocketAddr) -> Result<SendRequest<Bytes>> {
    let (streams, connection) = h2::client::handshake(connect_tcp(addr).await?).await?;
    // It ends with the process; its errors reach the streams.
    tokio::spawn(connection);
    Ok(streams)
}

/// One request after another; gives the time of each in microseconds.
pub(super) async fn stream(
    addr: SocketAddr,
    streams: SendRequest<Bytes>,
    protocol: Protocol,
    mut pace: Pace,
) -> Result<Vec<u32>> {
    let grpc = protocol == Protocol::Grpc;
    let mut times = Vec::with_capacity(1 << 16);
    let mut streams = streams.ready().await?;
    while pace.next().await {
        let sent = Instant::now();
        let response = if grpc { call(addr, &mut streams)? } else { get(addr, &mut streams)? };
        streams = streams.ready().await?;
        let mut response = response.await?;
        ensure!(response.status().is_success(), "unexpected answer: {}", response.status());
        let mut length = 0;
        let body = response.body_mut();
        while let Some(data) = body.data().await {
            let part = data?.len();
            body.flow_control().release_capacity(part)?;
            length += part;
        }
        let trailers = body.trailers().await?;
        if grpc {
            // A call that fails at once has its status among the headers.
            check(trailers.as_ref().unwrap_or(response.headers()))?;
            ensure!(length == MESSAGE.len(), "the answer has {length} bytes");
        }
        times.push(micros(sent));
    }
    Ok(times)
}

/// Sends a request.
fn get(addr: SocketAddr, streams: &mut SendRequest<Bytes>) -> Result<ResponseFuture> {
    let request = Request::get(format!("http://{addr}/"))
        .header("user-agent", "gotap-bench")
        .body(())
        .context("build a request")?;
    Ok(streams.send_request(request, true)?.0)
}

/// Sends a call.
fn call(addr: SocketAddr, streams: &mut SendRequest<Bytes>) -> Result<ResponseFuture> {
    let request = Request::post(format!("http://{addr}{METHOD}"))
        .header("user-agent", "gotap-bench")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .context("build a call")?;
    let (response, mut body) = streams.send_request(request, false)?;
    body.send_data(Bytes::from_static(MESSAGE), true)?;
    Ok(response)
}

/// Whether a call went well; an HTTP status of 200 does not say so.
fn check(trailers: &HeaderMap) -> Result<()> {
    let status = trailers.get("grpc-status").context("an answer without grpc-status")?;
    let message = trailers.get("grpc-message");
    ensure!(status.as_bytes() == b"0", "the call failed: {status:?}, {message:?}");
    Ok(())
}
