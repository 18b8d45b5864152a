//! The repository: its files and its packages.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).expect("this crate lies two folders below the root").to_owned()
}

/// A text file.
pub(crate) struct File {
    /// Relative to the root, with slashes.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    pub(crate) fn is_below(&self, folder: &str) -> bool {
        self.path.starts_with(&format!("{folder}/"))
    }

    pub(crate) fn has_extension(&self, extensions: &[&str]) -> bool {
        self.path.rsplit_once('.').is_some_and(|(_, e)| extensions.contains(&e))
    }

    /// Whether it holds nothing but unit tests and what they need.
    pub(crate) fn is_of_tests(&self) -> bool {
        ["_tests.rs", "/tests.rs", "/test_support.rs"].iter().any(|end| self.path.ends_with(end))
            || self.path.contains("_tests/")
    }

    /// Lines with their numbers.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(i, line)| (i + 1, line))
    }

    /// Lines of code: no comments, and nothing from the unit tests at the end on.
    pub(crate) fn shipped_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let tests = self.text.find("\n#[cfg(test)]").map_or(self.text.len(), |at| at + 1);
        let shipped = self.text[..tests].lines().enumerate().map(|(i, line)| (i + 1, line));
        shipped.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}

/// What git keeps, or would keep when it is added. Files that are no text are left out.
pub(crate) fn files() -> Vec<File> {
    // The clone may belong to another user than the one that tests.
    let output = Command::new("git")
        .args(["-c", "safe.directory=*", "ls-files", "-z"])
        .args(["--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git runs");
    assert!(output.status.success(), "git: {}", String::from_utf8_lossy(&output.stderr));
    let names = String::from_utf8(output.stdout).expect("names are UTF-8");
    let read = |name: &str| {
        // A file that was removed and is still in the index can't be read.
        let text = std::fs::read_to_string(root().join(name)).ok()?;
        Some(File { path: name.to_owned(), text })
    };
    names.split('\0').filter(|name| !name.is_empty()).filter_map(read).collect()
}

/// The file of that name, which must exist.
pub(crate) fn file(path: &str) -> File {
    let text = std::fs::read_to_string(root().join(path));
    let text = text.unwrap_or_else(|error| panic!("{path} must exist: {error}"));
    File { path: path.to_owned(), text }
}

/// A package of the workspace.
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    /// Its folder, relative to the root.
    pub(crate) folder: String,
    /// What it needs to be built and to run: no dev-dependencies.
    pub(crate) needs: Vec<String>,
}

/// The packages of the workspace.
pub(crate) fn packages() -> Vec<Package> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "cargo: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let packages = metadata["packages"].as_array().expect("a list of packages");
    packages.iter().map(package).collect()
}

fn package(value: &Value) -> Package {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let manifest = PathBuf::from(text(&value["manifest_path"]));
    let folder = manifest.parent().expect("a folder").strip_prefix(root()).expect("in here");
    let dependencies = value["dependencies"].as_array().expect("a list of dependencies");
    let needed = dependencies.iter().filter(|d| d["kind"] != "dev").map(|d| text(&d["name"]));
    Package {
        name: text(&value["name"]),
        version: text(&value["version"]),
        folder: folder.to_string_lossy().into_owned(),
        needs: needed.collect(),
    }
}

/// Fails with all findings at once.
pub(crate) fn none(findings: Vec<String>, rule: &str) {
    assert!(findings.is_empty(), "{rule}:\n  {}\n", findings.join("\n  "));
}
