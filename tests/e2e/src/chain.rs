//! An observed program that is called, and calls, in HTTP/2.

use std::path::Path;

use anyhow::{Result, ensure};
use gotap_testkit::http::{self, Connection, Response};

use crate::{App, Gotap};

/// Three programs: a reverse proxy that takes HTTP/1 from the test and speaks HTTP/2 to the second
/// one, which is the one to observe and which calls the third in HTTP/2. So a test has control over
/// each byte that the proxy gets, and what goes wrong on one side is passed on to the other: a
/// client that goes away resets its stream, one that does not read makes it stall.
///
/// The proxy and the backend are built with the newest Go.
#[derive(Debug)]
pub struct Chain {
    /// The proxy.
    pub proxy: App,
    /// What is observed.
    pub app: App,
    /// What that calls.
    pub backend: App,
}

impl Chain {
    /// Starts all three; the program in the middle is this one, over TLS.
    pub fn start(program: &Path) -> Result<Self> {
        Self::start_with(program, "https", &["-tls", "-h2"])
    }

    /// The same with HTTP/2 without TLS, which Go has since 1.24.
    pub fn start_unencrypted(program: &Path) -> Result<Self> {
        Self::start_with(program, "http", &["-h2c"])
    }

    fn start_with(program: &Path, scheme: &str, flags: &[&str]) -> Result<Self> {
        let newest = App::newest()?;
        let with = |more: &[&'static str]| [flags, more].concat();
        let backend = App::start_with(&newest, &with(&[]), &[])?;
        let url = format!("{scheme}://{}", backend.address);
        let mut arguments = with(&["-backend"]);
        arguments.push(&url);
        let app = App::start_with(program, &arguments, &[])?;
        let url = format!("{scheme}://{}", app.address);
        let speaks = if scheme == "https" { "-h2" } else { "-h2c-calls" };
        let proxy = App::start_with(&newest, &[speaks, "-backend", &url], &[])?;
        let chain = Self { proxy, app, backend };
        // So that each has its connection to the next one.
        let warm = chain.get("/call/same", &[])?;
        ensure!(warm.body == b"same status=200\n", "{warm:?}");
        Ok(chain)
    }

    /// Traces the program in the middle.
    pub fn trace(&self) -> Result<Gotap> {
        Gotap::trace_pid(self.app.pid())
    }

    /// Sends a GET to the program in the middle, by way of the proxy.
    pub fn get(&self, path: &str, headers: &[(&str, &str)]) -> Result<Response> {
        http::get(&self.proxy.address, &Self::path(path), headers)
    }

    /// Opens a connection to the proxy; requests for [`Self::path`] reach the program.
    pub fn connect(&self) -> Result<Connection> {
        self.proxy.connect()
    }

    /// What to ask the proxy for.
    pub fn path(path: &str) -> String {
        format!("/proxy{path}")
    }

    /// The proxy's address, which it passes on as the host that was asked for.
    pub fn host(&self) -> &str {
        &self.proxy.address
    }
}
