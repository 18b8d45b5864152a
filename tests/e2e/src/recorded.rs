//! Recordings of what gotap was given while it ran, which `tests/replay` makes spans of again, without root. They are
//! made where GOTAP_RECORDINGS names a folder: `make recordings` does that for tests that it names.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::binary;

/// What the repository keeps of a process's resource: the rest is of the machine that recorded it.
const KEPT: [&str; 3] = ["service.name", "process.pid", "process.runtime.version"];

/// A recording that is being made, and the spans that are to be made of it.
#[derive(Debug)]
pub(crate) struct Recording {
    path: PathBuf,
}

impl Recording {
    /// The next one of this test, if recordings are wanted.
    pub(crate) fn wanted() -> Result<Option<Self>> {
        thread_local! {
            /// Each test has a thread of its own.
            static NEXT: Cell<usize> = const { Cell::new(1) };
        }
        let Some(folder) = std::env::var_os("GOTAP_RECORDINGS") else { return Ok(None) };
        fs::create_dir_all(&folder).context("create the folder of recordings")?;
        let test = thread::current().name().unwrap_or("test").replace("::", "-");
        let number = NEXT.replace(NEXT.get() + 1);
        Ok(Some(Self { path: Path::new(&folder).join(format!("{test}-{number}.rec")) }))
    }

    /// What asks gotap for it.
    pub(crate) fn option(&self) -> String {
        format!("--record={}", self.path.display())
    }

    /// Checks that the same spans come out of it as were printed, and keeps both without what is the machine's alone.
    pub(crate) fn keep(&self, printed: &[String]) -> Result<()> {
        let again = replay(&self.path, &["--format=json"])?;
        ensure!(
            again == printed,
            "of {} others come: {again:#?}\n{printed:#?}",
            self.path.display()
        );
        let text = fs::read_to_string(&self.path)?;
        let lines = text.lines().map(without_machine).collect::<Result<Vec<_>>>()?;
        fs::write(&self.path, lines.join("\n") + "\n")?;
        let spans = replay(&self.path, &["--format=json"])?;
        fs::write(self.path.with_extension("spans"), spans.join("\n") + "\n")?;
        Ok(())
    }
}

/// A line of a recording with what is kept of resources.
fn without_machine(line: &str) -> Result<String> {
    let mut value: Value = serde_json::from_str(line)?;
    for what in ["process", "renamed"] {
        let attributes = value.get_mut(what).and_then(|of| of.get_mut("resource"));
        if let Some(Value::Array(attributes)) = attributes {
            attributes.retain(|pair| pair[0].as_str().is_some_and(|key| KEPT.contains(&key)));
        }
    }
    Ok(value.to_string())
}

/// What `gotap replay` prints of a recording with these options; an error if it has anything to say beside it.
pub fn replay(recording: &Path, options: &[&str]) -> Result<Vec<String>> {
    let output = Command::new(binary()).arg("replay").arg(recording).args(options).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && said.is_empty(), "{}: {said}", recording.display());
    let printed = String::from_utf8(output.stdout).context("gotap prints UTF-8")?;
    Ok(printed.lines().map(str::to_owned).collect())
}
