//! Reading a response.

use std::io::{BufRead, Read};

use anyhow::{Context, Result, bail, ensure};

/// A whole response.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The headers in the order of arrival.
    pub headers: Vec<(String, String)>,
    /// The body, with the chunks put together.
    pub body: Vec<u8>,
}

impl Response {
    /// Reads a response to a request with this method. Informational ones, other than a switch of
    /// protocols, are read over.
    pub(super) fn read(stream: &mut impl BufRead, method: &str) -> Result<Self> {
        loop {
            let status = read_status(stream)?;
            let headers = read_headers(stream)?;
            let mut response = Self { status, headers, body: Vec::new() };
            if status >= 200 || status == 101 {
                response.read_body(stream, method)?;
                return Ok(response);
            }
        }
    }

    /// The first header with this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        header.map(|(_, value)| value.as_str())
    }

    /// The body as text; bytes that are not UTF-8 are replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn read_body(&mut self, stream: &mut impl BufRead, method: &str) -> Result<()> {
        if method == "HEAD" || matches!(self.status, 101 | 204 | 304) {
            return Ok(());
        }
        if self.header("Transfer-Encoding").is_some_and(|coding| coding == "chunked") {
            return read_chunks(stream, &mut self.body);
        }
        if let Some(length) = self.header("Content-Length") {
            let length = length.parse().with_context(|| format!("Content-Length is {length}"))?;
            return read_exactly(stream, length, &mut self.body);
        }
        stream.read_to_end(&mut self.body).context("read the body up to the end")?;
        Ok(())
    }
}

fn read_status(stream: &mut impl BufRead) -> Result<u16> {
    let line = read_line(stream)?;
    let mut words = line.split(' ');
    match (words.next(), words.next().map(str::parse)) {
        (Some(protocol), Some(Ok(status))) if protocol.starts_with("HTTP/1.") => Ok(status),
        _ => bail!("\"{line}\" is no status line"),
    }
}

fn read_headers(stream: &mut impl BufRead) -> Result<Vec<(String, String)>> {
    let mut headers = Vec::new();
    loop {
        let line = read_line(stream)?;
        if line.is_empty() {
            return Ok(headers);
        }
        let (name, value) =
            line.split_once(':').with_context(|| format!("\"{line}\" is no header"))?;
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
}

fn read_chunks(stream: &mut impl BufRead, body: &mut Vec<u8>) -> Result<()> {
    loop {
        let line = read_line(stream)?;
        let digits = line.split(';').next().unwrap_or_default().trim();
        let length = u64::from_str_radix(digits, 16)
            .with_context(|| format!("\"{line}\" is no chunk size"))?;
        if length == 0 {
            read_headers(stream)?; // the trailers
            return Ok(());
        }
        read_exactly(stream, length, body)?;
        ensure!(read_line(stream)?.is_empty(), "no line end behind a chunk");
    }
}

fn read_exactly(stream: &mut impl BufRead, length: u64, body: &mut Vec<u8>) -> Result<()> {
    let read = stream.take(length).read_to_end(body).context("read the body")?;
    ensure!(read as u64 == length, "the connection ended inside of the body");
    Ok(())
}

/// A line without its end.
fn read_line(stream: &mut impl BufRead) -> Result<String> {
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line).context("read a line")?;
    ensure!(line.ends_with(b"\n"), "the connection ended inside of a line");
    let line = String::from_utf8(line).context("a line of the head is not UTF-8")?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
