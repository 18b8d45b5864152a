//! A Go program that has loaded a Go plugin: what gotap reads of it, and what it says that it can't.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use gotap_e2e::goroutines::RuntimeApp;
use gotap_e2e::{SOON, can_trace};
use gotap_testkit::go::Version;
use gotap_testkit::process::Running;
use gotap_testkit::{cache_dir, setup};
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
	time.Sleep(100 * time.Millisecond)
	fmt.Println("ready")
	fmt.Println("goroutines", runtime.NumGoroutine())
	time.Sleep(time.Hour)
}
"#;

const PLUGIN: &str = r#"package main

import "sync"

var lock sync.Mutex

// Start leaves three goroutines that wait for ever.
func Start() {
	lock.Lock()
	for i := 0; i < 3; i++ {
		go lock.Lock()
	}
}

func main() {}
"#;

#[test]
fn functions_of_plugins_are_said_to_be_missing() -> Result<()> {
    if !can_trace("functions_of_plugins_are_said_to_be_missing") {
        return Ok(());
    }
    let folder = TempDir::with_prefix("gotap-e2e-").context("create a folder")?;
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
    let said = app.process.wait_for("goroutines ", SOON)?;
    let object = app.gotap("goroutines", &["--all"])?;
    let missing = object["missing"].as_array().context("missing")?;
    ensure!(missing.iter().any(|m| m["what"] == "functions of plugins"), "{object}");
    ensure!(object["count"] == said.trim().parse::<u64>()?, "{said}: {object}");
    Ok(())
}
