//! What gotap's tests share.
//!
//! - [`go`] builds the programs below `apps/` with many Go versions, each once.
//! - [`process`] runs a program and reads what it prints.
//! - [`collector`] runs a real OpenTelemetry Collector and reads the spans it received.
//! - [`http`] is a client with control over each byte on the wire.
//! - [`jaeger`] is a real Jaeger.
//! - [`kubernetes`] is Kubernetes' API server.
//! - [`postgres`], [`mysql`] and [`redis`] run a database server of the test's own.
//!
//! Everything slow is built on first need into a cache that all clones share, see [`cache_dir`].

pub mod collector;
mod daemon;
pub mod envoy;
pub mod go;
pub mod http;
pub mod jaeger;
pub mod kubernetes;
pub mod mysql;
pub mod parca;
pub mod postgres;
pub mod process;
pub mod prometheus;
pub mod redis;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// The root of the repository this crate was built from.
pub fn repo_root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).expect("this crate lies two folders below the root").to_owned()
}

/// Where toolchains, the collector and built programs are kept: `$GOTAP_CACHE`, or
/// `~/.cache/gotap`.
pub fn cache_dir() -> Result<PathBuf> {
    if let Some(cache) = std::env::var_os("GOTAP_CACHE") {
        return Ok(cache.into());
    }
    let home = std::env::home_dir().context("no home directory: please set GOTAP_CACHE")?;
    Ok(home.join(".cache/gotap"))
}

/// Runs `scripts/setup.sh` and returns the path that it prints.
pub fn setup(arguments: &[&str]) -> Result<PathBuf> {
    let script = repo_root().join("scripts/setup.sh");
    let output = Command::new(&script)
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("start {}", script.display()))?;
    ensure!(output.status.success(), "{} {arguments:?}: {}", script.display(), output.status);
    let path = String::from_utf8(output.stdout).context("the path from setup.sh is not UTF-8")?;
    Ok(path.trim_end().into())
}
