//! That documents and commands agree, and what no file may say.

use crate::repo;

/// The documents at the root and below `docs/`.
fn documents() -> Vec<repo::File> {
    let is_one = |file: &repo::File| {
        let at_root = !file.path.contains('/');
        file.path.ends_with(".md") && (at_root || file.is_below("docs"))
    };
    repo::files().into_iter().filter(is_one).collect()
}

/// How long the documents may be that people read first, in bytes.
const SHORT: [(&str, usize); 2] = [("README.md", 8 << 10), ("ARCHITECTURE.md", 12 << 10)];

#[test]
fn documents_that_are_read_first_are_short() {
    let long = SHORT.iter().filter(|(path, limit)| repo::file(path).text.len() > *limit);
    let findings = long.map(|(path, limit)| format!("{path}: more than {limit} bytes")).collect();
    repo::none(findings, "details stand below docs/");
}

#[test]
fn documents_name_each_other_rightly() {
    let mut findings = Vec::new();
    for document in documents() {
        let folder = document.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for (number, line) in document.lines() {
            for link in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                let path = link.split('#').next().unwrap_or_default();
                if path.is_empty() || path.contains("://") {
                    continue;
                }
                let path = format!("{}{path}", if folder.is_empty() { "" } else { "docs/" });
                let path = path.replace("docs/../", "");
                if !repo::files().iter().any(|file| file.path == path) {
                    findings.push(format!("{}:{number}: {link}", document.path));
                }
            }
        }
    }
    repo::none(findings, "a link leads to a file of the repository");
}

/// Words of the machine that somebody worked on, which mean nothing on another one. They are put
/// together here, so that this file does not hold them.
const FOREIGN: [&str; 5] = [
    concat!("GOPROXY", "=http"),
    concat!("replace", "-with"),
    concat!("index", "-url"),
    concat!("arti", "factory"),
    concat!("/home/", "user/"),
];

/// A folder at the root of a file system that no product needs.
const WORKPLACE: &str = concat!("/wo", "rk/");

#[test]
fn no_file_mentions_the_machine_it_was_written_on() {
    let mut findings = Vec::new();
    for file in repo::files() {
        for (number, line) in file.lines() {
            let foreign = FOREIGN.iter().any(|word| line.contains(word));
            if foreign || starts_path(line, WORKPLACE) {
                findings.push(format!("{}:{number}: {line}", file.path));
            }
        }
    }
    repo::none(findings, "files hold no paths and registries of somebody's machine");
}

/// Whether `folder` stands in `line` as the beginning of a path, not in the middle of one.
fn starts_path(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "._-}*$)".contains(c))
    })
}

#[test]
fn lock_files_name_only_the_public_registry() {
    const PUBLIC: &str = "registry+https://github.com/rust-lang/crates.io-index";
    let mut findings = Vec::new();
    for file in repo::files().into_iter().filter(|f| f.path.ends_with("Cargo.lock")) {
        for (number, line) in file.lines().filter(|(_, l)| l.starts_with("source = ")) {
            if !line.contains(PUBLIC) {
                findings.push(format!("{}:{number}: {line}", file.path));
            }
        }
    }
    repo::none(findings, "dependencies come from crates.io");
}

/// Targets of the Makefile.
fn targets() -> Vec<String> {
    let makefile = repo::file("Makefile").text;
    let phony = makefile.lines().filter_map(|line| line.strip_prefix(".PHONY: "));
    phony.map(str::to_owned).collect()
}

#[test]
fn commands_in_documents_exist() {
    let targets = targets();
    let mut findings = Vec::new();
    for document in documents() {
        for (number, line) in document.lines() {
            for start in ["`make ", "sudo make "].iter().flat_map(|s| command_after(line, s)) {
                if !targets.contains(&start) {
                    findings.push(format!("{}:{number}: make {start}", document.path));
                }
            }
            if let Some(target) = line.trim_start().strip_prefix("make ").and_then(first_word)
                && !targets.contains(&target)
            {
                findings.push(format!("{}:{number}: make {target}", document.path));
            }
        }
    }
    repo::none(findings, "each `make` target that a document names is in the Makefile");
}

fn command_after<'a>(line: &'a str, start: &'a str) -> impl Iterator<Item = String> + 'a {
    line.match_indices(start).filter_map(move |(at, _)| first_word(&line[at + start.len()..]))
}

fn first_word(text: &str) -> Option<String> {
    let word: String = text.chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect();
    (!word.is_empty()).then_some(word)
}

#[test]
fn ci_runs_what_the_readme_says() {
    let ci = repo::file(".ci/run").text;
    let readme = repo::file("README.md").text;
    let section = readme.split("\n## ").find(|s| s.starts_with("Two commands\n"));
    let section = section.expect("the README has a section `Two commands`");
    let commands: Vec<&str> = ci.lines().filter_map(|l| l.strip_prefix("section ")).collect();
    assert!(!commands.is_empty(), ".ci/run has no `section COMMAND` lines");
    let unknown = commands.into_iter().filter(|c| !section.contains(&format!("`{c}`")));
    let findings = unknown.map(str::to_owned).collect();
    repo::none(findings, "a command in .ci/run stands in the README's section `Two commands`");
}

#[test]
fn the_changelog_knows_the_version() {
    let packages = repo::packages();
    let gotap = packages.iter().find(|p| p.name == "gotap").expect("there is a package gotap");
    let heading = format!("## [{}]", gotap.version);
    let changelog = repo::file("CHANGELOG.md").text;
    assert!(changelog.contains(&heading), "CHANGELOG.md has no section {heading}");
}

#[test]
fn figures_stand_only_where_the_benchmark_writes_them() {
    let mut findings = Vec::new();
    for document in documents() {
        let (mut example, mut written) = (false, false);
        for (number, line) in document.lines() {
            if line.trim_start().starts_with("```") {
                example = !example;
            }
            written |= line.starts_with("<!-- ") && line.ends_with(":begin -->");
            if !example && !written && has_figure(line) {
                findings.push(format!("{}:{number}: {line}", document.path));
            }
            written &= !(line.starts_with("<!-- ") && line.ends_with(":end -->"));
        }
        assert!(!example && !written, "{}: something is not closed", document.path);
    }
    repo::none(findings, "measurements in documents come from the benchmark or are examples");
}

/// Whether a number is followed by a unit of a measurement.
fn has_figure(line: &str) -> bool {
    const UNITS: [&str; 7] = ["ns", "µs", "us", "ms", "%", "MB", "times"];
    let digits = line.char_indices().filter(|(_, c)| c.is_ascii_digit());
    digits.map(|(at, _)| line[at + 1..].trim_start_matches([' ', '\u{a0}'])).any(|after| {
        let follows = |unit: &str| {
            let rest = after.strip_prefix(unit);
            rest.is_some_and(|r| !r.starts_with(char::is_alphanumeric))
        };
        UNITS.iter().any(|unit| follows(unit))
    })
}
