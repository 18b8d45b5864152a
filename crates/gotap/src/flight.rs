//! `gotap flight`: a copy of the window of a program's own flight recorder, as a file for `go tool trace`.

use std::fs;

use anyhow::{Context, Result, bail};
use goruntime::flight;
use serde_json::json;

use crate::cli::{FlightArgs, Format};
use crate::opened::{Opened, plain};
use crate::output::line;

/// Runs the command.
pub(crate) fn run(args: &FlightArgs) -> Result<()> {
    let opened = Opened::new(args.memory.pid)?;
    let binary = opened.binary()?;
    let types = binary.types();
    let target = opened.target(&binary, &types)?;
    let found = flight::window(&binary, &types, &target.memory, target.bias).map_err(plain)?;
    target.check()?;
    let window = match found {
        Ok(window) => window,
        Err(why) => bail!("process {}: {why}", args.memory.pid),
    };
    let path = &args.output;
    fs::write(path, &window.trace).with_context(|| format!("write {}", path.display()))?;
    let (bytes, generations) = (window.trace.len(), window.generations);
    match args.memory.format {
        Format::Json => line(json!({
            "pid": args.memory.pid,
            "service": target.service,
            "goVersion": binary.build_info().go_version,
            "file": path,
            "bytes": bytes,
            "generations": generations,
        }))?,
        Format::Text => line(format!(
            "{bytes} bytes in {generations} generations; open them with: go tool trace {}",
            path.display()
        ))?,
    }
    Ok(())
}
