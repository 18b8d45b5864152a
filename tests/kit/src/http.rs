//! A small blocking HTTP/1.1 client.
//!
//! It is written by hand on purpose: tests of a tracer need control over each byte on the wire -
//! pipelined requests, bodies in chunks of a chosen size, broken headers, a connection that is kept
//! open or cut - which is just what a good HTTP client hides.

mod response;

pub use response::Response;

use std::io::{BufReader, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result};

/// How long a read may wait for the server.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Sends one GET on a connection of its own.
pub fn get(address: &str, path: &str, headers: &[(&str, &str)]) -> Result<Response> {
    Connection::open(address)?.get(path, headers)
}

/// A connection that is kept alive between requests.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<TcpStream>,
    address: String,
}

impl Connection {
    /// Connects to `HOST:PORT`.
    pub fn open(address: &str) -> Result<Self> {
        let stream =
            TcpStream::connect(address).with_context(|| format!("connect to {address}"))?;
        stream.set_read_timeout(Some(TIMEOUT)).context("set the read timeout")?;
        stream.set_nodelay(true).context("set TCP_NODELAY")?;
        Ok(Self { stream: BufReader::new(stream), address: address.to_owned() })
    }

    /// Sends a GET and reads the response.
    pub fn get(&mut self, path: &str, headers: &[(&str, &str)]) -> Result<Response> {
        self.request("GET", path, headers, None)
    }

    /// Sends a request, with a body of known length if given, and reads the response.
    pub fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Result<Response> {
        let length = body.map(|body| body.len().to_string());
        let mut headers = headers.to_vec();
        if let Some(length) = &length {
            headers.push(("Content-Length", length));
        }
        let mut message = self.head(method, path, &headers);
        message.extend_from_slice(body.unwrap_or_default());
        self.send_raw(&message)?;
        self.read_response_to(method)
    }

    /// Sends a request whose body goes out in these chunks, each in a write of its own, and reads
    /// the response.
    pub fn request_chunked(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        chunks: &[&[u8]],
    ) -> Result<Response> {
        let mut headers = headers.to_vec();
        headers.push(("Transfer-Encoding", "chunked"));
        self.send_raw(&self.head(method, path, &headers))?;
        for chunk in chunks.iter().filter(|chunk| !chunk.is_empty()) {
            let mut framed = format!("{:x}\r\n", chunk.len()).into_bytes();
            framed.extend_from_slice(chunk);
            framed.extend_from_slice(b"\r\n");
            self.send_raw(&framed)?;
        }
        self.send_raw(b"0\r\n\r\n")?;
        self.read_response_to(method)
    }

    /// The request line and the headers as they go over the wire; a Host header is added if there
    /// is none. Several heads joined and given to [`Self::send_raw`] are a pipeline.
    pub fn head(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
        let mut head = format!("{method} {path} HTTP/1.1\r\n");
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            head += &format!("Host: {}\r\n", self.address);
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += "\r\n";
        head.into_bytes()
    }

    /// Sends bytes as they are.
    pub fn send_raw(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.get_mut().write_all(bytes).with_context(|| format!("send to {}", self.address))
    }

    /// Reads the next response, to a request other than HEAD.
    pub fn read_response(&mut self) -> Result<Response> {
        self.read_response_to("GET")
    }

    /// Reads the next response to a request with this method.
    pub fn read_response_to(&mut self, method: &str) -> Result<Response> {
        Response::read(&mut self.stream, method)
            .with_context(|| format!("read a response from {}", self.address))
    }

    /// Tells the server that nothing more will be sent; responses can still be read.
    pub fn finish_sending(&mut self) -> Result<()> {
        self.stream.get_mut().shutdown(Shutdown::Write).context("shut down the connection")
    }

    /// The connection's own port, by which a server's span can be found.
    pub fn local_port(&self) -> Result<u16> {
        Ok(self.stream.get_ref().local_addr().context("get the local address")?.port())
    }
}
