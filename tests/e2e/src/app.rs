//! The Go program that is observed.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use gotap_testkit::go::{self, Mode, Version};
use gotap_testkit::http::{self, Connection, Response};
use gotap_testkit::process::Running;

use crate::SOON;

/// A running httpapp, which ends when this value is dropped.
#[derive(Debug)]
pub struct App {
    /// The process.
    pub process: Running,
    /// Where it listens, as HOST:PORT.
    pub address: String,
}

impl App {
    /// The executable of httpapp for a Go version and mode.
    pub fn build(version: Version, mode: Mode) -> Result<PathBuf> {
        go::build("httpapp", version, mode)
    }

    /// The executable of http2app, with the version of `golang.org/x/net` that `go.DEPENDENCIES.mod`
    /// names, or `go.mod` without any.
    pub fn build_http2(dependencies: Option<&str>, version: Version) -> Result<PathBuf> {
        match dependencies {
            Some(name) => go::build_with("http2app", name, version, Mode::Plain),
            None => go::build("http2app", version, Mode::Plain),
        }
    }

    /// The executable of grpcapp, with the version of gRPC that `go.DEPENDENCIES.mod` names, or
    /// `go.mod` without any.
    pub fn build_grpc(dependencies: Option<&str>, version: Version) -> Result<PathBuf> {
        match dependencies {
            Some(name) => go::build_with("grpcapp", name, version, Mode::Plain),
            None => go::build("grpcapp", version, Mode::Plain),
        }
    }

    /// The executable with the newest Go.
    pub fn newest() -> Result<PathBuf> {
        Self::build(Version::NEWEST, Mode::Plain)
    }

    /// Starts an executable, without a backend.
    pub fn start(program: &Path) -> Result<Self> {
        Self::start_with(program, &[], &[])
    }

    /// Starts two: one, and its backend.
    pub fn start_pair(program: &Path) -> Result<(Self, Self)> {
        Self::start_pair_with(program, &[])
    }

    /// The same, the first with these variables.
    pub fn start_pair_with(program: &Path, environment: &[(&str, &str)]) -> Result<(Self, Self)> {
        let backend = Self::start(program)?;
        let url = format!("http://{}", backend.address);
        Ok((Self::start_with(program, &["-backend", &url], environment)?, backend))
    }

    /// Starts an executable with these arguments and variables.
    pub fn start_with(
        program: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<Self> {
        let process = Running::start(program, arguments, environment)?;
        let address = process.wait_for("listening ", SOON)?;
        Ok(Self { process, address })
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The port that it listens on.
    pub fn port(&self) -> Result<u16> {
        let port = self.address.rsplit(':').next().context("an address has a port")?;
        port.parse().with_context(|| format!("port of {}", self.address))
    }

    /// Opens a connection.
    pub fn connect(&self) -> Result<Connection> {
        Connection::open(&self.address)
    }

    /// Sends one GET on a connection of its own.
    pub fn get(&self, path: &str, headers: &[(&str, &str)]) -> Result<Response> {
        http::get(&self.address, path, headers)
    }
}
