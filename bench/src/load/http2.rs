//! Streams of one HTTP/2 connection without TLS.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use h2::client::SendRequest;
use http::Request;

use super::{Pace, connect as connect_tcp, micros};

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
    mut pace: Pace,
) -> Result<Vec<u32>> {
    let mut times = Vec::with_capacity(1 << 16);
    let mut streams = streams.ready().await?;
    while pace.next().await {
        let sent = Instant::now();
        let request = Request::get(format!("http://{addr}/"))
            .header("user-agent", "gotap-bench")
            .body(())
            .context("build a request")?;
        let (response, _) = streams.send_request(request, true)?;
        streams = streams.ready().await?;
        let mut response = response.await?;
        ensure!(response.status().is_success(), "unexpected answer: {}", response.status());
        let body = response.body_mut();
        while let Some(data) = body.data().await {
            let len = data?.len();
            body.flow_control().release_capacity(len)?;
        }
        times.push(micros(sent));
    }
    Ok(times)
}
