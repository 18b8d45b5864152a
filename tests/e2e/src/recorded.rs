//! Recordings of what gotap was given while it ran, which `tests/replay` makes spans of again, without root. They are
//! made where GOTAP_RECORDINGS names a folder: `make recordings` does that. A test of the suite that traces and is not
//! recorded fails, unless [`UNRECORDED`] says why.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{UNRECORDED, binary};

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
        let test = thread::current().name().unwrap_or("test").to_owned();
        let Some(folder) = std::env::var_os("GOTAP_RECORDINGS") else {
            ensure!(
                !test.contains("::") || is_kept(&test) || unrecorded(&test).is_some(),
                "{test} has no recording in tests/replay: run make recordings TESTS={test}, or \
                 have tests/e2e/src/unrecorded.rs say why not"
            );
            return Ok(None);
        };
        fs::create_dir_all(&folder).context("create the folder of recordings")?;
        let test = test.replace("::", "-");
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
        let lines = text.lines().map(|line| cut(line, &text)).collect::<Result<Vec<_>>>()?;
        fs::write(&self.path, lines.join("\n") + "\n")?;
        let spans = replay(&self.path, &["--format=json"])?;
        ensure!(
            spans.iter().map(|line| told(line)).eq(printed.iter().map(|line| told(line))),
            "{} was cut too short: {spans:#?}",
            self.path.display()
        );
        fs::write(self.path.with_extension("spans"), spans.join("\n") + "\n")?;
        Ok(())
    }
}

/// Whether the repository has a recording of a test. Where it has none at all, such as in a guest, none is missed.
fn is_kept(test: &str) -> bool {
    let streams = Path::new(env!("CARGO_MANIFEST_DIR")).join("../replay/streams");
    !streams.is_dir() || streams.join(format!("{}-last.rec", test.replace("::", "-"))).exists()
}

/// Why a test that traces is not recorded; none if it is to be.
pub fn unrecorded(test: &str) -> Option<&'static str> {
    let is_of =
        |tests: &[&str]| tests.iter().any(|of| test == *of || test.starts_with(&format!("{of}::")));
    UNRECORDED.iter().find(|(_, tests)| is_of(tests)).map(|(why, _)| *why)
}

/// A line of a recording with what is kept of resources, and without the names of types that are in none of its records.
fn cut(line: &str, recording: &str) -> Result<String> {
    let mut value: Value = serde_json::from_str(line)?;
    for what in ["process", "renamed"] {
        let Some(of) = value.get_mut(what) else { continue };
        if let Some(Value::Array(attributes)) = of.get_mut("resource") {
            attributes.retain(|pair| pair[0].as_str().is_some_and(|key| KEPT.contains(&key)));
        }
        if let Some(Value::Object(names)) = of.get_mut("typeNames") {
            names.retain(|address, _| is_recorded(address, recording));
        }
    }
    Ok(value.to_string())
}

/// What a printed span says, without its process.
fn told(line: &str) -> Option<Value> {
    let mut value: Value = serde_json::from_str(line).ok()?;
    value.as_object_mut()?.remove("resource");
    Some(value)
}

/// Whether the bytes of an address are anywhere in a recording, whose records are in hex.
fn is_recorded(address: &str, recording: &str) -> bool {
    let bytes = address.parse::<u64>().unwrap_or_default().to_le_bytes();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    recording.contains(&hex)
}

/// What `gotap replay` prints of a recording with these options; an error if it has anything to say beside it.
pub fn replay(recording: &Path, options: &[&str]) -> Result<Vec<String>> {
    let output = Command::new(binary()).arg("replay").arg(recording).args(options).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && said.is_empty(), "{}: {said}", recording.display());
    let printed = String::from_utf8(output.stdout).context("gotap prints UTF-8")?;
    Ok(printed.lines().map(str::to_owned).collect())
}
