//! Which spans recordings give, and which tests they are of. Not here: how spans are printed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use gotap_e2e::{UNRECORDED, binary, replay};

use crate::stream::Stream;

#[test]
fn each_recording_gives_its_spans() -> Result<()> {
    let mut wrong = Vec::new();
    for stream in Stream::all()? {
        let again = replay(&stream.path, &["--format=json"])
            .context("where the layout of records changed, make recordings makes them anew")?;
        let differ = again.iter().zip(&stream.lines).find(|(now, before)| now != before);
        if let Some((now, before)) = differ {
            wrong.push(format!("{}: {now}\n  and not {before}", stream.name()));
        } else if again.len() != stream.lines.len() {
            let (now, before) = (again.len(), stream.lines.len());
            wrong.push(format!("{}: {now} spans and not {before}", stream.name()));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// What is printed is of the recording alone, not of the time zone, the folder or the variables of who asks.
#[test]
fn recordings_give_the_same_anywhere() -> Result<()> {
    for stream in Stream::all()?.iter().step_by(20) {
        let elsewhere = |format: &str| -> Result<Vec<String>> {
            let mut command = Command::new(binary());
            command.env_clear().env("TZ", "Pacific/Auckland").env("HOSTNAME", "elsewhere");
            command.current_dir("/").arg("replay").arg(&stream.path).arg(format);
            let printed = String::from_utf8(command.output()?.stdout)?;
            Ok(printed.lines().map(str::to_owned).collect())
        };
        ensure!(elsewhere("--format=json")? == stream.lines, "{}", stream.name());
        let text = replay(&stream.path, &[])?;
        ensure!(elsewhere("--format=text")? == text && !text.is_empty(), "{}", stream.name());
    }
    Ok(())
}

/// The recordings are of all that is traced, with old and new Go.
#[test]
fn each_sort_of_operation_is_recorded() -> Result<()> {
    let streams = Stream::all()?;
    let spans = || streams.iter().flat_map(|stream| &stream.spans);
    let values =
        |key: &str| -> BTreeSet<&str> { spans().filter_map(|span| span.text(key)).collect() };
    let wanted = [
        ("rpc.system.name", &["grpc", "connectrpc"][..]),
        ("db.system.name", &["redis", "postgresql", "mysql", "sqlite"]),
        ("network.protocol.version", &["1.1", "2"]),
        ("url.scheme", &["http"]),
    ];
    for (key, wanted) in wanted {
        let found = values(key);
        let missing: Vec<_> = wanted.iter().filter(|one| !found.contains(**one)).collect();
        ensure!(missing.is_empty(), "{key}: {missing:?} is in no recording, which have {found:?}");
    }
    let parents: BTreeSet<&str> = spans().map(|span| span.parent.as_str()).collect();
    for parent in ["none", "remote", "context", "goroutine", "ancestor"] {
        ensure!(parents.contains(parent), "no parent is found by {parent}: {parents:?}");
    }
    let versions =
        spans().filter_map(|span| span.resource.get("process.runtime.version")?.as_str());
    let versions: BTreeSet<&str> = versions.collect();
    for go in ["go1.18.", "go1.27."] {
        ensure!(versions.iter().any(|version| version.starts_with(go)), "{go}: {versions:?}");
    }
    Ok(())
}

/// Every test of the suite that traces is recorded, or `UNRECORDED` says why not: where it runs, a test that is neither
/// fails. Here is checked what can be without running it: that each name is one of a test, and stands in one place.
#[test]
fn each_recording_is_of_a_test_and_what_is_not_recorded_says_why() -> Result<()> {
    let suite = Suite::read()?;
    let mut recorded = BTreeSet::new();
    for stream in Stream::all()? {
        let test = stream.test()?;
        ensure!(suite.has_test(&test), "{}: {test} is no test any more", stream.name());
        ensure!(gotap_e2e::unrecorded(&test).is_none(), "{test} is recorded");
        recorded.insert(test);
    }
    let mut reasons = BTreeMap::new();
    for (why, tests) in UNRECORDED {
        ensure!(why.len() > 10 && !tests.is_empty(), "{why:?}: {tests:?}");
        for test in *tests {
            ensure!(suite.has_test(test) || suite.has_module(test), "{test} is no test any more");
            let before = reasons.insert(*test, why);
            ensure!(before.is_none(), "{test} is not recorded for two reasons");
        }
    }
    ensure!(recorded.len() > 3 * reasons.len(), "{} of {}", recorded.len(), reasons.len());
    Ok(())
}

/// The sources of the end-to-end tests by the name of their module.
struct Suite(BTreeMap<String, String>);

impl Suite {
    fn read() -> Result<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../e2e/tests/suite");
        let (mut modules, mut open) = (BTreeMap::new(), vec![folder.clone()]);
        while let Some(next) = open.pop() {
            for entry in fs::read_dir(&next)? {
                let path = entry?.path();
                if path.is_dir() {
                    open.push(path);
                } else {
                    let name = path.strip_prefix(&folder)?.with_extension("");
                    let name = name.to_string_lossy().replace('/', "::");
                    modules.insert(name, fs::read_to_string(&path)?);
                }
            }
        }
        Ok(Self(modules))
    }

    fn has_module(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    fn has_test(&self, name: &str) -> bool {
        let Some((module, test)) = name.rsplit_once("::") else { return false };
        let function = format!("#[test]\nfn {test}() ");
        self.0.get(module).is_some_and(|source| source.contains(&function))
    }
}
