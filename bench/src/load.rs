//! The load generator: HTTP/1.1 keep-alive connections, as fast as they go or at a fixed rate.
//!
//! Written for this because the count must be exact: each request is answered before the run ends,
//! so that spans can be compared with requests. Speaks to loopback only.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[arg(long)]
    pub(crate) addr: SocketAddr,
    #[arg(long)]
    pub(crate) connections: usize,
    #[arg(long)]
    pub(crate) millis: u64,
    /// Requests per second over all connections; 0 is as fast as they go
    #[arg(long, default_value_t = 0)]
    pub(crate) rate: u64,
}

/// What came of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) requests: u64,
    pub(crate) seconds: f64,
    pub(crate) p50_us: u32,
    pub(crate) p99_us: u32,
}

/// Runs the load and prints the outcome as JSON.
pub(crate) fn run(args: &Args) -> Result<()> {
    ensure!(args.addr.ip().is_loopback(), "only loopback addresses are loaded");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(drive(args))?;
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(())
}

async fn drive(args: &Args) -> Result<Outcome> {
    let mut tasks = tokio::task::JoinSet::new();
    let start = Instant::now();
    let end = start + Duration::from_millis(args.millis);
    for i in 0..args.connections {
        let pace = (args.rate > 0).then(|| {
            let gap = Duration::from_secs_f64(args.connections as f64 / args.rate as f64);
            (gap, gap.mul_f64(i as f64 / args.connections as f64))
        });
        tasks.spawn(connection(args.addr, end, pace));
    }
    let mut times = Vec::new();
    while let Some(result) = tasks.join_next().await {
        times.extend(result??);
    }
    let seconds = start.elapsed().as_secs_f64();
    times.sort_unstable();
    let at = |q: usize| times.get(times.len() * q / 100).copied().unwrap_or(0);
    Ok(Outcome { requests: times.len() as u64, seconds, p50_us: at(50), p99_us: at(99) })
}

/// One connection; gives the time of each request in microseconds. `pace` is the gap between
/// requests and the offset of the first.
async fn connection(
    addr: SocketAddr,
    end: Instant,
    pace: Option<(Duration, Duration)>,
) -> Result<Vec<u32>> {
    let mut stream = TcpStream::connect(addr).await.context("connect to the target")?;
    stream.set_nodelay(true)?;
    let request = format!("GET / HTTP/1.1\r\nHost: {addr}\r\nUser-Agent: gotap-bench\r\n\r\n");
    let mut times = Vec::with_capacity(1 << 16);
    let mut next = Instant::now() + pace.map_or(Duration::ZERO, |(_, offset)| offset);
    let mut buffer = vec![0u8; 4096];
    while Instant::now() < end {
        if let Some((gap, _)) = pace {
            tokio::time::sleep_until(next.into()).await;
            next += gap;
        }
        let sent = Instant::now();
        stream.write_all(request.as_bytes()).await?;
        read_response(&mut stream, &mut buffer).await?;
        times.push(u32::try_from(sent.elapsed().as_micros()).unwrap_or(u32::MAX));
    }
    Ok(times)
}

/// Reads one response with a Content-Length.
async fn read_response(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<()> {
    let mut filled = 0;
    loop {
        ensure!(filled < buffer.len(), "the response is larger than expected");
        let n = stream.read(&mut buffer[filled..]).await?;
        ensure!(n > 0, "the target closed the connection");
        filled += n;
        let text = &buffer[..filled];
        let Some(head) = text.windows(4).position(|w| w == b"\r\n\r\n") else { continue };
        let headers = std::str::from_utf8(&text[..head])?;
        ensure!(headers.starts_with("HTTP/1.1 200"), "unexpected answer: {headers}");
        let length = headers
            .lines()
            .find_map(|l| {
                l.split_once(": ").filter(|(k, _)| k.eq_ignore_ascii_case("content-length"))
            })
            .context("answer without Content-Length")?;
        if filled >= head + 4 + length.1.trim().parse::<usize>()? {
            return Ok(());
        }
    }
}
