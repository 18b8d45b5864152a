//! A Go program that has loaded a Go plugin: what gotap reads of it, and what it says that it can't.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use gotap_e2e::goroutines::RuntimeApp;
use gotap_e2e::{SOON, binary, can_trace};
use gotap_testkit::go::Version;
use gotap_testkit::process::Running;
use gotap_testkit::{cache_dir, setup};
use serde_json::Value;
use tempfile::TempDir;

const MAIN: &str = r#"package main

import (
	"fmt"
	"plugin"
	"runtime"
	"time"
)

func main() {
	loaded, err := plugin.Open("./added.so")
	if err != nil {
		panic(err)
	}
	start, err := loaded.Lookup("Start")
	if err != nil {
		panic(err)
	}
	start.(func())()
	// The plugin's code starts collections, and these the runtime's goroutines for them.
	var stats runtime.MemStats
	for stats.NumGC < 3 {
		time.Sleep(10 * time.Millisecond)
		runtime.ReadMemStats(&stats)
	}
	fmt.Println("ready")
	fmt.Println("goroutines", runtime.NumGoroutine())
	time.Sleep(time.Hour)
}
"#;

const PLUGIN: &str = r#"package main

import (
	"sync"
	"time"
)

var (
	lock sync.Mutex
	kept []byte
)

// Start leaves three goroutines that wait for ever, and one that allocates until there were collections.
func Start() {
	lock.Lock()
	for i := 0; i < 3; i++ {
		go lock.Lock()
	}
	go allocate()
}

func allocate() {
	for {
		kept = make([]byte, 1<<20)
		time.Sleep(time.Millisecond)
	}
}

func main() {}
"#;

/// The program with its plugin, which has come to where it waits; and how many goroutines it says that it has.
fn start(folder: &TempDir) -> Result<(RuntimeApp, u64)> {
    let go = setup(&["go", &Version::NEWEST.to_string()])?.join("bin/go");
    for (name, source, arguments) in [
        ("added", PLUGIN, &["-buildmode=plugin", "-o", "../added.so"][..]),
        ("program", MAIN, &["-o", "../program.bin"]),
    ] {
        let at = folder.path().join(name);
        fs::create_dir(&at)?;
        fs::write(at.join("main.go"), source)?;
        fs::write(at.join("go.mod"), format!("module {name}\n\ngo 1.21\n"))?;
        let mut build = Command::new(&go);
        build.arg("build").args(arguments).arg(".").current_dir(&at);
        build.envs([
            ("CGO_ENABLED", "1"),
            ("GOTOOLCHAIN", "local"),
            ("GOFLAGS", "-buildvcs=false"),
        ]);
        let output = build.env("GOCACHE", cache_dir()?.join("go-build")).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let mut command = Command::new(folder.path().join("program.bin"));
    command.current_dir(folder.path());
    let app = RuntimeApp::of(Running::spawn(command)?);
    let said = app.process.wait_for("goroutines ", SOON)?.trim().parse()?;
    Ok((app, said))
}

/// What is in the runtime's memory is read; where code of the plugin matters, that is said.
#[test]
fn functions_of_plugins_are_said_to_be_missing() -> Result<()> {
    if !can_trace("functions_of_plugins_are_said_to_be_missing") {
        return Ok(());
    }
    let folder = TempDir::with_prefix("gotap-e2e-").context("create a folder")?;
    let (app, count) = start(&folder)?;
    let object = app.gotap("goroutines", &["--all"])?;
    let is_missing = |object: &Value| -> Result<()> {
        let missing = object["missing"].as_array().context("missing")?;
        let is_it = missing.iter().any(|m| m["what"] == "functions of plugins");
        ensure!(is_it, "{object}");
        Ok(())
    };
    is_missing(&object)?;
    ensure!(object["count"] == count, "{count}: {object}");
    let chan = app.gotap("chan", &[])?;
    is_missing(&chan)?;
    let waiters = chan["mutexes"][0]["waiters"].as_array().map(Vec::len);
    ensure!(waiters == Some(3), "{chan}");
    let gc = app.gotap("gc", &[])?;
    ensure!(gc["collections"].as_u64() >= Some(3), "{gc}");
    ensure!(app.gotap("sched", &["-d", "100ms"])?["processors"].is_array());
    // What a plugin allocates is counted, without the name of the function.
    let alloc = app.gotap("alloc", &[])?;
    let most = &alloc["functions"][0];
    ensure!(most["function"].is_null() && most["share"].as_f64() > Some(0.5), "{alloc}");
    let notes = alloc["notes"].to_string();
    ensure!(notes.contains("functions of plugins have no names"), "{alloc}");
    Ok(())
}

/// A plugin has copies of the runtime's functions, in which no trap stands: what traps count would be too little.
#[test]
fn nothing_is_counted_by_traps_beside_a_plugin() -> Result<()> {
    if !can_trace("nothing_is_counted_by_traps_beside_a_plugin") {
        return Ok(());
    }
    let folder = TempDir::with_prefix("gotap-e2e-").context("create a folder")?;
    let (app, _) = start(&folder)?;
    let pid = app.process.pid().to_string();
    for arguments in [
        &["gc", &pid, "-d", "1s"][..],
        &["alloc", &pid, "-d", "1s", "--exact"],
        &["alloc", &pid, "-d", "1s", "--sampled"],
        &["chan", &pid, "-d", "1s", "--rates"],
        &["trace", "goroutines", "--pid", &pid, "-d", "1s"],
    ] {
        let output = Command::new(binary()).args(arguments).output().context("run gotap")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.code() == Some(1) && output.stdout.is_empty(),
            "{arguments:?}: {said}"
        );
        ensure!(said.lines().count() == 1, "{arguments:?}: {said}");
        ensure!(
            said.contains(&pid) && said.contains("has loaded a Go plugin"),
            "{arguments:?}: {said}"
        );
    }
    Ok(())
}
