//! The load generator: HTTP/1.1 keep-alive connections, plain or over TLS, or streams of one HTTP/2
//! connection, also with gRPC calls, as fast as they go or at a fixed rate.
//!
//! Written for this because the count must be exact: each request is answered before the run ends,
//! so that spans can be compared with requests. Speaks to loopback only.

mod http2;
mod tls;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[arg(long)]
    pub(crate) addr: SocketAddr,
    #[arg(long, value_enum, default_value_t = Protocol::Http1)]
    pub(crate) protocol: Protocol,
    /// Requests under way at once: connections, or streams of the one of HTTP/2
    #[arg(long)]
    pub(crate) connections: usize,
    #[arg(long)]
    pub(crate) millis: u64,
    /// Requests per second over all connections; 0 is as fast as they go
    #[arg(long, default_value_t = 0)]
    pub(crate) rate: u64,
}

/// How requests are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Protocol {
    Http1,
    /// HTTP/1.1 over TLS.
    Tls,
    /// HTTP/2 without TLS.
    Http2,
    /// Unary gRPC calls without TLS.
    Grpc,
}

impl Protocol {
    /// The name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Protocol::Http1 => "http1",
            Protocol::Tls => "tls",
            Protocol::Http2 => "http2",
            Protocol::Grpc => "grpc",
        }
    }
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
    let streams = match args.protocol {
        Protocol::Http2 | Protocol::Grpc => Some(http2::connect(args.addr).await?),
        _ => None,
    };
    let start = Instant::now();
    let end = start + Duration::from_millis(args.millis);
    for i in 0..args.connections {
        let pace = (args.rate > 0).then(|| {
            let gap = Duration::from_secs_f64(args.connections as f64 / args.rate as f64);
            (gap, gap.mul_f64(i as f64 / args.connections as f64))
        });
        let pace = Pace::new(end, pace);
        match (args.protocol, &streams) {
            (Protocol::Tls, _) => {
                let stream = tls::connect(args.addr).await?;
                tasks.spawn(connection(args.addr, stream, pace));
            }
            (_, Some(streams)) => {
                tasks.spawn(http2::stream(args.addr, streams.clone(), args.protocol, pace));
            }
            (_, None) => {
                let stream = connect(args.addr).await?;
                tasks.spawn(connection(args.addr, stream, pace));
            }
        }
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

async fn connect(addr: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(addr).await.context("connect to the target")?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// When the next request is sent, and until when.
struct Pace {
    end: Instant,
    gap: Option<Duration>,
    next: Instant,
}

impl Pace {
    /// `pace` is the gap between requests and the offset of the first.
    fn new(end: Instant, pace: Option<(Duration, Duration)>) -> Self {
        let next = Instant::now() + pace.map_or(Duration::ZERO, |(_, offset)| offset);
        Self { end, gap: pace.map(|(gap, _)| gap), next }
    }

    /// Waits for the next request's time; whether there is one.
    async fn next(&mut self) -> bool {
        if Instant::now() >= self.end {
            return false;
        }
        if let Some(gap) = self.gap {
            tokio::time::sleep_until(self.next.into()).await;
            self.next += gap;
        }
        true
    }
}

fn micros(since: Instant) -> u32 {
    u32::try_from(since.elapsed().as_micros()).unwrap_or(u32::MAX)
}

/// One connection of HTTP/1; gives the time of each request in microseconds.
async fn connection(
    addr: SocketAddr,
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    mut pace: Pace,
) -> Result<Vec<u32>> {
    let request = format!("GET / HTTP/1.1\r\nHost: {addr}\r\nUser-Agent: gotap-bench\r\n\r\n");
    let mut times = Vec::with_capacity(1 << 16);
    let mut buffer = vec![0u8; 4096];
    while pace.next().await {
        let sent = Instant::now();
        stream.write_all(request.as_bytes()).await?;
        read_response(&mut stream, &mut buffer).await?;
        times.push(micros(sent));
    }
    Ok(times)
}

/// Reads one response with a Content-Length.
async fn read_response(stream: &mut (impl AsyncRead + Unpin), buffer: &mut [u8]) -> Result<()> {
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
